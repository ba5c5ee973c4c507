"""`%secret doctor`: what the store says of itself, the output guard, and the front end."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from flowfile_nb import session
from flowfile_nb.backend import Finding
from flowfile_nb.errors import FlowfileNbError
from flowfile_nb.notebook.front_end import front_end_findings, versions
from flowfile_nb.notebook.guard import guard_findings
from flowfile_nb.notebook.table import Table

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def doctor(shell: InteractiveShell, args: Namespace) -> Table:
    """Return the findings, each with the command that mends it; with `--fix`, after mending what is safe."""
    if args.fix:
        print("\n".join(f"Mended: {line}" for line in session.vault().mend()) or "There was nothing that is mended by itself.")
    findings = [versions(), *_store_findings(), *guard_findings(shell), *front_end_findings(shell)]
    rows = [("ok" if finding.ok else "mend", finding.topic, finding.state, finding.remedy) for finding in findings]
    return Table(("", "what", "state", "remedy"), rows)


def _store_findings() -> list[Finding]:
    try:
        return session.backend().findings()
    except FlowfileNbError as error:
        # The very places of key and store are not settled.
        return [Finding("store", error.message, ok=False, remedy=error.hint)]
