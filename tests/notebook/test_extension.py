"""Loading and unloading, completion, and where loading is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.errors import UnsupportedPlatformError, ValueOnLineError
from flowfile_nb.notebook.secret_arguments import VERBS
from tests.support.shell import Shell


def test_unload_is_the_mirror_image_of_load(shell: Shell) -> None:
    """After unloading, magics, matchers and history are what they were before; loading again works."""
    real = shell.real
    loaded = vars(real)["_flowfile_nb"]
    shell.run("%unload_ext flowfile_nb")

    assert "secret" not in real.magics_manager.magics["line"]
    assert "connect" not in real.magics_manager.magics["line"]
    assert "connect" not in real.magics_manager.magics["cell"]
    assert loaded.match not in real.Completer.custom_matchers
    assert "store_inputs" not in vars(real.history_manager)
    assert loaded.before_cell not in real.events.callbacks["pre_run_cell"]
    assert "_flowfile_nb" not in vars(real)

    shell.run("%load_ext flowfile_nb")
    assert "No secrets yet" in shell.run("%secret")


def test_unloading_says_what_ends_with_it(shell: Shell) -> None:
    """Where a value is known, a line says that outputs are not masked; not where none is, nor where it is loaded again."""
    assert shell.run("%unload_ext flowfile_nb") == ""
    shell.run("%load_ext flowfile_nb")
    fnb.secrets["prod_pw"] = "hunter2-canary"
    assert "not masked" not in shell.run("%reload_ext flowfile_nb")
    assert shell.run("print('hunter2' + '-canary')") == "[secret:prod_pw]\n"

    shown = shell.run("%unload_ext flowfile_nb")

    assert shown.startswith("flowfile_nb: outputs are not masked any more")
    assert len(shown.splitlines()) == 1
    assert shell.run("print('hunter2' + '-canary')") == "hunter2-canary\n"
    shell.run(shown.partition(".  ")[2].partition("   ")[0])
    assert shell.run("print('hunter2' + '-canary')") == "[secret:prod_pw]\n"


def test_loading_twice_is_loading_once(shell: Shell) -> None:
    """`%reload_ext` and a second load leave one matcher and one watch."""
    shell.run("%reload_ext flowfile_nb")
    fnb.load_ipython_extension(shell.real)

    assert shell.real.Completer.custom_matchers.count(vars(shell.real)["_flowfile_nb"].match) == 1


def test_a_wrapper_put_over_ours_stays(shell: Shell) -> None:
    """Unloading does not take out what another extension has put over the history since."""
    history = shell.real.history_manager
    ours = history.store_inputs
    history.store_inputs = lambda *args: ours(*args)  # noqa: PLW0108 - another function, which is the point

    shell.run("%unload_ext flowfile_nb")

    assert "store_inputs" in vars(history)
    del history.store_inputs


def test_browser_python_is_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `sys.platform` is emscripten, loading and every use refuse with one clear sentence."""
    shell.run("%unload_ext flowfile_nb")
    monkeypatch.setattr(sys, "platform", "emscripten")
    session.use_backend(None)

    shown = shell.run("%load_ext flowfile_nb")
    assert isinstance(shell.error, UnsupportedPlatformError)
    assert "not stored in a browser" in shown
    for action in (lambda: fnb.secrets.update(x="v"), lambda: fnb.secrets["x"], lambda: fnb.connect("sqlite://")):
        with pytest.raises(UnsupportedPlatformError):
            action()


@pytest.mark.parametrize("above", ["", "get_ipython().history_manager.writeout_cache()\n"], ids=["waits", "is written"])
@pytest.mark.parametrize(
    "below",
    [
        "%secret set prod_pw {0}",
        "import flowfile_nb as fnb; fnb.secrets['prod_pw'] = {0!r}",
        "import flowfile_nb as fnb\nfnb.connect('postgresql://app:{0}@h/x')",
    ],
)
def test_a_value_in_the_cell_that_loads_it(shell: Shell, above: str, below: str) -> None:
    """IPython remembers a cell before it runs: what stands below `%load_ext` is not left in the history either."""
    shell.run("%unload_ext flowfile_nb")
    shell.run("a = 'a cell before'")

    shell.run(f"{above}%load_ext flowfile_nb\n{below.format('canary-4711')}")

    remembered = shell.remembered()
    assert "canary-4711" not in remembered
    assert "a cell before" in remembered
    assert "load_ext flowfile_nb" in remembered
    assert b"canary-4711" not in Path(shell.real.history_manager.hist_file).read_bytes()


