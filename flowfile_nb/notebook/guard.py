"""
The output guard of one shell: every place where text leaves it, or is kept, gets a wrapper that masks known values.

It is put in when the first value becomes known, before that value is handed out; until then there is nothing to mask, and
loading the extension takes a millisecond.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from flowfile_nb.core.json_search import JsonSearch
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.notebook.echo import Echo
from flowfile_nb.notebook.output_hook import OutputHook
from flowfile_nb.notebook.records import Records
from flowfile_nb.notebook.watched import Watched

if TYPE_CHECKING:
    from flowfile_nb.backend import Finding
    from flowfile_nb.notebook.terminal import TerminalHook


class Guard:
    """
    All wrappers of one shell.

    Args:
        shell: The IPython shell, of a kernel or of a terminal.
        redactor: The values to mask.
    """

    def __init__(self, shell: Any, redactor: Redactor) -> None:
        self._shell = shell
        self._redactor = redactor
        self._search = JsonSearch(redactor)
        self._parts: list[Any] = []
        self._output: OutputHook | TerminalHook | None = None
        # As registered: after an autoreload of this module `self._after_cell` is another object.
        self._callback = self._after_cell
        self.problem = ""
        """Why the guard is off; empty while it is on."""

    def install(self) -> None:
        """Put everything in; where that cannot be done, say so where nobody overlooks it."""
        try:
            # Asked now: without an engine the first output would be withheld, and all after it.
            _ = self._redactor.engine
            for part in self._make_parts():
                part.install()
                self._parts.append(part)
            if isinstance(self._output, OutputHook):
                self._guard_echoes()
        except Exception as error:  # noqa: BLE001 - whatever is in the way is said, and the work goes on
            self.uninstall()
            self.problem = str(getattr(error, "message", None) or f"{type(error).__name__}: {error}")
            remedy = getattr(error, "hint", "") or "%secret doctor  shows more"
            print(f"flowfile_nb: THE OUTPUT GUARD IS OFF, outputs are not masked. {self.problem}\n{remedy}", file=sys.stderr)
            return
        self._shell.events.register("post_run_cell", self._callback)

    def uninstall(self) -> None:
        """Take everything out, in the opposite order."""
        if self._callback in self._shell.events.callbacks["post_run_cell"]:
            self._shell.events.unregister("post_run_cell", self._callback)
        while self._parts:
            self._parts.pop().uninstall()

    def adopt(self, redactor: Redactor) -> None:
        """Mask what *redactor* knows from now on, and still what the one before knew."""
        if redactor is self._redactor:
            return
        for name, value in self._redactor.learned():
            redactor.learn(name, value)
        self.uninstall()
        self._redactor, self._search = redactor, JsonSearch(redactor)
        self.install()

    def before_cell(self) -> None:
        """Guard the streams that are there now: somebody may have put in others, and one that is captured is not there."""
        if not self._parts:
            return
        if isinstance(self._output, OutputHook):
            self._guard_echoes()
        elif self._output is not None:
            self._output.guard_streams()

    def finding(self) -> Finding:
        """Return the line of `%secret doctor`."""
        # Imported here, as below: only the doctor asks.
        from flowfile_nb.backend import Finding

        if self.problem:
            return Finding("output guard", f"OFF: {self.problem}", ok=False, remedy="%reload_ext flowfile_nb")
        if self._output is None or not self._output.is_installed:
            remedy = "%reload_ext flowfile_nb   puts it back in"
            return Finding("output guard", "OFF: something has taken it out", ok=False, remedy=remedy)
        values = len(self._redactor.learned())
        return Finding("output guard", f"on, {values:,} {'value' if values == 1 else 'values'}, engine {self._redactor.engine}")

    def _make_parts(self) -> list[Any]:
        kernel = getattr(self._shell, "kernel", None)
        if kernel is None:
            # Imported here: a kernel has no use for it.
            from flowfile_nb.notebook.terminal import TerminalHook

            self._output = TerminalHook(self._redactor)
        else:
            self._output = OutputHook(kernel.session, self._redactor, self._search)
        records = Records(self._shell, self._redactor, self._clean)
        self._records = records
        return [records, self._output]

    def _clean(self, source: str, raw: str) -> tuple[str, str]:
        # Imported here: it is of use where IPython keeps a cell, which the guard does not wait for.
        from flowfile_nb.notebook.inputs import clean

        return clean(self._shell, source, raw)

    def _guard_echoes(self) -> None:
        # The kernel's own, too: what stands in their place now is not echoed, or hands on what is.
        kernel = self._shell.kernel
        own = [getattr(kernel, name, None) for name in ("_stdout", "_stderr")]
        for stream in (*own, sys.stdout, sys.stderr):
            if (echo := Echo.of(stream, self._redactor)) is not None:
                for part in (echo, Watched.of(stream, self._redactor)):
                    part.install()
                    self._parts.append(part)

    def _after_cell(self, result: Any) -> None:
        if self._output is not None and not isinstance(self._output, OutputHook):
            self._output.release_all()
        for part in self._parts:
            if isinstance(part, Watched):
                # Before the kernel says that the cell has ended.
                part.end_cell()
        count = result.execution_count
        self._records.after_cell(count if count is not None else self._shell.execution_count - 1)


def guard_findings(shell: Any) -> list[Finding]:
    """Return what `%secret doctor` says about the guard of *shell*."""
    from flowfile_nb.backend import Finding

    # What loading has left on the shell: extension.py.
    loaded = vars(shell).get("_flowfile_nb")
    if loaded is None:
        guard = Finding("output guard", "OFF: the extension is not loaded", ok=False, remedy="%load_ext flowfile_nb")
    elif loaded.guard is None:
        guard = Finding("output guard", "on; there is nothing to mask yet: no value has been read or stored in this kernel")
    else:
        guard = loaded.guard.finding()
    return [guard]
