"""What Polars' errors of a place for files say: its compiled code raises them, with a text that has all that is known."""

from __future__ import annotations

import re

from flowfile_nb.connections.forms.polars_places import Provider, Source
from flowfile_nb.connections.later import ALL
from flowfile_nb.connections.object_storage import ObjectStorage, Place
from flowfile_nb.connections.storage_errors import ServiceError

_GIVEN = {"credential_provider", "storage_options"}
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


def is_for_another(error: BaseException, source: Source) -> bool:
    """Return whether Polars was surely called with other arguments than those of a connection, such as a user's own key."""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if str(frame.f_globals.get("__name__")).partition(".")[0] == "polars" and frame.f_locals.keys() >= _GIVEN:
            provider = frame.f_locals["credential_provider"]
            if isinstance(provider, Provider) or source.login is not None:
                return getattr(provider, "login", None) is not source.login
            return bool(frame.f_locals["storage_options"] != source.options)
        traceback = traceback.tb_next
    return False


def _listing(where: str) -> str:
    return f'NAME.ls("{where}")  of what is opened without  --as polars'
