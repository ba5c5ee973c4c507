"""From a description with references to the native object of its kind; one file per family, libraries imported on use."""

from __future__ import annotations

from flowfile_nb.connections.opening import describe, open_connection

__all__ = ["describe", "open_connection"]
