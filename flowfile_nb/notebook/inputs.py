"""Cell sources as IPython may remember them: without the values that our magics refuse, and without known values."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.core.cell_source import REMOVED, hide_values, may_call_ours
from flowfile_nb.errors import ConnectionSpecError, MissingDriverError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell


def clean(shell: InteractiveShell, source: str, source_raw: str | None) -> tuple[str, str]:
    """
    Return both forms of a cell without values: those that our magics refuse, and those that are known.

    Args:
        shell: Turns the raw form into the other again.
        source: The cell as Python, after IPython's transformations.
        source_raw: The cell as typed; None means *source*.
    """
    raw = source if source_raw is None else source_raw
    kept = _hide_literal_password(hide_values(raw))
    if may_call_ours(kept) or ("flowfile_nb" in kept and "(" in kept) or _says_another_name(kept, shell.user_ns):
        # Imported here, as below: most cells are neither a connection's nor call anything of ours.
        from flowfile_nb.notebook.python_literals import hide_in_python

        kept = hide_in_python(kept, source, shell.transform_cell, shell.user_ns)
    kept = _masked(kept)
    if kept != raw:
        try:
            return _masked(str(shell.transform_cell(kept))), kept  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001 - a mask in the middle of code need not be code
            return kept, kept
    return _masked(source), raw


def _masked(text: str) -> str:
    try:
        return session.mask(text)
    except MissingDriverError:
        # Nothing can be masked here, and that was said loudly.
        return text
    except Exception:  # noqa: BLE001 - whatever went wrong, nothing that may hold a value is kept
        return REMOVED


def _says_another_name(cell: str, namespace: Mapping[str, Any]) -> bool:
    """Return whether a cell has a word in it that means our package, `connect` or `secrets` in this kernel, whatever it is."""
    ours: list[object] = [session.secrets, sys.modules["flowfile_nb"]]
    if (connecting := sys.modules.get("flowfile_nb.connecting")) is not None:
        ours.append(connecting.connect)
    # By identity: an array of a user's would compare each of its elements.
    return any(name in cell and any(item is one for one in ours) for name, item in list(namespace.items()))


def _hide_literal_password(cell: str) -> str:
    """
    Take out of a `%%connect` cell that was not understood, or holds a password in clear, each line that may hold one.

    Nothing was opened, so nothing is lost; what surely holds none stays, so that it need not be typed again.
    """
    # IPython leaves out blank lines above a cell magic.
    above = cell[: len(cell) - len(cell.lstrip())]
    first, _, body = cell[len(above) :].partition("\n")
    if not first.startswith("%%connect") or not body.strip():
        return cell
    if not _is_refused(body):
        return cell
    from flowfile_nb.connections.harmless import without_doubtful_lines

    return f"{above}{first}\n{without_doubtful_lines(body)}"


def _is_refused(description: str) -> bool:
    from flowfile_nb.connections.families import require_described
    from flowfile_nb.connections.spec import read_spec

    try:
        require_described(read_spec(description))
    except ConnectionSpecError:
        return True
    except MissingDriverError:
        # As far as can be told here, it is right; the cell says what to install.
        return False
    return False
