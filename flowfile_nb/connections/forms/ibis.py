"""`--as ibis`: an Ibis backend. Ibis would keep a password among its attributes and pickle it, so it gets a connection."""

from __future__ import annotations

from typing import Any

from flowfile_nb.connections import database, dialects
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.database_url import url_of
from flowfile_nb.connections.drivers import missing
from flowfile_nb.connections.forms.duckdb import DuckDB
from flowfile_nb.connections.held import Held, Login
from flowfile_nb.connections.later import EXPLAIN
from flowfile_nb.connections.lost import Explain, explaining
from flowfile_nb.connections.portable import keep_here
from flowfile_nb.connections.spec import Spec, secrets_in
from flowfile_nb.errors import ConnectionSpecError


class Ibis:
    """An Ibis backend, such as `ibis.backends.postgres.Backend`."""

    note = ""

    def __init__(self) -> None:
        self._place = ""
        self._held: Held | None = None

    def make(self, spec: Spec, reveal: Access) -> Any:
        """
        Return an open backend.

        Raises:
            ConnectionSpecError: If this type is not one of PostgreSQL, SQLite and DuckDB.
            MissingDriverError: If Ibis, or the database's driver, is not installed.
            ConnectionFailedError: If the database cannot be opened.
        """
        try:
            import ibis
        except ModuleNotFoundError:
            raise missing("ibis", "ibis") from None

        url = url_of(spec)
        backend = url.get_backend_name()
        self._place = dialects.place_of(url)
        login = Login(spec, reveal)
        reveal = login.access
        made = None
        if backend == "duckdb":
            made = ibis.duckdb.from_connection(DuckDB().make(spec, reveal))
        elif backend in {"postgresql", "sqlite"}:
            connection = database.opened(spec, reveal)
            made = getattr(ibis, "postgres" if backend == "postgresql" else backend).from_connection(connection)
        if made is not None:
            # It would be pickled as a backend without a connection.
            keep_here(made, "an Ibis backend")
            self._held = Held(made, login, self._place, lambda native: vars(native)["con"].close())
            _watch(made, self._held, explaining(url, secrets_in(spec), reveal))
            return made
        raise ConnectionSpecError(
            f"databases of type {backend!r} are not opened for Ibis here",
            hint="duckdb, postgresql and sqlite are; for others  ibis.….from_connection(engine.raw_connection())",
        )

    def check(self, connection: Any) -> None:
        """See whether this Ibis and this DuckDB work together, where it is DuckDB's; the rest is open already."""
        if connection.name == "duckdb":
            self.note = _note_of(vars(connection)["con"])

    def target(self, connection: Any) -> str:
        """Return where it leads."""
        return self._place

    def close(self, connection: Any) -> None:
        """Close its connection."""
        vars(connection)["con"].close()
        if self._held is not None:
            self._held.release()


def _note_of(connection: Any) -> str:
    """Return what does not work of an Ibis and a DuckDB; nothing where all does."""
    import duckdb
    import ibis

    # Beside: what fails in the middle would be in the way of what comes next.
    with connection.cursor() as beside:
        try:
            ibis.duckdb.from_connection(beside).list_tables()
        except AttributeError:
            # Ibis 12 calls a method that DuckDB 2 has no more.
            return (
                f"Ibis {ibis.__version__} reads tables with DuckDB {duckdb.__version__}, and does not list them or take SQL;"
                "  for all of it:  pip install 'duckdb<2'"
            )
    return ""


def _watch(backend: Any, held: Held, explain: Explain) -> None:
    """Have a backend look, at each use of its connection, whether the secrets are what they were; and explain errors."""
    plain = type(backend)

    def connection(self: Any) -> Any:
        held.require()
        return vars(self)["con"]

    named = {"__module__": plain.__module__, "__doc__": plain.__doc__}
    own = {**named, "con": property(connection), EXPLAIN: lambda _, error: explain(error)}
    backend.__class__ = type(plain.__name__, (plain,), own)
