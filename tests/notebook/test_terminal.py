"""IPython in a real terminal: nothing that it writes there holds the value."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="Windows has no pseudo-terminals")

VALUE = "hunter2xyz"
MASK = "[secret:prod_pw]"
_PROMPT = "In [{}]: "


class Terminal:
    """A terminal with IPython in it."""

    def __init__(self, home: Path) -> None:
        arguments = ["-m", "IPython", "--no-banner", "--simple-prompt", "--colors=NoColor", "--HistoryManager.enabled=True"]
        environment = {**os.environ, "HOME": str(home), "TERM": "dumb", "PAGER": "cat", "COLUMNS": "400"}
        self._child = pexpect.spawn(
            sys.executable, arguments, env=environment, encoding="utf-8", timeout=60, dimensions=(50, 400)
        )
        self._child.setecho(False)
        self._number = 1
        self._child.expect_exact(_PROMPT.format(1))

    def run(self, cell: str, *, answer: str | None = None) -> str:
        """Run one line; return what the terminal shows until the next prompt."""
        self._child.sendline(cell)
        shown = ""
        if answer is not None:
            self._child.expect_exact("? ")
            shown = self._child.before
            self._child.sendline(answer)
        self._number += 1
        self._child.expect_exact(_PROMPT.format(self._number))
        return str(shown + self._child.before)

    def interrupt(self, cell: str, *, at: str) -> str:
        """Run one line, and press Ctrl-C where it asks *at*; return what the terminal shows from there to the next prompt."""
        self._child.sendline(cell)
        self._child.expect_exact(at)
        self._child.sendintr()
        self._number += 1
        self._child.expect_exact(_PROMPT.format(self._number))
        return str(self._child.before)

    def close(self) -> None:
        self._child.sendline("exit")
        self._child.expect(pexpect.EOF)
        self._child.close()


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    terminal = Terminal(home)
    terminal.run("%load_ext flowfile_nb")
    terminal.run("import flowfile_nb as fnb, sys, os; fnb.secrets['prod_pw'] = 'hunter2' + 'xyz'; V = 'hunter2' + 'xyz'")
    yield terminal
    terminal.close()


@pytest.mark.parametrize("cell", ["%secret set other", "%secret backup x"])
def test_a_question_that_is_interrupted(terminal: Terminal, cell: str) -> None:
    """Two lines, as for each error, and nothing of how we ask."""
    shown = terminal.interrupt(cell, at="(hidden): ").strip().splitlines()

    assert len(shown) == 2, shown
    assert shown[0] == "UsageError: interrupted at the question; what it was about was not done"
    assert "prod_pw" in terminal.run("list(fnb.secrets)")


CELLS = {
    "print": "print(V)",
    "stderr": "print(V, file=sys.stderr)",
    "cut in two": "print(V[:5], end='', flush=True); print(V[5:])",
    "a pause": "import time; print(V[:3], end='', flush=True); time.sleep(0.3); print(V[3:])",
    "a result": "V",
    "a result in containers": "{'a': [V]}",
    "bytes": "sys.stdout.buffer.write(V.encode()); sys.stdout.flush()",
    "writelines": "sys.stdout.writelines([V[:4], V[4:]])",
    "an error": "{}[V]",
    "logging": "import logging; logging.warning(V)",
    "warnings": "import warnings; warnings.warn(V)",
    "a thread": "import threading; t = threading.Thread(target=print, args=(V,)); t.start(); t.join()",
    "a display": "display({'text/plain': V}, raw=True)",
    "the pager": "get_ipython().run_line_magic('page', 'V')",
    "inspect": "get_ipython().run_line_magic('pinfo', 'V')",
    "%whos": "%whos",
}


@pytest.mark.parametrize("name", CELLS)
def test_nothing_in_the_terminal(terminal: Terminal, name: str) -> None:
    """The mask is shown in the value's place; without the guard it is the value."""
    shown = terminal.run(CELLS[name])
    assert VALUE not in shown
    assert "[secret:prod_pw]" in shown or "hun[secret:prod_pw]" in shown

    terminal.run("%unload_ext flowfile_nb")
    assert VALUE in terminal.run(CELLS[name])


def test_a_prompt(terminal: Terminal) -> None:
    """What is asked at the terminal is masked although the C library writes it."""
    shown = terminal.run("input(V + '? ')", answer="x")

    assert VALUE not in shown
    assert MASK in shown


def test_the_history_on_disk(terminal: Terminal, home: Path) -> None:
    """The terminal's own history keeps no cell that holds the value."""
    shown = terminal.run("x = 'hunter2xyz'")
    assert "this cell holds the value of secret 'prod_pw'" in shown

    terminal.run("get_ipython().history_manager.writeout_cache()")

    assert [path for path in home.rglob("*") if path.is_file() and VALUE.encode() in path.read_bytes()] == []
