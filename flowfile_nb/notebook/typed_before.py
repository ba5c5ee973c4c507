"""A value that was typed into a cell before it was stored: the notebook and IPython's history have it still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.notebook.cell_watch import may_be_chance

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_NAMED = 5


def tell_of_cells(shell: InteractiveShell, name: str, value: str) -> None:
    """Say which inputs of this session hold the value that was just stored, and how they are cleaned; nothing if none do."""
    history: Any = shell.history_manager
    redactor = Redactor()
    # Without a history, as with a short value, nothing is looked for.
    if history is None or not redactor.learn(name, value):
        return
    cells = [f"In[{number}]" for number, text in enumerate(history.input_hist_raw) if _holds(redactor, text, value)]
    if cells:
        more = f" and {len(cells) - _NAMED:,} more" if len(cells) > _NAMED else ""
        print(
            f"The value stands in clear in {', '.join(cells[:_NAMED])}{more}: delete it from the notebook."
            "  %secret scan   says how it leaves IPython's history, and files."
        )


def _holds(redactor: Redactor, text: str, value: str) -> bool:
    data = text.encode("utf-8", "surrogatepass")
    return any(not may_be_chance(data, hit, value) for hit in redactor.matches(data))
