"""
What is fuzzed: each parser, and what must hold for any text.

A target takes one text and raises AssertionError where something does not hold; an error of ours is a good answer. A room that
brings a parser adds a line to `TARGETS`, and its words to `words.py`.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.fernet import Fernet

from flowfile_nb.connections.spec import read_spec, secrets_in
from flowfile_nb.core.cell_source import REMOVED, hide_values, value_on_line, without_comment
from flowfile_nb.core.crypto import Keychain, token_owner, token_times
from flowfile_nb.core.names import environment_variable, quoted, require_name, require_value, suggest
from flowfile_nb.core.references import StandIns, fill, names_in, reference
from flowfile_nb.errors import (
    ConnectionSpecError,
    DamagedSecretError,
    FlowfileNbError,
    InvalidNameError,
    InvalidValueError,
    LiteralPasswordError,
    MasterKeyError,
    ReferenceSyntaxError,
    UsageError,
)
from flowfile_nb.notebook.arguments import split
from flowfile_nb.notebook.secret_arguments import VERBS, refuse_value, secret_parser
from flowfile_nb.storage.master_key import read_master_key
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.private_files import create_private
from tests.importing.strategies import fuzz_one
from tests.reliability.words import MASTER_KEY, VALUE, WORDS

_KEY = MASTER_KEY.encode()
_SEAL = b"cEwG8sJtE8tPbOSjSwfZ_hEd0pYJRkVZhfb4q0mVbYE="


class Target(NamedTuple):
    """One parser."""

    check: Callable[[str], Any]
    """Raises AssertionError, or anything that is no error of ours, if something does not hold for a text."""
    pieces: tuple[str, ...]
    """Words of its grammar, from which texts are put together."""


def connect_body(text: str) -> None:
    """A body is understood or refused; what is understood names its secrets, and no password in it is in clear."""
    try:
        spec = read_spec(text)
    except ConnectionSpecError as error:
        # The place of a literal is named, and a place can have any name; everything else has to be without the body's words.
        _require_no_value(error, unless=isinstance(error, LiteralPasswordError))
        return
    for name in secrets_in(spec):
        assert name.strip(), "a reference without a name passed"


def connection_url(text: str) -> None:
    """A description makes an engine that shows no value, or is refused."""
    from flowfile_nb.connections.database import make, target

    try:
        engine = make(read_spec(text), lambda name: "value")
    except FlowfileNbError as error:
        _require_no_value(error, unless=not isinstance(error, ConnectionSpecError) or isinstance(error, LiteralPasswordError))
        return
    target(engine)
    engine.dispose()


def references(text: str) -> None:
    """References are found or refused; stand-ins give back what was there; a filled text holds the values as they are."""
    try:
        names = names_in(text)
    except ReferenceSyntaxError as error:
        _require_no_value(error)
        return
    marked = StandIns(text)
    restored = marked.restore(marked.text)
    assert names_in(restored) == names, "restoring changes the references"
    assert fill(restored, lambda name: f"<{name}>") == fill(text, lambda name: f"<{name}>"), "restoring changes the text"
    if not names:
        assert fill(text, lambda name: VALUE) == text == marked.text == restored, "a text without references is changed"
    for start, stop in marked.spans():
        assert marked.restore(marked.text[start:stop]) != marked.text[start:stop], "a span that is no reference"


def names(text: str) -> None:
    """A name is legal or refused; a legal one is read back from each spelling of it."""
    suggest(text, ["prod_pw", text, "", "x"])
    suggest(text, [*map(str, range(6_000)), "", text[:3]])
    assert re.fullmatch("FLOWFILE_SECRET_[A-Z0-9_]*", environment_variable(text)), "not the name of a variable"
    try:
        require_value(text)
    except InvalidValueError as error:
        _require_no_value(error)
    try:
        name = require_name(text)
    except InvalidNameError as error:
        _require_no_value(error)
        return
    assert split(f"get {quoted(name)}") == ["get", name], "a quoted name is split differently"
    if not name.startswith("-"):
        assert secret_parser("get").parse_args(["get", name][1:]).name == name, "argparse changes the name"
    try:
        names_in(name)
    except ReferenceSyntaxError:
        # A name that holds the beginning of a reference cannot be referred to.
        return
    if not names_in(name):
        assert names_in(f"@{reference(name)}@") == [name], "a reference means another name"
        body = read_spec(f"postgresql://app:{reference(name)}@db.example.com/sales")
        assert secrets_in(body) == [name], "a body means another name"


def secret_line(text: str) -> None:
    """A line of `%secret` is parsed or refused, without its value; nothing leaves argparse but our errors."""
    line = text.replace("\n", " ")
    try:
        words = split(line)
        refuse_value(words)
        if words and words[0] in VERBS:
            secret_parser(words[0]).parse_args(words[1:])
    except UsageError as error:
        _require_no_value(error, unless=VALUE in (_name_on(line) or ""))
        name = _name_on(line)
        if name is not None and VALUE not in name:
            hidden = hide_values(f"%secret {line}")
            assert VALUE not in hidden, "a refused value stays in the history"


def cell_source(text: str) -> None:
    """Hiding takes only the arguments of refused lines away; all else of a cell stays, and hiding twice is hiding once."""
    hidden = hide_values(text)
    if not any(word in text for word in ("%", "secret", "connect")):
        assert hidden == text, "a cell without our magic, and without one like it, is changed"
    if REMOVED not in hidden or REMOVED in text:
        return
    kept, gone = hidden.split(REMOVED), text
    for part in kept:
        # Between two notes stands text of the cell, up to the name that is spelled anew before each note.
        for line in part.split("\n")[:-1] if part is not kept[-1] else [part]:
            place = gone.find(line)
            assert place >= 0, "source text is lost"
            gone = gone[place + len(line) :]
    assert hide_values(hidden).count("\n") == hidden.count("\n"), "hiding twice takes lines away"


def tokens(text: str) -> None:
    """A text that is no token of ours is damage; its owner and time are told or not told, never an error of Python's."""
    times = token_times([text, _token()])
    assert len(times) == 2, "times are not one for each token"
    assert times[1] is not None, "one bad token takes the time of another"
    with suppress(DamagedSecretError):
        owner = token_owner(text)
        assert owner is None or owner >= 0, "a negative owner"
    try:
        value = _keychain().decrypt_secret(text, 1)
    except DamagedSecretError as error:
        _require_no_value(error)
        return
    assert value == VALUE, "a text decrypts to what nobody encrypted"


