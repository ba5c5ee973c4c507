"""The kernel's side of the panel: what it answers, what it sends, what a notebook saves of it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import nbformat
import pytest
from nbclient import NotebookClient

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.core.names import MAX_VALUE_BYTES
from flowfile_nb.errors import UnsupportedPlatformError
from flowfile_nb.notebook.panel import SecretPanel
from tests.support.kernel import TIMEOUT_S, Kernel, LocalKernelManager, running_kernel

CANARY = "canary-p@ss:w/or d?#%\"'\\ü"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class FrontEnd:
    """Asks as panel_secrets.js does, through the widget's comm, and hears what is sent back."""

    def __init__(self, panel: SecretPanel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.panel = panel
        self.heard: list[dict[str, Any]] = []
        monkeypatch.setattr(SecretPanel, "send", lambda _, content: self.heard.append(json.loads(json.dumps(content))))

    def ask(self, op: str, *buffers: bytes, **question: Any) -> dict[str, Any]:
        """Ask one question and return the answer that has its id."""
        content = {"op": op, "id": "view-1", **question}
        data = {"method": "custom", "content": content}
        self.heard.clear()
        self.panel.comm.handle_msg({"content": {"data": data}, "buffers": [memoryview(buffer) for buffer in buffers]})
        (answer,) = [message for message in self.heard if message.get("id") == "view-1"]
        return answer


@pytest.fixture
def front_end(home: Path, monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    return FrontEnd(fnb.panel(), monkeypatch)


# Questions and answers


def test_set_stores_the_buffer_and_sends_the_list(front_end: FrontEnd) -> None:
    """The value comes as a buffer; the answer says that it is saved, and the list with the new name follows."""
    answer = front_end.ask("set", CANARY.encode(), name="prod_pw", replace=False)

    assert answer == {"op": "done", "text": "Saved prod_pw.", "id": "view-1"}
    assert [message["op"] for message in front_end.heard] == ["done", "list"]
    assert front_end.heard[1]["names"] == ["prod_pw"]
    assert fnb.secrets["prod_pw"].get_secret_value() == CANARY


def test_describe_tells_of_the_names_that_are_asked_for(front_end: FrontEnd) -> None:
    """The list has names alone; owner, sharer, age and last use come for the rows that are drawn."""
    for name in ("one", "two", "three"):
        fnb.secrets[name] = "hunter2"
    fnb.secrets["two"].get_secret_value()

    names, owners, sharers, updated, used = front_end.ask("describe", names=["two", "one", "no such name"])["columns"]

    assert (names, owners, sharers) == (["one", "two"], ["local_user"] * 2, [""] * 2)
    assert [type(moment) for moment in updated + used] == [int, int, type(None), int]


def test_a_value_too_short_to_be_masked_is_said_to_be(front_end: FrontEnd) -> None:
    """As with `%secret set`."""
    answer = front_end.ask("set", b"123", name="pin", replace=False)

    assert answer["text"] == "Saved pin. It has under 4 characters: outputs are not masked for it."


def test_replace_replaces_only_when_it_is_said(front_end: FrontEnd) -> None:
    """A taken name is an error with a hint and changes nothing, unless the question says replace."""
    front_end.ask("set", b"first", name="prod_pw", replace=False)

    refused = front_end.ask("set", b"second", name="prod_pw", replace=False)
    assert (refused["op"], "prod_pw" in refused["message"], bool(refused["hint"])) == ("error", True, True)
    assert fnb.secrets["prod_pw"].get_secret_value() == "first"

    replaced = front_end.ask("set", b"second", name="prod_pw", replace=True)["text"]
    assert replaced == "Replaced prod_pw. Its previous value is kept for 7 days:  %secret undo prod_pw"
    assert fnb.secrets["prod_pw"].get_secret_value() == "second"


def test_delete_deletes_and_used_by_names_connections(front_end: FrontEnd) -> None:
    """`used_by` names the saved connections; `delete` deletes and sends the empty list."""
    fnb.secrets["prod_pw"] = "hunter2"
    session.backend().save_connection("warehouse", "postgresql://app:${secret:prod_pw}@db.example.com/sales")

    assert front_end.ask("used_by", name="prod_pw")["connections"] == ["warehouse"]
    assert front_end.ask("delete", name="prod_pw")["text"] == "Deleted prod_pw."
    assert front_end.heard[1] == {"op": "list", "names": []}


@pytest.mark.parametrize(
    ("question", "buffers", "message"),
    [
        ({"op": "set", "name": " ", "replace": False}, [b"v"], "a secret needs a name"),
        ({"op": "set", "name": "pw", "replace": False}, [b""], "an empty value was not stored"),
        ({"op": "set", "name": "pw", "replace": False}, [b"a\0b"], "NUL"),
        ({"op": "set", "name": "pw", "replace": False}, [b"x" * 2**20], "1,048,576 bytes"),
        ({"op": "set", "name": "pw", "replace": False}, [], "no value came"),
        ({"op": "set", "name": "pw", "replace": False}, [b"\xff" + CANARY.encode()], "UnicodeDecodeError"),
        ({"op": "set", "name": ["pw"], "replace": False}, [b"v"], "a secret needs a name"),
        ({"op": "set"}, [b"v"], "KeyError"),
        ({"op": "delete", "name": "prod_pv"}, [], "no secret named 'prod_pv'"),
        ({"op": "nonsense"}, [], "KeyError"),
    ],
)
def test_bad_questions_get_an_error_and_store_nothing(
    front_end: FrontEnd, question: dict[str, Any], buffers: list[bytes], message: str
) -> None:
    """Whatever comes, the answer is one error without the value, and the next question is answered."""
    answer = front_end.ask(question.pop("op"), *buffers, **question)

    assert answer["op"] == "error"
    assert message in answer["message"]
    assert CANARY not in json.dumps(front_end.heard, ensure_ascii=False)
    assert front_end.ask("list")["names"] == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_foreign_error_is_told_by_its_class_alone(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: type[BaseException]
) -> None:
    """A bug or an interrupt while a value is stored shows neither the error's text nor a traceback."""

    def fail(name: str, value: str, *, replace: bool) -> bool:
        raise error(f"{name}, {value}, {replace}")

    monkeypatch.setattr(session.backend(), "set", fail)

    answer = front_end.ask("set", CANARY.encode(), name="prod_pw", replace=False)

    assert answer["message"] == f"That did not work: {error.__name__}."
    shown = capsys.readouterr()
    assert CANARY not in json.dumps(front_end.heard, ensure_ascii=False) + shown.out + shown.err
    assert front_end.ask("list")["op"] == "list"


def test_a_damaged_store_is_told_in_the_panel_and_in_the_table(front_end: FrontEnd, key_directory: Path) -> None:
    """Where the store cannot be read, panel and fallback say what the error says; neither raises."""
    fnb.secrets["prod_pw"] = "hunter2"
    session.use_backend(None)
    for path in key_directory.glob("flowfile_nb.db*"):
        path.write_bytes(b"this is no database, whatever its name says" * 100)

    answer = front_end.ask("list")

    assert (answer["op"], "damaged" in answer["message"], "backup" in answer["hint"]) == ("error", True, True)
    assert "damaged" in shown_without_widgets()


def test_the_limit_of_a_value_is_the_same_on_both_sides() -> None:
    """panel_secrets.js refuses what the kernel would, before it is sent."""
    limit = re.search(r"MAX_BYTES = (\d+) \* (\d+);", SecretPanel._esm)

    assert limit
    assert int(limit[1]) * int(limit[2]) == MAX_VALUE_BYTES


# What a notebook saves


def test_no_trait_of_ours_is_synced(front_end: FrontEnd) -> None:
    """What is synced is what every anywidget has: there is no trait that could hold a name or a value."""
    front_end.ask("set", CANARY.encode(), name="prod_pw", replace=False)

    assert set(front_end.panel.keys) == {*ipywidgets.DOMWidget().keys, "_esm", "_css", "_anywidget_id"}
    saved = json.dumps(ipywidgets.Widget.get_manager_state(), ensure_ascii=False)
    assert "SecretPanel" in saved
    assert "prod_pw" not in saved
    assert CANARY not in saved + repr(vars(front_end.panel))


def test_without_widgets_there_is_a_short_table() -> None:
    """A front end without widgets shows at most 20 names, how many more there are, and how to add one."""
    assert "Add one:  %secret set NAME" in shown_without_widgets()

    for number in range(20):
        fnb.secrets[f"pw_{number:02}"] = CANARY
    assert "pw_19" in shown_without_widgets()
    assert "more" not in shown_without_widgets()

    fnb.secrets["pw_20"] = CANARY
    shown = shown_without_widgets()
    assert "pw_20" not in shown
    assert shown.splitlines()[-2:] == ["… and 1 more:  %secret list", "Add one:  %secret set NAME"]
    assert CANARY not in shown


def shown_without_widgets() -> str:
    """Return the fallback of a new panel, which has the widget's own view beside it."""
    bundle = fnb.panel()._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0][WIDGET_VIEW]["model_id"]
    return str(bundle[0]["text/plain"])


def test_browser_python_gets_no_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Pyodide the panel refuses like everything else."""
    monkeypatch.setattr(sys, "platform", "emscripten")

    with pytest.raises(UnsupportedPlatformError):
        fnb.panel()


# A real kernel


@pytest.fixture
def kernel(home: Path) -> Iterator[Kernel]:
    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb\n%xmode Verbose")
        yield kernel


@pytest.fixture
def ask(kernel: Kernel) -> Callable[..., list[dict[str, Any]]]:
    """Somebody at the panel of a real kernel: a question goes as a comm message, all answers come back."""

    def ask_(op: str, *buffers: bytes, **question: Any) -> list[dict[str, Any]]:
        opened = [message["content"] for message in kernel.messages if message["msg_type"] == "comm_open"]
        data = {"method": "custom", "content": {"op": op, "id": "view-1", **question}}
        client = kernel.client
        message = client.session.msg("comm_msg", {"comm_id": opened[-1]["comm_id"], "data": data})
        client.session.send(client.shell_channel.socket, message, buffers=list(buffers))
        first = len(kernel.messages)
        done = False
        while not done:
            heard = client.get_iopub_msg(timeout=TIMEOUT_S)
            if heard["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                kernel.messages.append(heard)
                done = heard["content"].get("execution_state") == "idle"
        answers = [heard["content"]["data"] for heard in kernel.messages[first:] if heard["msg_type"] == "comm_msg"]
        return [answer["content"] for answer in answers if answer["method"] == "custom"]

    return ask_


def test_a_kernel_opens_two_comms_however_many_secrets_there_are(kernel: Kernel, ask: Callable[..., Any]) -> None:
    """One for the layout, one for the panel; all names come in one message."""
    kernel.run("import flowfile_nb\nfor n in range(200): flowfile_nb.secrets[f'pw_{n}'] = 'hunter2'")
    shown = kernel.run("%secret")

    (listed,) = ask("list")

    assert "… and 180 more" in shown
    assert len(listed["names"]) == 200
    assert [message["msg_type"] for message in kernel.messages].count("comm_open") == 2


def test_a_value_typed_in_the_panel_is_in_no_message(kernel: Kernel, ask: Callable[..., Any], home: Path) -> None:
    """Stored, replaced, refused, and with a store that breaks: the kernel sends the value back in nothing."""
    kernel.run("%secret")

    assert ask("set", CANARY.encode(), name="prod_pw", replace=False)[0]["op"] == "done"
    assert ask("set", CANARY.encode(), name="prod_pw", replace=True)[0]["op"] == "done"
    assert ask("set", CANARY.encode(), name="prod_pw", replace=False)[0]["op"] == "error"
    kernel.run("from flowfile_nb import session\ndef broken(name, value, **options): raise ValueError(value)")
    kernel.run("session.backend().set = broken")
    assert ask("set", CANARY.encode(), name="prod_pw", replace=True)[0]["message"] == "That did not work: ValueError."
    kernel.run("%tb")

    sent = kernel.shown()
    assert "prod_pw" in sent
    assert not [form for form in (CANARY, repr(CANARY)[1:-1], json.dumps(CANARY)[1:-1]) if form in sent]
    kernel.run("del session.backend().set")
    assert "True" in kernel.run(f"session.secrets['prod_pw'].get_secret_value() == {CANARY!r}")


def test_saved_widget_state_holds_neither_name_nor_value(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In nbclient, which saves every synced trait: after listing a secret and storing one, neither is among them."""
    monkeypatch.setenv("THE_VALUE", CANARY)
    cells = [
        "import os\nfrom flowfile_nb import panel, secrets\nsecrets['listed_pw'] = os.environ['THE_VALUE']",
        "shown = panel()\nshown",
        (
            "def ask(*buffers, **question):\n"
            "    shown.comm.handle_msg({'content': {'data': {'method': 'custom', 'content': question}}, 'buffers': buffers})\n"
            "ask(op='list')\n"
            "ask(memoryview(os.environb[b'THE_VALUE']), op='set', name='typed_pw', replace=False)\n"
            "list(secrets)"
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])

    NotebookClient(
        notebook, kernel_manager_class=LocalKernelManager, kernel_name="python3", store_widget_state=True, timeout=TIMEOUT_S
    ).execute(env=dict(os.environ))

    assert "'typed_pw'" in notebook.cells[2].outputs[0]["data"]["text/plain"]
    assert "listed_pw" in notebook.cells[1].outputs[0]["data"]["text/plain"]
    state = json.dumps(notebook.metadata["widgets"], ensure_ascii=False)
    assert "SecretPanel" in state
    assert not [text for text in ("listed_pw", "typed_pw") if text in state]
    assert CANARY not in nbformat.writes(notebook)
    assert json.dumps(CANARY, ensure_ascii=False)[1:-1] not in nbformat.writes(notebook)
