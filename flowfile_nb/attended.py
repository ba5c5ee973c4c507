"""Whether somebody sits in front of this process, who could be asked."""

from __future__ import annotations

import sys
from typing import Any


def is_attended() -> bool:
    """
    Return whether a magic could ask for a value now: in IPython, where its front end takes input; nbclient's does not.

    Nothing is imported for it.
    """
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return False
    # As the front end has said with the cell that runs; there is no public way to ask.
    return bool(getattr(getattr(shell, "kernel", None), "_allow_stdin", True))
