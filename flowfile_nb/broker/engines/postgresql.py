"""
PostgreSQL, by ADBC: rows become Arrow in C, in a stream.

A read-only statement runs as `BEGIN READ ONLY; SELECT set_config(…); STATEMENT; ROLLBACK`, the statement by the extended
protocol, which takes one and no more. After the first query of a transaction nothing can make it writable (postgresql.org,
"SET TRANSACTION"), and no role or password changes in one that is read-only. After each statement
the session is as a new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flowfile_nb.broker.engines import LostError, OpeningError, Result, StaleError, StatementError, StoppedError
from flowfile_nb.broker.engines.lines import LIBPQ_KEEPALIVE
from flowfile_nb.broker.engines.literals import filled
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Access, Target
from flowfile_nb.broker.options import libpq_options

GUARANTEE = "one statement in a read-only transaction, rolled back after it; every change is refused, of the password too"

_BATCH_BYTES = 2 * 1024 * 1024
# What PostgreSQL's COPY takes in its brackets. Any other statement's rows come by the slower way, whole.
# Each comment in one way only: of a thousand that could be taken apart in two the tries would never end.
_COPIED = re.compile(
    r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/|\()*(?:select|with|values|table|insert|update|delete|merge)\b", re.I
)
_CODE = re.compile(r"\. SQLSTATE: (\w{5})\s*\Z")
_QUERY = re.compile(r"\n*Query was: .*\Z", re.S)
_SERVER = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(?P<text>.*)\Z", re.S)
_LOST = re.compile(
    r"server closed the connection|terminating connection|connection (?:to server|not open|is closed)|no connection"
)
_MEMORY = re.compile(r"out of memory|cannot allocate memory|ReadRecord failed at row \d+:\s*\Z", re.I)
_UNREACHABLE = re.compile(r"timeout|timed out|refused|could not translate|no route", re.I)
_READ_ONLY = "25006"

# Of every role that the login is, or may become by `SET ROLE`: one SELECT does that with `set_config('role', …)`.
_PROBLEMS = """
SELECT bool_or(r.rolsuper) AS superuser, bool_or(r.rolcreaterole) AS createrole, bool_or(r.rolreplication) AS replication,
  array_agg(r.rolname::text) FILTER (WHERE r.rolname IN
    ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')) AS granted,
  bool_or(has_table_privilege(r.oid, 'pg_catalog.pg_authid', 'SELECT')) AS reads_passwords,
  bool_or(has_column_privilege(r.oid, 'pg_catalog.pg_subscription', 'subconninfo', 'SELECT')
    OR has_table_privilege(r.oid, 'pg_catalog.pg_user_mapping', 'SELECT')) AS reads_others,
  (SELECT count(*) FROM pg_user_mappings m WHERE m.umoptions IS NOT NULL) AS mappings
FROM pg_roles r WHERE pg_has_role(current_user, r.oid, 'MEMBER')
"""


class PostgreSQL:
    """One connection."""

    def __init__(self, target: Target, value: str, limits: Limits) -> None:
        self._target, self._value, self._limits = target, value, limits
        self._connection: Any = None
        self._running: Any = None
        self._settings: dict[str, str] = {}

    def open(self) -> None:
        """Connect. The DSN is of quoted words: in a URL an unescaped character of the value would land in a message."""
        from adbc_driver_postgresql import dbapi

        try:
            self._connection = dbapi.connect(_dsn(self._target, self._value, self._limits), autocommit=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text stays here
            raise OpeningError(_reason(str(error)), str(error)) from None
        # Since 14: a query whose client is gone ends. Older ones have the statement's own limit.
        self._settings = {"statement_timeout": str(round(self._limits.query_s * 1000))}
        with suppress(Exception):
            self._plain("SET client_connection_check_interval = '1s'")
            self._settings["client_connection_check_interval"] = "1s"

    @contextmanager
    def execute(self, statement: str, parameters: Any, access: Access) -> Iterator[Result]:
        """Run one statement."""
        text = filled(statement, parameters, _literal).rstrip(" \t\r\n;")
        if not text:
            raise StatementError("the statement is empty")
        cursor = None
        try:
            self._begin(access)
            try:
                # The line break ends a comment before the bracket of COPY closes.
                cursor = self._execute(text + "\n", copied=_COPIED.match(text) is not None)
            except Exception as error:
                if "could not begin COPY" not in str(error) or "SQLSTATE: 42601" not in str(error):
                    raise
                # The bracket was what it did not take: nothing has run.
                self._plain("ROLLBACK")
                self._begin(access)
                cursor = self._execute(text + "\n", copied=False)
            reader = cursor.fetch_record_batch()
            yield Result(reader.schema, _read(reader), cursor.rowcount)
        except (StatementError, LostError, OpeningError, StoppedError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - ADBC's, Arrow's and Python's, several classes
            raise _translated(error) from None
        finally:
            self._running = None
            self._reset(cursor)

    def cancel(self) -> None:
        """Send the server a request to cancel, on a connection of its own."""
        running = self._running
        if running is not None:
            running.adbc_cancel()

    def problems(self) -> list[str]:
        """Return what the role may do that no share can hold in."""
        with self.execute(_PROBLEMS, None, "read") as result:
            [row] = [row for batch in result.batches for row in batch.to_pylist()]
        found = []
        if row["superuser"]:
            # Which is told alone: all the rest follows from it.
            return ["the role is a superuser, or may become one: it reads the server's files, and every password in it"]
        for name, can in (
            ("createrole", "create and change roles"),
            ("replication", "copy the whole server"),
            ("reads_passwords", "read the server's stored passwords (pg_authid), as pg_read_all_data may"),
            ("reads_others", "read passwords of other servers (pg_subscription, pg_user_mapping)"),
        ):
            if row[name]:
                found.append(f"the role may {can}")
        found += [f"the role is a member of {name}" for name in row["granted"] or []]
        if row["mappings"]:
            found.append(
                "warning: pg_user_mappings shows this role passwords of other databases; an administrator can stop that"
            )
        return found

    def server(self) -> str:
        """Return the server's name and version."""
        with self.execute("SELECT 'PostgreSQL ' || current_setting('server_version')", None, "read") as result:
            return str(next(result.batches).column(0)[0].as_py())

    def first_asked(self) -> dict[str, Any]:
        """Return what SQLAlchemy's dialect asks before anything else, so that no member's statements have to."""
        facts = (
            "SELECT current_setting('server_version') AS version, current_schema()::text AS schema,"
            " current_setting('standard_conforming_strings') AS standard_strings"
        )
        with self.execute(facts, None, "read") as result:
            return dict(next(result.batches).to_pylist()[0])

    def _reset(self, cursor: Any) -> None:
        """
        Leave nothing of a statement behind: what it holds and has set in its session would be there for the next one.

        That are advisory locks, which others wait for, temporary tables, settings, prepared statements and LISTEN. A connection
        of which that cannot be said is closed; the next statement gets another.
        """
        try:
            if cursor is not None:
                cursor.close()
            self._plain("ROLLBACK")
            # By itself: it does not run within a transaction.
            self._plain("DISCARD ALL")
        except Exception:  # noqa: BLE001 - whatever keeps it from that
            with suppress(Exception):
                self._connection.close()

    def _begin(self, access: Access) -> None:
        try:
            self._prepare(access)
        except Exception:  # noqa: BLE001 - nothing has run yet: a server that was started anew is no error of the user's
            with suppress(Exception):
                self._connection.close()
            raise StaleError from None

    def _prepare(self, access: Access) -> None:
        if access == "read":
            self._plain("BEGIN READ ONLY")
        local = "true" if access == "read" else "false"
        self._plain("SELECT " + ", ".join(f"set_config('{name}', '{text}', {local})" for name, text in self._settings.items()))

    def _plain(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def _execute(self, text: str, *, copied: bool) -> Any:
        cursor = self._running = self._connection.cursor()
        options = {"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
        if not copied:
            options["adbc.postgresql.use_copy"] = "false"
        cursor.adbc_statement.set_options(**options)
        cursor.execute(text)
        return cursor


def _read(reader: Any) -> Iterator[Any]:
    try:
        yield from reader
    except Exception as error:  # noqa: BLE001 - ADBC's and Arrow's, several classes
        raise _translated(error) from None


def _dsn(target: Target, value: str, limits: Limits) -> str:
    within_s = max(2, round(limits.connect_s))
    options = libpq_options(target.options)
    words: dict[str, Any] = {
        **LIBPQ_KEEPALIVE,
        "application_name": "flowfile_nb",
        **options,
        "connect_timeout": min(within_s, int(options.get("connect_timeout", within_s))),
        # A ticket that the broker's own user may have is for no caller's use; nor are the passwords in his files.
        "gssencmode": "disable",
        "passfile": "/nonexistent",
        "host": target.host,
        "port": target.port,
        "dbname": target.database,
        "user": target.username,
    }
    if target.tls:
        words["sslmode"] = target.tls
    if value:
        words["password"] = value
        # A server that asks for the password in clear gets none.
        words.setdefault("require_auth", "scram-sha-256")
    return " ".join(f"{key}={_quoted(str(item))}" for key, item in words.items())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _literal(item: Any) -> str:
    # Imported only where a statement has parameters.
    from psycopg import sql

    if isinstance(item, str) and "\0" in item:
        raise StatementError("PostgreSQL takes no text with a NUL character")
    return sql.Literal(item).as_string(None)


def _reason(text: str) -> str:
    lowered = text.lower()
    if "password authentication failed" in lowered or "28p01" in lowered:
        return "the database refused the login; its owner has to check the secret"
    if "authentication method requirement" in lowered:
        return (
            "the server does not ask for the password by SCRAM, so it was not sent; over verified TLS its owner may allow that"
        )
    if _UNREACHABLE.search(text):
        return "the database cannot be reached"
    if "ssl" in lowered or "certificate" in lowered:
        return "no encrypted connection that can be trusted came about"
    if "does not exist" in lowered:
        return "the server has no such database or login"
    return "the database could not be opened"


def _translated(error: Exception) -> Exception:
    text = str(error)
    code_found = _CODE.search(text)
    code = getattr(error, "sqlstate", None) or (code_found[1] if code_found else "")
    if code in {"57P01", "57P02", "57P03"} or code.startswith("08") or (not code and _LOST.search(text)):
        return LostError("the connection to the database was lost")
    if not code and _MEMORY.search(text):
        return MemoryError()
    message = _QUERY.sub("", _CODE.sub("", text))
    # ADBC puts the statement before it, which its sender knows.
    said = _SERVER.search(message)
    details = dict(getattr(error, "details", None) or [])
    hint = details.get("PG_DIAG_MESSAGE_HINT", b"")
    plain = hint.decode("utf-8", "replace") if isinstance(hint, bytes) else str(hint)
    words = (said["text"] if said else message).strip()
    if code == "42601" and "multiple commands" in words:
        plain = "one statement at a time"
    return StatementError(words, plain, code, read_only=code == _READ_ONLY, clean=bool(code))
