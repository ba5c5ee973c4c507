"""What the libraries themselves leave of a value in a URL, and base64 in lines, is known."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from email.message import EmailMessage
from urllib.parse import quote

import httpx
import pytest
import requests
import yarl
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from flowfile_nb.core.encodings import patterns_of
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.url_forms import url_forms
from tests.core.redaction_values import PEM

# The values, with what no place in a URL takes and what only some do.
VALUES = [
    "P@ss^w{rd",
    "p@ss:w/or d?+&",
    "a b+c d",
    "50%off!",
    "p%40ss%2fw`|{",
    "[brackets]<and>",
    "back\\slash'\"",
    "pässwörd~(*)",
    "$ecret;a=b,c",
    "100%",
]


def _user(value: str) -> str:
    if not {*value}.isdisjoint("@/?#\\"):
        raise ValueError("it would not be the password of this URL")
    return f"http://u:{value}@h/"


def _unquoted(value: str) -> str:
    if re.search("%[0-9a-f]{2}", value):
        raise ValueError("yarl makes another text of it")
    return value


URLS: dict[str, Callable[[str], str]] = {
    "requests, path": lambda value: str(requests.Request("GET", f"http://h/{value}").prepare().url),
    "requests, query": lambda value: str(requests.Request("GET", f"http://h/?a={value}").prepare().url),
    "requests, params": lambda value: str(requests.Request("GET", "http://h/", params={"a": value}).prepare().url),
    "requests, redirect": lambda value: requests.utils.requote_uri(f"http://h/?a={value}"),
    "urllib3, path": lambda value: parse_url(f"http://h/{value}").url,
    "urllib3, query": lambda value: parse_url(f"http://h/?a={value}").url,
    "urllib3, user": lambda value: str(parse_url(_user(value)).auth),
    "httpx, path": lambda value: str(httpx.URL(f"http://h/{value}")),
    "httpx, query": lambda value: str(httpx.URL(f"http://h/?a={value}")),
    "httpx, params": lambda value: str(httpx.URL("http://h/", params={"a": value})),
    "httpx, user": lambda value: httpx.URL(_user(value)).userinfo.decode(),
    "httpx, password": lambda value: httpx.URL("http://h/", password=value).userinfo.decode(),
    "yarl, path": lambda value: str(yarl.URL(f"http://h/{_unquoted(value)}")),
    "yarl, with_path": lambda value: str(yarl.URL("http://h/").with_path(f"/{value}")),
    "yarl, query": lambda value: str(yarl.URL(f"http://h/?a={_unquoted(value)}")),
    "yarl, with_query": lambda value: str(yarl.URL("http://h/").with_query(a=value)),
    "yarl, password": lambda value: str(yarl.URL.build(scheme="http", host="h", user="u", password=value)),
    "encodeURI": lambda value: "http://h/" + quote(value, safe=";,/?:@&=+$-_.!~*'()#"),
}


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
@pytest.mark.parametrize("value", VALUES)
def test_no_more_than_the_mask_is_left(value: str, url: Callable[[str], str]) -> None:
    """Whatever a library quotes where, all of the value is masked; what it does not take cannot be shown."""
    try:
        written = url(value)
    except (ValueError, UnicodeError):  # its own, which derive from those
        return
    redactor = Redactor()
    redactor.learn("pw", value)

    masked = redactor.mask(written)

    assert "[secret:pw]" in masked, written
    assert re.fullmatch(r"(http://)?(u?:|h|[/?a=:]|%3F|u:@|@|\[secret:pw\])*/?", masked), masked


@given(st.binary(min_size=4, max_size=12))
def test_any_bytes(raw: bytes) -> None:
    """The forms of anything are ASCII where it is quoted, and few."""
    forms = {*url_forms(raw)}

    assert len(forms) <= 12 + 11
    assert quote(raw, safe="").encode() in forms


@pytest.mark.parametrize("value", ["x7Kq" * n + tail for n in (13, 14, 15, 40) for tail in ("", "a", "ab", "abc")] + [PEM])
def test_base64_in_lines(value: str) -> None:
    """As `base64`, MIME and PEM write it, and as `repr` shows that, no line is left, but perhaps the last one's 3 bytes."""
    redactor = Redactor()
    redactor.learn("pw", value)
    raw = value.encode()
    message = EmailMessage()
    message.set_content(raw, "application", "octet-stream")
    in_64 = re.sub(r"(.{64})", r"\1\n", base64.b64encode(raw).decode())
    for written in (
        base64.encodebytes(raw).decode(),
        repr(base64.encodebytes(raw)),
        message.get_payload(),
        in_64,
        repr(in_64),
        in_64.replace("\n", "\r\n"),
    ):
        masked = redactor.mask(f"before {written} after")

        assert re.fullmatch(r"before (b?'|\[secret:pw\]|\r|\n|\\r|\\n|')*(\n[\w=]{4}\n?)? after", masked), masked


def test_an_ordinary_value_has_no_line_break_in_any_form() -> None:
    """A line that is printed would be held back, or looked through, for each."""
    for size in range(4, 200):
        assert not any(b"\n" in pattern for pattern in patterns_of("x" * size))


def test_few_patterns_for_ordinary_values() -> None:
    """A thousand secrets are learned in one cell."""
    assert len(patterns_of("x7Kq" * 6)) == 10
    assert len(patterns_of("P@ssw0rd!")) <= 16
    assert len(patterns_of("postgresql://app:x7Kqx7Kqx7Kq@db.example.com:5432/sales")) <= 24
