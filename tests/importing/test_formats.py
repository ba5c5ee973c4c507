"""Each format is read as the library reads it that owns it, and rewritten so that nothing else changes."""

from __future__ import annotations

import configparser
import io
import json
from pathlib import Path
from typing import Any

import pytest
import tomllib
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowfile_nb.importing.cleaning import cleaned
from flowfile_nb.importing.kinds import read_document
from flowfile_nb.importing.plan import Choice, Item, State, imported_by_field, make_plan, with_references
from flowfile_nb.importing.source import Edit, Source
from tests.importing.strategies import FILES, FUZZERS, NASTY, PEM, Made, fuzz_one

KINDS = list(FILES)


def as_owner(kind: str, data: bytes) -> dict[tuple[str, ...], str]:
    """Return the texts of a file as the library has them that owns the format."""
    text = data.decode("utf-8-sig").replace("\r\n", "\n")
    if kind == "env":
        import dotenv

        return {
            (key,): value for key, value in dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False).items() if value
        }
    if kind == "ini":
        parser = configparser.ConfigParser()
        parser.read_string(text)
        return {(section, key): value for section in parser.sections() for key, value in parser.items(section) if value}
    tree = tomllib.loads(text) if kind == "toml" else json.loads(text)
    return dict(texts(tree))


