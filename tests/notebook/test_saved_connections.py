"""`%connect` by name: own definitions, a project's file, and what has to be asked first."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.errors import ConnectionFailedError, FlowfileNbError, NoPromptError, StoreError, UsageError
from notebooks.throwaway import Postgres
from tests.support.shell import Shell

CANARY = "canary-value"
Typed = Callable[[str], None]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cloned repository, with the notebook in a folder of it."""
    folder = tmp_path / "project"
    (folder / "notebooks").mkdir(parents=True)
    (folder / ".git").mkdir()
    monkeypatch.chdir(folder / "notebooks")
    return folder


@pytest.fixture
def cloned(project: Path, postgres: Postgres) -> Path:
    """Its `connections.toml`, which leads to a real server and uses a secret of one's own."""
    fnb.secrets["pg"] = postgres.password
    path = project / "connections.toml"
    url = f"postgresql://{postgres.user}:${{secret:pg}}@{postgres.host}:{postgres.port}/{postgres.database}"
    path.write_text(f'[warehouse]\nurl = "{url}"\n', encoding="utf-8")
    return path


def test_a_cloned_definition_is_shown_and_asked_about_once(
    shell: Shell, cloned: Path, typed: Typed, postgres: Postgres
) -> None:
    """Target and secret are read before the answer; afterwards it opens by its name alone, in other kernels, too."""
    typed("y")
    shown = shell.run("%connect warehouse")
    assert shell.error is None
    assert f"postgresql://app@{postgres.host}:{postgres.port}/{postgres.database}  and gives it your secret pg." in shown
    assert str(cloned) in shown
    assert "warehouse" in shell.real.user_ns

    typed("n")
    shell.run("%connect -x warehouse")
    session.use_backend(None)
    assert "gives it" not in shell.run("%connect warehouse")
    assert shell.error is None


def test_python_opens_what_is_saved_by_its_name(shell: Shell, cloned: Path, typed: Typed) -> None:
    """`fnb.connect("warehouse")`, as `%connect warehouse` does; a project's only once it was agreed to there."""
    with pytest.raises(UsageError, match="was not used here as it is now; nothing was opened") as refused:
        fnb.connect("warehouse")
    assert "%connect warehouse" in refused.value.hint
    fnb.connect("warehouse", trust=True).dispose()

    typed("y")
    shell.run("%connect warehouse")
    engine = fnb.connect("warehouse")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 7").scalar() == 7
    engine.dispose()

    with pytest.raises(UsageError, match="no saved connection is named 'warehuose'") as unknown:
        fnb.connect("warehuose")
    assert "did you mean 'warehouse'?" in unknown.value.hint


