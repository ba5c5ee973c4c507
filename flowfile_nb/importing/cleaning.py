"""The source after the import: references where the values were, and proof that nothing else changed."""

from __future__ import annotations

from collections.abc import Sequence

from flowfile_nb.errors import ImportSourceError
from flowfile_nb.importing.fields import Document, Field
from flowfile_nb.importing.kinds import read_document
from flowfile_nb.importing.pieces import replaced
from flowfile_nb.importing.plan import IMPORTED, Item, State, value_after
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
    fields = {id(item.field): item.field for item in replaceable(items)}
    result = source.edited(_edit(source, field, items) for field in fields.values())
    wanted = [(field.path, value_after(field, items) if id(field) in fields else field.value) for field in document.fields]
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
    lines = text.split("\n")
    return [
        (name, number)
        for name, value in {item.name: item.piece.secret for item in replaceable(items)}.items()
        if len(value) >= _MIN_CHARACTERS
        for number, line in enumerate(lines, 1)
        if value in line
    ]


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


def _edit(source: Source, field: Field, items: Sequence[Item]) -> Edit:
    assert field.place is not None
    written = source.text[field.place.start : field.place.stop]
    own = [item for item in items if item.field is field and item.state in IMPORTED]
    if written == field.value:
        # Nothing in it is escaped: what is not replaced stays to the byte.
        from flowfile_nb.core.references import reference

        text = replaced(written, [(item.piece, reference(item.name)) for item in own])
    else:
        text = field.place.escape(value_after(field, items))
    return Edit(field.place.start, field.place.stop, text)
