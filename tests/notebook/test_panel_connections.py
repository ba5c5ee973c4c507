"""The kernel's side of the panel's tab of connections: what it answers, how it tests, what a form makes of a definition."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import flowfile_nb as fnb
from flowfile_nb import connecting, session
from flowfile_nb.backend import FlowfileConnection
from flowfile_nb.connections import families
from flowfile_nb.connections.definition import Definition
from flowfile_nb.connections.form import Fields, body_of, fields_of
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.spec import TableSpec, read_spec
from flowfile_nb.errors import ConnectionSpecError, FlowfileNbError, LiteralPasswordError
from flowfile_nb.notebook.body_completion import complete_body
from notebooks.throwaway import Postgres
from tests.support.kernel import TIMEOUT_S
from tests.support.panel import FrontEnd
from tests.support.processes import free_port
from tests.support.shell import Shell

CANARY = "canary-p@ss:w/or d?#%\"'\\ü"
BODY = 'type = "postgresql"\nhost = "db.example.com"\nport = 5432\npassword = %secret prod_pw'


@pytest.fixture
def front_end(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FrontEnd:
    monkeypatch.chdir(tmp_path)
    return FrontEnd(fnb.panel(), monkeypatch)


def saved(name: str) -> str:
    """Return the text of a saved definition."""
    return session.backend().connection_bodies()[name]


# The list


def test_the_list_tells_what_the_magic_tells(front_end: FrontEnd, tmp_path: Path) -> None:
    """Saved here, in Flowfile and in a project's file; each with its secrets, and whether they are there."""
    fnb.secrets["prod_pw"] = "hunter2"
    session.backend().save_connection("warehouse", BODY)
    session.backend().note_connection("", "warehouse", "", 1_700_000_000)
    session.backend().save_connection("broken", "no description")
    theirs = FlowfileConnection("their sales", "database", {"database_type": "mysql", "host": "h"}, {"password": "theirs"})
    session.backend().flowfile_connections = lambda: {"their sales": theirs}  # type: ignore[method-assign]
    (tmp_path / "connections.toml").write_text('[warehouse]\nurl = "sqlite://"\n[other]\nurl = "sqlite://"\n', encoding="utf-8")

    answer = front_end.ask("connections")

    rows = {row["key"].split(" ")[0] + " " + row["name"]: row for row in answer["rows"]}
    assert list(rows) == ["here broken", "here warehouse", "Flowfile their sales", "project warehouse", "project other"]
    mine = rows["here warehouse"]
    assert (mine["kind"], mine["target"]) == ("postgresql", "postgresql://db.example.com:5432")
    assert (mine["secrets"], mine["used_at"], mine["kept"]) == ([["prod_pw", False]], 1_700_000_000, "saved")
    assert rows["here broken"]["problem"]
    assert rows["Flowfile their sales"]["secrets"] == [["theirs", True]]
    assert rows["project warehouse"]["state"] == "hidden by your saved one"
    assert (rows["project other"]["state"], rows["project other"]["kept"]) == ("asks first", "connections.toml")


def test_what_is_saved_and_in_the_projects_file_is_one_row(front_end: FrontEnd, tmp_path: Path) -> None:
    """As long as both say the same."""
    session.backend().save_connection("warehouse", BODY)
    exported = '[warehouse]\ntype = "postgresql"\nhost = "db.example.com"\npassword = "%secret prod_pw"\n'
    (tmp_path / "connections.toml").write_text(f"{exported}port = 5432\n", encoding="utf-8")

    def places() -> list[tuple[str, str, bool]]:
        return [(row["place"], row["kept"], row["also"]) for row in front_end.ask("connections")["rows"]]

    assert places() == [("here", "saved, connections.toml", True)]
    (tmp_path / "connections.toml").write_text(f"{exported}port = 5433\n", encoding="utf-8")
    assert places() == [("here", "saved", False), ("project", "connections.toml", False)]


