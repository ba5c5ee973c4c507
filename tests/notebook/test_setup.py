"""Docker mode without a master key: what is said, how a key is made without a notebook, and that it works after a restart."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

import flowfile_nb as fnb
from flowfile_nb.__main__ import main
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import MasterKeyError
from flowfile_nb.notebook.panel import _as_text
from tests.notebook.test_panel import FrontEnd
from tests.support.kernel import running_kernel
from tests.support.shell import Shell
from tests.support.stores import expected, write_flowfile_store

pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")

LINE = re.compile(r"FLOWFILE_MASTER_KEY=([A-Za-z0-9_-]{43}=)")
COMMAND = [sys.executable, "-m", "flowfile_nb", "new-key"]


@pytest.fixture
def docker(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Flowfile's docker mode, with its storage under this home and no key."""
    monkeypatch.setenv("FLOWFILE_MODE", "docker")
    monkeypatch.setenv("FLOWFILE_STORAGE_DIR", str(home / "storage"))
    return home


def on_a_terminal(command: list[str], environ: dict[str, str]) -> tuple[int, str]:
    """Run a command on a pseudo-terminal of its own; return its status and all that it shows."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environ)
    os.close(follower)
    shown = b""
    try:
        while read := os.read(leader, 4096):
            shown += read
    except OSError:
        # Linux's way to say that the other end is closed.
        pass
    finally:
        os.close(leader)
    return process.wait(), shown.decode()


def no_kernel() -> dict[str, str]:
    """Return this environment as a shell has it, also where these tests run in a kernel."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("JPY_") and name not in {"PAGER", "CLICOLOR"}
    }


# What is said


def test_each_way_in_says_the_same_steps(shell: Shell, docker: Path) -> None:
    """`%secret`, `%secret set` and `%secret doctor` lead to the command that makes a key; none is made meanwhile."""
    table = shell.run("%secret") + repr(shell.result)
    refused = shell.run("%secret set prod_pw")
    assert isinstance(shell.error, MasterKeyError)
    doctor = shell.run("%secret doctor") + repr(shell.result)

    for said in (table, refused, doctor):
        assert "python -m flowfile_nb new-key" in said
    for said in (table, refused):
        assert ".env" in said
        assert "restart this kernel" in said
    assert not (docker / ".config/flowfile").exists()


