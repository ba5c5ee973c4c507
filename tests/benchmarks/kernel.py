"""A real kernel, and what it sends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.measure import BrokenError
from tests.benchmarks.places import environment

_PATIENCE_S = 120


class Sent(NamedTuple):
    """What a kernel sent while it ran a cell."""

    stdout: str
    messages: list[dict[str, Any]]

    def of_type(self, message_type: str) -> list[dict[str, Any]]:
        """Return the contents of the messages of one type."""
        return [message["content"] for message in self.messages if message["msg_type"] == message_type]


@contextmanager
def running_kernel(home: Path) -> Iterator[Callable[[str], Sent]]:
    """Start an ipykernel of this interpreter whose home is *home*; yield what runs a cell in it."""
    # Imported here: Flowfile's interpreter, which runs other benchmarks, has no jupyter_client.
    from jupyter_client.blocking import BlockingKernelClient
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    with (home / "kernel.log").open("w") as log:
        manager.start_kernel(env=environment(home), cwd=str(home), stdout=log, stderr=log)
    client: BlockingKernelClient = manager.client()
    client.start_channels()
    try:
        try:
            client.wait_for_ready(timeout=_PATIENCE_S)
        except RuntimeError as error:
            raise BrokenError(f"{error}\n{(home / 'kernel.log').read_text()[-3000:]}") from None
        yield lambda code: _run(client, code)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _run(client: Any, code: str) -> Sent:
    sent: list[dict[str, Any]] = []
    request = client.execute(code, store_history=False)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        message = client.get_iopub_msg(timeout=deadline - time.monotonic())
        if message["parent_header"].get("msg_id") != request:
            continue
        sent.append(message)
        if message["msg_type"] == "error":
            raise BrokenError("\n".join(message["content"]["traceback"]))
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    stdout = "".join(part["content"]["text"] for part in sent if part["msg_type"] == "stream")
    return Sent(stdout, sent)
