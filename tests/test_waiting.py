"""What a cell waits for is said once that takes long, by one thread for all, which ends when there is nothing to say."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from flowfile_nb import waiting
from flowfile_nb.waiting import said_if_slow
from tests.support.processes import until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long is short here."""
    monkeypatch.setattr(waiting, "_AFTER_S", 0.02)


class Shown:
    """What was printed so far."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self.text = ""

    def has(self, *targets: str) -> bool:
        """Return whether a line about each has been printed."""
        self.text += self._captured.readouterr().out
        return all(f"Waiting for {target}   (to stop: interrupt the kernel)\n" in self.text for target in targets)


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    """What was printed."""
    return Shown(capsys)


def test_what_ends_soon_is_not_said(shown: Shown) -> None:
    """What comes after it and takes long is, though the same thread looks after both."""
    with said_if_slow("quick"):
        pass
    with said_if_slow("slow"):
        until(lambda: shown.has("slow"))

    assert "quick" not in shown.text


def test_each_is_said_once(shown: Shown) -> None:
    """Two that are waited for at the same time, and the first of them still when the second is said."""
    with said_if_slow("one"):
        until(lambda: shown.has("one"))
        with said_if_slow("two"):
            until(lambda: shown.has("two"))

    assert shown.text.count("one") == shown.text.count("two") == 1


def test_the_thread_ends(shown: Shown) -> None:
    """Where nothing is waited for, nothing runs; and the next one is said all the same."""
    with said_if_slow("quick"):
        pass
    until(lambda: not waiting._watcher._is_watching)

    with said_if_slow("slow"):
        until(lambda: shown.has("slow"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_a_thread_of_its_own() -> None:
    """The parent's does not come over the fork, and what the parent waits for is not the child's to say."""
    script = """if True:
        import os
        from flowfile_nb import waiting
        from tests.support.processes import until
        waiting._AFTER_S = 0.02
        with waiting.said_if_slow("parent"):
            if os.fork():
                os.wait()
            else:
                with waiting.said_if_slow("child"):
                    until(lambda: not waiting._watcher._is_watching)
                os._exit(0)
    """

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout

    assert "Waiting for child" in said
    assert said.count("parent") <= 1
