"""
The panel of `%secret`: secrets by name, with a form to add one, and connections in a tab beside them.

A notebook saves the synced traits of its widgets, so nothing about a secret is in one, names neither. The front end asks by
custom messages and is answered by custom messages; a value comes as a binary buffer, outside the JSON.

    {op: "list"}                 → {op: "list", names: [name, …]}, in a team with {team: true}; or {op: "setup"} where docker
                                    mode waits for a master key; that is made in the browser and never comes here
    {op: "describe", names}      → {op: "describe", columns: [names, owners, sharers, updated_at, used_at]}; in a team three
                                    more: shared_with, modes and promises
    {op: "set", name, replace}   → {op: "done", text}, then the list; the value is the only buffer
    {op: "delete", name}         → {op: "done", text}, then the list
    {op: "used_by", name}        → {op: "used_by", connections: [name, …]}
    in a team, also those of `panel_team`
    anything that fails          → {op: "error", message, hint}

Each answer carries the `id` of its question. What the tab of connections asks is in `panel_connections`. Without being asked,
the kernel says {op: "changed"} after a cell that has changed something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget

from flowfile_nb import session
from flowfile_nb.core.encodings import MIN_CHARACTERS
from flowfile_nb.core.names import UNDO_DAYS, quoted
from flowfile_nb.errors import FlowfileNbError, UsageError
from flowfile_nb.notebook.panel_watch import watch
from flowfile_nb.notebook.setup import SETUP
from flowfile_nb.notebook.table import secrets_table
from flowfile_nb.notebook.trials import Trials

_HERE = Path(__file__).parent
_PARTS = ("parts", "rows", "setup", "secrets", "fields", "form", "connections", "team", "shell")
_FALLBACK_ROWS = 20

_Message = Mapping[str, Any]
_Buffers = Sequence[memoryview]


class SecretPanel(anywidget.AnyWidget):
    """A table of secrets with search, add, replace and delete; it shows no value and keeps none."""

    # A widget has one module, and no files to import.
    _esm = "".join((_HERE / f"panel_{name}.js").read_text(encoding="utf-8") for name in _PARTS)
    _css = "".join((_HERE / f"panel{name}.css").read_text(encoding="utf-8") for name in ("", "_connections", "_team"))

    def __init__(self) -> None:
        super().__init__()
        self.trials = Trials(lambda number, said: self.send({"op": "tested", "trial": number, **said}))
        self.on_msg(_handle)
        watch(self)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the widget, and for a front end without widgets a short table of names."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle is not None:
            bundle[0]["text/plain"] = _as_text()
        return bundle


def panel() -> SecretPanel:
    """
    Return the panel; as the last line of a cell it is shown.

    Raises:
        UnsupportedPlatformError: In browser-only Python.
    """
    session.require_platform()
    return SecretPanel()


def _handle(widget: SecretPanel, message: _Message, buffers: _Buffers) -> None:
    """Answer one message. Nothing is raised: IPython would print a traceback, in verbose mode with the value in it."""
    widget.send({**_answer(widget, message, buffers), "id": message.get("id")})
    if message.get("op") in {"set", "delete"}:
        # After an error too: the list shows what is there now.
        widget.send(_answer(widget, {"op": "list"}, ()))
    elif message.get("op") in {"save_connection", "delete_connection"}:
        widget.send({"op": "changed"})


def _answer(widget: SecretPanel, message: _Message, buffers: _Buffers) -> dict[str, Any]:
    try:
        if message["op"] in _OPERATIONS:
            return _OPERATIONS[message["op"]](message, buffers)
        # Imported here: the list of secrets does not need what knows connections, and only a team what knows teams.
        from flowfile_nb.notebook import panel_connections

        if message["op"] in panel_connections.OPERATIONS:
            return panel_connections.OPERATIONS[message["op"]](widget, message)
        from flowfile_nb.notebook import panel_team

        return panel_team.OPERATIONS[message["op"]](message)
    except FlowfileNbError as error:
        return {"op": "error", "message": error.message, "hint": error.hint}
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the kernel lives on
        # A foreign error's text can hold anything, the value too; its class cannot.
        return {"op": "error", "message": f"That did not work: {type(error).__name__}.", "hint": "%secret doctor"}


def _list(message: _Message, buffers: _Buffers) -> dict[str, Any]:
    if session.backend().awaits_key():
        return {"op": "setup"}
    team = {} if session.team_in_use() is None else {"team": True}
    return {"op": "list", "names": session.backend().names(), **team}


def _describe(message: _Message, buffers: _Buffers) -> dict[str, Any]:
    # Of the rows that are drawn: nobody looks at ten thousand.
    told = session.backend().describe(names=message["names"])
    return {"op": "describe", "columns": told if told.modes else told[:5]}


def _set(message: _Message, buffers: _Buffers) -> dict[str, Any]:
    if len(buffers) != 1:
        raise UsageError("no value came with the message; nothing was stored", hint="type it again")
    value = bytes(buffers[0]).decode()
    replaced = session.store(message["name"], value, replace=message["replace"])
    kept = f" Its previous value is kept for {UNDO_DAYS} days:  %secret undo {quoted(message['name'])}"
    kept = kept if replaced and session.backend().keeps_previous else ""
    short = f" It has under {MIN_CHARACTERS} characters: outputs are not masked for it." if len(value) < MIN_CHARACTERS else ""
    return {"op": "done", "text": f"{'Replaced' if replaced else 'Saved'} {message['name']}.{short}{kept}"}


def _delete(message: _Message, buffers: _Buffers) -> dict[str, Any]:
    session.backend().delete(message["name"])
    return {"op": "done", "text": f"Deleted {message['name']}."}


def _used_by(message: _Message, buffers: _Buffers) -> dict[str, Any]:
    return {"op": "used_by", "connections": session.used_by(message["name"])}


_OPERATIONS: dict[str, Callable[[_Message, _Buffers], dict[str, Any]]] = {
    "list": _list,
    "describe": _describe,
    "set": _set,
    "delete": _delete,
    "used_by": _used_by,
}


def _as_text() -> str:
    try:
        if session.backend().awaits_key():
            return SETUP
        secrets, more = session.backend().describe(_FALLBACK_ROWS), len(session.secrets) - _FALLBACK_ROWS
    except FlowfileNbError as error:
        return str(error)
    lines = [repr(secrets_table(secrets))]
    if more > 0:
        lines.append(f"… and {more:,} more:  %secret list")
    if secrets.names:
        lines.append("Add one:  %secret set NAME")
    return "\n".join(lines)
