"""
Use a credential in a notebook without it ever showing up.

    %load_ext flowfile_nb
    %secret set prod_pw
    %%connect warehouse
    postgresql://app:%secret prod_pw@db.example.com:5432/sales

In Python: `secrets`, `connect`, `panel`, and `Secret`; see README.md.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from IPython.core.interactiveshell import InteractiveShell

    from flowfile_nb.connecting import connect
    from flowfile_nb.core.secret import Secret
    from flowfile_nb.errors import FlowfileNbError
    from flowfile_nb.notebook.panel import panel
    from flowfile_nb.session import secrets

__all__ = ["FlowfileNbError", "Secret", "connect", "load_ipython_extension", "panel", "secrets", "unload_ipython_extension"]

# Loading the extension must cost a millisecond, so each of these is imported when it is first asked for.
_HOMES = {
    "FlowfileNbError": "flowfile_nb.errors",
    "Secret": "flowfile_nb.core.secret",
    "connect": "flowfile_nb.connecting",
    "panel": "flowfile_nb.notebook.panel",
    "secrets": "flowfile_nb.session",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "panel" and sys.platform == "emscripten":
        # Before anything is imported that a browser's Python may not have.
        from flowfile_nb.session import require_platform

        require_platform()
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add `%secret`, `%connect` and `%%connect` to a shell: `%load_ext flowfile_nb`. Refused in browser-only Python."""
    if sys.platform == "emscripten":
        from flowfile_nb.session import require_platform

        require_platform()
    from flowfile_nb.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take out what `load_ipython_extension` put in: `%unload_ext flowfile_nb`."""
    from flowfile_nb.extension import unload

    unload(shell)
