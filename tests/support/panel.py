"""A front end without a browser: it speaks with the panel as the panel's script does."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from typing import Any

import pytest

from flowfile_nb.notebook.panel import SecretPanel
from tests.support.kernel import TIMEOUT_S


class FrontEnd:
    """Asks as the panel's script does, through the widget's comm, and hears what is sent back: an answer, or later."""

    def __init__(self, panel: SecretPanel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.panel = panel
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.heard: list[dict[str, Any]] = []
        monkeypatch.setattr(SecretPanel, "send", lambda _, content: self.said.put(json.loads(json.dumps(content))))

    def ask(self, op: str, **question: Any) -> dict[str, Any]:
        """Ask one question and return the answer that has its id."""
        data = {"method": "custom", "content": {"op": op, "id": "view-1", **question}}
        self.panel.comm.handle_msg({"content": {"data": data}, "buffers": []})
        return self.hear(lambda message: message.get("id") == "view-1")

    def hear(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first message that is wanted; how a test went can come before the answer that it has begun."""
        while not (found := [message for message in self.heard if wanted(message)]):
            self.heard.append(self.said.get(timeout=TIMEOUT_S))
        self.heard = [message for message in self.heard if message is not found[0]]
        return found[0]

    def test(self, name: str, **question: Any) -> dict[str, Any]:
        """Test a connection and return how it went."""
        answer = self.ask("test", name=name, **{"origin": "", **question})
        assert answer["op"] == "testing", answer
        return self.hear(lambda message: message["op"] == "tested" and message["trial"] == answer["trial"])
