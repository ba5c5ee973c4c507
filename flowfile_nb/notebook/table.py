"""Small tables that show as HTML in a notebook and as text elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape

from flowfile_nb.backend import Listing
from flowfile_nb.core.moments import duration
from flowfile_nb.core.spelling import spelled


class Table:
    """
    Rows under a header.

    Args:
        header: The columns' names.
        rows: One text for each column.
        note: Lines below the table, or instead of an empty one.
    """

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
        self.header = header
        self.rows = rows
        self.note = note

    def __repr__(self) -> str:
        if not self.rows:
            return self.note
        lines = [self.header, *([_printable(cell) for cell in row] for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
        text.insert(1, "  ".join("─" * width for width in widths))
        return "\n".join([*text, self.note] if self.note else text)

    def _repr_html_(self) -> str:
        note = f"<p>{escape(self.note)}</p>".replace("\n", "<br>") if self.note else ""
        if not self.rows:
            return note
        head = "".join(f"<th scope='col' style='text-align:left'>{escape(cell)}</th>" for cell in self.header)
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(spelled(cell))}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


def _printable(cell: str) -> str:
    """Return text in which a control character is spelled: a name in Flowfile's store may hold what a terminal obeys."""
    return cell if cell.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in cell)


def secrets_table(secrets: Listing) -> Table:
    """Return the table of `%secret list`: names, who owns them, how old they are and when they were used; never a value."""
    columns = {
        "name": secrets.names,
        "owner": secrets.owners,
        "shared by": secrets.sharers,
        "shared with": secrets.shared_with,
        "mode": secrets.modes,
        "age": list(map(age, secrets.updated_at)),
        "last used": list(map(age, secrets.used_at)),
    }
    # Without a team the two in the middle are not there.
    told = {title: column for title, column in columns.items() if len(column) == len(secrets.names)}
    rows = list(zip(*told.values(), strict=True))
    # Below the table, each once: most shares are promised the same.
    promised = dict.fromkeys(line for text in secrets.promises for line in text.splitlines())
    return Table(tuple(told), rows, "\n".join(promised) if rows else "No secrets yet. Add one:  %secret set NAME")


def age(seconds: int | None) -> str:
    """Return how long ago a moment was, rounded down as in the panel: `12 d`; empty if unknown."""
    if seconds is None:
        return ""
    return duration(time.time() - seconds) or "just now"
