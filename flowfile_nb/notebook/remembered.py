"""What IPython has remembered of the cell that loads us: it was stored before we could look at it."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING, Any

from flowfile_nb.notebook.inputs import clean

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def clean_last(shell: InteractiveShell) -> None:
    """Take values out of the last cell in `In`, `_ih`, `_i*` and history.sqlite, as is done with each later one."""
    history: Any = shell.history_manager
    source, raw = history.input_hist_parsed[-1], history.input_hist_raw[-1]
    cleaned = tuple(text.rstrip("\n") for text in clean(shell, source, raw))
    if cleaned == (source, raw):
        return
    history.input_hist_parsed[-1], history.input_hist_raw[-1] = cleaned
    # What the next cell has as `_i`.
    history.set_trait("_i00", cleaned[1])
    for name, item in list(shell.user_ns.items()):
        if name.startswith("_i") and isinstance(item, str) and item == raw:
            shell.user_ns[name] = cleaned[1]
    # Whoever writes holds the lock until it is written: an entry is here or there.
    with history.db_input_cache_lock:
        before = history.db_input_cache
        history.db_input_cache = [(line, *(cleaned if texts == [source, raw] else texts)) for line, *texts in before]
        if history.db_input_cache == before and history.enabled:
            try:
                _rewrite(history, (*cleaned, history.session_number, source, raw))
            except sqlite3.Error as error:
                told = f"flowfile_nb: IPython's history keeps this cell as it was typed ({type(error).__name__})"
                print(f"{told}:  %secret scan  says where", file=sys.stderr)


def _rewrite(history: Any, values: tuple[object, ...]) -> None:
    # Its own connection belongs to the thread that has made it.
    in_memory = str(history.hist_file) == ":memory:"
    db = history.db if in_memory else sqlite3.connect(history.hist_file, timeout=10)
    try:
        # What is written over is not left behind the shorter text.
        db.execute("PRAGMA secure_delete=ON")
        with db:
            where = "session = ? AND source = ? AND source_raw = ?"
            db.execute(f"UPDATE history SET source = ?, source_raw = ? WHERE {where}", values)  # noqa: S608 - our own text
    finally:
        if not in_memory:
            db.close()
