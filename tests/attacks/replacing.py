"""Replacing a part of a broker by one without a defence."""

from __future__ import annotations

from typing import Any


def put(owner: Any, name: str, replacement: Any) -> None:
    """Put *replacement* in the place of what *owner* has under that name."""
    # A weakness whose place has gone would be none, and its attacks fail for no reason.
    assert hasattr(owner, name), (owner, name)
    setattr(owner, name, replacement)
