"""
What the panel's tab of connections asks. The definitions are those of `%connect`, and hold references only.

    {op: "connections"}          → {op: "connections", rows: [{key, name, origin, state, pending, kind, target, problem,
                                    secrets: [[name, is missing]], used_at, kept, place, also}], problem}
    {op: "kinds"}                → {op: "kinds", kinds: [name, …]}
    {op: "keys", kind}           → {op: "keys", keys: [{name, label, …}]}, as the kind declares them (connections/keys.py)
    {op: "definition", name}     → {op: "definition", kind, values, secrets, more}, or {text} where only that says all of it
    {op: "save_connection", name, replace, agreed, text | kind, values, secrets, more}
                                 → {op: "done", text}; or {op: "ask", question, agreed} where a key is not known here
    {op: "delete_connection", name} → {op: "done", text}
    {op: "cell", name, origin}   → {op: "cell", text, view}: the cell that opens it, and the model that this panel is
    {op: "test", name, origin, agreed} → {op: "testing", trial, limit_s}, and later, as no answer, {op: "tested", trial,
                                    text | message, hint}; or {op: "ask", question, digest} where a project's definition was not
                                    agreed to
    {op: "give_up", trial}       → {op: "done", text}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.connections import saved
from flowfile_nb.connections.access import TIMEOUT_S
from flowfile_nb.connections.definition import Definition
from flowfile_nb.connections.families import declared_keys, kinds, require_described, unknown_keys
from flowfile_nb.connections.form import Fields, body_of, fields_of
from flowfile_nb.connections.spec import read_spec
from flowfile_nb.connections.toml_text import printable
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import MissingDriverError, StoreError, UsageError
from flowfile_nb.notebook.connection_rows import ConnectionRow, connection_rows
from flowfile_nb.notebook.saved_verbs import cell_of
from flowfile_nb.notebook.variable import require_variable

if TYPE_CHECKING:
    from flowfile_nb.notebook.panel import SecretPanel

_Message = Mapping[str, Any]
# Other names of the same kinds; a list has each kind once.
_ALIASES = {"abfss", "az", "clickhousedb", "gcs", "http", "postgres", "sqlserver", "ssh"}


def _connections(panel: SecretPanel, message: _Message) -> dict[str, Any]:
    found = connection_rows(session.backend(), Path.cwd())
    rows = [_told(row, found.missing_in(row)) for row in found.rows]
    return {"op": "connections", "rows": rows, "problem": found.problem}


def _told(row: ConnectionRow, missing: set[str]) -> dict[str, Any]:
    definition = row.definition
    origin = definition.origin if definition is not None else ""
    place = (
        "cell"
        if definition is None
        else "Flowfile"
        if definition.flowfiles is not None
        else "team"
        if definition.shared
        else "project"
        if origin
        else "here"
    )
    return {
        "key": f"{place} {origin} {row.name}",
        "name": row.name,
        "shown": printable(row.name),
        "origin": origin,
        "state": row.state,
        "pending": "" if missing.intersection(row.secrets) else row.pending,
        "kind": row.kind,
        "target": row.target,
        "problem": row.problem,
        "secrets": [[printable(name), name in missing] for name in row.secrets],
        "used_at": row.used_at,
        "kept": row.kept,
        "place": place,
        "also": bool(row.also),
    }


def _kinds(panel: SecretPanel, message: _Message) -> dict[str, Any]:
    return {"op": "kinds", "kinds": [kind for kind in kinds() if kind not in _ALIASES]}


def _keys(panel: SecretPanel, message: _Message) -> dict[str, Any]:
    return {"op": "keys", "keys": [key._asdict() for key in declared_keys(message["kind"]) if key.in_form]}


def _definition(panel: SecretPanel, message: _Message) -> dict[str, Any]:
    definition = _own(message["name"])
    fields = fields_of(definition)
    return {"op": "definition", **({"text": definition.text} if fields is None else fields._asdict())}


def _save(panel: SecretPanel, message: _Message) -> dict[str, Any]:
    name, backend = message["name"], session.backend()
    require_variable(name)
    if not message["replace"] and name in backend.connection_bodies():
        raise UsageError(f"a connection named {name} is saved already", hint="its row has Edit; or choose another name")
    if "text" in message:
        body = message["text"].strip()
    else:
        body = body_of(Fields(message["kind"], message["values"], message["secrets"], message["more"]))
    unknown = _unknown(body)
    if unknown and message.get("agreed") != sorted(unknown):
        return {"op": "ask", "question": _about(unknown), "agreed": sorted(unknown)}
    saved.keep(backend, name, body, Path.cwd())
    told = f"Saved {name}. In any notebook:  %connect {name}"
    if session.team_in_use() is not None:
        from flowfile_nb.notebook.share_verbs import not_for_others_yet

        told = "  ".join(filter(None, [told, not_for_others_yet(name)]))
    return {"op": "done", "text": told}


def _unknown(body: str) -> dict[str, str]:
    """Return the keys that nobody here knows. Raises ConnectionSpecError for a body that could not be opened."""
    spec = read_spec(body)
    try:
        require_described(spec)
        return unknown_keys(spec)
    except MissingDriverError:
        # A definition may be written where it is not opened.
        return {}


def _about(unknown: dict[str, str]) -> str:
    meant = [f"{key} (did you mean {near}?)" if near else key for key, near in unknown.items()]
    whose = "is a key that is not known here; it is" if len(unknown) == 1 else "are keys that are not known here; they are"
    return f"{printable(', '.join(meant))} {whose} handed to the driver as an option."


def _delete(panel: SecretPanel, message: _Message) -> dict[str, Any]:
    name = _own(message["name"]).name
    session.backend().delete_connection(name)
    return {"op": "done", "text": f"Deleted the connection {printable(name)}. Its secrets are still there."}


def _cell(panel: SecretPanel, message: _Message) -> dict[str, Any]:
    definition = _found(message)
    # What the name alone does not open is put into a cell to be mended, or to be used beside the one that has the name.
    first = saved.find(session.backend(), definition.name, Path.cwd())
    by_name = not definition.outline.problem and first == definition
    text = f"%connect {quoted(definition.name)}" if by_name else cell_of(definition)
    return {"op": "cell", "text": text, "view": panel.model_id}


def _test(panel: SecretPanel, message: _Message) -> dict[str, Any]:
    definition, backend = _found(message), session.backend()
    if definition.outline.problem:
        raise UsageError(f"{definition.name} cannot be opened: {definition.outline.problem}", hint="Edit shows it")
    if not saved.is_agreed(backend, definition):
        if message.get("agreed") != definition.digest:
            return {"op": "ask", "question": saved.question(definition), "digest": definition.digest}
        # Where that cannot be kept, the next kernel asks again.
        with suppress(StoreError):
            saved.agree(backend, definition)
    return {"op": "testing", "trial": panel.trials.begin(definition), "limit_s": TIMEOUT_S}


def _give_up(panel: SecretPanel, message: _Message) -> dict[str, Any]:
    panel.trials.give_up(message["trial"])
    return {"op": "done", "text": ""}


def _own(name: str) -> Definition:
    bodies = session.backend().connection_bodies()
    if name not in bodies:
        raise UsageError(f"no connection named {name!r} is saved here", hint="another notebook may have deleted it")
    return Definition(name, bodies[name])


def _found(message: _Message) -> Definition:
    """Return the definition of that name and origin; one of the same name can stand in the project's file."""
    name, origin = message["name"], message["origin"]
    known = saved.definitions(session.backend(), Path.cwd()) if origin else saved.own(session.backend())
    for definition in known:
        if (definition.name, definition.origin) == (name, origin):
            return definition
    raise UsageError(f"no connection named {name!r} is there any longer", hint="list them:  %connect")


OPERATIONS: dict[str, Callable[[SecretPanel, _Message], dict[str, Any]]] = {
    "connections": _connections,
    "kinds": _kinds,
    "keys": _keys,
    "definition": _definition,
    "save_connection": _save,
    "delete_connection": _delete,
    "cell": _cell,
    "test": _test,
    "give_up": _give_up,
}
