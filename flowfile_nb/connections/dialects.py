"""
What single databases need beyond SQLAlchemy: their own names for parts, values encoded for their place.

A value reaches a driver's `connect` as it is, whatever the dialect in between would do to it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote_plus, unquote

from flowfile_nb.connections.literals import misplaced
from flowfile_nb.connections.options import require_one_name
from flowfile_nb.core.references import StandIns, fill, names_in, reference
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Dialect

Reveal = Callable[[str], str]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]

# Their drivers go nowhere before the first statement.
LAZY = {"bigquery", "trino"}
# They are in this process, with no server between.
FILES = {"duckdb", "sqlite"}
# Other names for a URL's parts, as people know them from the database's own pages.
_NAMES = {
    "bigquery": {"project": "host", "dataset": "database"},
    "databricks": {"token": "password"},
    "snowflake": {"account": "host"},
    "trino": {"catalog": "database", "token": "access_token"},
}
_ENGINE_OPTIONS = {
    "echo",
    "isolation_level",
    "max_overflow",
    "pool_pre_ping",
    "pool_recycle",
    "pool_size",
    "pool_timeout",
    "pool_use_lifo",
}


def renamed(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description's parts by the names that SQLAlchemy's URL has for them."""
    base = parts["type"].partition("+")[0]
    names = _NAMES.get(base, {})
    require_one_name(parts, names)
    found = {names.get(key, key): item for key, item in parts.items()}
    if base == "databricks" and "token" in parts:
        found.setdefault("username", "token")
    if base in {"snowflake", "trino"} and isinstance(found.get("schema"), str):
        found["database"] = f"{found.get('database', '')}/{found.pop('schema')}"
    return found


