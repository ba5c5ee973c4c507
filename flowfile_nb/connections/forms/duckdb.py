"""
`--as duckdb`: a DuckDB connection to the database, which is attached and in use; or one that may read a place for files.

Credentials of databases and of S3 go into DuckDB's own secret manager, in memory: `duckdb_secrets()` shows them redacted. They
are handed over as parameters of the statement, so that no error can print them with a line of SQL. Other places for files are
read through our filesystem, which asks for what is stored at each request.

DuckDB goes on with what it was given. So the database is detached, or the key of S3 dropped, before the next cell once the
secret is gone; and attached anew with a replaced one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from flowfile_nb.connections import dialects
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.database_failures import explain_opening
from flowfile_nb.connections.database_url import url_of
from flowfile_nb.connections.drivers import missing
from flowfile_nb.connections.failures import explain
from flowfile_nb.connections.families import family_of
from flowfile_nb.connections.forms.duckdb_attach import attachment_of, look_at_file, of_s3, opened, renewed, take_out
from flowfile_nb.connections.forms.duckdb_errors import explain_errors
from flowfile_nb.connections.forms.duckdb_lost import teller_of
from flowfile_nb.connections.held import Held, Login
from flowfile_nb.connections.object_storage import ObjectStorage
from flowfile_nb.connections.s3 import S3
from flowfile_nb.connections.spec import Spec, scheme_of, secrets_in
from flowfile_nb.connections.timeouts import limit_s
from flowfile_nb.core.references import fill
from flowfile_nb.errors import ConnectionFailedError, FlowfileNbError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from flowfile_nb.connections.family import Kind

_Made = TypeVar("_Made")
# Those that DuckDB reads through Python: its own extensions take no credentials that change.
_OTHER_STORAGE = {"abfs", "abfss", "az", "gcs", "gs", "sftp", "ssh"}


class DuckDB:
    """A `duckdb.DuckDBPyConnection`."""

    note = ""

    def __init__(self) -> None:
        self._place = ""
        self._is_s3 = False
        self._look: Callable[[Any], None] = lambda connection: None
        self._storage: tuple[Kind, Any] | None = None
        """What reads files for it, and the filesystem."""
        self._held: Held | None = None

    def make(self, spec: Spec, reveal: Access) -> DuckDBPyConnection:
        """
        Return an open connection, in which the database's tables have their bare names.

        Raises:
            ConnectionSpecError: If DuckDB does not attach databases of this type, or an option of it.
            MissingDriverError: If DuckDB, or its extension, is not installed and cannot be had.
            ConnectionFailedError: If the database cannot be opened.
        """
        try:
            import duckdb
        except ModuleNotFoundError:
            raise missing("duckdb", "duckdb") from None

        kind = scheme_of(spec).lower()
        if kind in _OTHER_STORAGE:
            return self._through_filesystem(duckdb.connect(), spec, reveal)
        login = Login(spec, reveal)
        reveal = login.access
        s3 = S3().described(spec) if kind == "s3" else None
        self._is_s3 = s3 is not None
        self._place = S3().place(s3).text if s3 is not None else dialects.place_of(url_of(spec))

        def in_our_words(work: Callable[[], _Made]) -> _Made:
            return _in_our_words(work, lambda error: _explained(error, spec, self._place, reveal))

        attachment = attachment_of(duckdb, spec, reveal) if s3 is None else of_s3(duckdb, s3, reveal)
        if attachment is None:
            path = url_of(spec).database or ":memory:"
            connection = in_our_words(lambda: duckdb.connect(fill(path, reveal)))
            self._held = Held(connection, login, self._place, lambda native: native.close())
            return connection
        connection = in_our_words(lambda: opened(duckdb, attachment))
        if attachment.limit_s is None and s3 is None:
            self._look = lambda native: in_our_words(lambda: look_at_file(native, self._place, limit_s(reveal)))

        def end(native: Any) -> None:
            take_out(duckdb, native, attachment)

        def renew(native: Any) -> None:
            in_our_words(lambda: renewed(native, attachment, end))

        self._held = Held(connection, login, self._place, end, renew)
        self._held.explained_by = teller_of(connection, spec, reveal)
        return connection  # type: ignore[no-any-return]

    def _through_filesystem(self, connection: Any, spec: Spec, reveal: Access) -> DuckDBPyConnection:
        family = family_of(spec)
        filesystem = family.make(spec, reveal)
        self._place, self._storage = family.target(filesystem), (family, filesystem)
        connection.register_filesystem(filesystem)
        assert isinstance(family, ObjectStorage)
        explain_errors(connection, filesystem, family)
        return connection  # type: ignore[no-any-return]

    def check(self, connection: DuckDBPyConnection) -> None:
        """Try the filesystem, or look at the file; a server was asked. Of S3 nothing is known until a bucket is named."""
        self._look(connection)
        if self._storage is not None:
            family, filesystem = self._storage
            family.check(filesystem)
            self.note = str(getattr(family, "note", ""))

    def untried(self, connection: DuckDBPyConnection) -> tuple[str, str] | None:
        """Return that nothing of S3 was asked."""
        return ("Bound", "DuckDB asks the server when it reads") if self._is_s3 else None

    def target(self, connection: DuckDBPyConnection) -> str:
        """Return where the attached database is."""
        return self._place

    def close(self, connection: DuckDBPyConnection) -> None:
        """Close it, and with it DuckDB's copy of the credentials, or the filesystem."""
        connection.close()
        if self._held is not None:
            self._held.release()
        if self._storage is not None:
            family, filesystem = self._storage
            family.close(filesystem)


def _in_our_words(work: Callable[[], _Made], explained: Callable[[BaseException], ConnectionFailedError]) -> _Made:
    import duckdb

    try:
        return work()
    except FlowfileNbError:
        raise
    except (duckdb.Error, OSError) as error:
        raise explained(error) from None
    except KeyboardInterrupt:
        # Raised anew, so that its traceback has no frame in which a value is a local variable.
        raise KeyboardInterrupt from None


def _explained(error: BaseException, spec: Spec, place: str, access: Access) -> ConnectionFailedError:
    if scheme_of(spec).lower() == "s3":
        return explain(error, place, secrets_in(spec), access)
    return explain_opening(error, url_of(spec), secrets_in(spec), access)
