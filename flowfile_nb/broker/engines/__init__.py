"""
How a worker talks to each kind of database, storage and API. The only files that a driver of theirs is imported in.

What each guarantees for a share to read is said by its `GUARANTEE`: it is shown where something is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from flowfile_nb.broker import api_rules
from flowfile_nb.broker.api_definitions import is_api
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Access, Target


class Result(NamedTuple):
    """What a statement returns, while it is being read."""

    schema: Any
    """A `pyarrow.Schema`; without fields where the statement returns no rows."""
    batches: Iterator[Any]
    """`pyarrow.RecordBatch`es, as the database sends them."""
    affected: int = -1
    """Rows that were changed, where the database says so."""


class StatementError(Exception):
    """
    The database refused the statement.

    Args:
        message: What it said.
        hint: What it advises.
        code: Its code for that.
        read_only: Whether it was refused since the share is to read.
        clean: Whether the value is surely not in these words: they are a server's, which has never had it, or ours. A mask in
            what a caller had them repeat would tell him which of his guesses is right.
    """

    def __init__(self, message: str, hint: str = "", code: str = "", *, read_only: bool = False, clean: bool = False) -> None:
        super().__init__(message)
        self.hint, self.code, self.read_only, self.clean = hint, code, read_only, clean


class OpeningError(Exception):
    """
    No connection came about.

    Args:
        reason: A text of ours, which says nothing that the driver said.
        detail: The driver's, for the operator's log.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.detail = detail


class LostError(Exception):
    """The connection is gone. The statement may have been carried out, or not."""


class StaleError(LostError):
    """
    The connection was gone before the statement was sent, which has not run.

    No engine opens another by itself: whether its login may be used still is for `broker.worker` to judge, at each opening.
    """

    def __init__(self) -> None:
        super().__init__("the connection to the database was lost")


class StoppedError(Exception):
    """Whoever asked does not want the rest. Engines let it pass."""


class ExchangeError(Exception):
    """
    The API did not answer a request as one should. The session is of use after.

    Args:
        reason: A text of ours.
        code: What kind of failure it is, by its name in httpx; empty if it is none of these.
        detail: The library's own words, for the operator's log.
    """

    def __init__(self, reason: str, code: str = "", detail: str = "") -> None:
        super().__init__(reason)
        self.code, self.detail = code, detail


class Answer(NamedTuple):
    """What an API answers, without the credential, while it is being read."""

    status: int
    headers: list[tuple[str, str]]
    pieces: Iterator[bytes]


class Session(Protocol):
    """One connection to one target, used by one statement or request at a time."""

    def open(self) -> None:
        """
        Connect.

        Raises:
            OpeningError: If that fails.
        """

    def cancel(self) -> None:
        """Make the other side stop what runs; called from another thread."""

    def problems(self) -> list[str]:
        """Return why the login may not be shared, each a sentence; those that only warn begin with `warning:`."""

    def server(self) -> str:
        """Return what the server says it is."""


class Api(Session, Protocol):
    """One HTTP API."""

    def exchange(self, asked: Mapping[str, Any]) -> AbstractContextManager[Answer]:
        """
        Send one request, which `api_rules.permitted` returned, with the credential.

        Raises:
            ExchangeError: If there is no answer, here or while it is read.
        """


class Engine(Session, Protocol):
    """One connection to one database."""

    def execute(self, statement: str, parameters: Any, access: Access) -> AbstractContextManager[Result]:
        """
        Run one statement, alone in its transaction: read-only, and rolled back, where *access* is `read`.

        Raises:
            StatementError: If the database refuses it, here or while its rows are read.
            LostError: If the connection is gone.
            StaleError: If it was so before the statement was sent.
        """


_STORES = {
    "s3": ("flowfile_nb.broker.engines.s3", "S3"),
    "abfs": ("flowfile_nb.broker.engines.azure", "Azure"),
    "gs": ("flowfile_nb.broker.engines.google", "Google"),
}
REFUSED = {"sqlite", "duckdb", "access", "shillelagh"}
"""Kinds whose databases are files: there is no credential in them, and opening one opens the broker's own files."""


def engine_of(target: Target, value: str, limits: Limits) -> Engine:
    """
    Return what talks to the target's kind of database; nothing is opened yet.

    Raises:
        OpeningError: If that kind is never used through a broker.
    """
    kind = target.kind.partition("+")[0]
    if kind in REFUSED:
        raise OpeningError("databases that are files are not used through a broker: there is no credential in them", kind)
    if kind in {"postgresql", "postgres"}:
        from flowfile_nb.broker.engines.postgresql import PostgreSQL

        return PostgreSQL(target, value, limits)
    if kind in {"mysql", "mariadb"}:
        from flowfile_nb.broker.engines.mysql import MySQL

        return MySQL(target, value, limits)
    if kind in _STORES:
        from flowfile_nb.broker.storage.links import Links

        module, name = _STORES[kind]
        return Links(target, getattr(import_module(module), name)(target, value, limits))
    if kind == "clickhouse":
        from flowfile_nb.broker.engines.clickhouse import ClickHouse

        return ClickHouse(target, value, limits)
    from flowfile_nb.broker.engines.others import Others

    return Others(target, value, limits)


_ENGINES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "clickhouse": "clickhouse",
}


OTHERS = frozenset({"mssql", "oracle", "trino", "snowflake", "databricks", "clickhousedb"})
"""Kinds that `others` serves."""


def can_read(kind: str) -> bool:
    """Return whether a share to read can do anything at what is of this kind."""
    return kind not in OTHERS


def guarantee_of(kind: str, access: Access) -> str:
    """Return what is promised of a share: what its statements, requests or links can do; empty where that is not known."""
    if is_api(kind):
        return api_rules.GUARANTEES[access]
    if kind in _STORES:
        from flowfile_nb.broker.storage.definitions import GUARANTEES

        return GUARANTEES[access]
    if kind not in _ENGINES and kind not in OTHERS:
        return ""
    if access == "write":
        return "a statement may do all that the login may, change its password too; that nobody finds it out is not promised"
    return str(import_module(f"{__name__}.{_ENGINES.get(kind, 'others')}").GUARANTEE)


def api_of(target: Target, value: str, limits: Limits) -> Api:
    """Return what talks to the target's HTTP API; nothing is sent yet."""
    from flowfile_nb.broker.engines.http_api import HttpApi

    return HttpApi(target, value, limits)
