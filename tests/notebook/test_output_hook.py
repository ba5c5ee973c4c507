"""The wrappers round a kernel's session by themselves, on a real `Session` without a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jupyter_client.session import Session

from flowfile_nb.core.json_search import JsonSearch
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.notebook import output_hook
from flowfile_nb.notebook.output_hook import OutputHook

VALUE = "hunter2xyz"
LONG = "a long value of more characters than its mask has"


@pytest.fixture
def session() -> Session:
    return Session(key=b"")


@pytest.fixture
def hook(session: Session) -> OutputHook:
    redactor = Redactor()
    redactor.learn("pw", VALUE)
    redactor.learn("long", LONG)
    hook = OutputHook(session, redactor, JsonSearch(redactor))
    hook.install()
    return hook


def test_a_value_in_the_metadata_alone(session: Session, hook: OutputHook) -> None:
    """A message is gone through although nothing is found in its content."""
    message = session.msg("display_data", {"data": {"text/plain": "x"}}, metadata={"own": VALUE})

    packed = b"".join(session.serialize(message))

    assert VALUE.encode() not in packed
    assert b"[secret:pw]" in packed


@pytest.mark.parametrize("value", [VALUE, LONG])
def test_a_buffer_keeps_its_length(hook: OutputHook, value: str) -> None:
    """What stands behind a masked value stays where a reader looks for it."""
    masked = hook._masked_buffer(memoryview(f"before {value} after".encode()))

    assert len(masked) == len(f"before {value} after")
    assert masked.startswith(b"before [secret:")
    assert masked.endswith(b" after")
    assert value.encode() not in masked


def test_a_long_beginning_waits_for_the_end_of_its_cell(hook: OutputHook, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pause is: only what is short, or comes after the end, goes out after a moment."""
    later: list[Callable[[], None]] = []
    sent: list[Any] = []
    monkeypatch.setattr(output_hook, "later", lambda socket, action: later.append(action))
    monkeypatch.setattr(hook, "_send", lambda *args, **options: sent.append((args, options)))
    cell = {"header": {"msg_id": "cell"}}

    hook.send(None, "stream", {"name": "stdout", "text": "hunter2"}, parent=cell)
    assert later == sent == []

    hook.send(None, "stream", {"name": "stderr", "text": "hun"}, parent=cell)
    assert len(later) == 1

    later[0]()
    assert sent[-1][0][1]["content"] == {"name": "stderr", "text": "hun"}
    hook.send(None, "stream", {"name": "stderr", "text": "t"}, parent=cell)
    assert len(later) == 1, "three characters of it are out, and that is enough"

    hook.send(None, "status", {"execution_state": "idle"}, parent=cell)
    hook.send(None, "stream", {"name": "stdout", "text": "hunter2"}, parent=cell)
    assert len(later) == 2
