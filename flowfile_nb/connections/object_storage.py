"""
Places for files, as fsspec filesystems with late binding: what S3, Azure, Google and SFTP have in common.

What fsspec keeps of a filesystem's arguments, shows and writes never holds a value: the libraries are given an object that
reads it when a request is signed or a connection is opened. Paths are whole, as fsspec's: `lake.open("bucket/2026/sales.csv")`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, NamedTuple
from weakref import WeakSet

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.causes import cause_of
from flowfile_nb.connections.drivers import missing
from flowfile_nb.connections.failures import USE, explain, of_use, with_secrets
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.later import EXPLAIN, Teller
from flowfile_nb.connections.portable import make_portable
from flowfile_nb.connections.spec import Spec
from flowfile_nb.connections.storage_errors import first_of, is_known, is_of_path, is_of_this_machine
from flowfile_nb.connections.storage_parts import Credentials, Grammar, Parts, parts_of
from flowfile_nb.connections.told import shortened
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, FlowfileNbError, MissingDriverError

Listing = Callable[[str], str]


def _ls(where: str) -> str:
    return f'NAME.ls("{where}")'


class Place(NamedTuple):
    """What a filesystem's description leads to."""

    root: str
    """The bucket or container; empty for all."""
    path: str
    """Below it, without slashes at its ends; empty for all."""
    server: str
    """The URL of what is asked, where that is known: it is looked for before the library waits for it."""
    text: str
    """All of it, to be read: `s3://sales/2026`."""


