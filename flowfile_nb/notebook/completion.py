"""Tab completion on the lines of our magics: verbs, options, names of secrets and connections, files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from typing import Any

from IPython.core.completer import SimpleCompletion

from flowfile_nb import session
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import FlowfileNbError
from flowfile_nb.notebook.arguments import OPTIONS, VERBS

_BODY_REFERENCE = re.compile(r"(?:%secret\s+|\$\{secret:)(?P<begun>[^\s}@:/?&]*)$")
_SECRET_LINE = re.compile(r"(?:^|=|%time)\s*%?secret\s+(?P<args>.*)$")
_CONNECT_LINE = re.compile(r"^\s*%connect\s+(?:-x\s+)?(?P<begun>\S*)$")


def complete(line: str) -> Any:
    """Return IPython's matcher result for the text before the cursor; empty where the line is not ours."""
    try:
        found = _complete(line)
    except FlowfileNbError:
        # A store that cannot be read is reported by the magic, not by the Tab key.
        found = None
    if found is None:
        return {"completions": []}
    begun, candidates = found
    matches = [SimpleCompletion(text, type="secret") for text in candidates if text.startswith(begun)]
    return {"completions": matches, "matched_fragment": begun, "suppress": True, "ordered": True}


def _complete(line: str) -> tuple[str, Iterable[str]] | None:
    secret_line = _SECRET_LINE.search(line)
    if secret_line:
        return _complete_secret_line(secret_line["args"])
    in_body = _BODY_REFERENCE.search(line)
    if in_body:
        bare = not line[: in_body.start("begun")].endswith(":")
        return in_body["begun"], [quoted(name) for name in session.secrets] if bare else session.secrets
    connect_line = _CONNECT_LINE.search(line)
    if connect_line:
        backend = session.backend()
        saved = [*backend.connection_bodies(), *backend.flowfile_connections()]
        return connect_line["begun"], dict.fromkeys([*session.opened, *map(quoted, saved)])
    return None


def _complete_secret_line(args: str) -> tuple[str, Iterable[str]]:
    words = args.split(" ")
    before, begun = [word for word in words[:-1] if word], words[-1]
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
    return begun, names if before[0] in VERBS else []


def _files(begun: str) -> list[str]:
    found = sorted(glob.glob(glob.escape(os.path.expanduser(begun)) + "*"))
    return [path + "/" if os.path.isdir(path) else path for path in found]
