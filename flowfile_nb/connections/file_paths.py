"""
Paths in a description: of a database that is a file, and of what TLS and logins are read from.

A relative one means another file in another folder. So what is opened has absolute ones, wherever it is sent; what is saved
has them, too; and those of a project's file are relative to that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from flowfile_nb.connections.spec import Spec, TableSpec, UrlSpec, read_spec
from flowfile_nb.core.references import StandIns
from flowfile_nb.errors import ConnectionSpecError

Description = str | Mapping[str, Any]
_Change = Callable[[str], str]

# What drivers and clients call them. `_IN_SSL` only in a table of that name, as PyMySQL has it.
_KEYS = {
    *("sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir", "passfile"),  # libpq
    *("ssl_ca", "ssl_cert", "ssl_key", "ssl_capath"),  # MySQL
    *("ca_cert", "client_cert", "client_cert_key"),  # ClickHouse
    *("wallet_location", "config_dir"),  # Oracle
    *("private_key_file", "token_file_path", "credentials_path"),  # Snowflake, BigQuery
    *("verify", "cert", "cert_key"),  # APIs, S3 and Azure
    *("key_file", "known_hosts"),  # SFTP
    *("ssl_ca_location", "ssl_cert_location"),  # Kafka
    *("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location"),
}
_IN_SSL = {"ca", "capath", "cert", "key"}
# Words that are taken where a path can stand.
_WORDS = {"", ":memory:", "certifi", "false", "none", "probe", "system", "true"}
_FILES = {"duckdb", "sqlite"}
# Another way to name a place, such as MotherDuck's `md:`; one letter is a drive. Compiled where it is needed.
_ELSEWHERE = r"[A-Za-z][\w+.-]+:|-----BEGIN|\$\{secret:|%secret\b"


def located(spec: Spec, folder: Path | None = None) -> Spec:
    """Return *spec* with absolute paths: relative ones begin in *folder*, or the current one; `~` is the user's home."""
    return _changed(spec, lambda path: _absolute(os.path.expanduser(path), folder))


def anchored(description: Description, folder: Path) -> Description:
    """
    Return a description that means the same in every folder; all else in its text stays as it is.

    Args:
        description: As `read_spec` takes it.
        folder: Where relative paths begin.

    Raises:
        ConnectionSpecError, ReferenceSyntaxError, LiteralPasswordError: As `read_spec`.

    >>> anchored("sqlite:///data.db?timeout=5", Path("/home/me"))
    'sqlite:////home/me/data.db?timeout=5'
    """
    return _rewritten(description, lambda path: path if path.startswith("~") else _absolute(path, folder))


def relative_to(description: Description, folder: Path) -> Description:
    """Return a description in which the paths of what lies below *folder* begin there; the rest is as in `anchored`."""

    def shortened(path: str) -> str:
        inside = os.path.isabs(path) and Path(path).is_relative_to(folder)
        return Path(path).relative_to(folder).as_posix() if inside else path

    return _rewritten(description, shortened)


def _absolute(path: str, folder: Path | None) -> str:
    return path if os.path.isabs(path) else os.path.normpath((folder or Path.cwd()) / path)


def _rewritten(description: Description, change: _Change) -> Description:
    spec = read_spec(description)
    wanted = _changed(spec, change)
    if wanted is spec:
        return description
    if isinstance(wanted, UrlSpec):
        return wanted.marked.restore(wanted.marked.text)
    if not isinstance(description, str):
        return wanted.parts
    text = _edited(description, change)
    try:
        # The text was edited, not understood: it has to say what was meant.
        again = read_spec(text)
        understood = isinstance(again, TableSpec) and again.parts == wanted.parts
    except ConnectionSpecError:
        understood = False
    if understood:
        return text
    # Imported here: most descriptions have no such path, or it is changed in their own text.
    from flowfile_nb.connections.toml_text import toml_text

    return toml_text(wanted.parts).rstrip("\n")


def _changed(spec: Spec, change: _Change) -> Spec:
    """Return *spec* itself where nothing in it changes."""
    if isinstance(spec, TableSpec):
        query = spec.parts.get("query", {})
        in_memory = "memory" in (spec.parts.get("mode"), query.get("mode") if isinstance(query, Mapping) else None)
        is_file = str(spec.parts["type"]).partition("+")[0].lower() in _FILES and not in_memory
        parts = _changed_parts(spec.parts, change, {*_KEYS, "database"} if is_file else _KEYS)
        return spec if parts == spec.parts else TableSpec(parts)
    before = spec.marked.text
    scheme = before.partition(":")[0].lower()
    after = before
    in_memory = "mode=memory" in before
    written, slashes, rest = before.partition(":///")
    if scheme.partition("+")[0] in _FILES and not in_memory and slashes and ":" not in written:
        place, mark, query = rest.partition("?")
        path = _path(place, change, spec.marked.restore)
        # There is no way to write a `?` in it.
        after = before if "?" in path else f"{written}:///{path}{mark}{query}"
    if "?" in after and scheme not in {"http", "https"}:
        # The query of an API is what the API is asked.
        place, mark, query = after.partition("?")
        after = f"{place}{mark}{'&'.join(_pair(pair, change, spec.marked.restore) for pair in query.split('&'))}"
    return spec if after == before else UrlSpec(StandIns(spec.marked.restore(after)))


def _pair(pair: str, change: _Change, restore: _Change) -> str:
    key, is_, value = pair.partition("=")
    if not is_ or key not in _KEYS:
        return pair
    path = unquote(value)
    after = _path(path, change, restore)
    return pair if after == path else f"{key}={quote(after, safe='/:~')}"


def _changed_parts(parts: Mapping[str, Any], change: _Change, keys: set[str]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, item in parts.items():
        if isinstance(item, Mapping):
            changed[key] = _changed_parts(item, change, _KEYS | _IN_SSL if key == "ssl" else _KEYS)
        else:
            changed[key] = _path(item, change) if key in keys and isinstance(item, str) else item
    return changed


def _path(path: str, change: _Change, restore: _Change = str) -> str:
    # SQLite takes a file by a URI, too.
    scheme, place = ("file:", path[5:]) if path.startswith("file:") else ("", path)
    if not place.startswith("/") and (place.lower() in _WORDS or re.match(_ELSEWHERE, restore(place))):
        return path
    return scheme + change(place)


def _edited(text: str, change: _Change) -> str:
    """Return TOML text with the paths in it changed where they stand as plain strings."""
    keys = "|".join(re.escape(key) for key in (*_KEYS, *_IN_SSL, "database"))
    line = re.compile(
        rf"""^(?P<key>[ \t]*"?(?:{keys})"?[ \t]*=[ \t]*)(?P<quote>["'])(?P<path>[^"'\\\n]*)(?P=quote)""", re.MULTILINE
    )

    def changed(found: re.Match[str]) -> str:
        return f"{found['key']}{found['quote']}{_path(found['path'], change)}{found['quote']}"

    return line.sub(changed, text)
