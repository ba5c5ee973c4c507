"""Tab completion on the lines of our magics, and below `%%connect`: verbs, options, names of secrets and connections, files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from IPython.core.completer import SimpleCompletion

from flowfile_nb import session
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import FlowfileNbError
from flowfile_nb.notebook.arguments import CONNECT_OPTIONS, SAVED_OPTIONS
from flowfile_nb.notebook.secret_arguments import OPTIONS, VERBS

_BODY_REFERENCE = re.compile(r'(?:%secret\s+(?P<typed>"[^"]*|[^\s}@:/?&"]*)|\$\{secret:(?P<braced>[^}]*))$')
_SECRET_LINE = re.compile(r"(?:^|=|%time)\s*%?secret\s+(?P<args>.*)$")
_CONNECT_LINE = re.compile(r"^\s*(?P<magic>%%?)connect\s+(?P<args>.*)$")
# Not `sqlite3.connect("`.
_CONNECT_CALL = re.compile(
    r"(?:^|[^\w.])(?:(?:fnb|flowfile_nb)\.)?connect\((?:\s*|[^()]*,\s*(?P<argument>\w+)\s*=\s*)[\"'](?P<begun>[^\"']*)$"
)


def complete(line: str, above: Sequence[str] = ()) -> Any:
    """
    Return IPython's matcher result for the text before the cursor; empty where the line is not ours.

    Args:
        line: The line up to the cursor.
        above: In the body of a `%%connect` cell, the lines above it.
    """
    try:
        found = _complete_in_body(line, above) if above else _complete(line)
    except FlowfileNbError:
        # A store that cannot be read is reported by the magic, not by the Tab key.
        found = None
    if found is None:
        return {"completions": []}
    begun, candidates = found
    # Who has typed no quotes yet has not to know that the name needs some.
    starts = (begun, f'"{begun}')
    matches = [SimpleCompletion(text, type="secret") for text in candidates if text.startswith(starts)]
    return {"completions": matches, "matched_fragment": begun, "suppress": True, "ordered": True}


def _complete_in_body(line: str, above: Sequence[str]) -> tuple[str, Iterable[str]] | None:
    reference = _complete_reference(line)
    if reference is not None:
        return reference
    from flowfile_nb.notebook.body_completion import complete_body

    return complete_body(line, above)


def _complete_reference(line: str) -> tuple[str, Iterable[str]] | None:
    found = _BODY_REFERENCE.search(line)
    if found is None:
        return None
    if found["typed"] is None:
        return found["braced"], session.secrets
    return found["typed"], map(quoted, session.secrets)


def _complete(line: str) -> tuple[str, Iterable[str]] | None:
    secret_line = _SECRET_LINE.search(line)
    if secret_line:
        return _complete_secret_line(secret_line["args"])
    reference = _complete_reference(line)
    if reference is not None:
        return reference
    connect_line = _CONNECT_LINE.search(line)
    if connect_line:
        return _complete_connect_line(connect_line["args"], in_cell=connect_line["magic"] == "%%")
    connect_call = _CONNECT_CALL.search(line)
    return _complete_connect_call(connect_call["argument"], connect_call["begun"]) if connect_call else None


def _complete_connect_call(argument: str | None, begun: str) -> tuple[str, Iterable[str]] | None:
    """Return what can stand in the quotes of `fnb.connect("…")` and `as_="…"`; None where nothing of ours does."""
    if argument is None:
        candidates: Iterable[str] = _connection_names()
    elif argument == "as_":
        # Imported here, as below.
        from flowfile_nb.connections.families import forms

        candidates = forms()
    else:
        return None
    # A path, or the beginning of a URL, is completed by others.
    matching = [text for text in candidates if text.startswith(begun) and not {'"', "'", "\\"} & set(text)]
    return (begun, matching) if matching else None


def _complete_connect_line(args: str, *, in_cell: bool) -> tuple[str, Iterable[str]]:
    before, begun = _words(args)
    if before and before[-1] in {"--file", "--export"}:
        return begun, _files(begun)
    if before and before[-1] in {"--share", "--unshare"}:
        from flowfile_nb.notebook.team_completion import group_names

        return begun, group_names()
    if before and before[-1] == "--as":
        # Imported here, as below.
        from flowfile_nb.connections.families import forms

        return begun, forms()
    if begun.startswith("-"):
        return begun, CONNECT_OPTIONS if in_cell else SAVED_OPTIONS
    if [word for word in before if not word.startswith("-")]:
        return begun, []
    return begun, map(quoted, dict.fromkeys([*session.opened, *_connection_names()]))


def _connection_names() -> list[str]:
    """Return the names of those that are saved, Flowfile's and a project's, each once."""
    # Imported here: nobody else on these lines needs it.
    from flowfile_nb.connections.saved import definitions

    try:
        known = [definition.name for definition in definitions(session.backend(), Path.cwd())]
    except FlowfileNbError:
        known = list(session.backend().connection_bodies())
    return list(dict.fromkeys(known))


def _complete_secret_line(args: str) -> tuple[str, Iterable[str]]:
    before, begun = _words(args)
    names = [quoted(name) for name in session.secrets]
    if not before:
        return begun, [*VERBS, *names]
    asks_variable = before[-1] in {"--env", "env", "--passphrase-env", "--new-key-env"}
    if asks_variable and before[-1] != before[0] and before[0] != "import":
        return begun, sorted(os.environ)
    if before[-1] in {"--file", "--backup"} or (
        before[0] in {"scan", "import", "backup", "restore"} and not begun.startswith("-")
    ):
        return begun, _files(begun)
    if begun.startswith("-"):
        return begun, OPTIONS.get(before[0], [])
    if before[0] == "groups" or before[-1] == "--group":
        # Imported here: nobody without a team needs it.
        from flowfile_nb.notebook.team_completion import complete_groups

        return begun, complete_groups(before)
    return begun, names if before[0] in VERBS else []


def _words(args: str) -> tuple[list[str], str]:
    """Return the words before the one that is being typed, and that; what stands behind a quote is one."""
    *before, begun = args.split(" ")
    if args.count('"') % 2:
        head, _, tail = args.rpartition('"')
        before, begun = head.split(" "), f'"{tail}'
    return [word for word in before if word], begun


def _files(begun: str) -> list[str]:
    typed = begun.removeprefix('"')
    home = typed.split("/")[0] if typed.startswith("~") else ""
    cut = len(os.path.expanduser(home))
    found = sorted(glob.glob(glob.escape(os.path.expanduser(typed)) + "*"))
    return [_file(home + path[cut:], begun, is_folder=os.path.isdir(path)) for path in found]


def _file(path: str, begun: str, *, is_folder: bool) -> str:
    if begun.startswith('"') or " " in path:
        # A folder's quote stays open: what is in it comes next.
        return f'"{path}/' if is_folder else f'"{path}"'
    return f"{path}/" if is_folder else path
