"""Telling the panels that are shown when a cell has changed what they show."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from IPython import get_ipython

from flowfile_nb import session
from flowfile_nb.errors import FlowfileNbError

if TYPE_CHECKING:
    from flowfile_nb.notebook.panel import SecretPanel

_STATE = "_flowfile_nb_panels"


class PanelWatch:
    """Looks after each cell whether the store has changed. It is kept on the shell, as an autoreload would lose it here."""

    def __init__(self) -> None:
        self.panels: WeakSet[SecretPanel] = WeakSet()
        self._seen = _version()
        # As registered: after an autoreload of this module `self.look` is another object.
        self.looking = self.look

    def look(self, result: Any = None) -> None:
        """Tell the panels if something has changed since the last look."""
        version = _version()
        if version == self._seen:
            return
        self._seen = version
        for panel in list(self.panels):
            if panel.comm is not None:
                panel.send({"op": "changed"})


def watch(panel: SecretPanel) -> None:
    """Keep a panel told from now on; outside IPython, where there are no cells, nothing is done."""
    shell: Any = get_ipython()
    if shell is None:
        return
    if _STATE not in vars(shell):
        watching = vars(shell)[_STATE] = PanelWatch()
        shell.events.register("post_run_cell", watching.looking)
    vars(shell)[_STATE].panels.add(panel)


def unwatch(shell: Any) -> None:
    """Take out of *shell* what `watch` put in."""
    watching = vars(shell).pop(_STATE, None)
    if watching is not None:
        shell.events.unregister("post_run_cell", watching.looking)


def _version() -> object:
    """Return what differs when secrets or connections may have."""
    # What cannot be read is said by the panel when it asks, not after each cell.
    with suppress(FlowfileNbError):
        backend = session.backend()
        return backend.version(), backend.connection_bodies(), backend.used_connections(), list(session.opened)
    return None
