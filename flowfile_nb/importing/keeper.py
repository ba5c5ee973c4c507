"""Where imported credentials go, as functions: this room knows neither the vault nor the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from flowfile_nb.backend import SecretBackend


class LocalBackend(SecretBackend, Protocol):
    """Secrets in files of this machine."""

    def stored(self, name: str) -> str | None:
        """Return the plaintext of the user's own secret in the store, whatever the environment says; None if there is none."""


class Keeper(NamedTuple):
    """The store, and the values to mask."""

    backend: LocalBackend
    store: Callable[..., bool]
    """As `session.store`: name, value, and the keyword `replace`."""
    learn: Callable[[str, str], None]
    """As `session.learn`."""


class Person(Protocol):
    """Who is asked and told."""

    def show(self, rows: list[tuple[str, str, str]], note: str) -> None:
        """Show the preview: the name of each secret, where it comes from, what becomes of it."""

    def say(self, text: str) -> None:
        """Say one line or several."""

    def confirm(self, question: str, *, otherwise: str) -> bool:
        """Ask, y or n. Raises NoPromptError, with *otherwise* as its hint, if nobody is there."""
