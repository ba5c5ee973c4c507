"""Definitions by name: which counts, what is told of them without opening, and what is agreed to."""

from __future__ import annotations

from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.connections import outline, saved
from flowfile_nb.connections.definition import Definition
from flowfile_nb.errors import UsageError
from flowfile_nb.notebook.connect_table import connections_table
from flowfile_nb.storage.database import transaction

FILE = """
[warehouse]
url = "postgresql://app:${secret:prod_pw}@db.example.com:5432/sales?sslmode=require"

[local]
type = "sqlite"
database = "data.db"

[clear]
type = "postgresql"
password = "hunter2"

[other_tool]
account = "x"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder with a file."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".git").mkdir()
    (folder / "connections.toml").write_text(FILE, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("description", "kind", "target", "secrets"),
    [
        ("postgresql://app:%secret pw@h:5432/x?a=%secret b", "postgresql", "postgresql://app@h:5432/x", ("pw", "b")),
        ("mysql+pymysql://%secret user:%secret pw@h/x", "mysql+pymysql", "mysql+pymysql://${secret:user}@h/x", ("user", "pw")),
        ("sqlite:////tmp/a.db", "sqlite", "sqlite:////tmp/a.db", ()),
        ("duckdb:///:memory:", "duckdb", "duckdb:///:memory:", ()),
        ("snowflake://app:%secret pw@account/db/schema?warehouse=w", "snowflake", "snowflake://app@account/db/schema", ("pw",)),
        ('type = "mysql"\nhost = "h"\nport = 1\nuser = "u"\npassword = %secret pw', "mysql", "mysql://u@h:1", ("pw",)),
        ('type = "sqlite"\ndatabase = "a.db"', "sqlite", "sqlite:///a.db", ()),
        ('type = "s3"\nbucket = "b\\u001b[2K"', "s3", "s3://b\\u001b[2K", ()),
    ],
)
def test_what_is_told_without_opening(description: str, kind: str, target: str, secrets: tuple[str, ...]) -> None:
    """Kind, target without password and options, secrets; what a screen would hide is shown."""
    outline = Definition("x", description).outline

    assert (outline.kind, outline.target, outline.secrets, outline.problem) == (kind, target, secrets, "")


def test_an_own_definition_comes_first(project: Path) -> None:
    """What a repository brings never changes where an own name leads."""
    backend = session.backend()
    backend.save_connection("warehouse", "sqlite://")

    own = saved.find(backend, "warehouse", project)
    assert (own.description, own.origin) == ("sqlite://", "")
    assert saved.find(backend, "local", project).origin == str(project / "connections.toml")
    assert saved.find(backend, "warehouse", project, project / "connections.toml").origin
    names = [(definition.name, bool(definition.origin)) for definition in saved.definitions(backend, project)]
    assert names == [("warehouse", False), ("warehouse", True), ("local", True), ("clear", True), ("other_tool", True)]


def test_a_broken_file_does_not_stand_before_an_own_name(project: Path) -> None:
    """It is not even read."""
    (project / "connections.toml").write_text("[", encoding="utf-8")
    session.backend().save_connection("mine", "sqlite://")

    assert saved.find(session.backend(), "mine", project).description == "sqlite://"


def test_a_mistyped_name(project: Path) -> None:
    """The nearest is suggested, a project's, too."""
    with pytest.raises(UsageError, match="did you mean 'warehouse'"):
        saved.find(session.backend(), "warehose", project)


def test_what_cannot_be_used_says_why(project: Path) -> None:
    """A password in clear, and a table of another tool."""
    backend = session.backend()

    assert "stands in clear" in saved.find(backend, "clear", project).outline.problem
    assert "says no type" in saved.find(backend, "other_tool", project).outline.problem
    told = saved.find(backend, "clear", project).outline
    assert "hunter2" not in repr((told.kind, told.target, told.secrets, told.problem))


def test_a_projects_definition_is_agreed_to_as_it_is(project: Path) -> None:
    """Once; not after a change of anything, nor in another place or under another name."""
    backend, path = session.backend(), project / "connections.toml"
    definition = saved.find(backend, "warehouse", project)
    assert not saved.is_agreed(backend, definition)

    saved.agree(backend, definition)

    assert saved.is_agreed(backend, saved.find(backend, "warehouse", project))
    assert not saved.is_agreed(backend, Definition("other", definition.description, definition.origin))
    elsewhere = Definition(definition.name, definition.description, "/somewhere/else/connections.toml")
    assert not saved.is_agreed(backend, elsewhere)
    path.write_text(FILE.replace("db.example.com", "db.example.org"), encoding="utf-8")
    assert not saved.is_agreed(backend, saved.find(backend, "warehouse", project))
    path.write_text("# only a comment\n" + FILE, encoding="utf-8")
    assert saved.is_agreed(backend, saved.find(backend, "warehouse", project))


@pytest.mark.parametrize(
    "change",
    [
        ("sslmode=require", "sslmode=disable"),
        ("prod_pw", "prod_pw2"),
        ("/sales?", "/other?"),
        ("?sslmode=require", "?sslmode=require&host=evil.example"),
    ],
)
def test_each_change_asks_again(project: Path, change: tuple[str, str]) -> None:
    """Not only the host counts."""
    backend, path = session.backend(), project / "connections.toml"
    saved.agree(backend, saved.find(backend, "warehouse", project))

    path.write_text(FILE.replace(*change), encoding="utf-8")

    assert not saved.is_agreed(backend, saved.find(backend, "warehouse", project))


