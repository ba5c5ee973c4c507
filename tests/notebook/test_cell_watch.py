"""A stored value that stands in a cell in clear is noticed before the cell runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ValueInCellError
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
