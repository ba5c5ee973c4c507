"""What the errors of storage libraries say: a service knows who asks, or does not; something is not there, or not allowed."""

from __future__ import annotations

import os
import re

from flowfile_nb.connections.causes import chain

# What a service says to somebody it knows, who may not do that: the key is right.
_KNOWN = ("accessdenied", "access denied", "authorizationpermissionmismatch", "authorizationfailure", "does not have")
_NO_ROOT = re.compile(r"nosuchbucket|containernotfound|(?:bucket|container) does not exist")
_OF_PATHS = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError)


class ServiceError(Exception):
    """What a service or the network said, where a library tells it in a text alone."""

    def __init__(self, text: str, error_code: str) -> None:
        super().__init__(text)
        self.error_code = error_code


def first_of(error: BaseException) -> BaseException:
    """Return the service's own error where the library has put another round it, whose text says less."""
    errors = chain(error)
    said = [one for one in errors if getattr(one, "error_code", None)]
    said += [one for one in reversed(errors) if hasattr(one, "response")]
    return said[0] if said else error


def is_known(error: BaseException) -> bool:
    """Return whether a service knows who asks, and does not allow it."""
    text = _text(error)
    return any(said in text for said in _KNOWN)


def is_of_path(error: BaseException) -> bool:
    """Return whether an error is about one path, in a bucket or container that is there."""
    return isinstance(error, _OF_PATHS) and _NO_ROOT.search(_text(error)) is None


def is_of_this_machine(error: BaseException) -> bool:
    """Return whether an error is about a file here: one that is copied from or to. Paths of a storage have no root."""
    path = getattr(error, "filename", None)
    return isinstance(path, (str, bytes)) and os.path.isabs(path)


def _text(error: BaseException) -> str:
    return " ".join(f"{type(one).__name__} {one} {getattr(one, 'error_code', '')}" for one in chain(error)).lower()
