"""What a scan looks for: the values of all secrets that can be read."""

from __future__ import annotations

from typing import NamedTuple

from flowfile_nb.backend import SecretBackend
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.errors import DamagedSecretError, NoSuchSecretError, SharedSecretError

_MASK_FRAME = len("[secret:]")


class Known(NamedTuple):
    """Values, ready to be found; and the names of those that cannot be looked for."""

    redactor: Redactor
    reach: int
    """No form of a value, and no mask, is longer than this many bytes."""
    names: list[str]
    too_short: list[str]
    """Values that would be found everywhere by chance."""
    damaged: list[str]
    """Values that cannot be decrypted."""
    elsewhere: list[str]
    """Values that are used by a team's broker and never come here."""


def known_values(backend: SecretBackend) -> Known:
    """
    Read the value of each secret.

    A row that cannot be decrypted is named and left out; a key that opens nothing is an error.

    Raises:
        StoreError: If the store cannot be read at all.
    """
    redactor = Redactor()
    found = Known(redactor, 0, [], [], [], [])
    reach = _MASK_FRAME
    for name in backend.names():
        try:
            value = backend.peek(name)
        except DamagedSecretError:
            found.damaged.append(name)
        except SharedSecretError:
            found.elsewhere.append(name)
        except NoSuchSecretError:
            continue  # deleted this moment
        else:
            (found.names if redactor.learn(name, value) else found.too_short).append(name)
            reach = max(reach, _longest_form(value), len(name.encode()) + _MASK_FRAME)
    return found._replace(reach=reach)


def _longest_form(value: str) -> int:
    """Return a length that no form of *value* exceeds: the longest are a control character's, of 7 bytes, and hex."""
    return 8 * len(value.encode("utf-8", "surrogatepass")) + 16