def engine_options(parts: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what `[engine]` in a description says, for SQLAlchemy's `create_engine`: the pool's options, and a few more.

    Raises:
        ConnectionSpecError: If it says something else.
    """
    options = parts.get("engine", {})
    if not isinstance(options, Mapping) or not options.keys() <= _ENGINE_OPTIONS:
        raise ConnectionSpecError(
            "the table [engine] has a key that is not taken here", hint=f"its keys are {', '.join(sorted(_ENGINE_OPTIONS))}"
        )
    if any(names_in(str(item)) for item in options.values()):
        raise misplaced("an option of [engine]")
    return dict(options)


def require_path(url: URL) -> None:
    """
    Let a URL pass unless it has a host where a database is a file: that is the beginning of a path, behind two slashes.

    DuckDB would open a database in memory, without a word.

    Raises:
        ConnectionSpecError: With the URL that was meant, unless it could hold what is none of a path.
    """
    kind = url.get_backend_name()
    if kind not in FILES or (url.host is None and url.username is None and url.port is None):
        return
    path = "/".join(filter(None, [url.host, url.database]))
    plain = url.username is None and url.port is None and re.fullmatch(r"[\w./ -]{1,200}", path)
    raise ConnectionSpecError(
        f"behind two slashes stands a host, and a database of type {kind!r} is a file: its path begins behind three",
        hint=f"{kind}:///{path if plain else 'data/file.db'}   (from the root of the disk four:  {kind}:////home/me/file.db)",
    )


def with_driver(url: URL) -> URL:
    """
    Return *url* with the driver that its other parts ask for.

    Raises:
        MissingDriverError: If ODBC has none for SQL Server.
    """
    asks_for_odbc = url.query.keys() & {"driver", "dsn", "odbc_connect"}
    if url.drivername == "mssql+pymssql" and asks_for_odbc:
        # What people paste from elsewhere: there, `mssql://` means ODBC.
        url = url.set(drivername="mssql+pyodbc")
    if url.drivername == "mssql+pyodbc" and url.host and url.database and not asks_for_odbc:
        installed = url.get_dialect().import_dbapi().drivers()
        from flowfile_nb.connections import odbc

        url = url.update_query_dict({"driver": odbc.driver_of(installed)})
    return url


def engine_url(url: URL) -> URL:
    """Return the URL to make an engine with: without what the dialect would use before any connection is opened."""
    if url.get_backend_name() == "bigquery":
        # Else its client would be made now, with credentials that are still references.
        kept = {key: item for key, item in url.query.items() if not key.startswith("credentials_")}
        return url.set(query={**kept, "user_supplied_client": "true"})
    if url.get_backend_name() == "snowflake":
        return _without_late_options(url)
    return _without_authority(url)[0]


def server_of(url: URL) -> tuple[str, int] | None:
    """Return host and port, where a URL says both in clear."""
    return (url.host, url.port) if url.host and url.port and not names_in(url.host) else None


def arguments(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    """
    Return what the driver's `connect` is called with, in which values stand as they are.

    Args:
        dialect: The engine's.
        url: The description's, with references.
        reveal: Returns the value of a secret.
    """
    build = _BUILDERS.get(dialect.name) or _BUILDERS.get(dialect.driver, _default)
    return build(dialect, url, reveal)


def place_of(url: URL) -> str:
    """Return where a URL leads, as `target` does."""
    bare = url._replace(drivername=url.get_backend_name(), password=None, query=type(url.query)())
    return unquote(bare.render_as_string())


def mapped(url: URL, change: Callable[[str], str], database: Callable[[str], str] | None = None) -> URL:
    """Return *url* with each part that may hold a reference passed through *change*, its database through *database*."""
    change_database = database or change

    def each(part: Any) -> Any:
        return tuple(map(change, part)) if isinstance(part, tuple) else change(part)

    return url._replace(
        username=None if url.username is None else change(url.username),
        password=None if url.password is None else change(str(url.password)),
        host=None if url.host is None else change(url.host),
        database=None if url.database is None else change_database(url.database),
        query=type(url.query)({key: each(item) for key, item in url.query.items()}),
    )


def _default(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    # The dialect builds its arguments from the filled URL, so each value is encoded for its place by the one who knows it.
    positional, named = dialect.create_connect_args(mapped(url, lambda text: fill(text, reveal)))
    return tuple(positional), dict(named)


def _pyodbc(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    from flowfile_nb.connections import odbc

    given = url.query.get("odbc_connect")
    if isinstance(given, str):
        marked = StandIns(given)
        positional, named = dialect.create_connect_args(url.set(query={**url.query, "odbc_connect": marked.text}))
        return (odbc.filled(positional[0], marked.restore, reveal),), dict(named)
    words = _Words(url)
    positional, named = dialect.create_connect_args(mapped(url, words.mark_whole))
    return (odbc.filled(positional[0], words.restore, reveal),), dict(named)


def _trino(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    url, authority = _without_authority(url)
    # It splits the database at `/` and undoes a URL's encoding in what it gets, and in no other part of the URL.
    encoded = mapped(url, lambda text: fill(text, reveal), lambda text: fill(text, lambda name: quote_plus(reveal(name))))
    positional, named = dialect.create_connect_args(encoded)
    if "auth" in named and not named.get("allow_insecure_auth"):
        # It would send no login in clear, and take every port but 443 for one without TLS.
        named = {"http_scheme": "https", **named}
    return tuple(positional), {**named, **authority}


def _without_authority(url: URL) -> tuple[URL, dict[str, str]]:
    """Return a URL of Trino without an authority's file, which its dialect would read as JSON; and that as an argument."""
    verify = url.query.get("verify")
    if url.get_backend_name() != "trino" or not isinstance(verify, str) or verify in {"true", "false"}:
        return url, {}
    return url.difference_update_query(["verify"]), {"verify": verify}


def _snowflake(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    words = _Words(url)
    # How it splits the database, and which options it takes in the URL, differs between its versions.
    positional, named = dialect.create_connect_args(mapped(_without_late_options(url), words.mark))
    named = {key: fill(words.restore(item), reveal) if isinstance(item, str) else item for key, item in named.items()}
    named |= {key: fill(item, reveal) for key, item in _late_options(url).items()}
    key = named.get("private_key")
    if isinstance(key, str) and "-----BEGIN" in key:
        named["private_key"] = _der(key, named.pop("private_key_passphrase", None))
    return tuple(positional), named


def _late_options(url: URL) -> dict[str, str]:
    """Return what the dialect does not get: values of secrets, and files that it takes as an argument of the driver only."""
    late = {"private_key_file", "token_file_path"}
    return {key: item for key, item in url.query.items() if isinstance(item, str) and (key in late or names_in(item))}


def _without_late_options(url: URL) -> URL:
    return url.difference_update_query(list(_late_options(url)))


class _Words:
    """Words of letters and digits in place of a URL's references, which any dialect passes on as they are."""

    def __init__(self, url: URL) -> None:
        self._begin = "fnbsecret"
        while self._begin in url.render_as_string(hide_password=False):
            self._begin += "q"
        self._texts: list[str] = []

    def mark(self, text: str) -> str:
        """Return *text* with a word for each reference."""
        return fill(text, lambda name: self._word(reference(name)))

    def mark_whole(self, text: str) -> str:
        """Return one word for all of *text*, if it holds a reference."""
        return self._word(text) if names_in(text) else text

    def restore(self, text: str) -> str:
        """Return *text* with what the words stand for."""
        return re.sub(rf"{self._begin}(\d+)x", lambda match: self._texts[int(match[1])], text)

    def _word(self, text: str) -> str:
        self._texts.append(text)
        return f"{self._begin}{len(self._texts) - 1}x"


def _der(pem: str, passphrase: str | None) -> bytes:
    """Return a private key as Snowflake's driver takes it in all of its versions."""
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(pem.encode(), None if passphrase is None else passphrase.encode())
    except (ValueError, TypeError):
        raise ConnectionFailedError(
            "the private_key is no key in PEM form, or its passphrase is not the right one",
            hint="store the file:  %secret set NAME --file rsa_key.p8   and give  private_key_passphrase = %secret OTHER",
        ) from None
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _bigquery(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    filled = mapped(url, lambda text: fill(text, reveal))
    query = {key: item for key, item in filled.query.items() if key != "user_supplied_client"}
    if (account := query.pop("credentials_json", None)) is not None:
        query["credentials_base64"] = base64.b64encode(cast("str", account).encode()).decode()
    # A dialect of its own, thrown away after: it keeps credentials among its attributes.
    positional, named = type(dialect)().create_connect_args(filled.set(query=query))
    return tuple(positional), dict(named)


_BUILDERS: dict[str, Callable[[Dialect, URL, Reveal], Arguments]] = {
    "bigquery": _bigquery,
    "pyodbc": _pyodbc,
    "trino": _trino,
    "snowflake": _snowflake,
}
