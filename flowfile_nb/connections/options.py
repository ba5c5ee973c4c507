"""Whether the options of a database's description are known, so that a typing mistake is said and not handed to the driver."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowfile_nb.core.expression import expression
from flowfile_nb.core.names import nearest
from flowfile_nb.errors import ConnectionSpecError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_PARTS = ("type", "host", "port", "database", "username", "user", "password", "query", "connect_args", "engine")
_TABLES = ("query", "connect_args", "engine")
# Close enough to be a typing mistake: where all options are known, and where it is not known what else the driver takes.
_LIKE, _CLOSE = 0.7, 0.8
# What SQLAlchemy's dialect takes beside what the driver does.
_OF_DIALECT = {
    "mysql": {"ssl_capath", "ssl_check_hostname", "ssl_cipher"},
    "sqlite": {"cached_statements", "check_same_thread", "detect_types", "factory", "isolation_level", "timeout", "uri"},
}
_OF_DIALECT["mariadb"] = _OF_DIALECT["mysql"]
# Of a file named by a URI; SQLite ignores others.
_OF_FILE = {"cache", "immutable", "mode", "modeof", "nolock", "psow", "vfs"}
# What other databases call it.
_ELSEWHERE = {("mysql", "sslmode"): "ssl_ca", ("mariadb", "sslmode"): "ssl_ca", ("postgresql", "ssl_ca"): "sslrootcert"}
_NAMES_ELSEWHERE = {
    **dict.fromkeys(("address", "hostname", "server"), "host"),
    **dict.fromkeys(("db", "db_name", "file", "filename", "path"), "database"),
    **dict.fromkeys(("login", "uid", "user_name"), "username"),
}
# How other tools describe a tunnel.
_TUNNEL = expression(
    r"(?:use_)?ssh(?:$|_?(?:tunnel|host|hostname|port|user|username|login|password|passphrase|p?key|private_key|proxy|config|address)\w*)"
    r"|(?:ssh_?)?(?:tunnel|bastion|jump_?(?:host|server))(?:_\w+)?",
    re.IGNORECASE,
)
# The drivers that tell what they take.
_LISTED = {"psycopg", "pymysql"}
# A URL may name several servers.
_SEVERAL = {"host", "port"}
# Under both names in a URL: before the `?` and behind it.
_TWICE = {
    "database": "database",
    "dbname": "database",
    "host": "host",
    "password": "password",
    "port": "port",
    "user": "username",
    "username": "username",
}


def require_known(url: URL, parts: Mapping[str, Any]) -> None:
    """
    Let a description pass only if its driver can know all of its options, and none stands twice.

    Args:
        url: The database, with the driver that is used.
        parts: What is described by parts; empty for a URL.

    Raises:
        ConnectionSpecError: With the nearest name. Nothing is quoted that is not plainly a name.
        ImportError: If the driver is not installed.
    """
    if not url.query and not parts:
        return
    _require_once(url)
    arguments = parts.get("connect_args", {})
    _refuse_tunnel([*parts, *url.query, *(arguments if isinstance(arguments, Mapping) else ())])
    if not isinstance(arguments, Mapping):
        raise ConnectionSpecError("connect_args is a table", hint="[connect_args]   and below it  connect_timeout = 5")
    _require_tables(parts)
    if not url.query and not arguments:
        return
    known, complete = _known(url)
    for key in [*url.query, *arguments]:
        if key in known or (key in _PARTS and key in url.query):
            continue
        other = _ELSEWHERE.get((url.get_backend_name(), key)) or _NAMES_ELSEWHERE.get(key.lower())
        near = other or nearest(key, [*known, *_PARTS], _LIKE if complete else _CLOSE)
        if near or complete:
            raise _unknown(url, key, near)
    if url.get_backend_name() == "sqlite" and "uri" not in url.query and (ignored := sorted(_OF_FILE & url.query.keys())):
        raise ConnectionSpecError(
            f"SQLite takes {ignored[0]!r} only of a file that is named by a URI",
            hint="sqlite:///file:/home/me/data.db?mode=ro&uri=true",
        )


def unknown_to_us(url: URL, keys: Iterable[str], usual: Iterable[str]) -> dict[str, str]:
    """
    Return the options that nobody here knows, each with the nearest that is known, or nothing.

    Of a driver that tells what it takes, all are known: `require_known` refuses the others.

    Args:
        url: The database, with the driver that is used.
        keys: What a description has.
        usual: What descriptions of its kind usually have.

    Raises:
        ImportError: If the driver is not installed.
    """
    known, complete = _known(url)
    names = {*known, *_PARTS, *usual}
    if complete:
        return {}
    return {key: nearest(key, sorted(names)) or "" for key in keys if key not in names}


def require_one_name(parts: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """
    Let parts pass only if none is given by two of its names: `user` and `username`, Snowflake's `account` and `host`.

    Args:
        parts: The parts.
        names: Other names of a part, with the one that SQLAlchemy has.

    Raises:
        ConnectionSpecError: Otherwise.
    """
    for other, name in {"user": "username", **names}.items():
        if other in parts and name in parts:
            raise ConnectionSpecError(f"{other!r} and {name!r} say the same twice", hint="leave one of the two out")


def _require_once(url: URL) -> None:
    for key, item in url.query.items():
        part = _TWICE.get(key)
        if (isinstance(item, tuple) and key not in _SEVERAL) or (part is not None and getattr(url, part) is not None):
            raise ConnectionSpecError(f"the URL says {_shown(key)} twice", hint="leave one of the two out")


def _refuse_tunnel(keys: Iterable[str]) -> None:
    if found := next((key for key in keys if _TUNNEL.fullmatch(key)), None):
        raise ConnectionSpecError(
            f"{_shown(found)} is for an SSH tunnel, and a connection opens none",
            hint="open it in a terminal:  ssh -N -L 5433:db.example.com:5432 me@bastion.example.com   and describe its end:"
            '  host = "localhost"   port = 5433',
        )


def _require_tables(parts: Mapping[str, Any]) -> None:
    for key, item in parts.items():
        if isinstance(item, Mapping) and key not in _TABLES:
            near = nearest(key, _TABLES)
            raise ConnectionSpecError(
                f"the description of a database has no table {_shown(key)}",
                hint=f"did you mean [{near}]?" if near else f"its tables are {', '.join(f'[{name}]' for name in _TABLES)}",
            )


def _unknown(url: URL, key: str, near: str | None) -> ConnectionSpecError:
    backend, driver = url.get_backend_name(), url.get_driver_name()
    return ConnectionSpecError(
        f"a database of type {backend!r} has no option {_shown(key)}",
        hint=f"did you mean {near!r}?" if near else f"its keys are {', '.join(_PARTS)}, and what {driver} takes",
    )


def _shown(key: str) -> str:
    """Return a key to be read; what is plainly no name might be a piece of a password."""
    return repr(key) if re.fullmatch(r"[A-Za-z][\w.-]{0,40}", key) else "of that name"


def _known(url: URL) -> tuple[frozenset[str], bool]:
    """Return the options that are known, and whether the driver takes no others."""
    backend, driver = url.get_backend_name(), url.get_driver_name()
    of_dialect = _OF_DIALECT.get(backend, set())
    if driver == "pysqlite":
        return frozenset(of_dialect | _OF_FILE), "uri" not in url.query
    if driver in _LISTED:
        module = import_module(driver)
        taken, complete = _named(module.connect)
        if driver == "psycopg":
            # The rest goes to libpq, which says what it takes.
            return taken | {option.keyword.decode() for option in module.pq.Conninfo.get_defaults()}, True
        return taken | of_dialect, complete
    return frozenset(of_dialect), False


@lru_cache(maxsize=8)
def _named(connect: Callable[..., Any]) -> tuple[frozenset[str], bool]:
    """Return the arguments of a function that are given by name, and whether it takes no others."""
    parameters = inspect.signature(connect).parameters.values()
    taken = frozenset(item.name for item in parameters if item.kind is item.KEYWORD_ONLY)
    return taken, len(taken) == len(parameters)
