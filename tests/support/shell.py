"""A real IPython shell, as a test talks to it."""

from __future__ import annotations

import sqlite3
from typing import Any

from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


class Shell:
    """Runs cells and keeps what they show."""

    def __init__(self, real: InteractiveShell) -> None:
        self.real = real
        self.shown = ""
        self.displayed = ""
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, cell: str) -> str:
        """Run a cell as a user does, with history; return all that it shows."""
        with capture_output() as captured:
            outcome = self.real.run_cell(cell, store_history=True)
        self.result, self.error = outcome.result, outcome.error_in_exec or outcome.error_before_exec
        self.shown = captured.stdout + captured.stderr
        self.displayed = "\n".join(output.data.get("text/plain", "") for output in captured.outputs)
        return self.shown

    @property
    def said(self) -> str:
        """What is `shown`, but for what only a slow machine has it say: what it waits for."""
        return "".join(line for line in self.shown.splitlines(keepends=True) if not line.startswith("Waiting for "))

    def complete(self, line: str) -> list[str]:
        """Return what Tab offers at the end of *line*."""
        with provisionalcompleter():
            return [found.text for found in self.real.Completer.completions(line, len(line))]

    def remembered(self) -> str:
        """Return everything IPython remembers of the inputs: in memory, in `_i*` and on disk."""
        history = self.real.history_manager
        history.writeout_cache()
        rows = sqlite3.connect(history.hist_file).execute("SELECT source, source_raw FROM history").fetchall()
        names = {name: value for name, value in self.real.user_ns.items() if name.startswith("_i") or name == "In"}
        return repr((rows, names, history.input_hist_parsed, history.input_hist_raw))
