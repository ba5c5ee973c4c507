"""Values that are hard to mask, and how the real libraries write them."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from hypothesis import strategies as st
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import escape
from sqlalchemy.engine import URL

PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n"
    "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n"
    "NMoSfm76oqFvAp8Gy0iz5sxjZmSnXyCdPEovGhLa0VzMaQ8s+CLOyS56YyCFGeJZ\n"
    "-----END PRIVATE KEY-----\n"
)

HARD_VALUES = [
    "hunter2",
    "hunter2-prod",
    "abcdef",
    "defghi",
    "stdout",
    "a.*b(c|d)+[e]$",
    "\\Qx\\E^[^]]{2,}(?i)",
    "it's",
    "both ' and \"",
    '"\\"\\\\"',
    "p@ss:w/or d?#+&%25",
    "<b>&amp;</b>",
    "pässwörd",
    "naïve 😀 ключ",
    "tab\tbell\aescape\x1b[0m",
    "postgresql://app:p%40ss@db.example.com:5432/sales?x=1&y=2",
    "two lines\r\nof windows text",
    " blank ends \n",
    PEM,
]

VALUES = st.one_of(
    st.sampled_from(HARD_VALUES),
    # Without DEL, which only some write as it is in JSON that is ASCII otherwise.
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), min_size=4),
    st.text(st.sampled_from("ab'\"\\/<>&%+ \n\rü😀"), min_size=4, max_size=12),
)


def _element(value: str) -> str:
    element = ET.Element("a")
    element.text = value
    return ET.tostring(element).decode()


ENCODERS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "read as Latin-1": lambda value: value.encode().decode("latin-1"),
    "read as Latin-1, in json": lambda value: json.dumps(value.encode().decode("latin-1")),
    "read as Latin-1, repr": lambda value: repr(value.encode().decode("latin-1")),
    "json": json.dumps,
    "csv": lambda value: f'"{value.replace(chr(34), chr(34) * 2)}"',
    "sql": lambda value: "'" + value.replace("'", "''") + "'",
    "json utf-8": lambda value: json.dumps({"a": value}, ensure_ascii=False),
    "json slash": lambda value: pd.DataFrame({"a": [value]}).to_json(),
    "repr": repr,
    "repr, the other quotes": lambda value: repr(value + "\"'")[:-4],
    "repr of bytes": lambda value: repr(value.encode()),
    "repr of a list": lambda value: repr([{"key": value}]),
    "ascii": ascii,
    "html": html.escape,
    "html text": lambda value: html.escape(value, quote=False),
    "markupsafe": lambda value: str(escape(value)),
    "url": lambda value: quote(value, safe=""),
    "url path": quote,
    "url query": quote_plus,
    "url lower case": lambda value: "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or byte in b"_.-~") else f"%{byte:02x}"
        for byte in value.encode()
    ),
    "encodeURIComponent": lambda value: quote(value, safe="!~*'()"),
    "sqlalchemy password": lambda value: URL.create("x", "u", value, "h").render_as_string(hide_password=False),
    "sqlalchemy database": lambda value: URL.create("x", host="h", database=value).render_as_string(),
    "xmlcharrefreplace": lambda value: value.encode("ascii", "xmlcharrefreplace").decode(),
    "xmlcharrefreplace of html": lambda value: html.escape(value).encode("ascii", "xmlcharrefreplace").decode(),
    "ElementTree": _element,
    "jinja tojson": lambda value: str(htmlsafe_json_dumps(value)),
    "jinja tojson, repr": lambda value: repr(str(htmlsafe_json_dumps(value))),
    "django json_script": lambda value: json.dumps(value).translate(
        {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}
    ),
    "go json": lambda value: json.dumps(value, ensure_ascii=False).translate(
        {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
    ),
    "hex with colons": lambda value: value.encode().hex(":"),
    "HEX with colons": lambda value: value.encode().hex(":").upper(),
    "hex with blanks": lambda value: value.encode().hex(" "),
    "HEX with blanks": lambda value: value.encode().hex(" ").upper(),
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "json in json": lambda value: json.dumps(json.dumps({"a": value})),
    "json in json utf-8": lambda value: json.dumps(json.dumps({"a": value}, ensure_ascii=False), ensure_ascii=False),
    "json in repr": lambda value: repr(json.dumps({"a": value})),
    "json in repr utf-8": lambda value: repr(json.dumps({"a": value}, ensure_ascii=False)),
    "repr in json": lambda value: json.dumps(repr(value)),
    "json in html": lambda value: html.escape(json.dumps(value)),
    "repr in html": lambda value: html.escape(repr([value])),
    "html in json": lambda value: json.dumps(html.escape(value)),
    "windows line ends": lambda value: value.replace("\r\n", "\n").replace("\n", "\r\n"),
    "unix line ends": lambda value: value.replace("\r\n", "\n"),
}

both_engines = pytest.mark.parametrize("engine", ["hyperscan", "ahocorasick_rs"])
