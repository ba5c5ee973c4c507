"""The forms in which one value may stand in text: as it is, and as the usual libraries write it."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterator
from json.encoder import encode_basestring, encode_basestring_ascii

from flowfile_nb.core.shortened import abridged
from flowfile_nb.core.url_forms import SAFE as URL_SAFE
from flowfile_nb.core.url_forms import url_forms

MIN_CHARACTERS = 4
_MIN_DERIVED = 6  # bytes; shorter base64 or hex would hit by chance: 5 characters do in one of 1,000 images
_MIN_LINE = 8  # characters

# Of these alone, neither JSON nor `repr` changes anything.
_PRINTABLE = bytes(set(range(32, 127)) - set(b"\"'\\"))
# The widths of lines of base64: MIME's, as of `base64.encodebytes`, and PEM's.
_BASE64_LINES = (76, 64)
_ONE_BASE64_LINE = 48  # bytes that fit into each
_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")


def patterns_of(value: str) -> list[bytes]:
    """
    Return every usual form of *value*, in UTF-8, each once, the raw one first; none for a value under 4 characters.

    Raw; JSON, also as it stands in a page; `repr` of text and of bytes; HTML, also with numbers for what is not ASCII;
    with quotes doubled, as in CSV and SQL; URL-quoted, wholly or as far as a place in a URL needs it; base64 (whatever stands
    before and after it in the encoded bytes), also in lines; hex, also with colons or blanks; JSON and HTML of the former where
    they nest, and `repr` of JSON.
    Also where its UTF-8 was read as Latin-1, without blank ends, with either line ending, and of a value of several lines each
    line that is long enough to be told from other text.

    >>> patterns_of("hunter2")[:3]
    [b'hunter2', b'68756e74657232', b'68756E74657232']
    """
    if len(value) < MIN_CHARACTERS:
        return []
    found: dict[bytes, None] = {}
    for whole in _variants(value):
        raw = whole.encode("utf-8", "surrogatepass")
        found[raw] = None
        if raw.translate(None, URL_SAFE):
            found |= dict.fromkeys(_escaped(whole, raw))
        forms = _binary(raw)
        # Of a value that is as long as that, each form is.
        found |= dict.fromkeys(forms if len(raw) >= _MIN_DERIVED else (form for form in forms if len(form) >= _MIN_DERIVED))
    if len(value) > _ONE_BASE64_LINE or not value.isascii():
        found |= dict.fromkeys(_base64_lines(value))
    found |= dict.fromkeys(abridged(value))
    if "\n" in value or "\r" in value:
        found |= dict.fromkeys(_lines(value))
    return list(found)


def _variants(value: str) -> Iterator[str]:
    # Files end in a line break that nobody prints.
    for text in dict.fromkeys((value, value.strip())):
        lines = text.replace("\r\n", "\n")
        for variant in dict.fromkeys((text, lines, lines.replace("\n", "\r\n"))):
            if len(variant) >= MIN_CHARACTERS:
                yield variant
                if not variant.isascii():
                    # A server that echoes a header, a log that is read with the wrong encoding: `Ã¼` for `ü`.
                    yield variant.encode("utf-8", "surrogatepass").decode("latin-1")


def _escaped(text: str, raw: bytes) -> Iterator[bytes]:
    forms = set(_html(text))
    if not text.isascii():
        # lxml, ElementTree, and `xmlcharrefreplace`.
        forms |= {form.encode("ascii", "xmlcharrefreplace").decode() for form in (text, *forms)}
    if raw.translate(None, _PRINTABLE):
        literals = {*_json(text), *_repr(text)}
        forms |= {nested for form in literals | forms for nested in _json(form)}
        forms |= {nested for form in literals for nested in _html(form)} | literals
        forms |= {nested for form in _json(text) for nested in _repr(form)}
        bare = repr(b'"' + raw)[3:-1]
        forms |= {bare, bare.replace("\\'", "'")}
    if "'" in text or "&" in text or "<" in text or ">" in text:
        scripts = set(_in_script(text))
        # And `repr` of that.
        forms |= scripts | {form.replace("\\", "\\\\") for form in scripts}
    # CSV; SQL.
    forms |= {text.replace(quote, quote * 2) for quote in "\"'"}
    if "/" in text:
        # pandas, PHP and many JavaScript libraries escape it in JSON.
        forms.add(_json(text)[0].replace("/", "\\/"))
    for form in sorted(forms):
        yield form.encode("utf-8", "surrogatepass")
    yield from url_forms(raw)


def _json(text: str) -> tuple[str, str]:
    # What `json.dumps` calls, which takes ten times as long around it.
    return encode_basestring_ascii(text)[1:-1], encode_basestring(text)[1:-1]


def _in_script(text: str) -> Iterator[str]:
    for form in dict.fromkeys(_json(text)):
        # Go; Flask and Jinja; Django.
        go = form.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        yield from (go, go.replace("'", "\\u0027"))
        yield form.replace("<", "\\u003C").replace(">", "\\u003E").replace("&", "\\u0026")


def _repr(text: str) -> Iterator[str]:
    # A double quote before it makes `repr` escape each single one; without those escapes it is the other choice.
    for form in (repr('"' + text)[2:-1], ascii('"' + text)[2:-1]):
        yield from (form, form.replace("\\'", "'"))


def _html(text: str) -> Iterator[str]:
    bare = html.escape(text, quote=False)
    yield bare
    if '"' in bare or "'" in bare:
        for double, single in (("&quot;", "'"), ("&quot;", "&#x27;"), ("&quot;", "&#39;"), ("&#34;", "&#39;")):
            yield bare.replace('"', double).replace("'", single)


def _binary(raw: bytes) -> list[bytes]:
    digits, colons = raw.hex().encode(), raw.hex(":").encode()
    blanks = colons.replace(b":", b" ")
    forms = [digits, digits.upper(), colons, colons.upper(), blanks, blanks.upper()]
    for before in range(3):
        encoded = b64encode(bytes(before) + raw)
        # Left out: the characters that also hold bits of what stands before or after.
        stable = encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        forms += (stable, stable.translate(_TO_URLSAFE))
        if not before:
            forms += (encoded, encoded.translate(_TO_URLSAFE))
    return forms


def _base64_lines(value: str) -> Iterator[bytes]:
    for text in dict.fromkeys((value, value.strip())):
        encoded = b64encode(text.encode("utf-8", "surrogatepass"))
        for width in _BASE64_LINES:
            lines = [encoded[start : start + width] for start in range(0, len(encoded), width)]
            if len(lines) > 1:
                *others, last = lines
                yield from others
                if len(last) >= _MIN_DERIVED:
                    yield last
                else:
                    # Up to 3 bytes: with the line before it, as `repr` and JSON write both. Not with a line break between them:
                    # then each printed line would end like the middle of a value.
                    yield from (others[-1] + end + last for end in (b"\\n", b"\\r\\n"))


def _lines(value: str) -> Iterator[bytes]:
    for line in value.splitlines():
        text = line.strip()
        if len(text) < _MIN_LINE or text.startswith("-----"):
            continue
        raw = text.encode("utf-8", "surrogatepass")
        forms = (text, *_json(text), *_repr(text)) if raw.translate(None, _PRINTABLE) else (text,)
        for form in forms:
            yield form.encode("utf-8", "surrogatepass")
