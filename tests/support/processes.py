"""Servers that a test starts: on this machine alone, and ended by their own process."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PAUSE_S = 0.05
_LOG_CHARACTERS = 2000
# Below what Linux (32768), macOS and Windows (49152) hand out to those who name no port.
_FIRST, _END = 10_000, 32_768


def free_port() -> int:
    """
    Return a port of the loopback interface that nothing listens on.

    Not one of those that the system hands out itself: it may hand out the same again before it is used.
    """
    while True:
        port = _FIRST + secrets.randbelow(_END - _FIRST)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def is_listening(port: int) -> bool:
    """Return whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for_port(process: subprocess.Popen[bytes], port: int, deadline_s: float, log: Path) -> None:
    """
    Return as soon as *process* listens on *port*.

    Raises:
        RuntimeError: If it ends before that, or is not there within the deadline; with the end of its log.
    """
    end = time.monotonic() + deadline_s
    while not is_listening(port):
        # Waiting for its end is the pause between two looks.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PAUSE_S)
        if process.returncode is not None or time.monotonic() > end:
            raise RuntimeError(
                f"nothing listens on port {port}; the server's status is {process.returncode}, its log ends:\n"
                + log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:]
            )


def until(condition: Callable[[], bool], deadline_s: float = 30) -> None:
    """Return as soon as a condition holds that another process brings about. Raises TimeoutError if it never does."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for has not come")
        pause.wait(_PAUSE_S / 5)


@contextlib.contextmanager
def ended_after(process: subprocess.Popen[bytes], deadline_s: float = 30) -> Iterator[None]:
    """End *process* when the block is left: asked first, killed where it does not listen to that."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def peak_memory(pid: int) -> int:
    """Return the most memory, in bytes, that a process has had so far."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
