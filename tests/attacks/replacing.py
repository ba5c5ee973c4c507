"""How a defence is taken out of a running broker."""

from __future__ import annotations

from typing import Any


def replace(owner: Any, name: str, replacement: Any) -> None:
    """Put something else in the place of a function; a weakness whose place has gone would be none, and prove nothing."""
    assert hasattr(owner, name), (owner, name)
    setattr(owner, name, replacement)