def test_python_saves_what_it_opens(shell: Shell, project: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """`save="NAME"` keeps it as a cell with `--save` would, with references: both open it by its name."""
    fnb.secrets["pg"] = postgres.password
    shell.run("import flowfile_nb as fnb")
    parts = f'type="postgresql", host="{postgres.host}", port={postgres.port}, database="{postgres.database}"'
    shell.run(f'fnb.connect({parts}, username="app", password=fnb.secrets["pg"], save="warehouse").dispose()')
    shell.run('fnb.connect("sqlite:///here.db", save="local").dispose()')
    shell.run('fnb.connect({"url": "sqlite:///here.db"}, save="third").dispose()')

    assert shell.error is None, shell.shown
    bodies = session.backend().connection_bodies()
    assert "password = " in bodies["warehouse"]
    assert postgres.password not in bodies["warehouse"]
    assert bodies["local"] == bodies["third"] == f"sqlite:///{project}/notebooks/here.db"
    monkeypatch.chdir(project)
    assert "Connected: warehouse = postgresql://app@" in shell.run("%connect warehouse")
    assert str(fnb.connect("local").url) == bodies["local"]
    assert [row[5] for row in shell.run("%connect") and shell.result.rows] == ["just now"] * 3


def test_python_says_what_a_saved_one_replaces(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `--save` does: another place, another description of the same; nothing where it says the same."""
    monkeypatch.chdir(tmp_path)
    shell.run("import flowfile_nb as fnb")

    server = "postgresql://app@127.0.0.1:1/x"
    shown = [
        shell.run(f'fnb.connect("{url}", save="local", test=False).dispose()')
        for url in ("sqlite:///a.db", "sqlite:///a.db", server, f"{server}?connect_timeout=5")
    ]

    assert shown == [
        *("", ""),
        f"Saved local, in place of sqlite:///{tmp_path}/a.db.\n",
        f"Saved local, in place of another description of {server}.\n",
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ('fnb.connect("sqlite://", save="my db")', "is no name for a connection"),
        ('fnb.connect("sqlite://", save="class")', "is no name for a connection"),
        ('fnb.connect("mine", save="other")', "not saved again"),
        ('fnb.connect("postgresql://app@127.0.0.1:1/x", save="mine")', "could not open"),
        ('fnb.connect("postgresql://app:hunter2@h/x", save="mine")', "in clear"),
    ],
)
def test_python_saves_nothing_that_is_wrong(shell: Shell, call: str, words: str) -> None:
    """A name that cannot be a variable, a name in place of a description, what does not open, a password."""
    session.backend().save_connection("mine", "sqlite://")
    shell.run("import flowfile_nb as fnb")

    shell.run(call)

    assert words in str(shell.error)
    assert session.backend().connection_bodies() == {"mine": "sqlite://"}


@pytest.mark.parametrize("answer", ["n", "", "yes please"])
def test_anything_but_yes_is_no(shell: Shell, cloned: Path, typed: Typed, answer: str) -> None:
    """Nothing is opened, nothing is kept."""
    typed(answer)

    shell.run("%connect warehouse")

    assert isinstance(shell.error, UsageError)
    assert "warehouse" not in shell.real.user_ns
    assert session.backend().used_connections() == {}


def test_a_changed_definition_asks_again(shell: Shell, cloned: Path, typed: Typed) -> None:
    """A pull that points the secret at another server: what was agreed to was another text."""
    typed("y")
    shell.run("%connect warehouse")
    shell.run("%connect -x warehouse")
    cloned.write_text('[warehouse]\nurl = "postgresql://app:${secret:pg}@attacker.example/sales"\n', encoding="utf-8")

    typed("n")
    shown = shell.run("%connect warehouse")

    assert "attacker.example" in shown
    assert isinstance(shell.error, UsageError)
    assert "asks first" in shell.run("%connect")


def test_headless_it_is_refused_unless_trusted(shell: Shell, cloned: Path) -> None:
    """Nobody can be asked: the description is in the log, and the hint says how to agree."""
    shown = shell.run("%connect warehouse")
    assert isinstance(shell.error, NoPromptError)
    assert "gives it your secret pg" in shown
    assert "%connect warehouse --trust" in shell.error.hint
    assert "warehouse" not in shell.real.user_ns

    shell.run("%connect warehouse --trust")
    assert shell.error is None
    shell.run("%connect -x warehouse")
    shell.run("%connect warehouse")
    assert shell.error is None


def test_before_the_answer_no_secret_is_read(shell: Shell, cloned: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is anything opened."""

    def fail(name: str) -> str:
        raise AssertionError(name)

    monkeypatch.setattr(session.backend(), "reveal", fail)
    typed("n")

    shell.run("%connect warehouse")

    assert isinstance(shell.error, UsageError)


def test_another_file(shell: Shell, project: Path, tmp_path: Path, typed: Typed) -> None:
    """`--file` takes it from there, and lists it."""
    other = tmp_path / "more of them.toml"
    other.write_text("[local]\nurl = 'sqlite://'\n", encoding="utf-8")
    session.backend().save_connection("mine", "sqlite://")
    typed("y")

    shell.run(f'%connect --file "{other}"')
    assert [(row[0], row[1]) for row in shell.result.rows] == [("local", "asks first")]
    assert "local = sqlite://" in shell.run(f'%connect local --file "{other}"')
    shell.run(f'%connect mine --file "{other}"')
    assert isinstance(shell.error, UsageError)


def test_the_table(shell: Shell, cloned: Path) -> None:
    """Name, state, kind, target, secrets and whether they exist, last use, and where it is from."""
    backend = session.backend()
    backend.save_connection("mine", "mysql://%secret user:%secret my_pw@h:3306/shop")
    backend.save_connection("warehouse", "sqlite://")
    backend.save_connection("broken", "postgresql://app:hunter2@h/x")
    shell.run("%connect warehouse\nimport math")
    shell.run("%%connect scratch\nduckdb:///:memory:")

    shell.run("%connect")

    rows = {(row[0], row[6]): row[1:6] for row in shell.result.rows}
    assert rows["mine", "saved"] == ("", "mysql", "mysql://${secret:user}@h:3306/shop", "user (missing), my_pw (missing)", "")
    assert rows["warehouse", "saved"] == ("open", "sqlite", "sqlite://", "", "just now")
    hidden = rows["warehouse", "../connections.toml"]
    assert hidden[0] == "hidden by your saved one"
    assert hidden[3] == "pg"
    assert rows["broken", "saved"][2].startswith("cannot be opened: a password stands in clear")
    assert rows["scratch", "a cell"][0] == "open"
    assert shell.result.note.split("\n") == [
        "Secrets that are missing here; each command asks for one:",
        "    %secret set my_pw",
        "    %secret set user",
    ]
    assert "hunter2" not in repr(shell.result) + shell.result._repr_html_()


def test_what_is_open_is_told_apart_from_what_is_saved_now(shell: Shell) -> None:
    """A saved one that was changed since, or a cell of its name: both rows, each with its own target and secrets."""
    fnb.secrets["old"] = fnb.secrets["new"] = "a value"
    shell.run("%%connect db --save --no-test\npostgresql://app:%secret old@h/old")
    shell.run("%connect")
    assert [row[:2] for row in shell.result.rows] == [("db", "open")]

    session.backend().save_connection("db", "# mine\npostgresql://app:%secret old@h/old")
    shell.run("%connect")
    assert [row[:2] for row in shell.result.rows] == [("db", "open")]

    session.backend().save_connection("db", "postgresql://app:%secret new@h/new")
    shell.run("%connect")

    assert [(row[1], row[3], row[4], row[6]) for row in shell.result.rows] == [
        ("open", "postgresql://app@h/old", "old", "a cell"),
        ("other than the open one", "postgresql://app@h/new", "new", "saved"),
    ]
    shell.run("%connect db --no-test\n%connect")
    assert [(row[1], row[3]) for row in shell.result.rows] == [("open", "postgresql://app@h/new")]


def test_a_file_that_cannot_be_read_hides_nothing_else(shell: Shell, project: Path) -> None:
    """The list says so, below the own ones."""
    (project / "connections.toml").write_text("[", encoding="utf-8")
    session.backend().save_connection("mine", "sqlite://")

    shown = shell.run("%connect")

    assert "mine" in shown
    assert "is not TOML" in shown


def test_missing_secrets_of_a_project_are_named_at_once(
    shell: Shell, project: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each person brings their own: the commands are there, before anybody is asked whether to open it."""
    (project / "connections.toml").write_text(
        '[w]\ntype = "postgresql"\nusername = "${secret:me}"\npassword = "${secret:my pw}"\n', encoding="utf-8"
    )
    typed("y")
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "y")

    shown = shell.run("%connect w")

    assert asked == []
    assert "Open it" not in shown
    assert "is described in" not in shown
    assert 'add them:  %secret set me   %secret set "my pw"' in shown


def test_delete(shell: Shell, project: Path, typed: Typed) -> None:
    """It asks; the secrets stay."""
    fnb.secrets["path"] = ":memory:"
    session.backend().save_connection("mine", "sqlite:///%secret path")
    typed("n")
    assert "Kept mine." in shell.run("%connect mine --delete")
    assert "mine" in session.backend().connection_bodies()

    typed("y")
    assert "Deleted mine." in shell.run("%connect mine --delete")

    assert session.backend().connection_bodies() == {}
    assert "path" in fnb.secrets


def test_delete_in_a_headless_run(shell: Shell) -> None:
    """Only with `--yes`; and of nothing that is not there."""
    session.backend().save_connection("mine", "sqlite://")
    shell.run("%connect mine --delete")
    assert isinstance(shell.error, NoPromptError)
    assert "%connect mine --delete --yes" in shell.error.hint

    shell.run("%connect mine --delete --yes")
    assert session.backend().connection_bodies() == {}
    for option in ("--delete --yes", "--edit"):
        shell.run(f"%connect mine {option}")
        assert isinstance(shell.error, UsageError)
        assert shell.error.hint == "List yours:  %connect"


def test_a_projects_definition_is_not_deleted_here(shell: Shell, cloned: Path) -> None:
    """It is in a file of the repository; the error names it."""
    shell.run("%connect warehouse --delete --yes")

    assert "is not saved here" in str(shell.error)
    assert str(cloned) in str(shell.error)


def test_edit(shell: Shell, cloned: Path) -> None:
    """The body goes back as it was typed; a project's as TOML or its URL. Nothing is opened for it."""
    session.backend().save_connection("mine", "# comment\nsqlite://")

    shell.run("%connect mine --edit")
    assert shell.real.rl_next_input == "%%connect mine --save\n# comment\nsqlite://"
    shell.run("%connect warehouse --edit")
    assert shell.real.rl_next_input.startswith("%%connect warehouse\npostgresql://app:${secret:pg}@127.0.0.1")
    cloned.write_text('[t]\ntype = "sqlite"\n[t.query]\nmode = "ro"\n', encoding="utf-8")
    shell.run("%connect t --edit")
    assert shell.real.rl_next_input == '%%connect t\ntype = "sqlite"\n\n[query]\nmode = "ro"'


def test_export(shell: Shell, project: Path, postgres: Postgres) -> None:
    """All or one; the file is in the project's root, holds no value, and opens without asking on this machine."""
    fnb.secrets["pg"] = CANARY
    session.backend().save_connection("one", "sqlite://")
    session.backend().save_connection("two", "postgresql://app:%secret pg@127.0.0.1:1/x")
    path = project / "connections.toml"

    assert "describes two" in shell.run("%connect two --export")
    assert set(re.findall(r"^\[(\w+)\]", path.read_text(encoding="utf-8"), re.MULTILINE)) == {"two"}
    shell.run("%connect --export")
    assert set(re.findall(r"^\[(\w+)\]", path.read_text(encoding="utf-8"), re.MULTILINE)) == {"one", "two"}

    assert CANARY not in path.read_text(encoding="utf-8")
    shell.run("%connect one --delete --yes")
    shell.run("%connect one")
    assert shell.error is None


def test_export_to_a_path(shell: Shell, project: Path) -> None:
    """Any TOML file; a name that was meant as a connection's is not taken for one."""
    session.backend().save_connection("one", "sqlite://")

    shell.run("%connect one --export mine.toml")
    assert (project / "notebooks" / "mine.toml").exists()

    shell.run("%connect --export one")
    assert "%connect NAME --export" in str(shell.error)


def test_export_over_another_text_asks(shell: Shell, project: Path, typed: Typed) -> None:
    """What somebody else has written is not replaced silently."""
    path = project / "connections.toml"
    path.write_text('[one]\nurl = "sqlite:///theirs.db"\n', encoding="utf-8")
    session.backend().save_connection("one", "sqlite://")

    shell.run("%connect one --export")
    assert isinstance(shell.error, NoPromptError)
    assert "%connect one --export --yes" in shell.error.hint
    typed("n")
    shell.run("%connect one --export")
    assert isinstance(shell.error, UsageError)
    assert "theirs" in path.read_text(encoding="utf-8")
    shell.run("%connect one --export --yes")
    assert "theirs" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%connect --edit", "needs a name"),
        ("%connect --delete", "needs a name"),
        ("%connect db --save", "for a cell"),
        ("%%connect db --edit\nsqlite://", "for a line"),
        ("%%connect db --file x.toml\nsqlite://", "for a line"),
        ("%%connect db --timeout 0\nsqlite://", "number of seconds"),
        ("%%connect db --timeout soon\nsqlite://", "not understood"),
        ("%connect db -x --edit", "not understood"),
        ("%connect nothing --export", "no saved connection"),
        ("%connect --export", "no saved connections"),
        ("%connect --file /no/such.toml", "cannot read"),
        ("%connect nothing --edit", "no saved connection"),
    ],
)
def test_bad_lines_have_two_lines(shell: Shell, cell: str, words: str) -> None:
    """Each says what happened and what to do."""
    shown = shell.run(cell)

    assert isinstance(shell.error, FlowfileNbError)
    assert words in shown
    assert len(shown.strip().split("\n")) == 2


def test_last_used(shell: Shell, cloned: Path) -> None:
    """Opening counts, listing does not; a failure does not."""
    session.backend().save_connection("mine", "sqlite://")
    session.backend().save_connection("down", "postgresql://127.0.0.1:1/x")
    shell.run("%connect")
    shell.run("%connect down")
    assert isinstance(shell.error, ConnectionFailedError)
    assert session.backend().used_connections() == {}

    shell.run("%connect mine")
    shell.run("%connect warehouse --trust")

    used = session.backend().used_connections()
    assert set(used) == {("", "mine"), (str(cloned), "warehouse")}
    assert all(known.used_at for known in used.values())


def test_a_store_that_cannot_be_written_does_not_stand_in_the_way(
    shell: Shell, cloned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container: it opens, and what would be kept is not."""

    def fail(*args: object) -> None:
        raise StoreError("read only")

    monkeypatch.setattr(session.backend(), "note_connection", fail)

    shell.run("%connect warehouse --trust")

    assert shell.error is None
    assert "warehouse" in shell.real.user_ns


def test_a_definition_that_cannot_be_used(shell: Shell, project: Path) -> None:
    """By its name it says why; the password in it stays where it is."""
    (project / "connections.toml").write_text('[clear]\ntype = "mysql"\npassword = "hunter2"\n', encoding="utf-8")

    for option in ("--trust", "--edit"):
        shown = shell.run(f"%connect clear {option}")

        assert isinstance(shell.error, UsageError)
        assert "clear cannot be opened: a password stands in clear" in shown
        assert shown.endswith('hint: mend it in connections.toml, where a secret is written  "${secret:NAME}"\n')
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        (
            'type = "sqlite"\n',
            "connections.toml has no table",
            "above each connection's keys stands its name:  [warehouse]",
        ),
        ('[[a]]\nurl = "sqlite://"\n', "connections.toml has no table", "[warehouse]"),
        ('[a]\nurl = "sqlite://"\n[a]\n', "connections.toml is not TOML: the key 'a' stands twice", "leave one of the two"),
    ],
)
def test_a_file_that_somebody_wrote_by_hand(shell: Shell, project: Path, text: str, says: str, hint: str) -> None:
    """What it lacks is said, beside what is saved."""
    (project / "connections.toml").write_text(text, encoding="utf-8")
    session.backend().save_connection("mine", "sqlite://")

    shown = shell.run("%connect")

    assert [row[0] for row in shell.result.rows] == ["mine"]
    assert says in shown
    assert hint in shown


def test_a_file_that_windows_has_written(shell: Shell, project: Path) -> None:
    """With the mark at its beginning that Notepad puts there."""
    (project / "connections.toml").write_text('[local]\nurl = "sqlite://"\n', encoding="utf-8-sig")

    assert "Connected: local = sqlite://" in shell.run("%connect local --trust")


@pytest.mark.parametrize(
    ("name", "variable"), [("sales-db", "sales_db"), ("two words", "two_words"), ("class", "connection_class"), ("_x", "_x")]
)
def test_a_table_whose_name_is_no_variable(shell: Shell, project: Path, name: str, variable: str) -> None:
    """TOML's names may have hyphens: it is bound to the nearest that Python takes, and called what it is everywhere else."""
    (project / "connections.toml").write_text(f'["{name}"]\ntype = "sqlite"\ndatabase = "{project}/data.db"\n')

    shown = shell.run(f'%connect "{name}" --trust')

    assert f"Connected: {variable} = sqlite:///" in shown
    assert variable in shell.real.user_ns
    assert re.search(rf"^{name} +open ", shell.run("%connect"), re.MULTILINE)


def test_closing_takes_only_the_connection(shell: Shell) -> None:
    """A variable that holds something else by now stays."""
    shell.run("%%connect db\nsqlite://")
    shell.run("db = 5")

    shell.run("%connect -x db")

    assert shell.error is None
    assert shell.real.user_ns["db"] == 5


def test_a_variable_is_not_lost(shell: Shell, typed: Typed) -> None:
    """A table that was computed for an hour, and Python's own functions; `--replace` says that it is meant."""
    shell.run("frame = [1, 2, 3]")
    for name in ("frame", "list", "In"):
        shell.run(f"%%connect {name}\nsqlite://")
        assert isinstance(shell.error, UsageError), name
        assert f"%%connect {name} --replace" in shell.error.hint
    assert shell.real.user_ns["frame"] == [1, 2, 3]
    session.backend().save_connection("frame", "sqlite://")
    shell.run("%connect frame")
    assert "or  %connect frame --replace" in shell.error.hint

    typed("y")
    shell.run("%%connect frame\nsqlite://")
    assert shell.error is None
    # It is a connection now, and a cell that runs again does not ask.
    typed("n")
    shell.run("%%connect frame\nsqlite://")
    assert shell.error is None
    shell.run("other = 1")
    shell.run("%%connect other --replace\nsqlite://")
    assert shell.error is None


def test_debug_shows_the_drivers_words_masked(shell: Shell, postgres: Postgres) -> None:
    """A third line, with the driver's own error; a value in it is masked. Without the option there is none."""
    fnb.secrets["pg"] = "wrong"
    fnb.secrets["database_name"] = CANARY
    cell = f"%%connect db\npostgresql://app:%secret pg@127.0.0.1:{postgres.port}/%secret database_name"
    fnb.secrets["pg"] = postgres.password

    plain = shell.run(cell)
    debug = shell.run(cell.replace("db\n", "db --debug\n", 1))

    assert len(plain.strip().split("\n")) == 2
    assert "driver: OperationalError: " in debug
    # In the error itself, not only where the output guard sees it.
    assert isinstance(shell.error, ConnectionFailedError)
    assert CANARY not in str(shell.error) + repr(vars(shell.error))
    assert 'database "[secret:database_name]" does not exist' in debug
    assert CANARY not in plain + debug
    assert postgres.password not in plain + debug


def test_what_is_replaced_is_said(shell: Shell) -> None:
    """Where another description was saved, its target is told; a comment, or the same once more, replaces nothing."""
    fnb.secrets["pw"] = "value"
    cell = "%%connect db --save --no-test\n"
    told = [
        shell.run(cell + body).splitlines()[-1]
        for body in (
            "postgresql://app:%secret pw@127.0.0.1:1/palmer",
            "postgresql://app:%secret pw@127.0.0.1:1/palmer\n# the same",
            "sqlite://",
            'type = "postgresql"\nhost = "127.0.0.1"\nport = 1\nusername = "app"\ndatabase = "x"',
            'type = "postgresql"\nhost = "127.0.0.1"\nport = 1\nusername = "app"\ndatabase = "x"\npassword = %secret pw',
        )
    ]
    session.backend().save_connection("db", "nonsense")
    told.append(shell.run(cell + "sqlite://").splitlines()[-1])

    assert [line.removesuffix(". In another notebook:  %connect db") for line in told] == [
        "Saved",
        "Saved",
        "Saved, in place of postgresql://app@127.0.0.1:1/palmer",
        "Saved, in place of sqlite://",
        "Saved, in place of another description of postgresql://app@127.0.0.1:1/x",
        "Saved, in place of a description that cannot be understood",
    ]


def test_what_was_saved_is_said_to_be(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it was last used may not be kept, as in a home that cannot be written: that is no reason for an error."""

    def refuse(*facts: object) -> None:
        raise StoreError("cannot write")

    monkeypatch.setattr(session.backend(), "note_connection", refuse)

    shown = shell.run("%%connect db --save\nsqlite://")

    assert shell.error is None
    assert "Saved." in shown
