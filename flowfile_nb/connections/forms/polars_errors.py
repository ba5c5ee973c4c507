"""What Polars' errors of a place for files say: its compiled code raises them, with a text that has all that is known."""

from __future__ import annotations

import re

from flowfile_nb.connections.later import ALL
from flowfile_nb.connections.object_storage import ObjectStorage, Place
from flowfile_nb.connections.storage_errors import ServiceError

_BEGINS = "object-store error"
# Which request failed, and how often it was tried: "timeout" among that is no cause.
_REQUEST = re.compile(r": Error performing \S+ \S+ in [^\s,]+(?:, after .*?retry_timeout: \S+)?")
_SCHEMES = {"abfs": r"a\w+", "gs": "gc?s", "s3": "s3a?"}
_CODE = re.compile(r"<Code>(\w+)</Code>")


def explain(error: BaseException, storage: ObjectStorage, place: Place) -> tuple[str, str] | None:
    """Return what happened and what to do; None of an error that is not of this place, `ALL` where all is to be shown."""
    text = str(error)
    root = rf"{re.escape(place.root)}(?=[@/)])" if place.root else ""
    if _BEGINS not in text or not re.search(rf"\(path: {_SCHEMES[storage.grammar.scheme]}://{root}", text):
        return None
    if place.server and "Error performing" in text and place.server.partition("://")[2] not in text:
        return None
    request = _REQUEST.search(text)
    head, rest = (text, text) if request is None else (text[: request.start()], text[request.end() :])
    code = _CODE.search(rest)
    # As of other libraries: an error whose cause is what the service said.
    told = type(error)(head.partition(f"{_BEGINS}: ")[2])
    told.__cause__ = ServiceError(rest, code[1] if code else _BEGINS)
    return storage.later(told, _listing) or ALL


def _listing(where: str) -> str:
    return f'NAME.ls("{where}")  of what is opened without  --as polars'
