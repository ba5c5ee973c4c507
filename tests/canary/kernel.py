"""A real kernel whose every message is kept, on each of its channels, and whose own stdout and stderr are a log file."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from tests.support.kernel import LocalKernelManager

_PATIENCE_S = 60
_MIMETYPES = {"text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml", "image/png", "application/json"}
# The protocol's own words, which no guard may change: {message type: fields}.
_PROTOCOL = {"stream": {"name"}, "execute_reply": {"status"}}

_SETUP = """
import flowfile_nb as fnb, os, sys
ECHO = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
def known():
    return {name: fnb.secrets[name].get_secret_value() for name in fnb.secrets}
VALUES = known()
"""


class CanaryKernel:
    """
    A kernel that has read every secret of its home's store.

    Args:
        client: Of the running kernel.
        log: The file of the kernel's own stdout and stderr.
        guarded: Whether the extension is loaded.
    """

    def __init__(self, client: BlockingKernelClient, log: Path, *, guarded: bool) -> None:
        self._client = client
        self._log = log
        self.messages: list[dict[str, Any]] = []
        self._settled = 0
        if guarded:
            self.run("%load_ext flowfile_nb")
        self.run(_SETUP)
        self.forget()

    def forget(self) -> None:
        """Forget the messages so far."""
        self.messages = []

    def texts(self) -> list[str]:
        """Return every text in the messages so far, in keys and in buffers too; the protocol's own words are left out."""
        found: list[str] = []
        streams: dict[str, str] = {}
        for message in self.messages:
            content, kind = message["content"], message["header"]["msg_type"]
            if kind == "stream":
                streams[content["name"]] = streams.get(content["name"], "") + content["text"]
            for key, item in content.items():
                if key not in _PROTOCOL.get(kind, ()):
                    found += _texts(item)
            found += _texts(message["metadata"])
            found += [bytes(buffer).decode("latin-1") for buffer in message.get("buffers", [])]
            found += [bytes(buffer).decode("utf-8", "replace") for buffer in message.get("buffers", [])]
        return [*found, *streams.values()]

    def printed_id(self) -> str:
        """Return the id of a widget's model that was printed last; a flush may have cut the text anywhere."""
        streams = [message for message in self.messages if message["header"]["msg_type"] == "stream"]
        return str(re.findall("[0-9a-f]{32}", "".join(message["content"]["text"] for message in streams))[-1])

    def log(self) -> str:
        """Return what the kernel has written into its server's log."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def run(self, cell: str, *, typed: Sequence[str] = (), **options: Any) -> None:
        """Run a cell to its end, and answer what it asks. Kept is what comes meanwhile, whichever cell it is for."""
        answers = iter(typed)
        # A failing cell is a channel, too.
        options = {"store_history": True, "allow_stdin": bool(typed), "stop_on_error": False, **options}
        request = self._client.execute(cell, **options)
        poller = zmq.Poller()
        for channel in (self._client.iopub_channel, self._client.stdin_channel):
            poller.register(channel.socket, zmq.POLLIN)
        state = ""
        while state != "idle":
            ready = dict(poller.poll(_PATIENCE_S * 1000))
            assert ready, f"nothing came for {_PATIENCE_S} s"
            if self._client.stdin_channel.socket in ready:
                self.messages.append(self._client.get_stdin_msg(timeout=0))
                self._client.input(next(answers))
            if self._client.iopub_channel.socket in ready:
                state = self._next_state(request)
        # A slow kernel is asked for its information twice while it starts, and the second answer is still to be read.
        while (
            not self.messages or self.messages[-1]["parent_header"].get("msg_id") != request or not _is_reply(self.messages[-1])
        ):
            self.messages.append(self._client.get_shell_msg(timeout=_PATIENCE_S))

    def settle(self) -> None:
        """Wait for what went through the file descriptors: it comes after its cell, here and in the server's log."""
        first = len(self.messages)
        self._settled += 1
        mark = f"<settled {self._settled}>"
        self.run(f"os.write(1, b'\\n{mark}\\n'); os.write(2, b'\\n{mark}\\n'); None")
        deadline = time.monotonic() + _PATIENCE_S
        written = {"stdout": "", "stderr": ""}
        while True:
            for message in self.messages[first:]:
                if message["header"]["msg_type"] == "stream":
                    # A flush may have cut the mark, too.
                    written[message["content"]["name"]] += message["content"]["text"]
            if all(mark in text for text in written.values()):
                break
            first = len(self.messages)
            self.messages.append(self._client.get_iopub_msg(timeout=deadline - time.monotonic()))
        while self.log().count(mark) < 2:
            assert time.monotonic() < deadline, "the server's log has not got what the kernel wrote"
            time.sleep(0.01)

    def await_text(self) -> None:
        """Wait for text on a stream."""
        while not any(m["header"]["msg_type"] == "stream" and m["content"]["text"].strip() for m in self.messages):
            self.messages.append(self._client.get_iopub_msg(timeout=_PATIENCE_S))

    def request(self, kind: str, *arguments: Any, **options: Any) -> None:
        """Make a request of the shell channel; keep its reply and what comes with it."""
        self._wait(getattr(self._client, kind)(*arguments, **options), self._client.get_shell_msg)

    def debug(self, command: str, arguments: dict[str, Any]) -> None:
        """Make a request of the debugger."""
        content = {"type": "request", "seq": 1, "command": command, "arguments": arguments}
        message = self._client.session.msg("debug_request", content)
        self._client.control_channel.send(message)
        self._wait(message["header"]["msg_id"], self._client.get_control_msg)

    def comm(self, model: str, data: dict[str, Any]) -> None:
        """Send a widget's model a message, as a front end does."""
        message = self._client.session.msg("comm_msg", {"comm_id": model, "data": data})
        self._client.shell_channel.send(message)
        self._wait(message["header"]["msg_id"], None)

    def _wait(self, request: str, reply: Any) -> None:
        if reply is not None:
            answer = reply(timeout=_PATIENCE_S)
            assert answer["parent_header"]["msg_id"] == request
            self.messages.append(answer)
        while self._next_state(request) != "idle":
            pass

    def _next_state(self, request: str) -> str:
        """Take the next message that all front ends get; return what it says of the state of a request, if that."""
        message = self._client.get_iopub_msg(timeout=_PATIENCE_S)
        self.messages.append(message)
        is_ours = message["parent_header"].get("msg_id") == request
        return str(message["content"].get("execution_state", "")) if is_ours else ""


@contextmanager
def canary_kernel(home: Path, *, guarded: bool) -> Iterator[CanaryKernel]:
    """Start a kernel whose home is *home*, and end it at the end."""
    log = home / "server.log"
    # Where it sees that a test runs, ipykernel leaves the file descriptors alone.
    not_ours = ("PYTEST_CURRENT_TEST", "FLOWFILE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(not_ours)}
    environment = {**inherited, "HOME": str(home), "IPYTHONDIR": str(home / ".ipython"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    manager = LocalKernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    with log.open("wb") as output:
        manager.start_kernel(env=environment, cwd=str(home), stdout=output, stderr=output)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_PATIENCE_S)
        yield CanaryKernel(client, log, guarded=guarded)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)


def _is_reply(message: dict[str, Any]) -> bool:
    return str(message["header"]["msg_type"]).endswith("_reply")


def _texts(item: Any) -> list[str]:
    if isinstance(item, str):
        return [item]
    if isinstance(item, dict):
        keys = [key for key in item if key not in _MIMETYPES]
        return [*keys, *(text for value in item.values() for text in _texts(value))]
    if isinstance(item, (list, tuple)):
        return [text for value in item for text in _texts(value)]
    return []
