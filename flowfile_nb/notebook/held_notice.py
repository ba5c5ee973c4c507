"""
Before each cell: open connections whose library keeps a login get the one that is stored now, or lose it.

What an engine does by itself when it is used, DuckDB cannot: a database whose secret is gone is not attached any more, which is
said, and said again before each cell that has its variable.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from flowfile_nb.connections.held import everyone

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def look_after(shell: InteractiveShell, cell: str) -> None:
    """Look at all that are open; say what one has lost that does not say it when it is used."""
    for held in everyone():
        native, before = held.native(), held.why
        names = [name for name, item in list(shell.user_ns.items()) if item is native and not name.startswith("_")]
        is_meant = any(re.search(rf"\b{re.escape(name)}\b", cell) for name in names)
        held.look(again=is_meant)
        if held.why is not None and held.is_renewed and (is_meant or held.why is not before):
            print(f"flowfile_nb: {', '.join(names) or 'a connection'}: {held.why}", file=sys.stderr)
