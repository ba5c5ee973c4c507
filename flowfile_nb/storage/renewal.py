"""Tokens of one master key and, in their place in a database, tokens of the same values under another."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import DamagedSecretError
from flowfile_nb.storage.database import transaction

_PREFIX = "$ffsec$1$"
_TOKEN = re.compile(r"\$ffsec\$1\$[0-9]+\$[A-Za-z0-9_-]+=*")
# The columns that may hold tokens of an older format, which nothing else tells; and the column with the owner's id.
_BARE = {("secrets", "encrypted_value"): "user_id", ("nb_previous", "token"): "user_id"}
# Stands for an owner where a text carries that itself, in each of its tokens.
_CARRIED = -1
_TABLES = """
    SELECT name FROM sqlite_master
    WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND sql NOT LIKE 'CREATE VIRTUAL%'
"""
_FUNCTION = "flowfile_nb_renewed"


class Place(NamedTuple):
    """A column that holds tokens, as pieces of SQL."""

    name: str
    """`table.column`, to show."""
    table: str
    column: str
    owner: str
    """The owner's id, or _CARRIED."""
    label: str
    """What names a row."""
    where: str
    """Which rows."""


class Renewal:
    """
    Works out each token once, and puts it in the place of the old one.

    Args:
        old: The keys that tokens may be under.
        new: The keys that they shall be under.
    """

    def __init__(self, old: list[Keychain], new: Keychain) -> None:
        self.old = old
        self.new = new
        self._known: dict[tuple[str, int], str] = {}
        self._results: set[str] = set()
        self._failed: set[tuple[str, int]] = set()
        self._stopped: BaseException | None = None

    def survey(self, connection: sqlite3.Connection, place: Place, tell: Callable[[], None]) -> list[str]:
        """
        Work out the tokens of a column. Nothing is changed.

        Args:
            connection: Of the database.
            place: The column.
            tell: Is called after each row.

        Returns:
            What names the rows with a token that no key opens.
        """
        unopened = []
        for text, owner, label in _rows(connection, place):
            self._renewed(text, owner)
            if (text, owner) in self._failed:
                unopened.append(str(label))
            tell()
        return unopened

    def apply(self, connection: sqlite3.Connection) -> None:
        """Put all tokens of a database under the new key, in one transaction; what no key opens stays as it is."""
        places = [place for place in places_of(connection) if self._is_old(connection, place)]
        if not places:
            return
        self._stopped = None
        connection.create_function(_FUNCTION, 2, self._in_sql)
        try:
            with transaction(connection):
                for place in places:
                    change = f"{place.column} = {_FUNCTION}({place.column}, {place.owner})"
                    connection.execute(f"UPDATE {place.table} SET {change} WHERE {place.where}")  # noqa: S608 - quoted
        except sqlite3.OperationalError:
            if self._stopped is not None:
                # SQLite says only that a function failed.
                raise self._stopped from None
            raise
        finally:
            connection.create_function(_FUNCTION, 2, None)

    def has_begun(self, connection: sqlite3.Connection) -> bool:
        """Return whether a database already holds a token that was made here."""
        return any(text in self._results for place in places_of(connection) for text, *_ in _rows(connection, place))

    def _is_old(self, connection: sqlite3.Connection, place: Place) -> bool:
        # All of them, so that the transaction has nothing left to work out.
        changed = [self._renewed(text, owner) != text for text, owner, _ in _rows(connection, place)]
        return any(changed)

    def _in_sql(self, text: str, owner: int) -> str:
        try:
            return self._renewed(text, owner)
        except BaseException as error:
            self._stopped = error
            raise

    def _renewed(self, text: str, owner: int) -> str:
        """Return *text*, which is a token or holds some, with each under the new key."""
        if text in self._results:
            return text
        if (text, owner) not in self._known:
            made = text
            for token in _TOKEN.findall(text) if owner == _CARRIED else [text]:
                try:
                    made = made.replace(token, self._token(token, owner))
                except DamagedSecretError:
                    self._failed.add((text, owner))
            self._known[text, owner] = made
            if made != text:
                self._results.add(made)
        return self._known[text, owner]

    def _token(self, token: str, owner: int) -> str:
        for keychain in self.old:
            with suppress(DamagedSecretError):
                return keychain.renewed(token, owner, self.new)
        # Under the new key already, or under none that is known.
        self.new.decrypt_secret(token, owner)
        return token


def places_of(connection: sqlite3.Connection) -> list[Place]:
    """Return the columns of a database that hold tokens, of whatever table: Flowfile has more than `secrets`."""
    found = []
    for (table,) in connection.execute(_TABLES).fetchall():
        columns = [column for _, column, *_ in connection.execute(f"PRAGMA table_info({_quoted(table)})")]
        tests = ", ".join(f"max({_holds(column)})" for column in columns)
        held = connection.execute(f"SELECT {tests} FROM {_quoted(table)}").fetchone()  # noqa: S608 - quoted
        for column, holds in zip(columns, held, strict=True):
            owner = _BARE.get((table, column))
            if owner or holds:
                text = f"typeof({_quoted(column)}) = 'text' AND {_quoted(column)} <> ''"
                found.append(
                    Place(
                        name=f"{table}.{column}",
                        table=_quoted(table),
                        column=_quoted(column),
                        owner=f"ifnull({_quoted(owner)}, 0)" if owner else str(_CARRIED),
                        label=next((_quoted(named) for named in ("name", "connection_name") if named in columns), "'a row'"),
                        where=text if owner else _holds(column),
                    )
                )
    return found


def count(connection: sqlite3.Connection, place: Place) -> int:
    """Return how many rows of a column hold tokens."""
    rows: int = connection.execute(f"SELECT count(*) FROM {place.table} WHERE {place.where}").fetchone()[0]  # noqa: S608 - quoted
    return rows


def _rows(connection: sqlite3.Connection, place: Place) -> Iterator[tuple[str, int, str]]:
    what = f"{place.column}, {place.owner}, {place.label}"
    return connection.execute(f"SELECT {what} FROM {place.table} WHERE {place.where}")  # noqa: S608 - quoted


def _holds(column: str) -> str:
    return f"(typeof({_quoted(column)}) = 'text' AND instr({_quoted(column)}, '{_PREFIX}') > 0)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
