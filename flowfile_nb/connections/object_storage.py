"""
Places for files, as fsspec filesystems with late binding: what S3, Azure, Google and SFTP have in common.

What fsspec keeps of a filesystem's arguments, shows and writes never holds a value: the libraries are given an object that
reads it when a request is signed or a connection is opened. Paths are whole, as fsspec's: `lake.open("bucket/2026/sales.csv")`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.drivers import missing
from flowfile_nb.connections.failures import chain, explain
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.portable import make_portable
from flowfile_nb.connections.spec import Spec
from flowfile_nb.connections.storage_parts import Credentials, Grammar, Parts, parts_of
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, FlowfileNbError, MissingDriverError

# What a service says to somebody it knows, who may not list everything: the key is right.
_KNOWN = ("accessdenied", "access denied", "authorizationpermissionmismatch", "authorizationfailure", "does not have")


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
    """A `families.Family` of filesystems; what differs between kinds is in its subclasses. One object for each connection."""

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
        self._place, self._credentials = self.place(parts), Credentials(parts, reveal)
        try:
            import_module(self.library)
            plain, arguments = self.arguments(parts, self._credentials)
            native = _guarded(plain)(**_options(parts, arguments), **arguments, skip_instance_cache=True)
        except (FlowfileNbError, KeyboardInterrupt):
            raise
        except ModuleNotFoundError:
            raise self._missing() from None
        except Exception as error:  # noqa: BLE001 - the libraries raise what they like
            raise self.explained(error) from None
        make_portable(native, spec, reveal)
        return native

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
            if _is_known(error):
                self.note = f"The key is known, and may not list {self._place.root or 'everything'}."
                return
            self.close(filesystem)
            raise self.explained(_first(error)) from None

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


def _options(parts: Parts, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the description gives the library directly, which is nothing that the description has other keys for."""
    options: dict[str, Any] = dict(parts.get("options", {}))
    if taken := sorted({*arguments, "endpoint_url", "skip_instance_cache"} & options.keys()):
        raise ConnectionSpecError(
            f"{', '.join(map(repr, taken))} in options is set from the description's other keys",
            hint="leave it out of [options]",
        )
    return options


def _guarded(plain: type) -> type:
    """Return the library's class without what would carry a filesystem elsewhere with its arguments."""

    def refuse(self: object, *args: object, **options: object) -> Any:
        raise TypeError("this filesystem is not written as JSON: pickle it, or open it where it is used:  %connect NAME")

    refused = dict.fromkeys(("__reduce__", "__reduce_ex__", "to_json", "to_dict"), refuse)
    return type(plain.__name__, (plain,), {**refused, "__module__": plain.__module__, "__doc__": plain.__doc__})


def _first(error: BaseException) -> BaseException:
    """Return the service's own error where the library has put another round it, whose text says less."""
    errors = chain(error)
    said = [one for one in errors if getattr(one, "error_code", None)]
    said += [one for one in reversed(errors) if hasattr(one, "response")]
    return said[0] if said else error


def _is_known(error: BaseException) -> bool:
    text = " ".join(f"{type(one).__name__} {one} {getattr(one, 'error_code', '')}" for one in chain(error)).lower()
    return any(said in text for said in _KNOWN)
