"""One file to import from: read with care, rewritten so that every other byte stays, or deleted."""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple, NoReturn

from flowfile_nb.errors import ImportSourceError

MAX_BYTES = 256 * 1024
"""The largest file that is read. A file of settings is a hundredth of that; what is larger is no such file."""
MAX_BLANKS = 1_000
"""The longest run of blanks. python-dotenv and configparser need time that grows with its square."""
_BLANKS = re.compile(rf"[^\S\n]{{{MAX_BLANKS}}}")
_BOM = "\ufeff"


class Edit(NamedTuple):
    """A passage of `Source.text`, and what comes in its place."""

    start: int
    stop: int
    text: str


class Source:
    """
    A file of settings as it was when it was read.

    Args:
        path: Its path, for messages.
        data: Its bytes.

    Raises:
        ImportSourceError: If they are no text, or nothing that can be read in a reasonable time.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        try:
            decoded = data.decode("utf-8")
        except UnicodeDecodeError:
            raise ImportSourceError(f"{path} is not UTF-8 text; nothing was stored", hint="save it as UTF-8") from None
        self._bom = _BOM if decoded.startswith(_BOM) else ""
        self._raw = decoded[len(self._bom) :]
        self.text = re.sub(r"\r\n?", "\n", self._raw)
        """With `\\n` at the end of each line, as all readers see it, and without the byte order mark."""
        if _BLANKS.search(self.text):
            raise ImportSourceError(f"{path} has a line with {MAX_BLANKS:,} blanks in a row", hint="take them out of the line")
        self._pairs = [pair.start() - number for number, pair in enumerate(re.finditer("\r\n", self._raw))]

    def edited(self, edits: Iterable[Edit]) -> bytes:
        """Return the file's bytes with *edits* made; they do not overlap. Every other byte is what it was."""
        done, end = [self._bom], 0
        for edit in sorted(edits):
            done += [self._raw[end : self._in_raw(edit.start)], edit.text]
            end = self._in_raw(edit.stop)
        return "".join([*done, self._raw[end:]]).encode()

    def _in_raw(self, offset: int) -> int:
        return offset + bisect_left(self._pairs, offset)


def read_source(path: str) -> Source:
    """
    Read a file.

    Raises:
        ImportSourceError: If it is no plain file, too large, not UTF-8, or cannot be read.
    """
    given = os.path.expanduser(path)
    try:
        return Source(given, _read(given))
    except OSError as error:
        raise ImportSourceError(
            f"cannot read {path}: {error.strerror or 'not permitted'}", hint="check the path; nothing was stored"
        ) from None


def replace_source(source: Source, data: bytes) -> None:
    """
    Replace the file at once and durably; its permissions stay, and no copy of the old content is left.

    Raises:
        ImportSourceError: If it was changed since it was read, or cannot be written. It is as it was then.
    """
    folder = os.path.dirname(os.path.abspath(source.path))
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".fnb-", suffix=".tmp", dir=folder)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _like(temporary, source.path)
            _require_unchanged(source)
            os.replace(temporary, source.path)
        except BaseException:
            os.unlink(temporary)
            raise
        _sync(folder)
    except OSError as error:
        _not_changed(source, error)


def delete_source(source: Source) -> None:
    """
    Delete the file.

    Raises:
        ImportSourceError: If it was changed since it was read, or cannot be deleted.
    """
    try:
        _require_unchanged(source)
        os.unlink(source.path)
        _sync(os.path.dirname(os.path.abspath(source.path)))
    except OSError as error:
        _not_changed(source, error)


def other_names(source: Source) -> int:
    """Return how many other names (hard links) the file has: they keep its values."""
    with suppress(OSError):
        return os.lstat(source.path).st_nlink - 1
    return 0


def _read(path: str) -> bytes:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        raise ImportSourceError(f"{path} is a link; nothing was stored", hint=f"the file itself: {os.path.realpath(path)}")
    if stat.S_ISDIR(status.st_mode):
        raise ImportSourceError(f"{path} is a folder; nothing was stored", hint="name a file in it, such as .env")
    if not stat.S_ISREG(status.st_mode):
        raise ImportSourceError(f"{path} is no plain file; nothing was stored", hint="save what it holds in a file")
    if status.st_size > MAX_BYTES:
        raise ImportSourceError(
            f"{path} has {status.st_size:,} bytes; the limit is {MAX_BYTES:,}",
            hint="is it the right file? A single large value:  %secret set NAME --file PATH",
        )
    # Between the look and the opening it may have become something else.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        return file.read(MAX_BYTES + 1)[:MAX_BYTES]


def _like(path: str, original: str) -> None:
    """Give a new file the owner of *original*, where that is allowed, and its permissions."""
    status = os.stat(original)
    if hasattr(os, "chown") and (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):  # only root may give files away
            os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, stat.S_IMODE(status.st_mode))


def _require_unchanged(source: Source) -> None:
    if _read(source.path) != source.data:
        raise ImportSourceError(
            f"{source.path} was changed meanwhile; it stays as it is now", hint="run the line again: what is stored is stored"
        )


def _sync(folder: str) -> None:
    """Make the new name durable: without this a power cut can bring the old file back."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _not_changed(source: Source, error: OSError) -> NoReturn:
    raise ImportSourceError(
        f"cannot change {source.path}: {error.strerror or 'not permitted'}; it still holds the values",
        hint="the secrets are stored; make its folder writable and run the line again, or change the file by hand",
    ) from None
