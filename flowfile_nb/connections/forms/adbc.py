"""`--as adbc`: an ADBC connection, from which Polars and pandas read Arrow without going through Python's rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from flowfile_nb.connections import dialects
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.database_failures import explain_opening
from flowfile_nb.connections.database_url import url_of
from flowfile_nb.connections.deadline import within
from flowfile_nb.connections.drivers import missing
from flowfile_nb.connections.forms.uri import text_of
from flowfile_nb.connections.held import Held, Login
from flowfile_nb.connections.later import BOUND, EXPLAIN
from flowfile_nb.connections.lost import Explain, explaining
from flowfile_nb.connections.portable import keep_here
from flowfile_nb.connections.spec import Spec, TableSpec, secrets_in
from flowfile_nb.connections.timeouts import libpq_limit
from flowfile_nb.core.references import fill
from flowfile_nb.errors import ConnectionSpecError, FlowfileNbError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_DRIVERS = {
    "duckdb": "adbc_driver_duckdb.dbapi",
    "postgresql": "adbc_driver_postgresql.dbapi",
    "sqlite": "adbc_driver_sqlite.dbapi",
}


class Adbc:
    """An `adbc_driver_manager.dbapi.Connection`."""

    note = ""

    def __init__(self) -> None:
        self._place = ""
        self._look: Callable[[Any], None] = lambda connection: None
        self._held: Held | None = None

    def make(self, spec: Spec, reveal: Access) -> Any:
        """
        Return an open connection.

        Raises:
            ConnectionSpecError: If there is no ADBC driver for this type, or `connect_args` are given.
            MissingDriverError: If it is not installed.
            ConnectionFailedError: If the database cannot be opened.
        """
        url = url_of(spec)
        backend = url.get_backend_name()
        self._place = dialects.place_of(url)
        if isinstance(spec, TableSpec) and spec.parts.get("connect_args"):
            raise ConnectionSpecError("connect_args are for another driver than ADBC's", hint="leave --as adbc out, or them")
        connect, login = _connect(backend), Login(spec, reveal)
        reveal = login.access
        if backend == "sqlite":
            self._look = lambda connection: _look_at_file(connection, url, secrets_in(spec), reveal)
        try:
            if backend == "postgresql":
                # It waits in C, where no interrupt is heard.
                limit_s = float(libpq_limit(reveal))
                made = within(limit_s, lambda: connect(_place_with_values(spec, url, reveal)), lambda late: late.close())
            else:
                made = connect(_place_with_values(spec, url, reveal))
        except FlowfileNbError:
            raise
        except Exception as error:  # noqa: BLE001 - the driver's text can hold the whole URL
            raise explain_opening(error, url, secrets_in(spec), reveal) from None
        except KeyboardInterrupt:
            # Raised anew, so that its traceback has no frame in which a value is a local variable.
            raise KeyboardInterrupt from None
        keep_here(made, "an ADBC connection")
        self._held = Held(made, login, self._place, lambda native: native.close())
        _watch(made, self._held, explaining(url, secrets_in(spec), reveal))
        return made

    def check(self, connection: Any) -> None:
        """
        Read a little where the driver has not: SQLite's opens a file without a look at what that is.

        Raises:
            ConnectionFailedError: If that fails. The connection is closed.
        """
        try:
            self._look(connection)
        except BaseException:
            self.close(connection)
            raise

    def target(self, connection: Any) -> str:
        """Return where it leads."""
        return self._place

    def close(self, connection: Any) -> None:
        """Close it."""
        connection.close()
        if self._held is not None:
            self._held.release()


def _look_at_file(connection: Any, url: URL, names: list[str], access: Access) -> None:
    from adbc_driver_manager.dbapi import Error

    from flowfile_nb.connections.sqlite_file import require_readable

    try:
        require_readable(connection, dialects.place_of(url), access.timeout_s)
    except Error as error:
        raise explain_opening(error, url, names, access) from None


def _watch(connection: Any, held: Held, explain: Explain) -> None:
    """
    Have each new cursor look whether the secrets are what they were: what a connection is asked goes through one.

    An error that goes through the connection, or a cursor of it, is explained.
    """
    plain = type(connection)

    def cursor(self: Any, **options: Any) -> Any:
        held.require()
        made = plain.cursor(self, **options)
        made.__class__ = _explained(type(made), explain, {BOUND: ref(self)})
        return made

    connection.__class__ = _explained(plain, explain, {"cursor": cursor})


def _explained(plain: type, explain: Explain, own: dict[str, Any]) -> type:
    """Return a class whose objects explain errors; it has the name of the plain one."""
    named = {"__module__": plain.__module__, "__doc__": plain.__doc__, EXPLAIN: lambda _, error: explain(error)}
    return type(plain.__name__, (plain,), {**named, **own})


def _place_with_values(spec: Spec, url: URL, reveal: Access) -> str:
    if url.get_backend_name() != "postgresql":
        return fill(url.database or ":memory:", reveal)
    text = text_of(spec, reveal)
    if "connect_timeout" in url.query and reveal.timeout_s is None:
        return text
    # Of two, libpq takes the last.
    return f"{text}{'&' if '?' in text else '?'}connect_timeout={libpq_limit(reveal)}"


def _connect(backend: str) -> Callable[[str], Any]:
    from importlib import import_module

    if backend not in _DRIVERS:
        raise ConnectionSpecError(
            f"there is no ADBC driver here for databases of type {backend!r}",
            hint=f"there is for {', '.join(sorted(_DRIVERS))}",
        )
    try:
        connect: Callable[[str], Any] = import_module(_DRIVERS[backend]).connect
    except ModuleNotFoundError as error:
        raise missing(error.name or _DRIVERS[backend], backend) from None
    return connect
