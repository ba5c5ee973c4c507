"""A real kernel in a process of its own, as a front end talks to it."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from traitlets import default

TIMEOUT_S = 60


class LocalKernelManager(KernelManager):
    """
    Starts a kernel that listens on sockets in the temporary folder.

    A TCP port is chosen before the kernel listens on it, and another process may take it in between.
    """

    @default("transport")
    def _sockets(self) -> str:
        return "ipc" if os.name == "posix" else "tcp"

    @default("connection_file")
    def _short_path(self) -> str:
        # Of a socket's path the system takes some hundred characters.
        return str(Path(tempfile.gettempdir(), f"{uuid.uuid4()}.json"))


class Kernel:
    """Runs cells and keeps every message that comes back."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.messages: list[dict[str, Any]] = []

    def run(self, cell: str, *, typed: str | None = None) -> str:
        """
        Run a cell; return all text it shows.

        Args:
            cell: The source.
            typed: What the person at the front end types when asked; None is a front end that cannot ask.
        """
        first = len(self.messages)

        def answer(request: dict[str, Any]) -> None:
            self.messages.append(request)
            self.client.input(typed)

        reply = self.client.execute_interactive(
            cell, allow_stdin=typed is not None, output_hook=self.messages.append, stdin_hook=answer, timeout=TIMEOUT_S
        )
        self.messages.append(reply)
        return "".join(map(_text, self.messages[first:]))

    def features(self) -> list[str]:
        """Return what the kernel says it supports."""
        self.client.kernel_info()
        return list(self.client.get_shell_msg(timeout=TIMEOUT_S)["content"].get("supported_features", []))

    def shown(self) -> str:
        """Return everything the kernel has ever sent, protocol fields included; what was typed into cells is left out."""
        return repr([message for message in self.messages if message["msg_type"] != "execute_input"])


@contextmanager
def running_kernel(environment: Mapping[str, str] | None = None) -> Iterator[Kernel]:
    """Start a kernel with an environment, or with the one that is here now, and stop it at the end."""
    surroundings = dict(os.environ if environment is None else environment)
    manager = LocalKernelManager(kernel_name="python3")
    manager.start_kernel(env=surroundings)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=TIMEOUT_S)
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)


@contextmanager
def kernel_at(home: Path) -> Iterator[Kernel]:
    """Start a kernel whose home is *home*, with no setting of ours, and us loaded as `fnb`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOWFILE_")}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "IPYTHONDIR": str(home / ".ipython")}
    with running_kernel(environment) as kernel:
        kernel.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb")
        yield kernel


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if message["msg_type"] == "stream":
        return str(content["text"])
    if message["msg_type"] in {"execute_result", "display_data"}:
        return str(content["data"].get("text/plain", ""))
    return "\n".join(content["traceback"]) if message["msg_type"] == "error" else ""