def test_a_projects_file_that_cannot_be_read_hides_nothing_else(front_end: FrontEnd, tmp_path: Path) -> None:
    """It is said beside the list."""
    session.backend().save_connection("warehouse", BODY)
    (tmp_path / "connections.toml").write_text("no TOML", encoding="utf-8")

    answer = front_end.ask("connections")

    assert [row["name"] for row in answer["rows"]] == ["warehouse"]
    assert "is not TOML" in answer["problem"]


# The form


def test_a_form_saves_what_a_cell_would(front_end: FrontEnd) -> None:
    """Text, a number, a choice, a secret by name and further TOML; the magic opens what was saved, and a panel is told."""
    values = {"host": " db.example.com ", "port": "5432", "database": "sales", "sslmode": "require", "username": ""}
    question = {"kind": "postgresql", "values": values, "secrets": {"password": "a b"}, "more": '[connect_args]\noptions = "x"'}

    answer = front_end.ask("save_connection", name="warehouse", replace=False, **question)

    assert answer["text"] == "Saved warehouse. In any notebook:  %connect warehouse"
    assert front_end.said.get(timeout=TIMEOUT_S) == {"op": "changed"}
    assert saved("warehouse") == (
        'type = "postgresql"\nhost = "db.example.com"\nport = 5432\ndatabase = "sales"\npassword = %secret "a b"\n'
        'sslmode = "require"\n[connect_args]\noptions = "x"'
    )
    told = front_end.ask("definition", name="warehouse")
    assert told["values"] == {key: value.strip() for key, value in values.items() if value}
    assert (told["secrets"], told["more"]) == ({"password": "a b"}, '[connect_args]\noptions = "x"')


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"name": "a b"}, "cannot be the name of a variable"),
        ({"name": "taken"}, "a connection named taken is saved already"),
        ({"values": {"host": ""}}, "Host is missing"),
        ({"values": {"host": "h", "port": "many"}}, "Port is not a number"),
        ({"more": "password = 'hunter2 hunter2'"}, "a password stands in clear"),
        ({"more": "host = 'twice'"}, "stands twice"),
        ({"more": "[half"}, "neither a URL nor TOML"),
        ({"values": {"host": "db?password=x"}}, "a password stands in clear"),
        ({"text": "postgresql://app:hunter2@h/x"}, "a password stands in clear"),
        ({"text": "  "}, "is empty"),
    ],
)
def test_what_a_cell_refuses_a_form_does_not_save(front_end: FrontEnd, question: dict[str, Any], message: str) -> None:
    """An error with a hint, and nothing is saved or changed."""
    session.backend().save_connection("taken", BODY)
    fields = {"name": "new", "kind": "postgresql", "values": {"host": "h"}, "secrets": {}, "more": "", "replace": False}

    answer = front_end.ask("save_connection", **{**fields, **question})

    assert (answer["op"], bool(answer["hint"])) == ("error", True)
    assert message in answer["message"]
    assert "hunter2" not in json.dumps(answer)
    assert session.backend().connection_bodies() == {"taken": BODY}


@pytest.mark.parametrize(
    ("kind", "more", "question"),
    [
        ("oracle", 'walet_location = "/w"', "walet_location is a key that is not known here; it is handed to the driver"),
        (
            "trino",
            '[connect_args]\nsesion_properties = "x"\nschemaa = "y"',
            "schemaa (did you mean schema?), sesion_properties are keys",
        ),
        ("mssql", 'tds_vers = "7.4"', "tds_vers is a key that is not known here"),
    ],
)
def test_a_key_that_nobody_knows_is_asked_about(front_end: FrontEnd, kind: str, more: str, question: str) -> None:
    """It may be one that only the driver knows: what is agreed to is saved, and another one is asked about again."""
    fields = {"name": "new", "kind": kind, "values": {"host": "h"}, "secrets": {}, "more": more, "replace": False}

    answer = front_end.ask("save_connection", **fields)

    assert answer["op"] == "ask"
    assert question in answer["question"]
    assert session.backend().connection_bodies() == {}
    assert (
        front_end.ask("save_connection", **{**fields, "more": f"other_key = 1\n{more}"}, agreed=answer["agreed"])["op"] == "ask"
    )
    assert front_end.ask("save_connection", **fields, agreed=answer["agreed"])["op"] == "done"
    assert saved("new").endswith(more)


