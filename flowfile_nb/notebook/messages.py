"""
Jupyter's messages with values masked: where the user's content is, and never in the protocol's own words.

A value may be `stdout` or `text/plain`; masking blindly would break the message. So each kind of message says here which of
its fields are protocol. Source: jupyter-client.readthedocs.io, "Messaging in Jupyter"; ipywidgets' model messages, version 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowfile_nb.core.expression import expression

LEFT_ALONE = frozenset(
    {
        "comm_info_reply",
        "connect_reply",
        "create_subshell_reply",
        "delete_subshell_reply",
        "interrupt_reply",
        "iopub_welcome",
        "is_complete_reply",
        "kernel_info_reply",
        "list_subshell_reply",
        "shutdown_reply",
        "status",
        "usage_reply",
    }
)
"""Messages that hold nothing but protocol."""

WITHHELD = "[flowfile_nb withheld this output: masking it failed]"

# A key here is one of the protocol's own; what is in it is masked unless it stands below, too.
_MIMETYPES = frozenset(
    {
        "application/geo+json",
        "application/javascript",
        "application/json",
        "application/pdf",
        "application/vnd.jupyter.widget-state+json",
        "application/vnd.jupyter.widget-view+json",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/svg+xml",
        "text/html",
        "text/latex",
        "text/markdown",
        "text/plain",
    }
)
_OF_MODEL = "IPY_MODEL_"
_MODEL_REFERENCE = expression(rf"{_OF_MODEL}[0-9a-f]{{32}}\Z")
_FIXED: dict[str, frozenset[str]] = {
    "clear_output": frozenset({"wait"}),
    "comm_close": frozenset({"comm_id"}),
    "comm_msg": frozenset({"comm_id"}),
    "comm_open": frozenset({"comm_id", "target_module", "target_name"}),
    "complete_reply": frozenset({"cursor_end", "cursor_start", "status"}),
    "debug_event": frozenset({"event", "seq", "type"}),
    "debug_reply": frozenset({"command", "request_seq", "seq", "success", "type"}),
    "execute_input": frozenset({"execution_count"}),
    "execute_reply": frozenset({"execution_count", "status"}),
    "execute_result": frozenset({"execution_count"}),
    "history_reply": frozenset({"status"}),
    "input_request": frozenset({"password"}),
    "inspect_reply": frozenset({"found", "status"}),
    "stream": frozenset({"name"}),
}
# Which code a widget runs in the browser: written by its author.
_WIDGET_CODE = frozenset(
    {
        "_anywidget_id",
        "_css",
        "_esm",
        "_model_module",
        "_model_module_version",
        "_model_name",
        "_view_module",
        "_view_module_version",
        "_view_name",
    }
)
_METADATA = frozenset({"dependencies_met", "engine", "started", "status", "version"})
_NONE: frozenset[str] = frozenset()

Mask = Callable[[str], str]


def masked_content(kind: str, content: Any, mask: Mask) -> Any:
    """
    Return the content of a message with every text in it masked; the very same object where nothing changed.

    Args:
        kind: The message's type, such as `display_data`.
        content: Its content, of the types that JSON has.
        mask: Masks one text, and returns the very same one where there is nothing to mask.
    """
    fixed = _FIXED.get(kind, _NONE)
    deep = _deep_words if kind in {"debug_event", "debug_reply", "history_reply"} else masked_tree

    def part(key: str, item: Any) -> Any:
        if key in fixed:
            return item
        if key == "data":
            return _comm_data(item, mask) if kind.startswith("comm_") else _mime_bundle(item, mask)
        if key == "user_expressions":
            return _items(item, lambda _, result: masked_content("execute_reply", result, mask))
        if key == "payload":
            return _list(item, lambda one: _items(one, lambda name, of: of if name == "source" else payload(name, of)))
        return deep(item, mask)

    def payload(name: str, item: Any) -> Any:
        return _mime_bundle(item, mask) if name == "data" else _deep_words(item, mask)

    return _items(content, part)


def masked_metadata(metadata: Any, mask: Mask) -> Any:
    """Return the metadata of a message, masked: its keys and the protocol's own entries stay."""
    return _items(metadata, lambda key, item: item if key in _METADATA else _deep_words(item, mask))


