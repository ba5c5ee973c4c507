"""
Files of every format that is imported, made up; and `fuzz_one`, which any bytes have to pass.

    python -m tests.importing.strategies 60      # seconds for each format
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

from flowfile_nb.errors import FlowfileNbError
from flowfile_nb.importing import wording
from flowfile_nb.importing.cleaning import cleaned, left_in, require_deletable
from flowfile_nb.importing.definitions import definitions
from flowfile_nb.importing.kinds import READERS, read_document
from flowfile_nb.importing.plan import IMPORTED, Choice, make_plan
from flowfile_nb.importing.source import Source

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq+/hkiG9w0B==\n-----END PRIVATE KEY-----\n"
NASTY = [
    "p@ss:w/or d?#%\"'\\ ü",
    "hunter2=with=equals",
    "${X}literal$Y",
    "a'b\"c`d",
    "#starts with a hash",
    " blanks round it ",
    "100%sure%%",
    "tab\there",
    "日本語のパスワード🔑",
    PEM,
]
_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\x85"), min_size=1, max_size=30)
VALUES = st.sampled_from(NASTY) | _LINE
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
ENDS = st.sampled_from(["\n", "\r\n"])
# Words of our own messages, which a file may have as well.
_MESSAGES = """
not UTF-8 text; nothing was stored save it as UTF-8 has a line with 1,000 blanks in a row take them out of the line
is not a .env file an ini file TOML JSON at line : too deeply nested a line with more than 200 dots; mend the line, or say
another kind with --as env, ini, toml or airflow a section or a key of it stands there for the second time; hint:
a section such as [prod] has to come first; no object with names; cannot be rewritten so that all else stays; it is as it
was, and the secrets are stored replace the values by hand, or delete the file with --delete
was not deleted: it was not understood look at it, and delete it yourself
"""
STATIC = set(re.findall(r"\S+", _MESSAGES))


class Made(NamedTuple):
    """A file, and the credentials in it by the key under which the format's own library finds them."""

    data: bytes
    values: dict[tuple[str, ...], str]


@st.composite
def env_files(draw: st.DrawFn) -> Made:
    """`.env` files with comments, `export`, three kinds of quotes, blank lines and either line end."""
    lines, values = [], {}
    for key in draw(st.lists(KEYS.map(lambda key: key + "_PASSWORD"), unique=True, max_size=5)):
        value = draw(VALUES)
        comment = draw(st.sampled_from(["", " # ü comment", "   "]))
        written = draw(st.sampled_from([_env_single(value), _env_double(value)]))
        bare = "\n" not in value and value == value.strip() and not re.search(r"\s#|^['\"#]", value)
        if bare and draw(st.booleans()):
            written = value
        lines.append(
            draw(st.sampled_from(["", "export ", "  "])) + f"{key}{draw(st.sampled_from(['=', ' = ']))}{written}{comment}"
        )
        lines.append(draw(st.sampled_from(["", "# note = 'x'", "LEVEL=debug", "EMPTY=", "JUST_A_NAME"])))
        values[key,] = value
    return Made(_encoded(draw, "\n".join(lines) + draw(st.sampled_from(["", "\n"]))), values)


@st.composite
def ini_files(draw: st.DrawFn) -> Made:
    """Ini files with comments of both kinds, both delimiters, and either line end."""
    lines, values = ["; first"], {}
    for section in draw(st.lists(KEYS, unique=True, max_size=3)):
        value = draw(VALUES.filter(lambda value: "\n" not in value and value == value.strip() and value[:1] not in "#;"))
        # As a file has to say it for JupySQL, which interpolates.
        written = value.replace("%", "%%")
        lines += [f"[{section}]", draw(st.sampled_from(["", "# c", "host = h", "drivername=postgresql"]))]
        lines += [f"password{draw(st.sampled_from(['=', ' = ', ': ']))}{written}{draw(st.sampled_from(['', ' ']))}", ""]
        values[section, "password"] = value
    return Made(_encoded(draw, "\n".join(lines)), values)


@st.composite
def toml_files(draw: st.DrawFn) -> Made:
    """TOML with tables, keys in quotes, inline tables, four kinds of text, and either line end."""
    lines, values = ["# top", 'title = "x"', ""], {}
    for table in draw(st.lists(KEYS | _LINE, unique=True, max_size=4)):
        value = draw(VALUES)
        forms = [json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")]
        if "'" not in value and not re.search(r"[\x00-\x08\n-\x1f\x7f]", value):
            forms.append(f"'{value}'")
        if "'''" not in value and not value.endswith("'"):
            forms.append(f"'''\n{value}'''")
        forms.append('"""' + value.replace("\\", "\\\\").replace('"', '\\"') + '"""')
        written = draw(st.sampled_from(forms)).replace("\r", "\\r")
        key = json.dumps(table, ensure_ascii=False)
        if draw(st.booleans()):
            lines += [
                f"[connections.{key}]",
                f'"pass\\u0077ord" = {written} # c = "d"',
                "port = 5432",
                "list = [\"a\", 'b']",
                "",
            ]
        else:
            lines += [f"[connections.{key}] # c", f"x = {{y = 1, 'password'={written}}}"]
        values[("connections", table, *(["x"] if "x = {" in lines[-1] else []), "password")] = value
    return Made(_encoded(draw, "\n".join(lines)), values)


@st.composite
def airflow_files(draw: st.DrawFn) -> Made:
    """JSON as Airflow exports it, in one line or in many, with or without escapes."""
    tree = {}
    values = {}
    for name in draw(st.lists(KEYS, unique=True, max_size=4)):
        value = draw(VALUES)
        tree[name] = {"conn_type": "postgres", "login": 'app"', "password": value, "port": 5432, "extra": None}
        values[name, "password"] = value
    text = json.dumps(tree, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 2, 4])))
    return Made(_encoded(draw, text), values)


