"""The source after the import: references where the values were, and proof that nothing else changed."""

from __future__ import annotations

from collections.abc import Sequence

from flowfile_nb.errors import ImportSourceError
from flowfile_nb.importing.fields import Document, line_of
from flowfile_nb.importing.kinds import read_document
from flowfile_nb.importing.plan import IMPORTED, Item, State, imported_by_field, with_references
from flowfile_nb.importing.source import Edit, Source

_MIN_CHARACTERS = 6
_LOST = {State.KEPT, State.LEFT_OUT, State.UNFIT}


def replaceable(items: Sequence[Item]) -> list[Item]:
    """Return the items whose value is in the store and can be replaced in the source."""
    return [item for item in items if item.state in IMPORTED and item.field.place is not None]


def cleaned(source: Source, kind: str, document: Document, items: Sequence[Item]) -> bytes:
    """
    Return the source with a reference in place of each value that is in the store; every other byte stays.

    The result is read again: it has to say what the source says, with the references. Nothing is written here.

    Raises:
        ImportSourceError: If it would say something else.
    """
    found = {key: own for key, own in imported_by_field(items).items() if own[0].field.place is not None}
    result = source.edited(_edit(source, own) for own in found.values())
    wanted = [(field.path, with_references(field.value, found.get(id(field), ()))) for field in document.fields]
    try:
        again = read_document(Source(source.path, result), kind)
        same = [(field.path, field.value) for field in again.fields] == wanted and len(again.unread) == len(document.unread)
    except ImportSourceError:
        same = False
    if not same:
        raise ImportSourceError(
            f"{source.path} cannot be rewritten so that all else stays; it is as it was, and the secrets are stored",
            hint="replace the values by hand, or delete the file with  --delete",
        )
    return result


def left_in(text: str, items: Sequence[Item]) -> list[tuple[str, int]]:
    """Return name and line of each value that still stands somewhere in a cleaned text: in a comment, in another key."""
    found = []
    for name, value in {item.name: item.piece.secret for item in replaceable(items)}.items():
        at = text.find(value) if len(value) >= _MIN_CHARACTERS else -1
        while at >= 0:
            found.append((name, line_of(text, at)))
            # The rest of that line says nothing new.
            end = text.find("\n", at + len(value))
            at = text.find(value, end) if end >= 0 else -1
    return found


def require_deletable(source: Source, document: Document, items: Sequence[Item]) -> None:
    """
    Let the source pass only if no credential would be lost with it.

    Raises:
        ImportSourceError: If it has one that is not in the store, or lines that nobody understood.
    """
    lost = list(dict.fromkeys(item.name for item in items if item.state in _LOST))
    if lost:
        raise ImportSourceError(
            f"{source.path} was not deleted: of these the store does not have the value: {', '.join(lost)}",
            hint="import them, too: with another --prefix, or with --replace",
        )
    if document.unread:
        raise ImportSourceError(
            f"{source.path} was not deleted: it was not understood at line {', '.join(map(str, document.unread[:10]))}",
            hint="look at it, and delete it yourself",
        )


def _edit(source: Source, own: Sequence[Item]) -> Edit:
    field = own[0].field
    assert field.place is not None
    written = source.text[field.place.start : field.place.stop]
    # Where nothing is escaped, what is not replaced stays to the byte.
    plain = written == field.value
    text = with_references(field.value, own)
    return Edit(field.place.start, field.place.stop, text if plain else field.place.escape(text))
