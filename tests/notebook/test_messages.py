"""Values are masked where content is, and never in the protocol's own words."""

from __future__ import annotations

from typing import Any

import pytest

from flowfile_nb.notebook.messages import WITHHELD, masked_content, masked_metadata, withheld_content

_MODEL = "0123456789abcdef0123456789abcdef"


def mask(text: str) -> str:
    """Mask `VALUE`, and words that are the protocol's where they stand in content."""
    masked = text
    for word in ("VALUE", "stdout", "text/plain", "update", "ok", "1234"):
        masked = masked.replace(word, "[*]")
    return text if masked == text else masked


CASES: dict[str, tuple[str, Any, Any]] = {
    "stream": ("stream", {"name": "stdout", "text": "a stdout"}, {"name": "stdout", "text": "a [*]"}),
    "a result": (
        "execute_result",
        {"execution_count": 1234, "data": {"text/plain": "text/plain"}, "metadata": {"stdout": {"VALUE": 1}}},
        {"execution_count": 1234, "data": {"text/plain": "[*]"}, "metadata": {"[*]": {"[*]": 1}}},
    ),
    "keys and numbers of JSON": (
        "display_data",
        {"data": {"application/json": {"VALUE": [1234, 1.5, True, None]}, "application/x-VALUE": ""}, "metadata": {}},
        {"data": {"application/json": {"[*]": ["[*]", 1.5, True, None]}, "application/x-[*]": ""}, "metadata": {}},
    ),
    "an error": (
        "error",
        {"ename": "VALUE", "evalue": "ok", "traceback": ["VALUE", "x"]},
        {"ename": "[*]", "evalue": "[*]", "traceback": ["[*]", "x"]},
    ),
    "a reply": (
        "execute_reply",
        {
            "status": "ok",
            "execution_count": 1234,
            "user_expressions": {"ok": {"status": "ok", "data": {"text/plain": "VALUE"}, "metadata": {}}},
            "payload": [{"source": "page", "data": {"text/plain": "VALUE"}, "start": 1234}, {"source": "x", "text": "VALUE"}],
        },
        {
            "status": "ok",
            "execution_count": 1234,
            "user_expressions": {"ok": {"status": "ok", "data": {"text/plain": "[*]"}, "metadata": {}}},
            "payload": [{"source": "page", "data": {"text/plain": "[*]"}, "start": 1234}, {"source": "x", "text": "[*]"}],
        },
    ),
    "a widget": (
        "comm_open",
        {
            "comm_id": "stdout",
            "target_name": "update",
            "data": {
                "state": {"_model_name": "update", "stdout": "stdout", "layout": f"IPY_MODEL_{_MODEL}"},
                "buffer_paths": [["ok"]],
            },
        },
        {
            "comm_id": "stdout",
            "target_name": "update",
            "data": {
                "state": {"_model_name": "update", "stdout": "[*]", "layout": f"IPY_MODEL_{_MODEL}"},
                "buffer_paths": [["ok"]],
            },
        },
    ),
    "a custom message": (
        "comm_msg",
        {"comm_id": "x", "data": {"method": "update", "content": {"ok": {"ok": 1234}}}},
        {"comm_id": "x", "data": {"method": "update", "content": {"ok": {"[*]": "[*]"}}}},
    ),
    "a comm's plain data": ("comm_msg", {"comm_id": "x", "data": "VALUE"}, {"comm_id": "x", "data": "[*]"}),
    "a prompt": ("input_request", {"prompt": "VALUE", "password": True}, {"prompt": "[*]", "password": True}),
    "a completion": (
        "complete_reply",
        {
            "matches": ["VALUE"],
            "cursor_start": 1234,
            "cursor_end": 1234,
            "metadata": {"t": [{"text": "VALUE"}]},
            "status": "ok",
        },
        {"matches": ["[*]"], "cursor_start": 1234, "cursor_end": 1234, "metadata": {"t": [{"text": "[*]"}]}, "status": "ok"},
    ),
    "a history": (
        "history_reply",
        {"history": [[1, 1234, "VALUE"]], "status": "ok"},
        {"history": [[1, 1234, "[*]"]], "status": "ok"},
    ),
    "a debugger's reply": (
        "debug_reply",
        {"type": "ok", "seq": 1234, "body": {"variables": [{"name": "VALUE", "variablesReference": 1234}]}},
        {"type": "ok", "seq": 1234, "body": {"variables": [{"name": "[*]", "variablesReference": 1234}]}},
    ),
    "an unknown message": ("brand_new", {"stdout": ["VALUE"]}, {"stdout": ["[*]"]}),
    "a bundle that is none": ("display_data", {"data": "VALUE"}, {"data": "[*]"}),
    "a payload that is none": ("execute_reply", {"payload": "VALUE"}, {"payload": "[*]"}),
}


@pytest.mark.parametrize("case", CASES)
def test_masked(case: str) -> None:
    """Each kind of message, with words of the protocol as values."""
    kind, content, expected = CASES[case]

    assert masked_content(kind, content, mask) == expected


@pytest.mark.parametrize("case", CASES)
def test_unchanged_content_is_the_same_object(case: str) -> None:
    """Where nothing is masked nothing is copied."""
    kind, content, _ = CASES[case]

    assert masked_content(kind, content, lambda text: text) is content


def test_metadata() -> None:
    """The protocol's own entries stay, and so do all keys."""
    metadata = {"version": "stdout", "started": "VALUE", "own": {"ok": ["VALUE", 1234]}}

    assert masked_metadata(metadata, mask) == {"version": "stdout", "started": "VALUE", "own": {"ok": ["[*]", 1234]}}


@pytest.mark.parametrize("case", CASES)
def test_withheld(case: str) -> None:
    """Where masking fails no text of the content is left, and what a front end needs is."""
    kind, content, _ = CASES[case]

    withheld = withheld_content(kind, content)

    assert "VALUE" not in str(withheld)
    assert withheld.keys() == content.keys()


@pytest.mark.parametrize("kind", ["stream", "display_data", "error", "execute_reply", "comm_msg", "brand_new"])
def test_withheld_where_the_content_cannot_be_walked_through(kind: str) -> None:
    """Even then there is a message, without any of it."""

    class Broken(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("VALUE")

    withheld = withheld_content(kind, {"name": "stdout", "data": Broken(a=1), "text": "VALUE", "ename": Broken(a=1)})

    assert "VALUE" not in str(withheld)
    assert kind == "brand_new" or WITHHELD in str(withheld) or not withheld.get("data") or kind == "execute_reply"
