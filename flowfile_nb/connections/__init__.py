"""From a description with references to the native object of its kind; one file per family, libraries imported on use."""

from __future__ import annotations

from flowfile_nb.connections.opening import Opened, open_connection, open_flowfile_connection

__all__ = ["Opened", "open_connection", "open_flowfile_connection"]
