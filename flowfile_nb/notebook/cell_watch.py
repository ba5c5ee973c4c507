"""
Noticing a stored value that stands in a cell in clear, before the cell runs.

All stored values are looked for, not only those that this kernel has used: who pastes a password has not read it from the
store. They are decrypted when the first cell runs, and those that changed when the store has changed.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from traitlets import Bool, Enum, observe
from traitlets.config import Configurable

from flowfile_nb import session
from flowfile_nb.core.names import quoted
from flowfile_nb.core.redaction import Hit, Redactor
from flowfile_nb.core.references import reference
from flowfile_nb.errors import FlowfileNbError, ValueInCellError

# The newest; a larger store is not one person's. A thousand take some 30 ms to decrypt.
_MOST = 2_000
_LINES = 10


class FlowfileNb(Configurable):
    """What a user can set with `%config FlowfileNb.NAME = VALUE`, or in a profile's configuration."""

    cell_source = Enum(
        ("warn", "refuse", "off"),
        default_value="warn",
        help="A cell that holds the value of a stored secret in clear: 'warn' and run it, 'refuse' it, or 'off'.",
    ).tag(config=True)
    access_log = Bool(True, help="Whether the use of a secret is recorded: %secret log. The same as FLOWFILE_NB_LOG.").tag(
        config=True
    )

    @observe("access_log")
    def _switch_log(self, change: Any) -> None:
        # By the environment, so that what this kernel starts does the same.
        if change["new"]:
            os.environ.pop("FLOWFILE_NB_LOG", None)
        else:
            os.environ["FLOWFILE_NB_LOG"] = "off"


class CellWatch:
    """
    The look at each cell.

    Args:
        shell: The IPython shell.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._config = FlowfileNb(parent=shell)
        self._version: object = None
        self._fingerprints: dict[str, object] = {}
        self._values: dict[str, str] = {}
        self._redactor = Redactor()
        # As registered: after an autoreload of this module `self._refuse` is another object.
        self._refusing = self._refuse

    def install(self) -> None:
        """Make the setting known to `%config`, and be able to refuse a cell."""
        self._shell.configurables.append(self._config)
        self._shell.input_transformers_post.append(self._refusing)

    def uninstall(self) -> None:
        """Take both out."""
        self._shell.configurables.remove(self._config)
        self._shell.input_transformers_post.remove(self._refusing)

    def look_at(self, cell: str) -> None:
        """Warn of the stored values that stand in *cell*; they are kept out of the history and of the outputs."""
        if self._config.cell_source == "warn" and (hits := self._find(cell)):
            print(_warning(cell, hits), file=sys.stderr)

    def _refuse(self, lines: list[str]) -> list[str]:
        """Refuse to transform a cell that holds a stored value: then IPython does not run it."""
        if self._config.cell_source == "refuse" and (hits := self._find("".join(lines))):
            name = hits[0].name
            raise ValueInCellError(
                f"this cell holds the value of secret {name!r} in clear; it was not run",
                hint=f"write  {reference(name)}  in a connection,  x = %secret {quoted(name)}  in code, and delete the value",
            )
        return lines

    def _find(self, cell: str) -> list[Hit]:
        try:
            self._refresh()
            hits = self._redactor.find(cell.encode("utf-8", "surrogatepass"))
        except FlowfileNbError:
            # A store that cannot be read is reported by what needs it, not by each cell.
            return []
        for name in {hit.name for hit in hits}:
            session.learn(name, self._values[name])
        return hits

    def _refresh(self) -> None:
        backend = session.backend()
        version = backend.version()
        if version == self._version:
            return
        fingerprints = dict(list(backend.fingerprints().items())[-_MOST:])
        for name, fingerprint in fingerprints.items():
            if fingerprint != self._fingerprints.get(name):
                try:
                    self._values[name] = backend.peek(name)
                except FlowfileNbError:
                    # One damaged row, or one that is used elsewhere and never seen here.
                    continue
                self._redactor.learn(name, self._values[name])
        self._fingerprints, self._version = fingerprints, version


def _warning(cell: str, hits: list[Hit]) -> str:
    """Return what is said of a cell: whose values are in it, and its lines as they should be."""
    data, end = cell.encode("utf-8", "surrogatepass"), 0
    parts: list[bytes] = []
    for hit in hits:
        parts += [data[end : hit.start], reference(hit.name).encode()]
        end = hit.end
    better = b"".join([*parts, data[end:]]).decode("utf-8", "replace")
    names = list(dict.fromkeys(hit.name for hit in hits))
    references = [reference(name) for name in names]
    lines = [f"    {line}" for line in better.splitlines() if any(one in line for one in references)]
    whose = ", ".join(repr(name) for name in names)
    return "\n".join(
        [
            f"flowfile_nb: this cell holds the value of secret {whose} in clear. Delete it from the notebook, and write:",
            *lines[:_LINES],
            f"In code:  x = %secret {quoted(names[0])}   and  x.get_secret_value()   where the text itself is needed.",
        ]
    )
