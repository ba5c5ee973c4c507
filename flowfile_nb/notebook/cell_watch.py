"""
Noticing a stored value that stands in a cell in clear, before the cell runs.

All stored values are looked for, not only those that this kernel has used: who pastes a password has not read it from the
store. They are decrypted when the first cell runs, and those that changed when the store has changed.
"""

from __future__ import annotations

import os
import re
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
# A value of so many characters is in no longer word by chance.
_CERTAIN = 8


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
            data = cell.encode("utf-8", "surrogatepass")
            sure = [hit for hit in hits if not may_be_chance(data, hit, self._values[hit.name])]
            print(_warning(data, sure) if sure else _of_chance(hits), file=sys.stderr)

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
        present = backend.fingerprints()
        fingerprints = dict(list(present.items())[-_MOST:])
        if any(present.get(name) != fingerprint for name, fingerprint in self._fingerprints.items()):
            # What was replaced, renamed or deleted is no secret's value any more: to write the secret for it would be wrong.
            self._redactor = Redactor()
            self._values = {
                name: value for name, value in self._values.items() if present.get(name) == self._fingerprints.get(name, "")
            }
            for name, value in self._values.items():
                self._redactor.learn(name, value)
        for name, fingerprint in fingerprints.items():
            if fingerprint != self._fingerprints.get(name):
                try:
                    self._values[name] = backend.peek(name)
                except FlowfileNbError:
                    # One damaged row, or one that is used elsewhere and never seen here.
                    continue
                self._redactor.learn(name, self._values[name])
        self._fingerprints, self._version = fingerprints, version


def may_be_chance(data: bytes, hit: Hit, value: str) -> bool:
    """Return whether a short value stands inside of a longer word, as `prod` does in `products`; then it may not be meant."""
    if len(value) >= _CERTAIN or data[hit.start : hit.end] != value.encode("utf-8", "surrogatepass"):
        return False
    edges = (data[hit.start - 1 : hit.start + 1] if hit.start else b"", data[hit.end - 1 : hit.end + 1])
    return any(len(edge) == 2 and (edge.replace(b"_", b"").isalnum() or edge == b"__") for edge in edges)


def _of_chance(hits: list[Hit]) -> str:
    whose = ", ".join(repr(name) for name in dict.fromkeys(hit.name for hit in hits))
    return (
        f"flowfile_nb: in this cell the value of secret {whose} is a part of a longer word."
        " Delete it from the notebook, if that is not by chance."
    )


def _warning(data: bytes, hits: list[Hit]) -> str:
    """Return what is said of a cell: whose values are in it, and its lines as they should be."""
    end = 0
    parts: list[bytes] = []
    for hit in hits:
        parts += [data[end : hit.start], reference(hit.name).encode()]
        end = hit.end
    better = b"".join([*parts, data[end:]]).decode("utf-8", "replace")
    names = list(dict.fromkeys(hit.name for hit in hits))
    references = [reference(name) for name in names]
    within = [line for line in better.splitlines() if any(one in line for one in references)]
    lines = [f"    {_written(line, names, is_described=b'connect' in data)}" for line in within]
    whose = ", ".join(repr(name) for name in names)
    return "\n".join(
        [
            f"flowfile_nb: this cell holds the value of secret {whose} in clear. Delete it from the notebook, and write:",
            *lines[:_LINES],
            f"In code:  x = %secret {quoted(names[0])}   and  x.get_secret_value()   where the text itself is needed.",
        ]
    )


def _written(line: str, names: list[str], *, is_described: bool = False) -> str:
    """
    Return a line with a reference in it as code that runs, where the value is assigned or stands by itself.

    *is_described* says that it may be a part of a connection's description, where a reference is filled in.

    >>> _written("pw = '${secret:prod_pw}'", ["prod_pw"])
    'pw = %secret prod_pw'
    >>> _written("login('app', '${secret:prod_pw}')", ["prod_pw"])
    "login('app', fnb.secrets['prod_pw'].get_secret_value())"
    >>> _written('os.environ["PGPASSWORD"] = "${secret:prod_pw}"', ["prod_pw"])
    '%secret env prod_pw PGPASSWORD'
    """
    for name in names:
        text = rf"""(?P<quote>["']){re.escape(reference(name))}(?P=quote)\s*$"""
        if found := re.match(rf"(\s*\w+\s*=\s*){text}", line):
            return f"{found[1]}%secret {quoted(name)}"
        if found := re.match(rf"""(\s*)os\.environ\[["'](\w+)["']\]\s*=\s*{text}""", line):
            return f"{found[1]}%secret env {quoted(name)} {found[2]}"
        # IPython's `%env` would set it to the reference itself.
        if found := re.match(rf"(\s*)%(?:env|set_env)\s+(\w+)\s*[= ]\s*{re.escape(reference(name))}\s*$", line):
            return f"{found[1]}%secret env {quoted(name)} {found[2]}"
        # Only a connection's description has references filled in; elsewhere it would be text like any other.
        if not is_described:
            for quote in "'\"":
                line = line.replace(f"{quote}{reference(name)}{quote}", f"fnb.secrets[{name!r}].get_secret_value()")
    return line
