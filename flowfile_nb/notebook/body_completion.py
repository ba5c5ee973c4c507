"""Tab completion below `%%connect`: kinds, keys, and references in the places of passwords."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from flowfile_nb import session
from flowfile_nb.connections.families import declared_keys, keys_of, kinds
from flowfile_nb.connections.spec import is_credential
from flowfile_nb.core.names import quoted

_TYPE = re.compile(r"^\s*type\s*=\s*(?P<begun>(?P<quote>[\"']?)[\w+.-]*)$")
_VALUE = re.compile(r"^\s*(?P<key>[\w.-]+)\s*=\s*(?P<begun>[%\"]?[\w-]*)$")
_KEY = re.compile(r"^\s*(?P<begun>[\w.-]*)$")
_USED = re.compile(r"^\s*(?P<key>[\w.-]+)\s*=\s*(?P<value>.*)$")


def complete_body(line: str, above: Sequence[str]) -> tuple[str, Iterable[str]] | None:
    """
    Return what was begun before the cursor, with what it can become; None where nothing is known.

    Args:
        line: The line up to the cursor.
        above: The lines above it, that of the magic first.
    """
    if found := _TYPE.search(line):
        quote = found["quote"] or '"'
        return found["begun"], [f"{quote}{kind}{quote}" for kind in kinds()]
    found = _VALUE.search(line)
    if found and is_credential(found["key"]):
        return found["begun"], [f"%secret {quoted(name)}" for name in session.secrets]
    if found and (choices := _choices(found["key"], above)):
        return found["begun"], [f'"{choice}"' for choice in choices]
    found = _KEY.search(line)
    return (found["begun"], _first_words(above)) if found else None


def _choices(key: str, above: Sequence[str]) -> tuple[str, ...]:
    """Return the values that a key may have, where its kind says them."""
    return next((known.choices for known in declared_keys(_used(above).get("type", "")) if known.name == key), ())


def _used(above: Sequence[str]) -> dict[str, str]:
    return {found["key"]: found["value"].strip().strip("\"'") for text in above[1:] if (found := _USED.match(text))}


def _first_words(above: Sequence[str]) -> list[str]:
    """Return the keys that are not there yet; where nothing is there, also the schemes that begin a URL."""
    body = [text for text in above[1:] if text.strip() and not text.lstrip().startswith("#")]
    used = _used(above)
    if not body:
        return ["type = ", *(f"{kind}://" for kind in kinds())]
    if not used:
        # A URL stands alone.
        return []
    keys = [] if "type" in used else ["type"]
    keys += keys_of(used.get("type", ""))
    return [f"{key} = " for key in keys if key not in used]
