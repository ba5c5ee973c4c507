"""
Open connections whose library keeps the login by itself: DuckDB's, ADBC's, Ibis's. They do not go on with what is not stored.

An engine asks for the secret at each new connection, and drops idle ones. Here one connection is open for as long as its
variable is there; so whether its secrets are what they were is looked at before each cell, and where the library has a place
for it, at each use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.spec import Spec, secrets_in
from flowfile_nb.connections.storage_parts import digest
from flowfile_nb.errors import ConnectionFailedError, FlowfileNbError, NoSuchSecretError

_State = dict[str, object]
_Change = Callable[[Any], None]


class Login:
    """
    The secrets that a library is about to get, and what they are now.

    Args:
        spec: Says which. NoSuchSecretError is raised where one is not there.
        access: Reads them; `access` of this object does so, too, and is what the login is to be read with.
    """

    def __init__(self, spec: Spec, access: Access) -> None:
        self.access = access.replaced(reveal=self._read)
        self._plain = access
        self._digests: dict[str, bytes] = {}
        self.state = _state(secrets_in(spec), access)

    def is_same(self) -> bool:
        """Return whether the values are those that were read last: a new master key changes how they are stored alone."""
        try:
            return all(digest(self._plain(name)) == self._digests.get(name) for name in self.state)
        except FlowfileNbError:
            return False

    def _read(self, name: str) -> str:
        value = self._plain(name)
        self._digests[name] = digest(value)
        return value


class Held:
    """
    One open connection, and what it was opened with.

    Args:
        native: The library's object. It is not kept alive by this.
        login: What it was opened with.
        place: Where it leads, to be read.
        end: Takes the login away from it: it is called with the object, so as not to keep it.
        renew: Gives it the login as it is stored now, after *end*; None where it can only be opened again.
    """

    def __init__(self, native: Any, login: Login, place: str, end: _Change, renew: _Change | None = None) -> None:
        self.native: Callable[[], Any] = ref(native)
        self.why: FlowfileNbError | None = None
        """Why it has no login; None while it has the one that is stored."""
        self.is_renewed = renew is not None
        """Whether it gets the login back once that is stored again."""
        self.explained_by: Any = None
        """What explains errors of it, as long as it is there; see `later.Teller`."""
        self._login, self._place = login, place
        self._end, self._renew = end, renew
        self._seen: _State | None = login.state
        if login.state:
            _all.append(self)

    def require(self) -> None:
        """
        Let pass while the secrets are what they were; end it else.

        Raises:
            NoSuchSecretError: If one is gone.
            ConnectionFailedError: If one was replaced.
        """
        self.look()
        if self.why is not None:
            raise self.why.with_traceback(None)

    def look(self, *, again: bool = False) -> None:
        """End it if a secret is gone, and renew or end it if one was replaced; what could not be renewed is tried *again*."""
        native = self.native()
        if native is None or (self.why is not None and self._renew is None):
            return
        try:
            now: _State | None = _state(list(self._login.state), self._login.access)
        except NoSuchSecretError:
            now = None
        except FlowfileNbError:
            # A store that cannot be read now is reported by what needs it.
            return
        if now == self._seen and not (again and now is not None and self.why is not None):
            return
        before, self._seen = self._seen, now
        if now is not None and self.why is None and self._login.is_same():
            return
        self._end(native)
        self.why = self._gone() if now is None else self._replaced(before or {}, now)
        if now is not None and self._renew is not None:
            try:
                self._renew(native)
            except FlowfileNbError as error:
                self.why = error
            else:
                self.why = None

    def release(self) -> None:
        """Look after it no longer: it was closed."""
        if self in _all:
            _all.remove(self)

    def _gone(self) -> NoSuchSecretError:
        names = list(self._login.state)
        name = next((name for name in names if self._is_gone(name)), names[0])
        again = "the next cell has it again" if self.is_renewed else "run the cell again that opens it"
        return NoSuchSecretError(
            f"{self._place} is cut off: its secret {self._login.access.label(name)} is not there any more",
            hint=f"add it:  %secret set {self._login.access.typed(name)}   and {again}",
        )

    def _is_gone(self, name: str) -> bool:
        try:
            _state([name], self._login.access)
        except NoSuchSecretError:
            return True
        except FlowfileNbError:
            return False
        return False

    def _replaced(self, before: _State, now: _State) -> ConnectionFailedError:
        names = [name for name, fingerprint in now.items() if before.get(name) != fingerprint]
        return ConnectionFailedError(
            f"{self._place} was closed: its secret {', '.join(map(self._login.access.label, names))} was replaced",
            hint="run the cell again that opens it, or  %connect NAME  if it is saved; what was not committed is undone",
        )


_all: list[Held] = []


def everyone() -> list[Held]:
    """Return those that are open, and were not closed by `release`."""
    _all[:] = [held for held in _all if held.native() is not None]
    return list(_all)


def _state(names: list[str], access: Access) -> _State:
    return {name: access.fingerprint(name) for name in names} if access.fingerprint is not None else {}
