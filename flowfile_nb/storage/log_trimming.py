"""
Keeping the record of uses small: the newest entries stay, and of what goes, when each secret was last used.

Nothing that is appended meanwhile is lost. Who appends looks afterwards whether the file was exchanged, and writes again if
so; and what came into the old file between its reading and its exchange is taken over from there.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from flowfile_nb.errors import StoreError
from flowfile_nb.storage.access_history import SUMMARY, note_uses
from flowfile_nb.storage.access_log import MAX_BYTES
from flowfile_nb.storage.lock import exclusive
from flowfile_nb.storage.private_files import replace_private

# `{"bytes":        1234,` tells how long the first line is without reading it.
_DIGITS = 12
_HEAD = len(SUMMARY) + _DIGITS


def trim(path: str) -> None:
    """Trim the file if its entries are longer than MAX_BYTES; a folder that cannot be written is left as it is."""
    if _is_due(path):
        # A lock of its own: a read that is recorded must not wait for somebody who writes secrets.
        with suppress(StoreError, OSError), exclusive(f"{path}.lock"):
            # Another process may have done it while this one waited.
            if _is_due(path):
                _replace(path)


def _is_due(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        size = os.fstat(file.fileno()).st_size
    return size > MAX_BYTES + _summary_bytes(head)


def _summary_bytes(head: bytes) -> int:
    number = head[len(SUMMARY) : _HEAD].strip()
    return int(number) if head.startswith(SUMMARY) and number.isdigit() else 0


def _trimmed(data: bytes) -> bytes:
    newest = data.find(b"\n", max(len(data) - MAX_BYTES // 2, 0)) + 1 or len(data)
    used: dict[str, int] = {}
    note_uses(data[:newest], used)
    body = b', "last_used": ' + json.dumps(used).encode() + b"}\n"
    return SUMMARY + str(_HEAD + len(body)).encode().rjust(_DIGITS) + body + data[newest:]


if sys.platform == "win32":

    def _replace(path: str) -> None:
        # An open file cannot be replaced there. Who appends has it open: then this fails, and the next entry tries again.
        with open(path, "rb") as old:
            data = old.read()
        replace_private(path, _trimmed(data))

else:

    def _replace(path: str) -> None:
        with open(path, "rb") as old:
            replace_private(path, _trimmed(old.read()))
            late = old.read()
        if late:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, late)
            finally:
                os.close(descriptor)
