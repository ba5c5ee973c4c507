"""`--fix`: a notebook masked in place, after a backup, and only if it is still the one that was read."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from typing import Any

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.scan.finding import Fixed
from flowfile_nb.scan.masking import mask_notebook
from flowfile_nb.scan.notebook_file import decode, search_notebook
from flowfile_nb.scan.passages import passages
from flowfile_nb.scan.reading import Reader

BACKUP_ENDING = ".fnb-backup"


class CannotFixError(Exception):
    """The notebook stays as it is; the text says why. For this room alone: it becomes a remark of the report."""


def fix_notebook(path: str, redactor: Redactor, reader: Reader) -> Fixed | None:
    """
    Mask the values in outputs, metadata and widget state of a notebook; return None if there are none.

    The backup beside it is 0600 and still holds them. The new file takes the old one's place at once, with its permissions;
    its time is that of the change, by which JupyterLab notices that an open notebook is no longer what is on disk.

    Raises:
        CannotFixError: If it cannot be read, is not UTF-8, would not be clean afterwards, or was changed meanwhile.
    """
    # Of a link the notebook itself.
    file = os.path.realpath(path)
    try:
        data = reader.whole(file)
        places = [place for place in search_notebook(data, redactor) if place.changeable]
        if not places:
            return None
        masked = _masked(data, redactor)
        backup = _back_up(file, data)
        try:
            _replace(file, data, masked, reader)
        except BaseException:
            # The notebook is as it was: a second copy of the value would serve nobody.
            os.unlink(backup)
            raise
    except OSError as error:
        raise CannotFixError(f"not masked: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise CannotFixError(f"not masked: {error}") from None
    return Fixed(path, backup, len(places))


def _masked(data: bytes, redactor: Redactor) -> bytes:
    encoding = json.detect_encoding(data)
    if not encoding.startswith("utf-8"):
        raise CannotFixError("not masked: it is not UTF-8, as notebooks are")
    document = decode(data)
    masked = mask_notebook(document, redactor)
    result = masked.encode(encoding, "surrogatepass")
    # Better as it was than half clean, or with a source that is another.
    if any(place.changeable for place in search_notebook(result, redactor)):
        raise CannotFixError("not masked: a value would have been left")
    if _unchangeable(masked) != _unchangeable(document):
        raise CannotFixError("not masked: a source would have been changed")
    return result


def _unchangeable(document: str) -> list[Any]:
    found = passages(json.loads(document, strict=False), each=True)
    return [(passage.where, list(passage.pieces)) for passage in found if not passage.where.changeable]


def _back_up(path: str, data: bytes) -> str:
    number = 1
    while True:
        backup = path + BACKUP_ENDING + (f"-{number}" if number > 1 else "")
        try:
            descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        except FileExistsError:
            number += 1  # it holds an earlier state
            continue
        with open(descriptor, "wb") as file:
            _like(backup, path, 0o600)
            _write(file, data)
        return backup


def _replace(path: str, data: bytes, masked: bytes, reader: Reader) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=".fnb-", suffix=".tmp", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            _write(file, masked)
        _like(temporary, path, os.stat(path).st_mode & 0o7777)
        _require_unchanged(path, data, reader)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _require_unchanged(path: str, data: bytes, reader: Reader) -> None:
    if reader.whole(path) != data:
        raise CannotFixError("not masked: it was changed meanwhile; scan again")


def _like(path: str, original: str, mode: int) -> None:
    """Give a new file the owner of *original*, where that is allowed, and *mode*."""
    status = os.stat(original)
    if hasattr(os, "chown") and (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):  # only root may give files away
            os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, mode)


def _write(file: Any, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
