"""What a connection may ask of the session that opens it: values by name, and what may be told of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flowfile_nb.core.names import quoted

TIMEOUT_S = 10.0


class Access:
    """
    Called with a secret's name it returns the value, so that it is a `families.Reveal`; nothing is kept.

    No dataclass: to make one takes half a millisecond, which whoever opens a connection would wait for.

    Args:
        reveal: Returns a plaintext. Raises NoSuchSecretError.
        fingerprint: Returns what differs when a value may have changed. Raises NoSuchSecretError.
        updated_at: Returns when a value was stored, in seconds since 1970, or None.
        mask: Replaces each known value in a text.
        learn: Has a value masked that comes from elsewhere than the store, such as an access token.
        reopen: What another process calls with a description to open the same connection; found there by its name.
        timeout_s: How long opening may take; None is what the description says, else `TIMEOUT_S`.
        debug: Whether an error also shows the driver's own, masked.
        label: What a secret is called in an error.
        remedy: What to do where a secret is refused, if not `%secret set NAME --replace`.
        description: What `reopen` is called with, if not the description that is opened.
        present: Returns what a secret is called now that the description calls so: it may have been renamed since.
    """

    def __init__(  # noqa: PLR0913 - what a session has to offer
        self,
        reveal: Callable[[str], str],
        *,
        fingerprint: Callable[[str], object] | None = None,
        updated_at: Callable[[str], int | None] | None = None,
        mask: Callable[[str], str] | None = None,
        learn: Callable[[str, str], None] = lambda name, value: None,
        reopen: Callable[..., Any] | None = None,
        timeout_s: float | None = None,
        debug: bool = False,
        label: Callable[[str], str] = repr,
        remedy: str = "",
        description: Any = None,
        present: Callable[[str], str] = str,
    ) -> None:
        self.reveal = reveal
        self.fingerprint = fingerprint
        self.updated_at = updated_at
        self.mask = mask
        self.learn = learn
        self.reopen = reopen
        self.timeout_s = timeout_s
        self.debug = debug
        self.label = label
        self.remedy = remedy
        self.description = description
        self.present = present

    def replaced(self, **changes: Any) -> Access:
        """Return another one that differs in *changes*, by the names above."""
        return Access(**{**vars(self), **changes})

    def __call__(self, name: str) -> str:
        """Return the value."""
        return self.reveal(name)

    def typed(self, name: str) -> str:
        """Return a secret's present name as a line of `%secret` takes it: in quotes where it has blanks."""
        return quoted(self.present(name))

    def named(self, name: str) -> str:
        """Return a secret by name and age, to be read: `'prod_pw' (stored 12 d ago)`."""
        label = self.label(name)
        try:
            moment = self.updated_at(name) if self.updated_at else None
        except Exception:  # noqa: BLE001 - an age that cannot be told must not hide the error in which it would stand
            moment = None
        if moment is None:
            return label
        # Imported here: only errors tell an age.
        from flowfile_nb.core.moments import duration

        age = duration(time.time() - moment)
        return f"{label} (stored {age} ago)" if age else f"{label} (stored just now)"

    def shown(self, error: BaseException) -> str:
        """Return a driver's own error with each known value masked, where that was asked for; else nothing."""
        if not self.debug or self.mask is None:
            return ""
        try:
            return self.mask(f"{type(error).__name__}: {str(error).strip()}")
        except Exception:  # noqa: BLE001 - what cannot be masked is not shown
            return f"{type(error).__name__}: (its text is withheld: it could not be masked)"


def access_of(reveal: Callable[[str], str]) -> Access:
    """Return *reveal* itself if it is an `Access`, else one that can tell nothing more."""
    return reveal if isinstance(reveal, Access) else Access(reveal)