def test_a_history_that_cannot_be_rewritten(shell: Shell) -> None:
    """It is said, and the extension is loaded all the same."""
    shell.run("%unload_ext flowfile_nb")
    history = "get_ipython().history_manager"
    gone = f"{history}.writeout_cache(); {history}.db.execute('ALTER TABLE history RENAME TO gone')"

    shown = shell.run(f"{gone}\n%load_ext flowfile_nb\n%secret set prod_pw canary-4711")
    shell.real.history_manager.db.execute("ALTER TABLE gone RENAME TO history")

    assert "history keeps this cell as it was typed (OperationalError):  %secret scan  says where" in shown
    assert isinstance(shell.error, ValueOnLineError)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%secret ", {*VERBS, "prod_pw", '"my name"'}),
        ("%secret pro", {"prod_pw"}),
        ("%secret my", {'"my name"'}),
        ('%secret get "my n', {'"my name"'}),
        ("pw = %secret pro", {"prod_pw"}),
        ("%secret de", {"delete"}),
        ("%secret delete pro", {"prod_pw"}),
        ("%secret set x --", {"--replace", "--if-missing", "--file", "--env", "--generate"}),
        ("%secret set x --rep", {"--replace"}),
        ("%secret delete --", {"--yes"}),
        ("%secret scan --", {"--fix", "--staged"}),
        ("%secret log pro", {"prod_pw"}),
        ("%secret log --", {"--last", "--clear", "--yes"}),
        ("%secret doctor --", {"--fix"}),
        ("%secret rotate-key --d", {"--dry-run"}),
        ("postgresql://app:%secret pro", {"prod_pw"}),
        ("postgresql://app:%secret my", {'"my name"'}),
        ('postgresql://app:%secret "my n', {'"my name"'}),
        ("postgresql://app:${secret:my", {"my name"}),
        ("postgresql://app:${secret:my n", {"my name"}),
        ("password = %secret pro", {"prod_pw"}),
        ("%connect ware", {"warehouse"}),
        ("%connect -x ware", {"warehouse"}),
        ('engine = fnb.connect("ware', {"warehouse"}),
        ("flowfile_nb.connect('", {"warehouse", "ours"}),
        ('df = pd.read_sql("select 1", connect("o', {"ours"}),
        ('fnb.connect("warehouse", as_="du', {"duckdb"}),
    ],
)
def test_completion(shell: Shell, line: str, offered: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tab offers verbs, options and names, on magic lines, in bodies and calls, and nothing of Python's beside them."""
    monkeypatch.chdir(tmp_path)
    fnb.secrets.update({"prod_pw": "1", "my name": "2"})
    session.backend().save_connection("warehouse", "sqlite://")
    Path("connections.toml").write_text('[ours]\nurl = "sqlite://"\n[warehouse]\nurl = "sqlite://"\n')

    assert set(shell.complete(line)) == offered


def test_completion_of_other_calls_is_left_alone(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another library's `connect`, and a path in ours, are completed as before."""
    session.backend().save_connection("warehouse", "sqlite://")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "warehouse.db").touch()

    assert "warehouse" not in shell.complete('sqlite3.connect("ware')
    assert "warehouse" not in shell.complete('fnb.connect("nosuch", trust="ware')
    assert any("warehouse.db" in found for found in shell.complete('sqlite3.connect("ware'))


def test_completion_of_files_and_variables(shell: Shell, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--file` completes paths, `--env` completes variables."""
    monkeypatch.setenv("CANARY_VARIABLE", "1")
    (tmp_path / "canary.pem").touch()  # type: ignore[attr-defined]

    assert shell.complete("%secret set x --env CANARY_V") == ["CANARY_VARIABLE"]
    assert shell.complete(f"%secret set x --file {tmp_path}/can") == [f"{tmp_path}/canary.pem"]
    assert shell.complete(f"%secret scan a.py {tmp_path}/can") == [f"{tmp_path}/canary.pem"]


def test_completion_of_files_below_home_and_with_spaces(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` stays as it was typed; a path with spaces gets the quotes that the line needs, a folder the first of them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my keys").mkdir()
    (tmp_path / "my keys" / "a b.pem").write_text("canary of a file")

    assert shell.complete("%secret set x --file ~/my") == ['"~/my keys/']
    assert shell.complete('%secret set x --file "~/my keys/a') == ['"~/my keys/a b.pem"']
    shell.run('%secret set x --file "~/my keys/a b.pem"')
    assert fnb.secrets["x"].get_secret_value() == "canary of a file"


def test_completion_of_other_lines_is_left_alone(shell: Shell) -> None:
    """Python's own completion is not disturbed, not even by a name with `secret` in it."""
    shell.run("secretary_of_state = 1")

    assert "secretary_of_state" in shell.complete("secretary_of")
    assert "print" in shell.complete("x = 1; pri")


def test_completion_survives_a_broken_store(shell: Shell, key_directory: object) -> None:
    """Tab never raises: what is wrong is said by the magic."""
    fnb.secrets["prod_pw"] = "1"
    session.use_backend(None)
    (key_directory / "flowfile_nb.db").write_bytes(b"damaged" * 1000)  # type: ignore[operator]

    assert "prod_pw" not in shell.complete("%secret pro")