@pytest.mark.parametrize(
    ("question", "hint"),
    [
        ({"more": 'aplication_name = "x"'}, "did you mean 'application_name'?"),
        ({"text": "postgresql://app@h/x?aplication_name=x"}, "did you mean 'application_name'?"),
        ({"kind": "https", "values": {"url": "https://h/v1"}, "more": 'test_pat = "x"'}, "did you mean 'test_path'?"),
        ({"kind": "s3", "values": {"bucket": "b"}, "more": 'end_point = "x"'}, "did you mean 'endpoint'?"),
        ({"kind": "postgresql", "more": 'application_name = "x"'}, ""),
        ({"kind": "oracle", "values": {"host": "h", "service_name": "s"}}, ""),
    ],
)
def test_a_key_that_the_driver_does_not_take_is_not_saved(front_end: FrontEnd, question: dict[str, Any], hint: str) -> None:
    """The nearest one is named before anything is saved; what is known is saved without a question."""
    fields = {"name": "new", "kind": "postgresql", "values": {"host": "h"}, "secrets": {}, "more": "", "replace": False}

    answer = front_end.ask("save_connection", **{**fields, **question})

    assert (answer["op"], answer.get("hint", "")) == ("error" if hint else "done", hint)
    assert ("new" in session.backend().connection_bodies()) is not bool(hint)


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        'type = "https"\nurl = "https://api.example.com"\ntoken = "${secret:t}"\nverify = false\n[headers]\nA = "b"',
        'type = "postgresql"\nhost = "${secret:host}"\nport = "5432"\npassword = "pre-${secret:pw}"\nodd = [1, 2]',
        'type = "kafka"\nbootstrap_servers = "b:9092"\nsasl_password = %secret "a } b"\n[extra_config]\n"client.id" = "x"',
        'type = "trino"\nhost = "h"\ncatalog = "c"\n[query]\nsource = "s"\n[engine]\npool_size = 2',
        'type = "oracle+cx_oracle"\nhost = "h"\nservice_name = "s"\npassword = %secret pw',
        'type = "rqlite"\nhost = "h"\nlevel = "strong"',
    ],
)
def test_what_a_form_opens_it_saves_again(body: str) -> None:
    """Nothing of a definition is lost or changed by opening it in the form and saving it."""
    definition = Definition("any", body)
    fields = fields_of(definition)

    assert fields is not None
    again = Definition("any", body_of(fields))
    # As parts: the order of keys means nothing.
    before, after = read_spec(definition.description), read_spec(again.description)
    assert isinstance(before, TableSpec)
    assert isinstance(after, TableSpec)
    assert after.parts == before.parts


@pytest.mark.parametrize("body", ["sqlite://", "postgresql://app:${secret:pw}@h/x", "# mine\n" + BODY, "no description"])
def test_what_only_text_can_say_is_edited_as_text(front_end: FrontEnd, body: str) -> None:
    """A URL, a comment, and what is not understood."""
    session.backend().save_connection("any", body)

    answer = front_end.ask("definition", name="any")

    assert answer["text"] == body
    assert "values" not in answer


def test_each_kind_has_a_form(front_end: FrontEnd) -> None:
    """Labels and names differ within a kind; what must be filled in is, and what may hold a secret says so."""
    kinds = front_end.ask("kinds")["kinds"]
    assert not {"postgres", "http", "az", "abfss", "gcs", "ssh", "sqlserver"} & set(kinds)
    assert {"postgresql", "snowflake", "https", "kafka", "sqlite"} <= set(kinds)

    for kind in kinds:
        keys = front_end.ask("keys", kind=kind)["keys"]
        assert len({key["name"] for key in keys}) == len({key["label"] for key in keys}) == len(keys) > 0, kind
        for key in keys:
            assert key["label"]
            assert key["when"] is None or key["when"][0] in {other["name"] for other in keys}


