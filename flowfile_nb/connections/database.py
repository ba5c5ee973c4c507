"""
Databases, as a SQLAlchemy `Engine` with late binding.

The engine's URL holds references (`${secret:prod_pw}`) where values will be. At each new database connection SQLAlchemy's
`do_connect` event fills them in, and the filled URL lives no longer than that call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

from flowfile_nb.connections import dialects
from flowfile_nb.connections.access import Access, access_of
from flowfile_nb.connections.database_url import PARTS, url_of
from flowfile_nb.connections.drivers import missing, unknown_scheme, unloadable
from flowfile_nb.connections.families import Reveal, kinds
from flowfile_nb.connections.late_binding import LateBinding
from flowfile_nb.connections.pooled import ask_first, watch
from flowfile_nb.connections.portable import make_portable, make_variants_portable, only_in_this_process
from flowfile_nb.connections.spec import Spec, TableSpec, UrlSpec, scheme_of, secrets_in
from flowfile_nb.connections.timeouts import limit_s
from flowfile_nb.errors import ConnectionSpecError, FlowfileNbError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine, ExceptionContext

    from flowfile_nb.connections.keys import Key

# What an error of the first statement can be told with: an engine's own URL does not hold every reference.
_told: WeakKeyDictionary[Engine, tuple[list[str], Access]] = WeakKeyDictionary()


def make(spec: Spec, reveal: Reveal) -> Engine:
    """
    Return an engine that asks *reveal* for values at each new connection; nothing is opened yet.

    Args:
        spec: The description.
        reveal: Returns the value of what a reference names.

    Raises:
        ConnectionSpecError: If the description does not make a database URL, or holds a password in clear.
        MissingDriverError: If SQLAlchemy or the driver is not installed.
    """
    try:
        import sqlalchemy
    except ModuleNotFoundError:
        raise missing("sqlalchemy", scheme_of(spec)) from None

    url = url_of(spec)
    parts = spec.parts if isinstance(spec, TableSpec) else {}
    options = dialects.engine_options(parts)
    with _in_our_words(url):
        url = dialects.with_driver(url)
        if parts or url.query:
            # Imported here, as below: most databases are described by a URL without options.
            from flowfile_nb.connections.options import require_known

            require_known(url, parts)
        engine = sqlalchemy.create_engine(dialects.engine_url(url), hide_parameters=True, **options)
    access, names = access_of(reveal), secrets_in(spec)
    only_here = only_in_this_process(url)
    watch(engine, names, access, only_here=only_here)
    if url.get_backend_name() not in dialects.FILES and "pool_pre_ping" not in options:
        # A file or memory is not lost while it is idle: asking it would take as long as opening it.
        ask_first(engine)
    late = LateBinding(url, parts.get("connect_args", {}), access, names)
    sqlalchemy.event.listen(engine, "do_connect", late.do_connect)
    if not access.debug:
        sqlalchemy.event.listen(engine, "handle_error", _remember)
    make_portable(engine, spec, access, only_here=only_here)
    make_variants_portable(engine)
    _told[engine] = names, access
    return engine


def keys_of(kind: str) -> tuple[Key, ...]:
    """Return the keys of *kind*, as `database_keys.keys_of`: imported by who asks, and not by who opens."""
    from flowfile_nb.connections import database_keys

    return database_keys.keys_of(kind)


def described(spec: Spec) -> None:
    """
    Let a description pass whose options its driver can know; that is loaded only for options that few descriptions have.

    Raises:
        ConnectionSpecError, MissingDriverError: As `make`.
    """
    options = _options(spec)
    if options <= PARTS or options <= PARTS.union(key.name for key in keys_of(scheme_of(spec))):
        return
    from flowfile_nb.connections.options import require_known

    url = url_of(spec)
    with _in_our_words(url):
        require_known(dialects.with_driver(url), spec.parts if isinstance(spec, TableSpec) else {})


def unknown_keys(spec: Spec) -> dict[str, str]:
    """
    Return the options of a description that go to its driver as they are, each with the nearest that is known, or nothing.

    Raises:
        ConnectionSpecError, MissingDriverError: As `make`.
    """
    usual = PARTS.union(key.name for key in keys_of(scheme_of(spec)))
    if not (options := _options(spec) - usual):
        return {}
    from flowfile_nb.connections.options import unknown_to_us

    url = url_of(spec)
    with _in_our_words(url):
        return unknown_to_us(dialects.with_driver(url), sorted(options), usual)


def _options(spec: Spec) -> set[str]:
    """Return the names of all that a description says, in its query and its tables, too."""
    if isinstance(spec, UrlSpec):
        return {key for key, _ in parse_qsl(spec.marked.text.partition("?")[2])}
    tables = [spec.parts.get(name, {}) for name in ("connect_args", "query")]
    return set(spec.parts).union(*(table for table in tables if isinstance(table, Mapping)))


def opened(spec: Spec, reveal: Reveal) -> Any:
    """
    Return one connection of the database's driver, for a library that wants that. It belongs to the caller.

    Raises:
        FlowfileNbError: As `make` and `check`.
    """
    engine = make(spec, reveal)
    with explained(engine):
        pooled = engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        try:
            _look(engine, connection)
        except BaseException:
            pooled.close()
            raise
    return connection


def check(engine: Engine) -> None:
    """
    Open the engine once, so that what is wrong is said now.

    Raises:
        ConnectionFailedError: If that fails. The engine is disposed of.
    """
    with explained(engine):
        if engine.dialect.name in dialects.LAZY:
            from flowfile_nb.connections.deadline import within

            within(limit_s(_told[engine][1]), lambda: _ask(engine), lambda _: None)
        else:
            with closing(engine.raw_connection()) as connection:
                _look(engine, connection)


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Translate what is raised of a connection that was just opened; the engine is disposed of then."""
    try:
        yield
    except FlowfileNbError:
        engine.dispose()
        raise
    except Exception as error:  # noqa: BLE001 - drivers raise what they like; chained, theirs can print the whole DSN
        engine.dispose()
        from flowfile_nb.connections.database_failures import explain_opening

        # What opening itself raises is ours already: this is about what a new connection is asked first.
        names, access = _told[engine]
        raise explain_opening(error, engine.url, names, access) from None


