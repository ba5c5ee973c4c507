"""The secrets of one member of a team: the port of `backend`, over HTTP to the broker that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from flowfile_nb.attended import is_attended
from flowfile_nb.backend import Finding, FlowfileConnection, Known, Listing, Part, SecretBackend, TeamConnection
from flowfile_nb.core.names import NOT_KEPT, environment_variable, no_such_secret, quoted, require_name, require_value
from flowfile_nb.errors import FlowfileNbError, NoSuchSecretError, NothingToUndoError, SharedSecretError
from flowfile_nb.team import entries
from flowfile_nb.team.client import Client
from flowfile_nb.team.diagnosis import findings
from flowfile_nb.team.entries import BROKERED, HERE, Me, SecretEntry
from flowfile_nb.team.sharing import Sharing
from flowfile_nb.team.wording import require_own, why_brokered, with_whom

# One line of a magic asks several things about the same names: what was told this short a while ago is told again. No value is
# in it, and whatever uses a secret asks the broker each time.
_SAME_MOMENT_S = 0.1


class TeamBackend:
    """
    A `SecretBackend` over a team's broker. Own secrets can be read here; shared ones are used there and never seen here.

    Args:
        client: Speaks to the broker.
        environ: The environment, which may override values (`FLOWFILE_SECRET_<NAME>`), as without a team.
        local: Returns what keeps, on this machine, which definitions of projects its user has agreed to, and when.
    """

    keeps_previous = False

    def __init__(self, client: Client, environ: Mapping[str, str], local: Callable[[], SecretBackend]) -> None:
        self.client = client
        self._environ = environ
        self._local = local
        self._told: tuple[float, list[SecretEntry]] = (float("-inf"), [])
        self._seen: dict[str, tuple[str, int | None]] = {}
        self._version = 0

    def names(self) -> list[str]:
        """Return the names that can be used, the oldest first."""
        return [entry.name for entry in self.entries()]

    def count(self) -> int:
        """Return how many names can be used."""
        return len(self.entries())

    def entries(self) -> list[SecretEntry]:
        """Return what the broker tells of the secrets that the caller can use."""
        at, told = self._told
        if monotonic() - at >= _SAME_MOMENT_S:
            told = entries.secret_entries(self.client.get("api/secrets"))
            self._told = monotonic(), told
            self._forget_changed(told)
        return told

    def version(self) -> object:
        """Return something that differs when this kernel has seen another value since; the broker is not asked."""
        return self._version

    def fingerprints(self) -> dict[str, object]:
        """Return for each value that this kernel has seen something that differs when it has seen another."""
        return {name: hash(value) for name, (value, _) in self._seen.items()}

    def fingerprint(self, name: str) -> object:
        """Return that of one name. Raises NoSuchSecretError."""
        if (given := self._environ.get(environment_variable(name))) is not None:
            return hash(given)
        entry = self._entry(name)
        return (entry.owner, entry.updated_at)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return those of *names* that cannot be used, each once."""
        wanted = [name for name in dict.fromkeys(names) if environment_variable(name) not in self._environ]
        stored = set(self.names()) if wanted else set()
        return [name for name in wanted if name not in stored]

    def updated_at(self, name: str) -> int | None:
        """Return when a value was stored, in seconds since 1970; None where that is not known."""
        if environment_variable(name) in self._environ:
            return None
        return next((entry.updated_at for entry in self.entries() if entry.name == name), None)

    def describe(self, limit: int | None = None, names: Sequence[str] | None = None) -> Listing:
        """Return what may be shown of the secrets, by name in any case; of the first *limit*, or of some *names*, if given."""
        wanted = None if names is None else set(names)
        known = [entry for entry in self.entries() if wanted is None or entry.name in wanted]
        known = sorted(map(self._overridden, known), key=lambda entry: entry.name.casefold())[:limit]
        return Listing(
            [entry.name for entry in known],
            [entry.owner for entry in known],
            [entry.shared_by for entry in known],
            [entry.updated_at for entry in known],
            [entry.used_at for entry in known],
            [with_whom(entry.groups, entry.writers) for entry in known],
            [entry.mode for entry in known],
            ["\n".join(map(str, entry.promises)) for entry in known],
        )

    def require(self, name: str) -> None:
        """Let *name* pass only if it can be used. Raises NoSuchSecretError."""
        if environment_variable(name) not in self._environ:
            self._entry(name)

    def reveal(self, name: str) -> str:
        """
        Return the plaintext of an own secret; the broker records it.

        Raises:
            NoSuchSecretError: If it is neither stored nor given by the environment.
            SharedSecretError: If it is somebody else's: its value never comes here. The hint says what to do instead.
        """
        if (given := self._environ.get(environment_variable(name))) is not None:
            return given
        try:
            value = str(self.client.post("api/secrets/reveal", {"name": name})["value"])
        except NoSuchSecretError:
            raise no_such_secret(name, self.names(), attended=is_attended()) from None
        except SharedSecretError as error:
            raise self._shared(name, error) from None
        self._see(name, value)
        return value

    def peek(self, name: str) -> str:
        """Return a plaintext to look for it: what this kernel has seen, if that is the present one. Raises as `reveal`."""
        self.entries()
        return self._seen[name][0] if name in self._seen else self.reveal(name)

    def brokered(self, names: Iterable[str]) -> dict[str, str]:
        """Return those of *names* whose value never comes here, each with what to do instead."""
        wanted = {name for name in names if environment_variable(name) not in self._environ}
        shared = [entry for entry in self.entries() if entry.name in wanted and not entry.own] if wanted else []
        known = self.team_connections() if shared else []
        return {entry.name: why_brokered(entry, known) for entry in shared}

    def set(self, name: str, value: str, *, replace: bool) -> bool:
        """Have a value stored; when this returns, the broker has it on disk. Raises as the port says."""
        if not replace:
            require_name(name)
        require_value(value)
        answer = self._change("PUT", "api/secrets", {"name": name, "value": value, "replace": replace})
        self._see(name, value)
        return bool(answer.get("replaced"))

    def replaced_at(self, name: str) -> int:
        """Raise NothingToUndoError: the broker keeps no value that was replaced. Raises NoSuchSecretError."""
        self._entry(name, instead=NOT_KEPT)
        require_own(name, self.entries())
        raise NothingToUndoError(
            f"no previous value of {name!r} is kept: a team's broker keeps the present one alone",
            hint=f"%secret set {quoted(name)} --replace   stores the right one",
        )

    def undo(self, name: str) -> None:
        """Raise NothingToUndoError, as `replaced_at`."""
        self.replaced_at(name)

    def rename(self, old: str, new: str) -> list[str]:
        """Rename an own secret, and what own saved connections call it; return their names. Raises as the port says."""
        require_name(new)
        answer = self._change("POST", "api/secrets/rename", {"old": old, "new": new})
        if old in self._seen:
            self._seen[new] = self._seen.pop(old)
        return [str(name) for name in answer.get("connections", [])]

    def delete(self, name: str) -> None:
        """Delete an own secret and its shares. Raises NoSuchSecretError."""
        self._change("POST", "api/secrets/delete", {"name": name})

    def used_by(self, name: str) -> list[str]:
        """Return the own saved connections that use a secret, by name."""
        return [one.name for one in self.team_connections() if one.own and name in one.secrets]

    def save_connection(self, name: str, body: str) -> None:
        """Have the definition of a connection kept; *body* holds references only."""
        self._change("PUT", "api/connections", {"name": name, "body": body})

    def connection_bodies(self) -> dict[str, str]:
        """Return the definitions that the caller has saved, by name."""
        return {one.name: self.connection_body(one) for one in self.team_connections() if one.own}

    def connection_body(self, connection: TeamConnection) -> str:
        """Return the definition of a connection. Raises NotAllowedError if the caller may only use it."""
        if connection.body is not None:
            return connection.body
        return str(self.client.post("api/connections/body", {"name": connection.name})["body"])

    def delete_connection(self, name: str) -> bool:
        """Delete a saved definition; return whether there was one."""
        if not any(one.name == name for one in self.team_connections()):
            return False
        self._change("POST", "api/connections/delete", {"name": name})
        return True

    def team_connections(self) -> list[TeamConnection]:
        """Return the connections that the broker keeps for the caller, the own ones first."""
        return entries.connections(self.client.get("api/connections"))

    @property
    def sharing(self) -> Sharing:
        """The shares and groups at the same broker."""
        # It changes with whom what is shared, which the next line is to tell as it is then.
        self._told = float("-inf"), []
        return Sharing(self.client)

    def log(self, name: str | None) -> list[dict[str, Any]]:
        """
        Return what was done with an own secret or connection of that name, the oldest first; never a value.

        Of another's of that name: what the caller did with it. Without a name: both, of all names.
        """
        asked = {} if name is None else {"name": name}
        return list(self.client.get("api/log", **asked).get("entries", []))

    def stored(self, name: str) -> str | None:
        """Return the plaintext of the user's own secret at the broker, whatever the environment says; None if there is none."""
        if not any(entry.name == name and entry.own for entry in self.entries()):
            return None
        return str(self.client.post("api/secrets/reveal", {"name": name})["value"])

    def me(self) -> Me:
        """Return who the broker takes the caller for."""
        return entries.me(self.client.get("api/me"))

    def awaits_key(self) -> bool:
        """Return False: the broker's key is not for its callers to make."""
        return False

    def flowfile_connections(self) -> dict[str, FlowfileConnection]:
        """Return none: Flowfile's own are in its files, and the broker has none of them."""
        return {}

    def part_of(self, connection: FlowfileConnection, part: str) -> Part:
        """Raise NoSuchSecretError: there are no connections of Flowfile's here."""
        raise no_such_secret(connection.secrets.get(part) or connection.name, self.names())

    def used_connections(self) -> dict[tuple[str, str], Known]:
        """Return what is known of definitions on this machine, by origin and name."""
        return self._local().used_connections()

    def note_connection(self, origin: str, name: str, digest: str = "", used_at: int | None = None) -> None:
        """Keep on this machine what is known of a definition; no time leaves the one that is known."""
        self._local().note_connection(origin, name, digest, used_at)

    def findings(self) -> list[Finding]:
        """Return what `%secret doctor` says: the mode, the broker, who the caller is, and what lies on this machine unused."""
        return findings(self.client, self.entries, self._local)

    def _change(self, method: str, path: str, body: Mapping[str, object]) -> Mapping[str, Any]:
        ask = self.client.put if method == "PUT" else self.client.post
        try:
            return ask(path, body)
        except NoSuchSecretError:
            name = str(body.get("old", body.get("name")))
            require_own(name, self.entries())
            raise no_such_secret(name, self.names(), instead="") from None
        finally:
            # After an error, too: it may have been done.
            self._told = float("-inf"), []

    def _entry(self, name: str, *, instead: str | None = None) -> SecretEntry:
        for entry in self.entries():
            if entry.name == name:
                return entry
        raise no_such_secret(name, self.names(), instead=instead, attended=is_attended())

    def _overridden(self, entry: SecretEntry) -> SecretEntry:
        if environment_variable(entry.name) not in self._environ:
            return entry
        return entry._replace(owner="environment", shared_by="", groups=(), mode=HERE, updated_at=None, promises=())

    def _shared(self, name: str, error: SharedSecretError) -> SharedSecretError:
        with suppress(FlowfileNbError):
            what, _, instead = self.brokered([name])[name].partition("\n")
            return SharedSecretError(what, hint=instead)
        return error

    def _see(self, name: str, value: str) -> None:
        """Keep a value that is in this kernel now, so that it can be looked for in cells."""
        self._seen[name] = value, None
        self._version += 1

    def _forget_changed(self, told: list[SecretEntry]) -> None:
        """Leave the values that are not the present ones any more; a time is known from the first list after a value."""
        now = {entry.name: entry for entry in told}
        for name, (value, at) in list(self._seen.items()):
            entry = now.get(name)
            if entry is None or entry.mode == BROKERED or at not in {None, entry.updated_at}:
                del self._seen[name]
                self._version += 1
            else:
                self._seen[name] = value, entry.updated_at
