"""A stored value that stands in a cell in clear is noticed before the cell runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from IPython.utils.capture import capture_output

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.errors import ValueInCellError
from flowfile_nb.notebook import cell_watch
from flowfile_nb.vault import Vault
from tests.support.shell import Shell

VALUE = "hunter2xyz"


@pytest.fixture
def stored(shell: Shell) -> Shell:
    """A shell that has read no secret; the store has one."""
    Vault({"FLOWFILE_SECURE_STORAGE_PATH": str(Path.home() / ".config/flowfile")}).set("prod_pw", VALUE, replace=False)
    return shell


def test_the_warning_names_the_secret_and_shows_how_to_write_it(stored: Shell) -> None:
    """The cell runs; the line is shown with the reference in it, and the value nowhere."""
    shown = stored.run("url = 'postgresql://app:hunter2xyz@db/sales'\nprint('ran')")

    assert "this cell holds the value of secret 'prod_pw'" in shown
    assert "ran\n" in shown
    assert "    url = 'postgresql://app:${secret:prod_pw}@db/sales'" in shown
    assert "x = %secret prod_pw" in shown
    assert VALUE not in shown
    assert VALUE not in stored.remembered()


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("VALUE == pw", "fnb.secrets['prod_pw'].get_secret_value() == pw"),
        ("login('app', VALUE)", "login('app', fnb.secrets['prod_pw'].get_secret_value())"),
        ("fnb.connect({'type': 'mysql',\n  'password': VALUE})", "  'password': '${secret:prod_pw}'})"),
    ],
)
def test_the_line_that_is_shown_is_right(stored: Shell, cell: str, written: str) -> None:
    """A reference is filled in in the description of a connection, and nowhere else: compared with, it would be no password."""
    assert f"    {written}\n" in stored.run(cell.replace("VALUE", repr(VALUE)))


def test_encoded_values_are_noticed(stored: Shell) -> None:
    """Base64 and hex in a cell are the value, too."""
    assert "'prod_pw'" in stored.run("x = 'aHVudGVyMnh5eg=='")
    assert "'prod_pw'" in stored.run(f"x = {VALUE.encode().hex()!r}")


def test_other_cells_are_left_alone(stored: Shell) -> None:
    """No warning, and the history has the cell as it was typed."""
    assert stored.run("x = 'hunter3xyz'\nprint(x)") == "hunter3xyz\n"
    assert "hunter3xyz" in stored.remembered()


def test_outputs_of_such_a_cell_are_masked(stored: Shell) -> None:
    """Once noticed, the value counts as known."""
    stored.run("x = 'hunter2xyz'")

    assert stored.run("print(x)") == "[secret:prod_pw]\n"


def test_refuse(stored: Shell) -> None:
    """With the setting `refuse` the cell does not run, and two lines say why."""
    stored.run("%config FlowfileNb.cell_source = 'refuse'")

    shown = stored.run("ran = 'hunter2xyz'")

    assert isinstance(stored.error, ValueInCellError)
    assert len(shown.strip().splitlines()) == 2
    assert "ran" not in stored.real.user_ns
    assert VALUE not in shown + stored.remembered()
    stored.run("fine = 1")
    assert stored.error is None


def test_refuse_in_a_cell_magic(stored: Shell) -> None:
    """The body of a cell magic is looked at as well."""
    stored.run("%config FlowfileNb.cell_source = 'refuse'")

    stored.run("%%connect db\nsqlite:///hunter2xyz")

    assert isinstance(stored.error, ValueInCellError)


def test_off(stored: Shell) -> None:
    """With the setting `off` nothing is said."""
    stored.run("%config FlowfileNb.cell_source = 'off'")

    assert stored.run("x = 'hunter2xyz'") == ""


def test_the_setting_is_there_in_the_very_cell_that_loads(shell: Shell) -> None:
    """`%load_ext` and `%config` in one cell work, as people write them."""
    shell.run("%unload_ext flowfile_nb")

    shell.run("%load_ext flowfile_nb\n%config FlowfileNb.cell_source = 'refuse'")

    assert shell.error is None
    fnb.secrets["prod_pw"] = VALUE
    shell.run("x = 'hunter2xyz'")
    assert isinstance(shell.error, ValueInCellError)


def test_a_value_stored_or_replaced_since_is_noticed(stored: Shell) -> None:
    """The look follows the store, also where another process writes it."""
    stored.run("x = 1")
    other = Vault({"FLOWFILE_SECURE_STORAGE_PATH": str(Path.home() / ".config/flowfile")})
    other.set("prod_pw", "replaced-value", replace=True)
    other.set("second", "second-value", replace=False)

    assert "'prod_pw'" in stored.run("x = 'replaced-value'")
    assert "'second'" in stored.run("x = 'second-value'")


def test_a_damaged_store_stops_no_cell(stored: Shell, key_directory: Path) -> None:
    """What is wrong with the store is said by what needs it."""
    (key_directory / "flowfile.json.enc").write_bytes(b"")

    assert stored.run("print('x')") == "x\n"


def test_a_database_that_cannot_be_read_stops_no_cell(stored: Shell, key_directory: Path) -> None:
    """Neither does this, and nothing is said of it."""
    (key_directory / "flowfile_nb.db").write_bytes(b"no database" * 1000)

    assert stored.run("print('x')") == "x\n"


def test_a_damaged_row_hides_no_other(stored: Shell, key_directory: Path) -> None:
    """The values beside it are noticed."""
    with closing(sqlite3.connect(key_directory / "flowfile_nb.db")) as database, database:
        database.execute("INSERT INTO secrets (id, name, encrypted_value, user_id) VALUES (0, 'damaged', 'no token', 1)")

    assert "'prod_pw'" in stored.run("x = 'hunter2xyz'")


def test_only_what_changed_is_decrypted_again(stored: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is as it was is not listed; of one that has changed, the new values alone are decrypted."""
    backend = session.backend()
    calls: list[str] = []
    for name in ("fingerprints", "peek"):
        before = getattr(backend, name)

        def counted(*args: str, before: Callable[..., object] = before, name: str = name) -> object:
            calls.append(" ".join([name, *args]))
            return before(*args)

        monkeypatch.setattr(backend, name, counted)
    stored.run("x = 1")
    stored.run("x = 2")
    assert calls == ["fingerprints", "peek prod_pw"]

    backend.set("second", "second-value", replace=False)
    stored.run("x = 3")

    assert calls[2:] == ["fingerprints", "peek second"]