def test_an_own_definition_needs_no_agreement(project: Path) -> None:
    """Whoever saved it has read it."""
    session.backend().save_connection("mine", "sqlite://")

    assert saved.is_agreed(session.backend(), saved.find(session.backend(), "mine", project))


def test_the_question_says_all() -> None:
    """The whole description, what it uses and where it leads; no control character hides a part of it."""
    parts = {"type": "postgresql", "host": "good.example", "password": "${secret:prod_pw}"}
    parts["application_name"] = "\x1b[1A\x1b[2Knothing to see"

    asked = saved.question(Definition("warehouse", {**parts, "connect_args": {"hostaddr": "6.6.6.6"}}, "/p/connections.toml"))

    assert "/p/connections.toml" in asked
    assert 'host = "good.example"' in asked
    assert 'hostaddr = "6.6.6.6"' in asked
    assert "It leads to  postgresql://good.example  and gives it your secret prod_pw." in asked
    assert "Its options can lead it elsewhere: hostaddr." in asked
    assert all(line.isprintable() for line in asked.split("\n"))


def test_options_of_a_url_that_lead_elsewhere_are_named() -> None:
    """Libpq takes `host` from the query; the target alone would be a lie."""
    asked = saved.question(Definition("x", "postgresql://app:${secret:pw}@good.example/x?host=evil.example", "/p"))

    assert "?host=evil.example" in asked
    assert "elsewhere: host." in asked


@pytest.mark.parametrize(
    ("parts", "told", "elsewhere"),
    [
        ({"type": "https", "url": "https://good.example/v1", "token": "${secret:pw}"}, "https://good.example/v1", ""),
        (
            {"type": "https", "base_url": "https://good.example", "token_url": "https://evil.example"},
            "https://good.example",
            "token_url",
        ),
        ({"type": "kafka", "bootstrap_servers": "good.example:9092"}, "kafka://good.example:9092", ""),
        ({"type": "kafka", "bootstrap_servers": "good.example", "schema_registry_url": "https://e"}, "", "schema_registry_url"),
        ({"type": "postgresql", "host": "good.example", "hostaddr": "6.6.6.6"}, "postgresql://good.example", "hostaddr"),
        ({"type": "snowflake", "account": "good", "host": "evil.example"}, "snowflake://evil.example", "account"),
    ],
)
def test_servers_of_a_description_by_parts_are_named(parts: dict[str, str], told: str, elsewhere: str) -> None:
    """The one it leads to, and each other one that a key names, on the first level, too."""
    asked = saved.question(Definition("x", parts, "/p"))

    assert f"It leads to  {told}" in asked
    assert (f"elsewhere: {elsewhere}." in asked) is bool(elsewhere)
    assert ("elsewhere" in asked) is bool(elsewhere)


def test_export_and_back(project: Path) -> None:
    """What was saved is what the file says; it is agreed to, and only references are in it."""
    backend, path = session.backend(), project / "connections.toml"
    fnb.secrets["prod_pw"] = "hunter2-value"
    bodies = {
        "one": "postgresql://app:%secret prod_pw@h/x",
        "two": '# mine\ntype = "mysql"\npassword = %secret prod_pw\n[query]\ncharset = "utf8mb4"',
    }

    saved.export(backend, [Definition(name, body) for name, body in bodies.items()], path)

    one, two = (saved.find(backend, name, project, path) for name in bodies)
    assert one.description == "postgresql://app:${secret:prod_pw}@h/x"
    assert two.description == {"type": "mysql", "password": "${secret:prod_pw}", "query": {"charset": "utf8mb4"}}
    assert saved.is_agreed(backend, one)
    assert saved.is_agreed(backend, two)
    assert "hunter2" not in path.read_text(encoding="utf-8").replace('password = "hunter2"', "")


def test_a_url_of_several_lines_is_no_url(tmp_path: Path) -> None:
    """Text that would be read as TOML is not taken for a URL."""
    path = tmp_path / "connections.toml"
    path.write_text("[x]\nurl = \"type = 'sqlite'\\n# ://\"\n", encoding="utf-8")

    assert saved.find(session.backend(), "x", tmp_path, path).outline.problem


def test_a_thousand_definitions_are_understood_once() -> None:
    """What they say is kept for the next list: that is what makes it quick."""
    backend = session.vault()
    bodies = [(f"c{number}", f"postgresql://app:%secret pw{number % 5}@h{number}/x", 0) for number in range(1_000)]
    with backend.store.active.ours(create=True) as db:
        assert db is not None
        with transaction(db):
            db.executemany("INSERT INTO nb_connections VALUES (?, ?, ?)", bodies)
    outline._of_text.cache_clear()

    tables = [connections_table(backend, Path("/")) for _ in range(3)]

    assert [len(table.rows) for table in tables] == [1_000] * 3
    assert outline._of_text.cache_info().misses == 1_000