def key_files(text: str) -> None:
    """Whatever stands in a key file: the key, or an error of the right class; no file is changed."""
    data = text.encode("utf-8", errors="surrogatepass")
    paths = _key_paths()
    good = Fernet(_SEAL).encrypt(json.dumps({"master_key": _KEY.decode()}).encode())
    for seal, store in ((data, good), (_SEAL, data), (_SEAL, Fernet(_SEAL).encrypt(data))):
        # Written over in place, so that they stay 0600.
        Path(paths.secret_key).write_bytes(seal)
        Path(paths.key_store).write_bytes(store)
        try:
            key = read_master_key(paths, {})
            if key is not None:
                Keychain(key)
        except MasterKeyError as error:
            _require_no_value(error)
        assert Path(paths.key_store).read_bytes() == store, "the key store was changed"
        assert Path(paths.secret_key).read_bytes() == seal, "the seal was changed"
    try:
        Keychain(read_master_key(paths, {"FLOWFILE_MASTER_KEY": text or "x"}) or b"")
    except MasterKeyError as error:
        _require_no_value(error)


def importer(kind: str, text: str) -> None:
    """A file of any content is understood or refused, without a value in the error, and cleaned or left as it is."""
    fuzz_one(kind, text.encode(errors="surrogatepass"))


TARGETS: dict[str, Target] = {
    "connect_body": Target(connect_body, WORDS["connect_body"]),
    "connection_url": Target(connection_url, WORDS["connection_url"]),
    "references": Target(references, WORDS["references"]),
    "names": Target(names, WORDS["names"]),
    "secret_line": Target(secret_line, WORDS["secret_line"]),
    "cell_source": Target(cell_source, WORDS["cell_source"]),
    "tokens": Target(tokens, WORDS["tokens"]),
    "key_files": Target(key_files, WORDS["key_files"]),
    "import_env": Target(partial(importer, "env"), WORDS["importers"]),
    "import_ini": Target(partial(importer, "ini"), WORDS["importers"]),
    "import_toml": Target(partial(importer, "toml"), WORDS["importers"]),
    "import_airflow": Target(partial(importer, "airflow"), WORDS["importers"]),
}


def _require_no_value(error: FlowfileNbError, *, unless: bool = False) -> None:
    shown = str(error)
    assert error.message, "an error says nothing"
    assert unless or VALUE not in shown, "an error repeats the value"


def _name_on(line: str) -> str | None:
    try:
        return value_on_line(split(line))
    except UsageError:
        return value_on_line(without_comment(line).split())


@cache
def _keychain() -> Keychain:
    return Keychain(_KEY)


@cache
def _token() -> str:
    return _keychain().encrypt_secret(VALUE, 1)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="flowfile_nb_fuzz_")


@cache
def _key_paths() -> Paths:
    paths = Paths(_folder().name, "", "")
    create_private(paths.secret_key, _SEAL)
    create_private(paths.key_store, b"")
    return paths
