"""IPython's `history.sqlite`: every input there ever was, and outputs where they are logged."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.scan.finding import Part, Place

NAME = "history.sqlite"
_BATCH = 2000
_COLUMNS: tuple[tuple[Part, str], ...] = (
    ("history input", "SELECT session, line, source_raw, source FROM history ORDER BY session, line"),
    ("history output", "SELECT session, line, output, NULL FROM output_history ORDER BY session, line"),
)


def search_history(path: str, redactor: Redactor) -> Iterator[Place]:
    """
    Yield the places of values in the rows of a history, which is opened for reading only.

    Raises:
        OSError: If it is damaged, locked, or no history.
    """
    try:
        with closing(sqlite3.connect(Path(path).absolute().as_uri() + "?mode=ro", uri=True, timeout=5)) as database:
            # What is not valid UTF-8 is no reason to stop.
            database.text_factory = lambda data: data.decode("utf-8", "replace")
            for part, query in _COLUMNS:
                yield from _rows(database, part, query, redactor)
    except sqlite3.Error:
        raise OSError(0, "it cannot be read as IPython's history") from None


def _rows(database: sqlite3.Connection, part: Part, query: str, redactor: Redactor) -> Iterator[Place]:
    rows = database.execute(query)
    while batch := rows.fetchmany(_BATCH):
        if not redactor.hits("\0".join(f"{one}\0{other}" for _, _, one, other in batch).encode("utf-8", "surrogatepass")):
            continue
        for session, line, *texts in batch:
            # IPython's own translation of an input differs from what was typed, as a rule only by the magics' calls.
            for text in filter(None, texts):
                for hit in redactor.find(str(text).encode("utf-8", "surrogatepass")):
                    yield Place(hit.name, part, detail=f"{session}/{line}")


def ipython_histories(environ: dict[str, str]) -> list[str]:
    """Return the histories of the user's IPython profiles, wherever `IPYTHONDIR` says they are."""
    folder = Path(environ.get("IPYTHONDIR") or os.path.expanduser("~/.ipython"))
    return [str(path) for path in sorted(folder.glob(f"profile_*/{NAME}"))]