def texts(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """Return the texts in nested tables and lists."""
    if isinstance(tree, dict):
        return [found for key, item in tree.items() for found in texts(item, (*path, key))]
    if isinstance(tree, list):
        return [found for number, item in enumerate(tree) for found in texts(item, (*path, str(number)))]
    return [(path, tree)] if isinstance(tree, str) and tree else []


def read(kind: str, data: bytes) -> tuple[Source, Any, list[Item]]:
    """Return a file read, and the plan of importing all its credentials."""
    source = Source("f", data)
    document = read_document(source, kind)
    return source, document, make_plan(document.fields, Choice(), lambda name: None, connections_are_named=kind == "airflow")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_reading_and_rewriting(kind: str, data: st.DataObject) -> None:
    """The owner's library agrees before and after; and between the values every byte stays."""
    made: Made = data.draw(FILES[kind])
    before = as_owner(kind, made.data)
    assert {path: before[path] for path in made.values} == made.values

    source, document, items = read(kind, made.data)

    assert {field.path: field.value for field in document.fields if field.place} == before
    # A value of one kind stands for others: `true` is no credential, a URL is taken apart.
    new = [item for item in items if item.state is State.NEW]
    result = cleaned(source, kind, document, items)
    imported = imported_by_field(items)
    wanted = {field.path: with_references(field.value, imported.get(id(field), [])) for field in document.fields if field.place}
    assert as_owner(kind, result) == wanted
    assert all("${secret:" in wanted[item.field.path] for item in new)
    # Taken apart at the references, the file is the old one with gaps.
    rest = 0
    for passage in result.decode().split("${secret:"):
        kept = passage.partition("}")[2] if rest else passage
        rest = made.data.decode().index(kept, rest) + len(kept) if kept else rest
        rest = rest or 1


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("quote", ["'", '"', ""])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_env_values(value: str, quote: str, end: str, tmp_path: Path) -> None:
    """Every value that python-dotenv itself can write or be given, read from a real file by it and by us."""
    import dotenv

    path = tmp_path / ".env"
    escaped = value if not quote else value.replace("\\", "\\\\").replace(quote, "\\" + quote)
    path.write_bytes(f"# a{end}export X_PASSWORD={quote}{escaped.replace(chr(10), end)}{quote}{end}Y=1".encode())

    source, document, items = read("env", path.read_bytes())

    theirs = dotenv.dotenv_values(path, interpolate=False)
    ours = {field.path[0]: field.value for field in document.fields}
    if not document.unread:
        assert ours == {key: item for key, item in theirs.items() if item}
        path.write_bytes(cleaned(source, "env", document, items))
        again = dotenv.dotenv_values(path)
        assert again == {"X_PASSWORD": "${secret:X_PASSWORD}", "Y": "1"} if ours["X_PASSWORD"] else theirs


def test_a_key_without_quotes_is_not_shown() -> None:
    """The lines of a PEM key that python-dotenv takes for names are parts of the value: no field, no name, no line of it."""
    _, document, items = read("env", f"A=1\nKEY={PEM}B_TOKEN=x\n'MIIE/+w'=1\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC/=\n".encode())

    assert [item.name for item in items] == ["A", "B_TOKEN"]
    assert document.unread == [2, 3, 4, 6]
    assert "MII" not in repr(document)


def test_duplicates_in_env_files() -> None:
    """Of a key that stands twice the last counts, as for python-dotenv; the other value is not lost."""
    source, document, items = read("env", b"A_PASSWORD=one\nA_PASSWORD=two # c\nB_PASSWORD=\nC_PASSWORD\n")

    assert [(item.name, item.piece.secret) for item in items] == [("A_PASSWORD_2", "one"), ("A_PASSWORD", "two")]
    assert cleaned(source, "env", document, items) == (
        b"A_PASSWORD=${secret:A_PASSWORD_2}\nA_PASSWORD=${secret:A_PASSWORD} # c\nB_PASSWORD=\nC_PASSWORD\n"
    )


def test_a_key_of_several_lines_in_ini_files() -> None:
    """A continued value becomes one reference; what is below it stays."""
    source, document, items = read(
        "ini", b"[a]\r\nkey =\r\n  -----BEGIN PRIVATE KEY-----\r\n  MII=\r\n  -----END PRIVATE KEY-----\r\n\r\n; c\r\nb=1\r\n"
    )

    assert items[0].piece.secret == "\n-----BEGIN PRIVATE KEY-----\nMII=\n-----END PRIVATE KEY-----"
    assert cleaned(source, "ini", document, items) == b"[a]\r\nkey =${secret:a_key}\r\n\r\n; c\r\nb=1\r\n"


def test_jupysql_reads_what_we_read(tmp_path: Path) -> None:
    """The real JupySQL makes the same URL of a section as we make of it."""
    from sql.parse import ConnectionsFile
    from sqlalchemy.engine import make_url

    path = tmp_path / "connections.ini"
    value = "p@ss:w/or d?#%\"'\\ ü"
    path.write_text(
        f"[default]\ndrivername = postgresql\nusername = app\npassword = {value.replace('%', '%%')}\nhost = h\nport = 1\n",
        encoding="utf-8",
    )

    _, _, items = read("ini", path.read_bytes())

    (password,) = [item for item in items if item.state is State.NEW]
    assert (password.name, password.piece.secret) == ("default_password", value)
    assert make_url(ConnectionsFile(path).get_default_connection_url()).password == value


@given(text=st.text(st.sampled_from("a\r\nü🔑"), max_size=20), data=st.data())
def test_edits_at_any_place(text: str, data: st.DataObject) -> None:
    """Offsets are those of the text as readers see it; line ends, the byte order mark and all else stay in the bytes."""
    raw = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()
    source = Source("f", raw)
    start, stop = sorted((data.draw(st.integers(0, len(source.text))), data.draw(st.integers(0, len(source.text)))))

    edited = source.edited([Edit(start, stop, "NEW")])

    assert source.edited([]) == raw
    assert Source("f", edited).text == source.text[:start] + "NEW" + source.text[stop:]
    before, after = edited.split(b"NEW")
    assert raw.startswith(before)
    assert raw.endswith(after)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_files(kind: str) -> None:
    """Nothing, and white space, are files without settings; of JSON there has to be some."""
    for data in (b"", b"\n", b"\xef\xbb\xbf", b" \r\n"):
        if kind != "airflow":
            assert read_document(Source("f", data), kind).fields == []


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=200)
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes(kind: str, data: bytes) -> None:
    """A result, or an error of ours that quotes nothing."""
    FUZZERS[kind](data)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("env", b"A=x" + b" " * 200_000 + b"y"),
        ("env", b"\n".join([b"A=x" + b" " * 999 + b"y"] * 255)),
        ("env", b"A='\\" * 60_000),
        ("ini", b"[a]\nb" + b" " * 200_000 + b"c"),
        ("ini", b"[a]\n" + b"\n".join([b"b" + b" " * 990 + b"c"] * 200)),
        ("ini", b"[a]\n" + b"[" * 200_000),
        ("ini", b"[a]\nb=%(c)s%(c)s\nc=%(d)s%(d)s\nd=%(b)s\n"),
        ("ini", b"[a]\ndrivername=mysql\nquery=" + b"[" * 200_000),
        ("toml", b"a." * 100_000 + b"a=1"),
        ("toml", b"\n".join([b"a." * 199 + b"a%d=1" % number for number in range(500)])),
        ("toml", b"a=" + b"[" * 100_000),
        ("toml", b"a=" + b"9" * 10_000),
        ("toml", b'a="' + b"\\n" * 100_000 + b'"'),
        ("toml", b'a="""' * 40_000),
        ("env", b"".join(b"K%d_KEY=v%d\n" % (number, number) for number in range(4_000))),
        ("env", b"".join(b"A_KEY=v%d\n" % number for number in range(4_000))),
        (
            "ini",
            b"[DEFAULT]\n"
            + b"".join(b"k%d=v\n" % number for number in range(9_000))
            + b"".join(b"[%d]\nb=1\n" % number for number in range(9_000)),
        ),
        ("ini", b"".join(b"[s%d]\npassword=p%d\n" % (number, number) for number in range(3_000))),
        ("toml", b"a = [" + b'"",' * 40_000 + b"]"),
        ("toml", b"".join(b'k%d_key="v%d"\n' % (number, number) for number in range(4_000))),
        ("airflow", b"{" + b",".join(b'"c%d":"mysql://u:p%d@h/d"' % (number, number) for number in range(3_000)) + b"}"),
        ("airflow", b"[" * 100_000),
        ("airflow", b'{"a":' * 40_000),
        ("airflow", b"9" * 10_000),
        ("airflow", b'{"a": "' + b"x" * 200_000),
        ("airflow", b'{"a": "postgres://' + b":" * 100_000 + b"@" * 50_000 + b'"}'),
        ("airflow", b'{"a": "postgres://h/?' + b"password=x&" * 20_000 + b'"}'),
        ("airflow", b'{"password": "' + b"${secret:" * 20_000 + b'"}'),
    ],
)
def test_what_is_made_to_take_long(kind: str, data: bytes) -> None:
    """Where a library's time grows with the square of the input, the input is bounded: the suite's own limit is far off."""
    fuzz_one(kind, data)
