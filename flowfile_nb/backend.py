"""The port between what users type and where secrets are kept. `vault.Vault` is one adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol


class Listing(NamedTuple):
    """What may be shown of secrets, as columns of equal length: a hundred thousand are listed without an object for each."""

    names: list[str]
    owners: list[str]
    """User names of the owners; `environment` where a variable overrides the store."""
    sharers: list[str]
    """User names of those who shared them; empty for one's own."""
    updated_at: list[int | None]
    """When the values were stored, in seconds since 1970; None where that is not known."""
    used_at: list[int | None]
    """When they were last used; None where nothing is recorded."""
    shared_with: Sequence[str] = ()
    """The groups that each is shared with, in one text; none at all where nothing is shared from here."""
    modes: Sequence[str] = ()
    """Where each value is when it is used: `in this kernel`, or `brokered`; none at all where all are in this kernel."""
    promises: Sequence[str] = ()
    """What is promised of each one's shares, a line for each access and kind of target; none at all where nothing is shared."""


class Finding(NamedTuple):
    """One line of `%secret doctor`."""

    topic: str
    state: str
    ok: bool = True
    remedy: str = ""


class FlowfileConnection(NamedTuple):
    """A connection that was saved in Flowfile's own interface: where it leads, and which secrets it uses. No value."""

    name: str
    kind: str
    """`database` or `cloud`."""
    parts: dict[str, Any]
    """What Flowfile keeps of it, by Flowfile's names: `host`, `storage_type` …"""
    secrets: dict[str, str]
    """Which part is a secret, by Flowfile's name of the part, and that secret's own name; empty where another has that name."""


class Part(NamedTuple):
    """A secret part of a connection of Flowfile's, as it is saved now."""

    fingerprint: object
    """What differs when its value may have changed."""
    updated_at: int | None
    """When it was stored, in seconds since 1970; None where that is not known."""
    reveal: Callable[[], str]
    """Returns the plaintext, and records the use."""


class TeamConnection(NamedTuple):
    """A connection that a team's broker keeps: one's own, or one that is shared. No value."""

    name: str
    owner: str
    own: bool
    groups: tuple[str, ...]
    """With which groups its owner shares it, as far as the caller may know."""
    kind: str
    target: str
    """Where it leads, to be read."""
    permission: str
    """`use` or `manage`; empty for one's own."""
    access: str
    """`read` or `write`: what the share allows there."""
    secrets: tuple[str, ...]
    body: str | None = None
    """Its definition, where the caller may read that."""
    guarantee: str = ""
    """What statements can do by it at the database; empty where nothing is said of that."""
    writers: tuple[str, ...] = ()
    """Of one's own, those of the groups that it is shared with for writing."""
    unfixed: str = ""
    """The secret that its owner has to enter (again) before others can use it; empty where nothing is in the way."""


class Known(NamedTuple):
    """What is known of the definition of a connection."""

    digest: str
    """Of what was agreed to; empty for an own definition."""
    used_at: int | None
    """When it was last opened, in seconds since 1970."""


class SecretBackend(Protocol):
    """
    Secrets of one user, by name.

    Raises (all methods): StoreError if the store cannot be used, BrokerError if a team's broker does not answer. Names in
    errors are names; a value is in none.
    """

    keeps_previous: bool
    """Whether `undo` can take back a value that was replaced."""

    def names(self) -> list[str]:
        """Return the names that can be used, the oldest first."""

    def count(self) -> int:
        """Return how many names can be used."""

    def version(self) -> object:
        """Return something that differs when any secret may have changed since; cheap to ask."""

    def fingerprints(self) -> dict[str, object]:
        """
        Return for each name something that differs when its value may have changed since, and tells nothing about it.

        Of those names whose value can be looked for in each cell: `peek` costs next to nothing for them, and tells nobody.
        """

    def fingerprint(self, name: str) -> object:
        """Return that of one name. Raises NoSuchSecretError."""

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return those of *names* that cannot be used, each once."""

    def updated_at(self, name: str) -> int | None:
        """Return when a value was stored, in seconds since 1970; None where that is not known."""

    def describe(self, limit: int | None = None, names: Sequence[str] | None = None) -> Listing:
        """Return what may be shown of the secrets, by name in any case; of the first *limit*, or of some *names*, if given."""

    def require(self, name: str) -> None:
        """Raise NoSuchSecretError, with the nearest name, unless *name* can be used."""

    def reveal(self, name: str) -> str:
        """Return the plaintext, and record the use. Only `Secret.get_secret_value` and connections call this."""

    def peek(self, name: str) -> str:
        """Return the plaintext to look for it in cells, outputs and files; that is no use, and is not recorded."""

    def brokered(self, names: Iterable[str]) -> dict[str, str]:
        """
        Return those of *names* whose value is used elsewhere and never seen here, each with what to do instead.

        `reveal` and `peek` raise SharedSecretError for them.
        """

    def set(self, name: str, value: str, *, replace: bool) -> bool:
        """Store a value durably; return whether it replaced one. Raises SecretExistsError and, for bad input, UsageError."""

    def replaced_at(self, name: str) -> int:
        """Return when the value was stored that `undo` takes back, in seconds since 1970. Raises as `undo`."""

    def undo(self, name: str) -> None:
        """Put an own secret's previous value back, once. Raises NoSuchSecretError, NothingToUndoError."""

    def rename(self, old: str, new: str) -> list[str]:
        """
        Rename an own secret; the own saved connections that refer to it do so by its new name from then on.

        Returns:
            The names of those connections that were changed.

        Raises:
            NoSuchSecretError, SecretExistsError, InvalidNameError: As usual.
            ReferenceSyntaxError: If a saved connection refers to it, and no reference can say the new name.
        """

    def delete(self, name: str) -> None:
        """Delete an own secret and its shares. Raises NoSuchSecretError."""

    def used_by(self, name: str) -> list[str]:
        """Return the saved connections that use a secret, by name."""

    def save_connection(self, name: str, body: str) -> None:
        """Keep the definition of a connection; *body* holds references only."""

    def connection_bodies(self) -> dict[str, str]:
        """Return the saved definitions by name."""

    def team_connections(self) -> list[TeamConnection]:
        """Return the connections that a team's broker keeps, the own ones first; empty without a team."""

    def awaits_key(self) -> bool:
        """Return whether nothing can be stored before somebody gives this backend its first key: Flowfile's docker mode."""

    def flowfile_connections(self) -> dict[str, FlowfileConnection]:
        """Return the connections that were saved in Flowfile's own interface, by name."""

    def part_of(self, connection: FlowfileConnection, part: str) -> Part:
        """
        Return a secret part of a connection of Flowfile's, as it is saved now.

        Raises NoSuchSecretError if it is gone, and ConnectionSpecError if the connection leads elsewhere by now.
        """

    def delete_connection(self, name: str) -> bool:
        """Delete a saved definition; return whether there was one."""

    def used_connections(self) -> dict[tuple[str, str], Known]:
        """Return what is known of definitions, by origin (the path of a project file; empty for the saved ones) and name."""

    def note_connection(self, origin: str, name: str, digest: str = "", used_at: int | None = None) -> None:
        """Keep what is known of a definition; no time leaves the one that is known."""

    def findings(self) -> list[Finding]:
        """Return what `%secret doctor` says about this backend."""
