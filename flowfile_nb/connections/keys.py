"""What a kind of connection takes, declared once: for Tab in a cell, for what a mistyped key may have meant, and for forms."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from flowfile_nb.connections.spec import is_credential

_SHORT = {"api", "ca", "dsn", "http", "id", "json", "pem", "sas", "sasl", "ssl", "tls", "url"}


class Key(NamedTuple):
    """One key of a kind's descriptions. A family may also give a name alone."""

    name: str
    label: str = ""
    """What a form calls it; empty is the name in words."""
    required: bool = False
    secret: bool = False
    """Whether a form offers the secrets for it."""
    example: str = ""
    choices: tuple[str, ...] = ()
    """The values that it may have; empty for any."""
    number: bool = False
    when: tuple[str, tuple[str, ...]] | None = None
    """Another key with values of it: only beside those does this one mean anything."""
    in_form: bool = True
    """Whether a form has a field for it: a table, or what few need, is typed as TOML."""


def declared(said: Iterable[Key | str]) -> tuple[Key, ...]:
    """
    Return what a family says about its keys in full.

    >>> declared(["sas_token"])[0][:4]
    ('sas_token', 'SAS token', False, True)
    """
    keys = (Key(one, secret=is_credential(one)) if isinstance(one, str) else one for one in said)
    return tuple(key if key.label else key._replace(label=_in_words(key.name)) for key in keys)


def names_of(said: Iterable[Key | str]) -> tuple[str, ...]:
    """Return the names alone."""
    return tuple(one if isinstance(one, str) else one.name for one in said)


def _in_words(name: str) -> str:
    words = [word.upper() if word.lower() in _SHORT else word for word in re.split(r"[_.\s]+", name) if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:]