def test_set_says_it_before_the_value_is_typed(shell: Shell, docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody types a password for nothing."""
    monkeypatch.setattr("getpass.getpass", lambda prompt: pytest.fail("it asked"))

    shell.run("%secret set prod_pw")

    assert isinstance(shell.error, MasterKeyError)


def test_the_panel_is_asked_for_the_wizard(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a list it is told to set up, and a front end without widgets shows the steps."""
    front_end = FrontEnd(fnb.panel(), monkeypatch)

    assert front_end.ask("list") == {"op": "setup", "id": "view-1"}
    assert "python -m flowfile_nb new-key" in _as_text()
    assert front_end.ask("set", b"value", name="prod_pw", replace=False)["op"] == "error"
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", Fernet.generate_key().decode())
    assert front_end.ask("list")["op"] == "list"


def test_a_lost_key_is_not_set_up_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something is encrypted already, a new key would not open it: the wizard does not come."""
    catalog = write_flowfile_store(home)
    monkeypatch.setenv("FLOWFILE_MODE", "docker")
    monkeypatch.setenv("FLOWFILE_DB_PATH", str(catalog))

    assert FrontEnd(fnb.panel(), monkeypatch).ask("list")["op"] == "list"
    with pytest.raises(MasterKeyError):
        fnb.secrets["prod_database_password"].get_secret_value()

    monkeypatch.setenv("FLOWFILE_MASTER_KEY", f' "{expected()["master_key"]}" ')
    assert fnb.secrets["prod_database_password"].get_secret_value() == "hunter2"


def test_the_key_travels_nowhere() -> None:
    """The browser's part makes the key and sends nothing: no message, no trait, no storage of the page."""
    script = (Path(fnb.__file__).parent / "notebook/panel_setup.js").read_text(encoding="utf-8")

    for way_out in (
        "model",
        "send",
        "ask(",
        "localStorage",
        "sessionStorage",
        "fetch",
        "innerHTML",
        "textContent = line",
        "console",
    ):
        assert way_out not in script


# Making a key without a notebook


def test_a_terminal_shows_the_line(docker: Path) -> None:
    """One line for .env, with a real key, and what to do with it. Nothing is stored."""
    status, shown = on_a_terminal(COMMAND, no_kernel())

    assert status == 0
    assert Keychain(LINE.search(shown)[1].encode()).key_id  # type: ignore[index]
    assert "password manager" in shown
    assert not (docker / ".config/flowfile").exists()


@pytest.mark.parametrize("variable", ["JPY_PARENT_PID", "JPY_SESSION_NAME"])
def test_what_a_cell_starts_has_a_terminal_and_gets_no_key(docker: Path, variable: str) -> None:
    """`!command` in a cell runs on a pseudo-terminal whose text is the cell's output."""
    status, shown = on_a_terminal(COMMAND, {**no_kernel(), variable: "1"})

    assert status == 2
    assert not LINE.search(shown)
    assert "--file" in shown


def test_no_way_of_a_cell_shows_a_key(docker: Path) -> None:
    """In a real kernel: `!`, `%%bash`, a sub-process with a terminal of its own, and our own function."""
    pty_spawn = f"import pty; pty.spawn({COMMAND!r})"
    cells = [
        f"!{sys.executable} -m flowfile_nb new-key",
        f"x = !{sys.executable} -m flowfile_nb new-key\nprint(x)",
        f"%%bash\n{sys.executable} -m flowfile_nb new-key",
        pty_spawn,
        "from flowfile_nb.__main__ import main; main(['new-key'])",
        "%run -m flowfile_nb new-key",
    ]
    with running_kernel() as kernel:
        for cell in cells:
            kernel.run(cell)
        shown = kernel.shown()

    assert not LINE.search(shown)
    assert shown.count("a master key is shown on a terminal only") >= len(cells) - 1


def test_a_pipe_gets_no_key(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not a terminal keeps what it is given."""
    assert main(["new-key"]) == 2

    said = capsys.readouterr()
    assert not LINE.search(said.out + said.err)
    assert "--file" in said.err


def test_a_file_gets_the_line_for_its_owner_alone(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0600, nothing shown, and a file that exists is left alone."""
    path = docker / "key.env"

    assert main(["new-key", "--file", str(path)]) == 0
    content = path.read_text(encoding="utf-8")
    assert LINE.fullmatch(content.strip())
    assert path.stat().st_mode & 0o777 == 0o600
    assert main(["new-key", "--file", str(path)]) == 2
    assert main(["new-key", "--file", str(docker / "none/key.env")]) == 2

    said = capsys.readouterr()
    assert not LINE.search(said.out + said.err)
    assert path.read_text(encoding="utf-8") == content
    assert "cannot write" in said.err


# With the key


def test_after_a_restart_with_the_key_everything_works(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel without a key refuses; the next one, with the line in its environment, stores and reads; the key is masked."""
    store = "import flowfile_nb as fnb; fnb.secrets['prod_pw'] = 'hunter2-long'; len(fnb.secrets)"
    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb")
        assert "no master key was given" in kernel.run(store)
    _, shown = on_a_terminal(COMMAND, no_kernel())
    key = LINE.search(shown)[1]  # type: ignore[index]
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", key)

    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb")
        masked = kernel.run("%env FLOWFILE_MASTER_KEY") + kernel.run("import os; print(os.environ['FLOWFILE_MASTER_KEY'])")
        stored = kernel.run(store)
        found = kernel.run("fnb.secrets['prod_pw'].get_secret_value() == 'hunter2' + '-long'")
        doctor = kernel.run("%secret doctor")
        everything = kernel.shown()

    assert (stored, found) == ("1", "True")
    assert masked.count("[secret:FLOWFILE_MASTER_KEY]") == 2
    assert "the environment variable FLOWFILE_MASTER_KEY" in doctor
    assert key not in everything
    assert not (docker / ".config/flowfile/flowfile.json.enc").exists()
