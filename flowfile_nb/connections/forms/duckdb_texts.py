"""
What DuckDB's text of an error says that Python's code raised: of a filesystem that somebody has registered with DuckDB himself.

Which one it was is not told. It is known where there is one of its kind alone, or where the text names the place of one alone.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterable

from flowfile_nb import errors
from flowfile_nb.connections.failures import USE
from flowfile_nb.connections.later import ALL
from flowfile_nb.connections.object_storage import ObjectStorage
from flowfile_nb.connections.storage_errors import ServiceError

# The files of whose code a traceback tells the kind.
_CODE = {
    "abfs": ("/adlfs/", "/azure/", "/connections/azure.py"),
    "gs": ("/gcsfs/", "/connections/gcs.py"),
    "s3": ("/s3fs/", "botocore/", "/connections/s3.py"),
    "sftp": ("/paramiko/", "/implementations/sftp.py", "/connections/sftp.py", "/connections/ssh.py"),
}
_LIBRARIES = {"abfs": "adlfs", "gs": "gcsfs", "s3": "s3fs", "sftp": "fsspec.implementations.sftp"}
# The exception at the end of a traceback; of ours with the hint.
_RAISED = re.compile(r"^(?:[\w.]+\.)?(?P<type>[A-Z]\w+): (?P<said>.*)(?:\n *hint: (?P<hint>.*))?", re.MULTILINE)
_NO_FILES = re.compile(r"IO Error: (?P<said>No files found [^\n]*\"(?P<scheme>\w+)://.*)")


def explain_text(text: str, storage: ObjectStorage, made: Iterable[ObjectStorage]) -> tuple[str, str] | None:
    """
    Return what happened and what to do; None of an error that is not surely of this filesystem, `ALL` where all is to be shown.

    Args:
        text: DuckDB's.
        storage: What made the filesystem.
        made: Those of all filesystems that are there.
    """
    scheme = storage.grammar.scheme
    if absent := _NO_FILES.match(text):
        is_its = absent["scheme"] == scheme and _is_alone(storage, text, made)
        return (storage.later(FileNotFoundError(absent["said"])) or ALL) if is_its else None
    raised = list(_RAISED.finditer(text))
    code = text.replace("\\", "/")
    if not raised or "Traceback" not in text or not any(file in code for file in _CODE[scheme]):
        return None
    last = raised[-1]
    if not _is_alone(storage, last["said"], made):
        return None
    ours = getattr(errors, last["type"], None)
    if isinstance(ours, type) and issubclass(ours, errors.FlowfileNbError):
        said = last["said"].replace("could not open", USE, 1)
        place = storage.at.text
        return (said if place in said else f"{said}   (in {place})"), last["hint"] or ""
    return storage.later(_like(last["type"], last["said"])) or ALL


def _like(name: str, said: str) -> BaseException:
    """Return an exception that says the same, of the same type if that is Python's own."""
    found = getattr(builtins, name, None)
    like: BaseException = (found if isinstance(found, type) and issubclass(found, OSError) else OSError)(said)
    like.__cause__ = ServiceError(said, name)
    return like


def _is_alone(storage: ObjectStorage, text: str, made: Iterable[ObjectStorage]) -> bool:
    """Return whether what is told would be the same for all filesystems that a text may be about; libraries' own are others."""
    if _has_plain(_LIBRARIES[storage.grammar.scheme]):
        return False
    scheme = storage.grammar.scheme
    alike = {_told(one): _names(text, one) for one in made if one.grammar.scheme == scheme}
    return alike.keys() == {_told(storage)} or [told for told, is_named in alike.items() if is_named] == [_told(storage)]


def _has_plain(library: str) -> bool:
    """Return whether a library's own filesystem is there, beside those of ours: fsspec keeps each that it makes."""
    classes = [item for item in vars(sys.modules[library]).values() if isinstance(item, type)]
    return any(getattr(one, "_cache", None) for one in classes)


def _told(storage: ObjectStorage) -> tuple[str, ...]:
    return storage.at.text, *storage.secrets


def _names(text: str, storage: ObjectStorage) -> bool:
    """Return whether a text names the place of a filesystem: its bucket in a URL, and its server where that stands in it."""
    place = storage.at
    server = place.server.partition("://")[2].rstrip("/")
    roots = [f"//{place.root}/", f"/{place.root}/", f"/{place.root}?"] if place.root else [place.text]
    return any(root in text for root in roots) and (server in text or f"://{place.root}" in text)
