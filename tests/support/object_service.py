"""One file in a bucket, served as Azure and Google serve it to their libraries and to Polars, by a real HTTP server here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from tests.support.http_server import Answer, Request, Server, running

BUCKET, NAME = "sales", "2026/answer.parquet"
_WHEN = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "ETag": '"1"'}
_BLOB = {**_WHEN, "x-ms-blob-type": "BlockBlob", "x-ms-creation-time": _WHEN["Last-Modified"]}
_LIST = """<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs><Blob><Name>{name}</Name><Properties>
<Content-Length>{size}</Content-Length><BlobType>BlockBlob</BlobType><Last-Modified>{when}</Last-Modified></Properties></Blob>
</Blobs><NextMarker /></EnumerationResults>"""


@contextmanager
def running_object_service(data: bytes) -> Iterator[Server]:
    """Start a server with *data* in `sales/2026/answer.parquet`, and stop it at the end. `/token` sells a token each time."""
    sold: list[str] = []

    def answer(request: Request) -> Answer:
        url = urlsplit(request.path)
        if url.path == "/token":
            sold.append(f"ya29.canary{len(sold) + 1}")
            return _json({"access_token": sold[-1], "expires_in": 3600, "token_type": "Bearer"})
        if "comp=list" in url.query:
            text = _LIST.format(name=NAME, size=len(data), when=_WHEN["Last-Modified"])
            return Answer(200, {"Content-Type": "application/xml"}, text.encode())
        found = {"name": NAME, "bucket": BUCKET, "size": str(len(data)), "updated": "2026-01-01T00:00:00Z", "generation": "1"}
        if url.path.startswith("/storage/v1/b/") and "alt=media" not in url.query:
            return _json(found if "/o/" in url.path else {"items": [found]})
        if not unquote(url.path).endswith(NAME):
            return Answer(404, {"x-ms-error-code": "BlobNotFound"}, b"")
        return _part(request, data)

    with running() as server:
        server.answer = answer
        yield server


def _json(said: object) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(said).encode())


def _part(request: Request, data: bytes) -> Answer:
    wanted = request.headers.get("range") or request.headers.get("x-ms-range")
    if wanted is None:
        return Answer(200, {**_BLOB, "Content-Length": str(len(data))}, data)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    begin = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last), len(data) - 1) if first and last else len(data) - 1
    return Answer(206, {**_BLOB, "Content-Range": f"bytes {begin}-{end}/{len(data)}"}, data[begin : end + 1])