class ObjectStorage(ABC):
    """A `family.Family` of filesystems; what differs between kinds is in its subclasses. One object for each connection."""

    library: ClassVar[str]
    """The module that brings the filesystem."""
    grammar: ClassVar[Grammar]

    def __init__(self) -> None:
        self.note = ""
        self._place = Place("", "", "", "")
        self._credentials = Credentials({}, Access(str))

    @property
    def KEYS(self) -> tuple[Key, ...]:  # noqa: N802 - what every family has
        """What a description may have, for completion and for the panel's form."""
        return self.grammar.keys

    def make(self, spec: Spec, reveal: Access) -> Any:
        """
        Return the filesystem; nothing is opened yet.

        Raises:
            ConnectionSpecError: If the description cannot be used.
            MissingDriverError: If the library is not installed.
        """
        parts = self.described(spec)
        self.take(parts, Credentials(parts, reveal))
        try:
            import_module(self.library)
            plain, arguments = self.arguments(parts, self._credentials)
            native = _guarded(plain, self)(**_options(parts, arguments), **arguments, skip_instance_cache=True)
        except (FlowfileNbError, KeyboardInterrupt):
            raise
        except ModuleNotFoundError:
            raise self._missing() from None
        except Exception as error:  # noqa: BLE001 - the libraries raise what they like
            raise self.explained(error) from None
        make_portable(native, spec, reveal)
        _made.add(self)
        # Who registers it with DuckDB gets errors whose traceback does not go through it.
        native.teller = Teller(native, self._of_duckdb)
        return native

    def take(self, parts: Parts, credentials: Credentials) -> None:
        """Remember what is told of errors: where the connection leads, and by which secrets."""
        self._place, self._credentials = self.place(parts), credentials

    def check(self, filesystem: Any) -> None:
        """
        Ask once for what the description names, so that what is wrong is said now.

        Raises:
            ConnectionFailedError: If nobody answers, the key is not known, or nothing of that name is there.
        """
        try:
            self.ask(filesystem)
        except (FlowfileNbError, KeyboardInterrupt):
            self.close(filesystem)
            raise
        except Exception as error:  # noqa: BLE001 - as above
            if is_known(error):
                self.note = f"The key is known, and may not list {self._place.root or 'everything'}."
                return
            self.close(filesystem)
            raise self.explained(first_of(error)) from None

    def target(self, filesystem: Any) -> str:
        """Return where a filesystem leads, such as `s3://sales/2026`."""
        return self._place.text

    def close(self, filesystem: Any) -> None:
        """Forget what was listed; the library closes its sockets when the last reference to the filesystem goes."""
        filesystem.invalidate_cache()

    def described(self, spec: Spec) -> Parts:
        """Return what a description says, checked. Raises ConnectionSpecError."""
        parts = parts_of(spec, self.grammar)
        self.require(parts)
        return parts

    @abstractmethod
    def require(self, parts: Parts) -> None:
        """Let parts pass that make sense together. Raises ConnectionSpecError."""

    @abstractmethod
    def place(self, parts: Parts) -> Place:
        """Return where parts lead."""

    @abstractmethod
    def arguments(self, parts: Parts, credentials: Credentials) -> tuple[type, dict[str, Any]]:
        """Return the library's class, and what to make it with; no value is among that."""

    @abstractmethod
    def ask(self, filesystem: Any) -> None:
        """Ask for what the description names, within the time that opening may take. Raises what the library raises."""

    def later(self, error: BaseException, listing: Listing = _ls) -> tuple[str, str] | None:
        """
        Return what happened with a library's error in a later cell, and what to do; None where all of it is to be shown.

        Args:
            error: The error, with what led to it.
            listing: Returns what shows the names in a bucket.
        """
        place, names, access = self._place, self._credentials.names, self._credentials.access
        if access.debug:
            return None
        if (of_path := self._of_path(error, listing)) is not None:
            return of_path
        first = first_of(error)
        used = f"{USE} {place.text}{with_secrets(names, access)}"
        if is_known(error):
            return f"{used}: the key is known, and may not do that", "whoever runs the storage can allow it"
        # One that stands alone is a server's of files: what is said of a database's file would not be true.
        if not isinstance(first, PermissionError) and cause_of(first) is not None:
            return of_use(self.explained(first))
        if isinstance(error, PermissionError):
            another = f";  to store another key:  %secret set {access.typed(names[0])} --replace" if names else ""
            what = "that is refused: the login is not good any more, or may not do that"
            return f"{used}: {what}", f"whoever runs the storage can tell which{another}"
        return f"{used}: {shortened(str(error)) or type(error).__name__}", ""

    def _of_path(self, error: BaseException, listing: Listing) -> tuple[str, str] | None:
        place = self._place
        if is_of_this_machine(error):
            return shortened(str(error)), "that is a path on this machine"
        where = place.root or place.path or "/"
        told = f"{shortened(str(error))}   (in {place.text})", f"what is there:  {listing(where)}"
        return told if is_of_path(error) else None

    @property
    def at(self) -> Place:
        """Where the connection leads that was made."""
        return self._place

    @property
    def secrets(self) -> list[str]:
        """The names of the secrets by which it was made."""
        return self._credentials.names

    def _of_duckdb(self, error: BaseException) -> tuple[str, str] | None:
        if type(error).__module__.partition(".")[0] not in {"_duckdb", "duckdb"}:
            return None
        # Imported here: only where DuckDB has raised something.
        from flowfile_nb.connections.forms.duckdb_texts import explain_text

        return explain_text(str(error), self, _made)

    def explained(self, error: BaseException) -> FlowfileNbError:
        """Return our error for a library's."""
        place, names, access = self._place, self._credentials.names, self._credentials.access
        if isinstance(error, FileNotFoundError) and place.root:
            error = LookupError("no such bucket")
        # Without the URL, which some quote: a host may be called anything.
        text = re.sub(r"\"[^\"]*\"|'[^']*'", "", f"{type(error).__name__} {error}").lower()
        if re.search(r"certificate|ssl:|sslerror", text):
            return ConnectionFailedError(
                f"could not open {place.text}: the encrypted connection could not be set up",
                hint='a certificate authority of your own:  verify = "/path/to/ca.pem"   in the description',
                driver=access.shown(error),
            )
        return explain(error, place.text, names, access)

    def _missing(self) -> MissingDriverError:
        return missing(self.library, self.grammar.scheme)


_made: WeakSet[ObjectStorage] = WeakSet()


def _options(parts: Parts, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the description gives the library directly, which is nothing that the description has other keys for."""
    options: dict[str, Any] = dict(parts.get("options", {}))
    if taken := sorted({*arguments, "endpoint_url", "skip_instance_cache"} & options.keys()):
        raise ConnectionSpecError(
            f"{', '.join(map(repr, taken))} in options is set from the description's other keys",
            hint="leave it out of [options]",
        )
    return options


def _guarded(plain: type, storage: ObjectStorage) -> type:
    """Return the library's class without what would carry a filesystem elsewhere, and with what explains its errors."""

    def refuse(self: object, *args: object, **options: object) -> Any:
        raise TypeError("this filesystem is not written as JSON: pickle it, or open it where it is used:  %connect NAME")

    refused = dict.fromkeys(("__reduce__", "__reduce_ex__", "to_json", "to_dict"), refuse)
    own = {**refused, EXPLAIN: lambda _, error: storage.later(error), "__module__": plain.__module__, "__doc__": plain.__doc__}
    return type(plain.__name__, (plain,), own)
