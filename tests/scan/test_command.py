"""`python -m flowfile_nb`: options, exit statuses, what is said and what is not."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import __main__ as command_line
from flowfile_nb import session
from flowfile_nb.progress import TerminalBar
from flowfile_nb.scan.progress import percent, shown
from flowfile_nb.scan.scanning import Progress
from tests.scan.made import OTHER, VALUE, Scanned, code, notebook, stream, write

Scan = Callable[..., Scanned]
MODULE = [sys.executable, "-m", "flowfile_nb"]


def test_alone_it_prints_help(folder: Path) -> None:
    """Whoever tries it learns what there is."""
    done = subprocess.run(MODULE, capture_output=True, text=True, check=True)

    assert "scan" in done.stdout
    assert "usage: python -m flowfile_nb" in done.stdout


def test_help_names_the_statuses(scan: Scan) -> None:
    """`--help` is what a hook's author reads."""
    done = scan("--help")

    assert "0 clean, 1 something was found (masked or not), 2 it could not be done" in done.out


@pytest.mark.parametrize("arguments", [("--fixx",), ("--fix=another-canary-value",), ("--quiet", "--staged", "--", "-x")])
def test_a_line_that_is_not_understood(scan: Scan, arguments: tuple[str, ...]) -> None:
    """Two lines, nothing of what was typed, status 2."""
    done = scan(*arguments)

    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 2
    assert done.err.startswith("UsageError: ")


def test_staged_goes_with_nothing(scan: Scan) -> None:
    """The index is not changed by us."""
    assert "--staged takes no path" in scan("--staged", "--fix").err
    assert scan("--staged", "a.py").status == 2


def test_no_secrets(home: Path, tmp_path: Path) -> None:
    """It says so, is content, and leaves nothing behind."""
    (tmp_path / "a.txt").write_text("x")
    environment = {**os.environ, "PYTHONPATH": str(Path(fnb.__file__).parent.parent)}

    done = subprocess.run([*MODULE, "scan"], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)

    assert (done.returncode, done.stdout, done.stderr) == (0, "There are no secrets to look for.\n", "")
    assert list(home.iterdir()) == []


def test_short_and_damaged_values_are_named(folder: Path, scan: Scan) -> None:
    """What is not looked for is said, by name; the others are looked for."""
    fnb.secrets.update({"pin": "123", "broken": "broken-canary"})
    with sqlite3.connect(Path.home() / ".config" / "flowfile" / "flowfile_nb.db") as database:
        database.execute("UPDATE secrets SET encrypted_value = '$ffsec$1$1$gAAAAA' WHERE name = 'broken'")
    database.close()
    (folder / "a.txt").write_text(f"123 broken-canary {OTHER}")

    done = scan()

    assert done.found == ["a.txt:1: other_pw"]
    assert "values under 4 characters are everywhere: pin" in done.out
    assert "cannot be decrypted: broken" in done.out


def test_only_short_values(folder: Path, scan: Scan) -> None:
    """Then nothing was searched, and it is not called clean."""
    fnb.secrets["pin"] = "123"
    del fnb.secrets["prod_pw"], fnb.secrets["other_pw"]

    done = scan()

    assert done.status == 0
    assert done.out.startswith("Nothing was searched.\nNot looked for")


def test_a_store_that_cannot_be_read(folder: Path, scan: Scan, key_directory: Path) -> None:
    """Two lines, status 2, nothing called clean."""
    (key_directory / "flowfile.json.enc").write_bytes(b"damaged")

    done = scan()

    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("MasterKeyError: ")
    assert "\nhint: " in done.err


def test_quiet(folder: Path, scan: Scan) -> None:
    """Only what was found."""
    (folder / "a.txt").write_text(VALUE, encoding="utf-8")

    assert scan("--quiet").out == "a.txt:1: prod_pw\n"
    (folder / "a.txt").write_text("clean")
    assert scan("--quiet") == (0, "", "")


def test_names_that_hold_another_value(folder: Path, scan: Scan) -> None:
    """A secret's name is printed through the mask, too."""
    fnb.secrets[f"name of {OTHER}"] = "third-canary"
    (folder / "a.txt").write_text("third-canary")

    assert scan().out.startswith("a.txt:1: name of [secret:other_pw]\n")


def test_values_from_the_environment(folder: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    """What overrides a secret is its value."""
    monkeypatch.setenv("FLOWFILE_SECRET_OTHER_PW", "from-the-environment")
    (folder / "a.txt").write_text("from-the-environment")

    assert scan().found == ["a.txt:1: other_pw"]


def test_when_nobody_reads_on(folder: Path) -> None:
    """`| head` ends it without a traceback."""
    for number in range(5000):
        (folder / f"{number:04d}{'x' * 80}.txt").write_text(OTHER)

    with subprocess.Popen([*MODULE, "scan", "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(": other_pw\n")
        process.stdout.close()
        assert process.stderr.read() == ""


def test_interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl+C: one line, and the status that shells expect."""
    monkeypatch.setattr(session, "backend", lambda: (_ for _ in ()).throw(KeyboardInterrupt))

    assert command_line.main(["scan"]) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "Interrupted: what was not searched may hold values.\n"


def test_it_starts_fast() -> None:
    """Nothing is imported that a scan does not need: IPython, widgets, SQLAlchemy."""
    script = (
        "import sys, flowfile_nb.__main__ as m; m.main(['scan', 'x']); print(sorted({n.split('.')[0] for n in sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert not {"IPython", "ipywidgets", "anywidget", "sqlalchemy", "traitlets", "nbformat"} & set(eval(out.splitlines()[-1]))


@pytest.mark.skipif(sys.platform == "win32", reason="the module pty is POSIX's")
def test_a_bar_in_a_terminal(folder: Path) -> None:
    """On a terminal there is a bar on stderr while it takes long, and no trace of it afterwards."""
    import pty

    with open(folder / "a.log", "wb") as file:
        file.truncate(1_000_000_000)  # takes no room on the disk
    terminal, other_end = pty.openpty()
    with subprocess.Popen([*MODULE, "scan", "a.log"], stdout=subprocess.PIPE, stderr=other_end) as process:
        os.close(other_end)
        drawn = b""
        while True:
            try:
                drawn += os.read(terminal, 10_000)
            except OSError:
                break
        assert process.stdout is not None
        assert b"Clean" in process.stdout.read()
    os.close(terminal)

    assert b"% " in drawn
    assert b"of 1,000 MB, " in drawn
    assert drawn.endswith(b"\r\x1b[K")


def test_the_bar_is_drawn_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times a second at most; nothing where there is no terminal."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for screen, drawings in ((Terminal(), 10), (io.StringIO(), 0)):
        now = 0.0
        bar = TerminalBar(screen, shown)
        for _ in range(1000):
            now += 0.001001
            bar(Progress(5, 10, 1, 0))
        assert screen.getvalue().count("\r") == drawings
        bar.close()
        bar.close()
        assert screen.getvalue().count("\r") == drawings + bool(drawings)
    assert percent(Progress(20, 10, 1, 0)) == 100
    assert percent(Progress(20, 0, 1, 0)) == 0


def test_unreadable_terminals(folder: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that knows only ASCII is no reason to fail."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    write(folder / "näch.ipynb", notebook(code("f()", stream(VALUE))))

    assert scan().found == ["n\\xe4ch.ipynb: cell 4, output stdout, line 1: prod_pw"]
