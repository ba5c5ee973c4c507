"""The terminal's guarded streams by themselves: what is held back, for how long, and what is the stream's own."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.streams import StreamMasker
from flowfile_nb.notebook.terminal import GuardedStream, TerminalHook

VALUE = "hunter2xyz"
MASK = "[secret:prod_pw]"


class Screen(io.StringIO):
    """What a person sees: nothing before it is flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = ""
        self.changed = threading.Event()

    def flush(self) -> None:
        if not self.closed:
            self.seen = self.getvalue()
            self.changed.set()


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.learn("prod_pw", VALUE)
    return redactor


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def stream(screen: Screen, redactor: Redactor) -> GuardedStream:
    return GuardedStream(screen, redactor)


@contextmanager
def guarded_process(screen: Screen, redactor: Redactor) -> Iterator[TerminalHook]:
    """The guard of a process whose stdout and stderr are the screen; no fixture, for pytest sets streams of its own later."""
    hook = TerminalHook(redactor)
    with redirect_stdout(screen), redirect_stderr(screen):
        hook.install()
        yield hook
        hook.uninstall()


def test_a_short_beginning_is_seen_after_a_moment(stream: GuardedStream, screen: Screen) -> None:
    """Without anything else being written: nearly every text ends like some value begins."""
    stream.write("so hun")

    assert screen.changed.wait(60)
    assert screen.seen == "so hun"


def test_what_was_written_meanwhile_has_its_own_moment(stream: GuardedStream, screen: Screen) -> None:
    """The moment of a beginning that went on is over without effect."""
    stream.write("hunter2")

    stream._release_if("hun")
    stream.write("xyz")

    assert screen.getvalue() == MASK


def test_a_value_that_comes_slowly(stream: GuardedStream, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three characters of it are seen after a moment; after that all that has come of it is counted, not what waits."""
    stream.write("hun")
    assert screen.changed.wait(60)
    monkeypatch.setattr(threading, "Timer", lambda *_: pytest.fail("it waits for the rest"))

    for character in "ter2xyz":
        stream.write(character)

    assert screen.getvalue() == f"hun{MASK}"


def test_a_closed_stream_is_left_alone(stream: GuardedStream, screen: Screen) -> None:
    """Its moment comes after the end of the program's output."""
    stream.write("hunter2")
    screen.close()

    stream._release_if("hunter2")


def test_a_guard_that_breaks_writes_nothing_of_the_text(
    stream: GuardedStream, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is withheld as a whole."""
    monkeypatch.setattr(StreamMasker, "feed", lambda *_: 1 / 0)

    stream.write(f"before {VALUE}")

    assert "withheld" in screen.getvalue()
    assert "hunter2" not in screen.getvalue()


def test_only_text_is_written(stream: GuardedStream, screen: Screen) -> None:
    """As with every text stream; and the count is of what was given."""
    with pytest.raises(TypeError, match="must be str, not bytes"):
        stream.write(b"bytes")  # type: ignore[arg-type]
    assert stream.write("hunter2") == 7


def test_bytes_are_counted_as_they_were_given(redactor: Redactor) -> None:
    """The bytes below a text stream are masked as text, and written whole for their writer."""
    raw = io.BytesIO()
    stream = GuardedStream(io.TextIOWrapper(raw, encoding="utf-8"), redactor)

    assert stream.buffer.write(f"é {VALUE}\n".encode()) == 14
    stream.flush()

    assert raw.getvalue().decode() == f"é {MASK}\n"


def test_a_prompt_comes_after_what_was_held_back(screen: Screen, redactor: Redactor) -> None:
    """Somebody who is asked sees what was written before, and no value in the question."""
    asked: list[str] = []
    with guarded_process(screen, redactor) as hook:
        print("hunte", end="")

        hook._asking(lambda prompt: asked.append(f"{screen.seen}|{prompt}") or "answer")(f"{VALUE}? ")

    assert asked == [f"hunte|{MASK}? "]


def test_guarding_again_guards_once(screen: Screen, redactor: Redactor) -> None:
    """Before each cell the streams are looked at; one that is guarded stays as it is."""
    with guarded_process(screen, redactor) as hook:
        before = sys.stdout

        hook.guard_streams()

        assert sys.stdout is before
        assert hook.is_installed


def test_uninstalling_gives_the_streams_back(screen: Screen, redactor: Redactor) -> None:
    """What was held back is seen, and whoever kept a guarded stream writes on through it."""
    with guarded_process(screen, redactor) as hook:
        kept = sys.stdout
        print("hunte", end="")

        hook.uninstall()

        assert sys.stdout is sys.stderr is screen
        assert not hook.is_installed
    kept.write("r2xyz")
    assert screen.getvalue() == VALUE
