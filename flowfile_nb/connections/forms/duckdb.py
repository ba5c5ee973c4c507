"""
`--as duckdb`: a DuckDB connection to the database, which is attached and in use; or one that may read a place for files.

Credentials of databases and of S3 go into DuckDB's own secret manager, in memory: `duckdb_secrets()` shows them redacted. They
are handed over as parameters of the statement, so that no error can print them with a line of SQL. Other places for files are
read through our filesystem, which asks for what is stored at each request.

DuckDB goes on with what it was given. So the database is detached, or the key of S3 dropped, before the next cell once the
secret is gone; and attached anew with a replaced one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from flowfile_nb.connections import database, dialects
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.database_failures import explain_opening
from flowfile_nb.connections.deadline import within
from flowfile_nb.connections.drivers import missing
from flowfile_nb.connections.failures import explain
from flowfile_nb.connections.families import family_of
from flowfile_nb.connections.forms.duckdb_errors import explain_errors
from flowfile_nb.connections.held import Held, Login
from flowfile_nb.connections.object_storage import ObjectStorage
from flowfile_nb.connections.s3 import S3, key_of
from flowfile_nb.connections.spec import Spec, scheme_of, secrets_in
from flowfile_nb.connections.storage_parts import Credentials, Parts
from flowfile_nb.connections.timeouts import libpq_limit, limit_s
from flowfile_nb.core.references import fill, names_in
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, FlowfileNbError, MissingDriverError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from sqlalchemy.engine import URL

    from flowfile_nb.connections.family import Kind

_Made = TypeVar("_Made")
_EXTENSIONS = {"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgres", "sqlite": "sqlite"}
_S3 = {
    "access_key_id": "key_id",
    "secret_access_key": "secret",
    "session_token": "session_token",
}
# Those that DuckDB reads through Python: its own extensions take no credentials that change.
_OTHER_STORAGE = {"abfs", "abfss", "az", "gcs", "gs", "sftp", "ssh"}
_TAKEN = {"main", "memory", "system", "temp"}


class _Attachment(NamedTuple):
    """What a connection reads by a login that DuckDB keeps, and how it gets that: the same on each of its cursors."""

    put_in: Callable[[Any], None]
    alias: str = ""
    """The database as SQL names it; empty for S3, of which there is only a login."""
    limit_s: float | None = None
    """How long putting it in may take, where it goes to a server."""


class DuckDB:
    """A `duckdb.DuckDBPyConnection`."""

    note = ""

    def __init__(self) -> None:
        self._place = ""
        self._is_s3 = False
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
            family = family_of(spec)
            filesystem = family.make(spec, reveal)
            self._place, self._storage = family.target(filesystem), (family, filesystem)
            connection = duckdb.connect()
            connection.register_filesystem(filesystem)
            assert isinstance(family, ObjectStorage)
            explain_errors(connection, filesystem, family)
            return connection
        login = Login(spec, reveal)
        reveal = login.access
        s3 = S3().described(spec) if kind == "s3" else None
        self._is_s3 = s3 is not None
        self._place = S3().place(s3).text if s3 is not None else dialects.place_of(database.url_of(spec))

        def in_our_words(work: Callable[[], _Made]) -> _Made:
            try:
                return work()
            except FlowfileNbError:
                raise
            except (duckdb.Error, TimeoutError) as error:
                raise _explained(error, spec, self._place, reveal) from None
            except KeyboardInterrupt:
                # Raised anew, so that its traceback has no frame in which a value is a local variable.
                raise KeyboardInterrupt from None

        attachment = _attachment_of(duckdb, spec, reveal) if s3 is None else _of_s3(duckdb, s3, reveal)
        if attachment is None:
            path = database.url_of(spec).database or ":memory:"
            connection = in_our_words(lambda: duckdb.connect(fill(path, reveal)))
            self._held = Held(connection, login, self._place, lambda native: native.close())
            return connection
        connection = in_our_words(lambda: _opened(duckdb, attachment))

        def take_out(native: Any) -> None:
            _take_out(duckdb, native, attachment)

        def renew(native: Any) -> None:
            in_our_words(lambda: _renewed(native, attachment, take_out))

        self._held = Held(connection, login, self._place, take_out, renew)
        return connection  # type: ignore[no-any-return]

    def check(self, connection: DuckDBPyConnection) -> None:
        """Try the filesystem, if there is one. Attaching opens a database; of S3 nothing is known until a bucket is named."""
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


def _explained(error: BaseException, spec: Spec, place: str, access: Access) -> ConnectionFailedError:
    if scheme_of(spec).lower() == "s3":
        return explain(error, place, secrets_in(spec), access)
    return explain_opening(error, database.url_of(spec), secrets_in(spec), access)


def _attachment_of(duckdb: Any, spec: Spec, reveal: Access) -> _Attachment | None:
    """Return how a database is attached; None of one that DuckDB opens by itself."""
    url = database.url_of(spec)
    backend = url.get_backend_name()
    if backend == "duckdb":
        return None
    if backend not in _EXTENSIONS:
        raise ConnectionSpecError(
            f"DuckDB does not attach databases of type {backend!r}",
            hint=f"it attaches {', '.join(sorted({*_EXTENSIONS, 'duckdb', 's3'}))}",
        )
    kind = _EXTENSIONS[backend]
    name = backend if kind == "sqlite" else unquote(url.database or kind)
    alias = '"' + (kind if name in _TAKEN or names_in(name) else name).replace('"', '""') + '"'

    def put_in(connection: Any) -> None:
        _load(duckdb, connection, kind)
        if kind == "sqlite":
            path = fill(url.database or ":memory:", reveal)
            connection.execute(f"ATTACH {_literal(path)} AS {alias} (TYPE sqlite)")
            connection.execute(f"USE {alias}")
        else:
            _attach(connection, kind, alias, url, reveal)

    to_server = kind != "sqlite"
    return _Attachment(put_in, alias, max(limit_s(reveal), float(libpq_limit(reveal))) if to_server else None)


def _opened(duckdb: Any, attachment: _Attachment) -> Any:
    connection = duckdb.connect()

    def put_in() -> Any:
        try:
            attachment.put_in(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    # It is closed by who uses it, or the closing would wait, too.
    return _in_time(attachment, put_in, lambda late: late.close())


def _renewed(native: Any, attachment: _Attachment, take_out: Callable[[Any], None]) -> None:
    """Put the login that is stored now into a connection from which it was taken out; raises as opening does."""
    beside = native.cursor()

    def put_in() -> None:
        try:
            beside.execute("USE memory")
            attachment.put_in(beside)
        finally:
            beside.close()

    _in_time(attachment, put_in, lambda _: take_out(native))


def _in_time(attachment: _Attachment, work: Callable[[], _Made], too_late: Callable[[_Made], Any]) -> _Made:
    # To a server it waits in C, where no interrupt is heard.
    return work() if attachment.limit_s is None else within(attachment.limit_s, work, too_late)


def _take_out(duckdb: Any, connection: Any, attachment: _Attachment) -> None:
    """Take the login out of a connection; what was read into memory stays, and what is just being read ends by itself."""
    try:
        # Beside: a result that is not fetched yet would be lost, and what is in use is not detached.
        with connection.cursor() as beside:
            beside.execute("USE memory")
            if attachment.alias:
                beside.execute(f"DETACH DATABASE IF EXISTS {attachment.alias}")
            beside.execute("DROP SECRET IF EXISTS flowfile_nb")
    except duckdb.Error:
        # It was closed by now; or it does not let go, and then that is the only way.
        connection.close()


def _attach(connection: Any, kind: str, alias: str, url: URL, reveal: Access) -> None:
    filled = dialects.mapped(url, lambda text: fill(text, reveal), lambda text: fill(unquote(text), reveal))
    named = {
        "host": filled.host,
        "port": filled.port,
        "database": filled.database,
        "user": filled.username,
        "password": filled.password,
    }
    _create_secret(connection, kind, {key: item for key, item in named.items() if item is not None})
    options = dict(url.query)
    if kind == "postgres" and (reveal.timeout_s is not None or "connect_timeout" not in options):
        options["connect_timeout"] = libpq_limit(reveal)
    if any(names_in(str(item)) for item in options.values()):
        # DuckDB keeps this text where everybody can read it: duckdb_databases().
        raise ConnectionSpecError(
            "a reference stands in an option of the URL, which DuckDB would show", hint="leave --as duckdb out, or the option"
        )
    text = " ".join(f"{key}='{_escaped(str(item))}'" for key, item in options.items())
    connection.execute(f"ATTACH {_literal(text)} AS {alias} (TYPE {kind}, SECRET flowfile_nb)")
    connection.execute(f"USE {alias}")


def _of_s3(duckdb: Any, parts: Parts, reveal: Access) -> _Attachment:
    if unknown := {"profile", "role_arn", "verify", "options"} & parts.keys():
        raise ConnectionSpecError(
            f"{' and '.join(sorted(unknown))} are not taken by --as duckdb",
            hint="leave --as duckdb out, then  duckdb.register_filesystem(lake)",
        )

    def put_in(connection: Any) -> None:
        _load(duckdb, connection, "httpfs")
        _create_secret(connection, "s3", _named_for_s3(parts, reveal))

    return _Attachment(put_in)


def _named_for_s3(parts: Parts, reveal: Access) -> dict[str, str]:
    named = {_S3[key]: item for key, item in key_of(parts, Credentials(parts, reveal)).items()}
    if "region" in parts:
        named["region"] = parts["region"]
    if "bucket" in parts:
        # A key is used for the place that it was described for, and for no other.
        named["scope"] = "/".join(filter(None, ["s3:/", parts["bucket"], parts.get("prefix")]))
    if (endpoint := parts.get("endpoint_url")) is not None:
        place = urlsplit(endpoint)
        style = "vhost" if parts.get("addressing_style") == "virtual" else "path"
        # Services that are not Amazon's seldom have a host for each bucket.
        named |= {"endpoint": place.netloc, "use_ssl": str(place.scheme != "http").lower(), "url_style": style}
    return named


def _create_secret(connection: Any, kind: str, named: Mapping[str, Any]) -> None:
    items = ", ".join(f"{key} ${key}" for key in named)
    connection.execute(f"CREATE SECRET flowfile_nb (TYPE {kind}, {items})" if items else "SELECT 1", named or None)


def _load(duckdb: Any, connection: Any, extension: str) -> None:
    try:
        connection.execute(f"LOAD {extension}")
    except duckdb.Error:
        try:
            connection.execute(f"INSTALL {extension}")
            connection.execute(f"LOAD {extension}")
        except duckdb.Error:
            raise MissingDriverError(
                f"DuckDB's extension {extension!r} is not installed, and could not be downloaded",
                hint=f"where there is a network:  duckdb.sql('INSTALL {extension}')",
            ) from None


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