def _look(engine: Engine, connection: Any) -> None:
    if engine.dialect.name == "sqlite":
        from flowfile_nb.connections.sqlite_file import require_readable

        require_readable(connection, target(engine), _told[engine][1].timeout_s)


def _ask(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")


def target(engine: Engine) -> str:
    """Return where an engine leads, to be read and not to be parsed: `postgresql://app@db.example.com:5432/sales`."""
    return dialects.place_of(engine.url)


def close(engine: Engine) -> None:
    """Close the engine's idle connections; those in use close when they are given back."""
    engine.dispose()


def _remember(context: ExceptionContext) -> None:
    # Imported here: what most engines are asked is all right.
    from flowfile_nb.connections.statements import remember

    remember(context)


@contextmanager
def _in_our_words(url: URL) -> Iterator[None]:
    """Translate what SQLAlchemy and a driver raise about a URL: they quote it."""
    import sqlalchemy

    try:
        yield
    except sqlalchemy.exc.NoSuchModuleError:
        raise unknown_scheme(url.drivername, kinds()) from None
    except ModuleNotFoundError as error:
        raise missing(error.name or url.drivername, url.drivername) from None
    except ImportError:
        raise unloadable(url.drivername) from None
    except (sqlalchemy.exc.ArgumentError, ValueError, TypeError):
        raise ConnectionSpecError(
            f"the driver of {url.get_backend_name()!r} does not take this description",
            hint="compare it with SQLAlchemy's page on that database",
        ) from None