def test_the_newest_of_a_large_store_are_looked_for(stored: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the oldest, where they are too many."""
    monkeypatch.setattr(cell_watch, "_MOST", 2)
    for name in ("second", "third"):
        session.backend().set(name, f"{name}-value", replace=False)

    assert stored.run("x = 'hunter2xyz'") == ""
    assert "'third'" in stored.run("x = 'third-value'")


def test_the_warning_is_short_and_on_stderr(stored: Shell) -> None:
    """A cell with the value on every line is not shown whole, and what a program reads from stdout is its own."""
    with capture_output() as captured:
        stored.real.run_cell("\n".join(f"x{number} = 'hunter2xyz'" for number in range(50)))

    assert captured.stdout == ""
    assert captured.stderr.count(" = %secret prod_pw\n") == 10


def test_unloading_takes_the_watch_away(stored: Shell) -> None:
    """Afterwards no cell is refused, and `%config` knows nothing of ours."""
    stored.run("%config FlowfileNb.cell_source = 'refuse'")
    stored.run("%unload_ext flowfile_nb")

    stored.run("x = 'hunter2xyz'")

    assert stored.real.user_ns["x"] == VALUE
    assert not [one for one in stored.real.configurables if isinstance(one, cell_watch.FlowfileNb)]


def test_a_value_that_is_no_secrets_any_more(stored: Shell) -> None:
    """Replaced, taken back, renamed, deleted: what is suggested is what is stored now, and its value."""
    stored.run("x = 1")
    fnb.secrets["prod_pw"] = "replaced-value"
    assert stored.run("x = 'hunter2xyz'") == ""
    assert "'prod_pw'" in stored.run("x = 'replaced-value'")

    stored.run("%secret undo prod_pw --yes")
    assert stored.run("x = 'replaced-value'") == ""
    assert "'prod_pw'" in stored.run("x = 'hunter2xyz'")

    stored.run("%secret rename prod_pw sales_pw")
    assert "secret 'sales_pw' in clear" in stored.run("x = 'hunter2xyz'")
    assert "replaced-value" not in stored.remembered()

    stored.run("%secret delete sales_pw --yes")
    assert stored.run("x = 'hunter2xyz'") == ""


def test_a_value_that_two_secrets_have(stored: Shell) -> None:
    """When one of them goes, the other is suggested."""
    fnb.secrets["second"] = VALUE
    assert "'prod_pw'" in stored.run("x = 'hunter2xyz'")

    del fnb.secrets["prod_pw"]

    assert "'second'" in stored.run("x = 'hunter2xyz'")


def test_an_assignment_is_shown_as_it_runs(stored: Shell) -> None:
    """In code a reference is text like any other: the line that is suggested gives the Secret, or sets the variable."""
    line = stored.run("if True:\n    pw = 'hunter2xyz'").splitlines()[1]
    assert line == "        pw = %secret prod_pw"
    stored.run(line.strip())
    assert stored.real.user_ns["pw"].get_secret_value() == VALUE

    line = stored.run("import os\nos.environ['PGPASSWORD'] = \"hunter2xyz\"").splitlines()[1]
    assert line == "    %secret env prod_pw PGPASSWORD"
    assert "Set PGPASSWORD" in stored.run(line.strip())
    for code in ("%env PGPASSWORD=hunter2xyz", "%set_env PGPASSWORD hunter2xyz"):
        assert "    %secret env prod_pw PGPASSWORD\n" in stored.run(code)


@pytest.mark.parametrize("cell", ["products = 1", "x = 'no_prod'", "x = 'production and no_prod'"])
def test_a_short_value_inside_of_a_longer_word(shell: Shell, cell: str) -> None:
    """It may be there by chance: it is said, and no word is suggested with a reference in its middle."""
    fnb.secrets["short"] = "prod"

    shown = shell.run(cell)

    assert shown == (
        "flowfile_nb: in this cell the value of secret 'short' is a part of a longer word."
        " Delete it from the notebook, if that is not by chance.\n"
    )


@pytest.mark.parametrize(
    ("value", "cell"),
    [("prod", "x = 'prod'"), ("prod", "x = 'a-prod.'"), ("prod", "x = 'products, prod'"), (VALUE, f"x = '-p{VALUE}'")],
)
def test_a_value_that_is_there_by_no_chance(shell: Shell, value: str, cell: str) -> None:
    """It stands by itself, or is long; the words that it is a part of are left as they are."""
    fnb.secrets["pw"] = value

    shown = shell.run(cell)

    assert "this cell holds the value of secret 'pw' in clear" in shown
    assert "}ucts" not in shown