FILES = {"env": env_files(), "ini": ini_files(), "toml": toml_files(), "airflow": airflow_files()}


def fuzz_one(kind: str, data: bytes) -> None:
    """
    Take any bytes as a file of a kind, as `%secret import` does up to writing: there is a result, or an error of ours.

    Raises:
        AssertionError: If an error quotes the file.
        Exception: Any other, if there is a mistake in the importers.
    """
    try:
        source = Source("f", data)
        document = read_document(source, kind)
        items = make_plan(document.fields, Choice(everything=len(data) % 2 == 1), lambda name: None, connections_are_named=True)
        found = definitions(kind, document.fields, items)
        wording.rows(items, found, found, source)
        wording.remarks(document, items, "")
        if any(item.state in IMPORTED for item in items):
            left_in(Source("f", cleaned(source, kind, document, items)).text, items)
            require_deletable(source, document, items)
    except FlowfileNbError as error:
        text = data.decode("utf-8", "replace")
        quoted = [word for word in str(error).split() if len(word) > 5 and word not in STATIC and word in text]
        if "was not deleted" not in error.message:
            # That one names keys, which are no values.
            assert not quoted, quoted


def fuzz_env(data: bytes) -> None:
    """As `fuzz_one`, for `.env`."""
    fuzz_one("env", data)


def fuzz_ini(data: bytes) -> None:
    """As `fuzz_one`, for ini files."""
    fuzz_one("ini", data)


def fuzz_toml(data: bytes) -> None:
    """As `fuzz_one`, for TOML."""
    fuzz_one("toml", data)


def fuzz_airflow(data: bytes) -> None:
    """As `fuzz_one`, for JSON."""
    fuzz_one("airflow", data)


FUZZERS: dict[str, Callable[[bytes], None]] = {
    "env": fuzz_env,
    "ini": fuzz_ini,
    "toml": fuzz_toml,
    "airflow": fuzz_airflow,
}
SEEDS = {
    "env": [
        b"export A_TOKEN='x\\'y' # c\nB=\"p ${X}\" \nU=postgres://a:b@c/d?password=e\n",
        b"'k'=-----BEGIN X\nMII=\n-----END X\n",
    ],
    "ini": [b"[DEFAULT]\na=1\n[x]\npassword : p%%w\n  more\n# c\nquery={'a': 'b'}\ndrivername=postgresql\nport=1\n"],
    "toml": [
        b'[connections."a b"]\npassword="""\na"""\nx={url=\'pg://u:p@h\', n=[1,"t",{k=2020-01-01}]}\n[[t]]\ndialect="mysql"\n'
    ],
    "airflow": [
        b'{"a":"postgres://u:p%40@h:1/d?__extra__=%7B%22token%22%3A1%7D","b":{"conn_type":"mysql","extra":"{\\"k\\":[]}"}}'
    ],
}
_BITS = [
    b"'",
    b'"',
    b'"""',
    b"'''",
    b"\\",
    b"=",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\n",
    b"\r\n",
    b"\r",
    b"#",
    b";",
    b" ",
    b"\t",
    b"%",
    b"${secret:x}",
]
_BITS += [
    b"://",
    b"@",
    b"?password=",
    b"&",
    b":",
    b"\x00",
    b"\xff",
    "\u2028ü".encode(),
    b"\xef\xbb\xbf",
    b"-----BEGIN PRIVATE KEY-----",
]
_BITS += [
    b"FLOWFILE_SECRET_",
    b"AIRFLOW_CONN_",
    b'"conn_type"',
    b"password",
    b"%secret ",
    b".",
    b",",
    b"1e999",
    b"\\u0000",
    b"\\ud800",
]


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Return *data* with some passages cut, copied, repeated very often, or replaced by what parsers stumble over."""
    text = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        start = chance.randint(0, len(text))
        stop = min(len(text), start + chance.choice([0, 1, 1, 2, 5, 20]))
        bit = chance.choice([*_BITS, bytes(text[start:stop]), bytes([chance.randrange(256)])])
        text[start:stop] = bit * chance.choice([1, 1, 1, 1, 2, 3, 50, 2_000, 50_000 // (len(bit) or 1)])
    return bytes(text[:300_000])


def main(seconds: float, seed: int) -> None:
    """Fuzz each importer for some seconds, and print how many inputs that were and how long the slowest took."""
    print(f"seed {seed}")
    for kind, fuzz in FUZZERS.items():
        chance, corpus = random.Random(seed), list(SEEDS[kind])
        end, count, slowest, worst = time.monotonic() + seconds, 0, 0.0, b""
        while time.monotonic() < end:
            data = mutated(chance, chance.choice(corpus))
            begun = time.perf_counter()
            try:
                fuzz(data)
            except BaseException:
                print(kind, len(data), data[:2000])
                raise
            took, count = time.perf_counter() - begun, count + 1
            if took > slowest:
                slowest, worst = took, data
            if len(data) < 3_000 and len(corpus) < 500 and chance.random() < 0.02:
                corpus.append(data)
        print(f"{kind}: {count} inputs, slowest {slowest * 1000:.0f} ms ({len(worst)} bytes, {worst[:60]!r})", flush=True)


def _env_single(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _env_double(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _encoded(draw: st.DrawFn, text: str) -> bytes:
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.replace("\n", draw(ENDS)).encode()


assert set(FILES) == set(FUZZERS) == set(READERS)

if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 10,
        int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big"),
    )