def test_a_third_partys_kind_gets_a_form(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names alone are enough: what sounds like a credential may hold a secret. Declared keys say more."""
    family = SimpleNamespace(KEYS=("station_url", "api_key", Key("unit", choices=("C", "F"))))
    monkeypatch.setattr(families, "_family", lambda kind: family)

    keys = front_end.ask("keys", kind="weather")["keys"]

    assert [(key["label"], key["secret"], key["choices"]) for key in keys] == [
        ("Station URL", False, []),
        ("API key", True, []),
        ("Unit", False, ["C", "F"]),
    ]
    assert families.keys_of("weather") == ("station_url", "api_key", "unit")
    body = body_of(Fields("weather", {"station_url": "x"}, {"api_key": "k"}, ""))
    assert body == 'type = "weather"\nstation_url = "x"\napi_key = %secret k'


def test_insert_puts_the_name_into_a_cell(front_end: FrontEnd, tmp_path: Path) -> None:
    """The line that opens it, with the model in whose output it was asked for; all it says where the name does not open it."""
    session.backend().save_connection("warehouse", BODY)
    session.backend().save_connection("broken", "no description")
    (tmp_path / "connections.toml").write_text('[warehouse]\nurl = "sqlite://"\n[other]\nurl = "sqlite://"\n', encoding="utf-8")
    file = str((tmp_path / "connections.toml").resolve())

    def cell(name: str, origin: str = "") -> str:
        answer = front_end.ask("cell", name=name, origin=origin)
        assert answer["view"] == front_end.panel.model_id
        return str(answer["text"])

    assert cell("warehouse") == "%connect warehouse"
    assert cell("other", file) == "%connect other"
    assert cell("broken") == "%%connect broken --save\nno description"
    assert cell("warehouse", file) == "%%connect warehouse\nsqlite://"
    Path(file).write_text('[clear]\ntype = "mysql"\npassword = "hunter2"\n', encoding="utf-8")
    refused = front_end.ask("cell", name="clear", origin=file)
    assert (refused["op"], "hunter2" in str(refused)) == ("error", False)


def test_a_deleted_one_is_gone(front_end: FrontEnd) -> None:
    """Each button of a row that is still shown says so."""
    session.backend().save_connection("warehouse", BODY)

    assert front_end.ask("delete_connection", name="warehouse")["text"].startswith("Deleted the connection warehouse.")
    assert session.backend().connection_bodies() == {}
    for op in ("delete_connection", "definition", "cell", "test"):
        assert front_end.ask(op, name="warehouse", origin="")["op"] == "error"


# Testing


def test_a_test_opens_and_binds_nothing(front_end: FrontEnd, postgres: Postgres) -> None:
    """It says where it has connected; nothing stays open, and no value is in what is said."""
    fnb.secrets["pg"] = postgres.password
    url = f"postgresql://{postgres.user}:${{secret:pg}}@{postgres.host}:{postgres.port}/{postgres.database}"
    session.backend().save_connection("warehouse", url)

    said = front_end.test("warehouse")

    assert said["text"].startswith(f"Connected to postgresql://{postgres.user}@{postgres.host}:{postgres.port}/")
    assert session.opened == {}
    assert postgres.password not in json.dumps(said)


def test_a_test_that_fails_is_told_in_two_lines(front_end: FrontEnd) -> None:
    """What happened to which target with which secret, and what to do; a missing secret is named."""
    session.backend().save_connection(
        "nobody", f'type = "postgresql"\nhost = "127.0.0.1"\nport = {free_port()}\npassword = %secret pw'
    )
    assert "no secret named 'pw'" in front_end.test("nobody")["message"]

    fnb.secrets["pw"] = CANARY
    said = front_end.test("nobody")

    assert "with secret 'pw' (stored just now): nothing listens on that host and port" in said["message"]
    assert said["hint"].startswith("check host and port")
    assert CANARY not in json.dumps(said, ensure_ascii=False)


def test_a_foreign_error_of_a_test_is_told_by_its_class_alone(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third party's family may raise anything, with the value in it."""
    session.backend().save_connection("any", "sqlite://")

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(connecting, "open_connection", fail)

    said = front_end.test("any")

    assert said["message"] == "That did not work: RuntimeError."
    assert CANARY not in json.dumps(said, ensure_ascii=False)


@pytest.fixture
def silent(front_end: FrontEnd) -> Iterator[str]:
    """A saved connection to a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        body = f"mysql://app@127.0.0.1:{server.getsockname()[1]}/x?connect_timeout=2"
        session.backend().save_connection("silent", body)
        yield "silent"


def test_what_is_given_up_is_not_heard_of_again(front_end: FrontEnd, silent: str) -> None:
    """Other questions are answered meanwhile; a second test ends within its timeout, and the first says nothing."""
    first = front_end.ask("test", name=silent, origin="")
    assert front_end.ask("list")["op"] == "list"
    assert front_end.ask("give_up", trial=first["trial"])["op"] == "done"

    second = front_end.ask("test", name=silent, origin="")
    said = front_end.hear(lambda message: message["op"] == "tested")

    assert said["trial"] == second["trial"] != first["trial"]
    assert "the server did not answer in time" in said["message"]
    assert front_end.said.empty()
    assert front_end.heard == []


def test_a_projects_connection_is_agreed_to_as_it_was_read(front_end: FrontEnd, tmp_path: Path) -> None:
    """What is shown is what is agreed to: a file that was changed meanwhile is shown again."""
    path = tmp_path / "connections.toml"
    path.write_text('[local]\nurl = "sqlite:///one.db"\n', encoding="utf-8")
    origin = str(path.resolve())
    shown = front_end.ask("test", name="local", origin=origin)
    assert shown["op"] == "ask"
    assert f"It leads to  sqlite:///{tmp_path}/one.db  and uses no secret." in shown["question"]

    path.write_text('[local]\nurl = "sqlite:///other.db"\n', encoding="utf-8")
    again = front_end.ask("test", name="local", origin=origin, agreed=shown["digest"])
    assert (again["op"], "other.db" in again["question"]) == ("ask", True)

    assert "other.db" in front_end.test("local", origin=origin, agreed=again["digest"])["text"]
    assert "other.db" in front_end.test("local", origin=origin)["text"]


# Cells


def test_a_cell_that_changes_something_is_told_to_the_panels(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret stored, a connection saved, opened or closed; not a cell that changes nothing, and not without the extension."""
    front_end = FrontEnd(fnb.panel(), monkeypatch)
    for cell in (
        "import flowfile_nb\nflowfile_nb.secrets['pw'] = 'hunter2'",
        "%%connect local --save\nsqlite://",
        "%connect -x local",
        "%connect local --delete --yes",
    ):
        shell.run(cell)
        assert front_end.said.get(timeout=TIMEOUT_S) == {"op": "changed"}, cell
    shell.run("1 + 1")
    assert front_end.said.empty()

    shell.run("%unload_ext flowfile_nb")
    shell.run("flowfile_nb.secrets['other'] = 'hunter2'")
    assert front_end.said.empty()


def test_keys_choices_are_completed_in_a_cell_too(shell: Shell) -> None:
    """What the form offers, Tab offers."""
    found = complete_body('sslmode = "re', ["%%connect db", 'type = "postgresql"'])

    assert found is not None
    assert '"require"' in found[1]
    assert complete_body("host = ", ["%%connect db", 'type = "postgresql"']) is None


def test_errors_of_a_form_are_ours() -> None:
    """Each is one that a notebook shows in two lines."""
    with pytest.raises(ConnectionSpecError, match="Account is missing"):
        body_of(Fields("snowflake", {}, {}, ""))
    with pytest.raises(LiteralPasswordError):
        body_of(Fields("snowflake", {"account": "a"}, {}, "password = 'in clear'"))
    with pytest.raises(FlowfileNbError):
        body_of(Fields("", {}, {}, ""))