def withheld_content(kind: str, content: Any) -> Any:
    """Return what is sent where masking failed: the message with its protocol, and none of its text."""

    def hide(text: str) -> str:
        return WITHHELD if text else text

    try:
        return masked_content(kind, content, hide)
    except Exception:  # noqa: BLE001 - what cannot even be walked through is replaced as a whole
        fixed = _FIXED.get(kind, _NONE)
        kept = {key: item for key, item in content.items() if key in fixed} if isinstance(content, Mapping) else {}
        return {**kept, **_LEAST.get(kind, {})}


# What a front end needs of a message whose content could not be walked through.
_LEAST: dict[str, dict[str, Any]] = {
    "comm_msg": {"data": {}},
    "comm_open": {"data": {}},
    "complete_reply": {"matches": [], "metadata": {}},
    "display_data": {"data": {"text/plain": WITHHELD}, "metadata": {}},
    "error": {"ename": "OutputGuard", "evalue": WITHHELD, "traceback": [WITHHELD]},
    "execute_input": {"code": WITHHELD},
    "execute_reply": {"payload": [], "user_expressions": {}},
    "execute_result": {"data": {"text/plain": WITHHELD}, "metadata": {}},
    "history_reply": {"history": []},
    "input_request": {"prompt": WITHHELD},
    "inspect_reply": {"data": {}, "metadata": {}},
    "stream": {"text": WITHHELD},
    "update_display_data": {"data": {"text/plain": WITHHELD}, "metadata": {}},
}


def _mime_bundle(bundle: Any, mask: Mask) -> Any:
    return _items(bundle, lambda _, item: masked_tree(item, mask), lambda key: key if key in _MIMETYPES else mask(key))


def _comm_data(data: Any, mask: Mask) -> Any:
    """A widget's update or custom message: the names of traits and of a custom message's fields are protocol."""

    def part(key: str, item: Any) -> Any:
        if key in {"buffer_paths", "method"}:
            return item
        if key == "state":
            return _items(item, lambda name, trait: trait if name in _WIDGET_CODE else masked_tree(trait, mask))
        return _items(item, lambda _, one: masked_tree(one, mask)) if isinstance(item, Mapping) else masked_tree(item, mask)

    return _items(data, part)


def masked_tree(item: Any, mask: Mask) -> Any:
    """Return an item of JSON's types with every text, key and number in it masked; the very same one where nothing changed."""
    if isinstance(item, str):
        return item if item.startswith(_OF_MODEL) and _MODEL_REFERENCE.match(item) else mask(item)
    if item is None or isinstance(item, bool):
        return item
    if isinstance(item, (int, float)):
        text = repr(item)
        masked = mask(text)
        return item if masked is text else masked
    if isinstance(item, Mapping):
        return _items(item, lambda _, one: masked_tree(one, mask), mask)
    return _list(item, lambda one: masked_tree(one, mask)) if isinstance(item, (list, tuple)) else item


def _deep_words(item: Any, mask: Mask) -> Any:
    """Mask the texts in an item whose keys and numbers are protocol."""
    if isinstance(item, str):
        return mask(item)
    if isinstance(item, Mapping):
        return _items(item, lambda _, one: _deep_words(one, mask))
    return _list(item, lambda one: _deep_words(one, mask)) if isinstance(item, (list, tuple)) else item


def _items(items: Any, change: Callable[[str, Any], Any], rename: Mask | None = None) -> Any:
    if not isinstance(items, Mapping):
        return change("", items)
    changed = {}
    same = True
    for key, item in items.items():
        name = rename(key) if rename else key
        changed[name] = change(key, item)
        same = same and name is key and changed[name] is item
    return items if same else changed


def _list(items: Any, change: Callable[[Any], Any]) -> Any:
    if not isinstance(items, (list, tuple)):
        return change(items)
    changed = [change(item) for item in items]
    return items if all(new is old for new, old in zip(changed, items, strict=True)) else changed
