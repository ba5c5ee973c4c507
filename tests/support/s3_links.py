"""
A gate before moto's S3 server that takes signed links, and checks each as Amazon does.

Moto knows who asks by the header `Authorization` alone. What comes with a link is checked here by Amazon's own library:
signature, age, and that no `x-amz-` header was added; then it goes on to moto in the name of whoever signed it.
"""

from __future__ import annotations

import datetime as dt
import http.client
import posixpath
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.s3 import REGION, S3Server, running_s3

_LONGEST_S = 7 * 24 * 3600


class Asked(NamedTuple):
    """What came to the gate, and what became of it."""

    method: str
    path: str
    by_link: bool
    headers: dict[str, str]
    status: int


class Gate:
    """A running gate."""

    def __init__(self, behind: S3Server) -> None:
        self.behind = behind
        self.asked: list[Asked] = []
        self.later_s = 0.0
        """By how much its clock is before ours: so that a link is over without waiting."""
        self.careless = False
        """Whether it decodes and resolves the name of an object once more, after it has checked the link."""
        self.answers = True
        """Whether it does not hang up on who comes by a link."""
        self.refuse_next = 0
        """How many links more it takes for over, whatever their age."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def key_id(self) -> str:
        """Of the key that it knows."""
        return self.behind.key_id

    @property
    def key(self) -> str:
        """The key that it knows."""
        return self.behind.key

    @property
    def by_link(self) -> list[Asked]:
        """What was asked by a link."""
        return [one for one in self.asked if one.by_link]

    def admin(self) -> Any:
        """Return a client of Amazon's own library that puts and reads anything."""
        return self.behind.admin()

    def body(self, root: str = "sales", secret: str = "lake_key") -> str:
        """Return a description that leads here."""
        return (
            f"s3://{root}?endpoint_url={self.url}&region={REGION}"
            f"&access_key_id={self.key_id}&secret_access_key=%secret {secret}"
        )

    def close(self) -> None:
        """Stop it."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def refusal(self, method: str, target: str, headers: dict[str, str]) -> str:
        """Return why a link is not taken, in S3's word; empty if it is."""
        url = f"{self.url}{target}"
        query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        signature = query.get("X-Amz-Signature", "")
        if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" or query.get("X-Amz-SignedHeaders") != "host":
            return "AuthorizationQueryParametersError"
        if any(name.startswith("x-amz-") for name in headers):
            # As Amazon has it: headers were present in the request which were not signed.
            return "AccessDenied"
        request = AWSRequest(method, url.replace(f"&X-Amz-Signature={signature}", ""), {"host": headers["host"]})
        request.context["timestamp"] = query["X-Amz-Date"]
        scope = query["X-Amz-Credential"].split("/")
        auth = S3SigV4QueryAuth(Credentials(self.key_id, self.key), scope[3], scope[2])
        if scope[0] != self.key_id:
            return "InvalidAccessKeyId"
        if auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request) != signature:
            return "SignatureDoesNotMatch"
        signed_at = dt.datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.timezone.utc)
        age_s = (dt.datetime.now(dt.timezone.utc) - signed_at).total_seconds() + self.later_s
        lives_s = int(query["X-Amz-Expires"])
        return "AccessDenied" if age_s > lives_s or lives_s > _LONGEST_S else ""

    def pass_on(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Any:
        """Ask moto, signed anew with the key if it came by a link; return its answer, read."""
        if "authorization" not in headers:
            parts = urlsplit(target)
            query = parse_qsl(parts.query, keep_blank_values=True)
            rest = [(name, text) for name, text in query if not name.startswith("X-Amz-")]
            path = _resolved(parts.path) if self.careless else parts.path
            target = path + (f"?{urlencode(rest, quote_via=quote)}" if rest else "")
            request = AWSRequest(method, f"{self.url}{target}", {"host": headers["host"]}, body)
            S3SigV4Auth(Credentials(self.key_id, self.key), "s3", REGION).add_auth(request)
            headers = {**headers, **{name.lower(): str(text) for name, text in request.headers.items()}}
        connection = http.client.HTTPConnection(urlsplit(self.behind.url).netloc, timeout=30)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, text in headers.items():
            connection.putheader(name, text)
        connection.endheaders(body)
        answer: Any = connection.getresponse()
        answer.data = answer.read()
        connection.close()
        return answer


def _resolved(path: str) -> str:
    return quote(posixpath.normpath(unquote(unquote(unquote(path))).replace("\\", "/")))


def _handler(gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            headers = {name.lower(): text for name, text in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            by_link = "X-Amz-Signature=" in self.path
            refusal = "" if "authorization" in headers else "AccessDenied"
            if by_link and not gate.answers:
                self.close_connection = True
                return
            if by_link:
                refusal = gate.refusal(self.command, self.path, headers)
                if gate.refuse_next > 0:
                    gate.refuse_next, refusal = gate.refuse_next - 1, "AccessDenied"
            if refusal:
                status, more, data = 403, {"Content-Type": "application/xml"}, _error(refusal)
            else:
                passed = gate.pass_on(self.command, self.path, headers, body)
                status, more, data = passed.status, dict(passed.getheaders()), passed.data
            gate.asked.append(Asked(self.command, self.path, by_link, headers, status))
            self.send_response(status)
            length = more.pop("Content-Length", more.pop("content-length", str(len(data))))
            for name, text in more.items():
                if name.lower() not in {"connection", "date", "server", "transfer-encoding"}:
                    self.send_header(name, text)
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = answer  # noqa: N815 - what the standard library calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def _error(code: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>As it says.</Message></Error>'.encode()


@contextmanager
def running_gate() -> Iterator[Gate]:
    """Start moto with a gate before it, and stop both at the end."""
    # So that a list of a few names comes in several pages.
    with running_s3(MOTO_S3_DEFAULT_MAX_KEYS="3") as server:
        gate = Gate(server)
        try:
            yield gate
        finally:
            gate.close()


def fill(gate: Gate) -> None:
    """Put what the tests read: `sales/data`, which is shared, `sales/database` and the bucket `payroll`, which are not."""
    admin = gate.admin()
    if "payroll" not in [each["Name"] for each in admin.list_buckets()["Buckets"]]:
        admin.create_bucket(Bucket="payroll", CreateBucketConfiguration={"LocationConstraint": REGION})
    for page in admin.get_paginator("list_objects_v2").paginate(Bucket="sales"):
        for each in page.get("Contents", ()):
            admin.delete_object(Bucket="sales", Key=each["Key"])
    for key in ("data/a.csv", "data/2026/b.csv", "data/2026/c d+ü%2F#?.csv", "database/secret.csv", "other.csv"):
        admin.put_object(Bucket="sales", Key=key, Body=f"key\n{key}\n".encode())
    admin.put_object(Bucket="payroll", Key="all.csv", Body=b"key\npayroll\n")
