"""`%secret` in a real IPython shell."""

from __future__ import annotations

import os
import pickle
import platform
import sqlite3
import string
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import (
    FlowfileNbError,
    NoPromptError,
    NoSuchSecretError,
    NothingToUndoError,
    SecretExistsError,
    UsageError,
    ValueOnLineError,
)
from tests.support.flowfile_connections import save_database
from tests.support.shell import Shell
from tests.support.stores import write_flowfile_store

Typed = Callable[[str], None]
CANARY = "hunter2-canary"


def test_set_asks_and_get_returns_a_secret(shell: Shell, typed: Typed) -> None:
    """The hidden prompt stores; `%secret NAME` is a Secret that can be assigned."""
    typed(CANARY)

    shown = shell.run("%secret set prod_pw")
    assert "Stored prod_pw" in shown
    assert "${secret:prod_pw}" in shown

    shell.run("pw = %secret prod_pw")
    assert repr(shell.real.user_ns["pw"]) == "Secret('prod_pw')"
    assert shell.real.user_ns["pw"].get_secret_value() == CANARY
    assert CANARY not in shell.run("pw") + shell.run("%secret get prod_pw") + shell.run("print(pw)") + shell.remembered()


def test_replace_has_to_be_said_before_anything_is_asked(shell: Shell, typed: Typed) -> None:
    """An existing name is refused at once, and `--replace` keeps the row."""
    fnb.secrets["prod_pw"] = "old"

    shell.run("%secret set prod_pw")
    assert isinstance(shell.error, SecretExistsError)
    assert "--replace" in shell.shown

    typed("new")
    assert "Replaced prod_pw" in shell.run("%secret set prod_pw --replace")
    assert fnb.secrets["prod_pw"].get_secret_value() == "new"


def test_undo_asks_and_puts_the_previous_value_back_once(shell: Shell, typed: Typed) -> None:
    """A replace says that it can be undone, and for how long; undoing says what is lost by it, and asks."""
    fnb.secrets["prod_pw"] = "old"
    typed("new")
    assert "7 days:  %secret undo prod_pw" in shell.run("%secret set prod_pw --replace")

    shell.run("%secret undo none --yes")
    assert isinstance(shell.error, NoSuchSecretError)
    typed("n")
    assert "Kept prod_pw as it is" in shell.run("%secret undo prod_pw")
    assert fnb.secrets["prod_pw"].get_secret_value() == "new"

    typed("y")
    assert "has its previous value again" in shell.run("%secret undo prod_pw")
    assert fnb.secrets["prod_pw"].get_secret_value() == "old"
    shell.run("%secret undo prod_pw --yes")
    assert isinstance(shell.error, NothingToUndoError)


def test_the_questions_say_what_is_lost(shell: Shell, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of undoing the newer value, of deleting all."""
    fnb.secrets["prod_pw"] = "old"
    fnb.secrets["prod_pw"] = "new"
    typed("n")
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")

    shell.run("%secret undo prod_pw")
    shell.run("%secret delete prod_pw")

    assert asked == [
        "Put back the previous value of prod_pw? The newer one is not kept. [y/N] ",
        "Delete prod_pw for good? [y/N] ",
    ]


def test_undo_headless(shell: Shell) -> None:
    """Nobody is asked: `--yes` says it."""
    fnb.secrets["my name"] = "old"
    fnb.secrets["my name"] = "new"

    assert '%secret undo "my name" --yes' in shell.run("%secret undo 'my name'")
    shell.run("%secret undo 'my name' --yes")

    assert fnb.secrets["my name"].get_secret_value() == "old"


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        (b"value\n", "value"),
        (b"value\r\n", "value"),
        (b"value", "value"),
        (b"-----\nkey\n-----\n", "-----\nkey\n-----\n"),
        (b" x ", " x "),
    ],
)
def test_set_from_a_file(shell: Shell, tmp_path: Path, content: bytes, stored: str) -> None:
    """One line loses the line break that `echo` leaves; several lines stay to the byte."""
    (tmp_path / "my file.txt").write_bytes(content)

    shell.run(f"%secret set x --file '{tmp_path}/my file.txt'")

    assert fnb.secrets["x"].get_secret_value() == stored


def test_set_from_the_environment_and_generated(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--env` takes a variable; `--generate` makes what no two calls make."""
    monkeypatch.setenv("SOME_VARIABLE", CANARY)

    shell.run("%secret set a --env SOME_VARIABLE")
    shell.run("%secret set b --generate")
    shell.run("%secret set c --generate 100")

    a, b, c = (fnb.secrets[name].get_secret_value() for name in "abc")
    assert a == CANARY
    assert (len(b), len(c)) == (32, 100)
    assert b != c[:32]
    assert set(b + c) <= set(string.ascii_letters + string.digits + "-._~")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("%secret set x --file /nowhere/at/all", "no such file"),
        ("%secret set x --file /", "that is a folder"),
        ("%secret set x --env NOT_SET_ANYWHERE", "no environment variable"),
        ("%secret set x --generate 3", "8 to 1024"),
        ("%secret set x --generate 99999", "8 to 1024"),
        ("%secret set x --file /etc/hostname --generate", "not understood"),
        ("%secret set x --unknown", "an option is unknown"),
        ("%secret set x --replace --if-missing", "not allowed with"),
        ("%secret set", "required: name"),
        ("%secret ls", "hint: %secret list"),
        ("%secret ls prod_pw", "hint: %secret list"),
        ("%secret show prod_pw", "hint: pw = %secret prod_pw   a value is never shown"),
        ("%secret new prod_pw", "hint: %secret set prod_pw"),
        ("%secret rm 'my pw' other", 'hint: %secret delete "my pw" other'),
        ("%secret set ''", "needs a name"),
        ("%secret get", "not understood"),
        ("%secret delete", "not understood"),
        ("%secret rename only_one", "not understood"),
        ("%secret bogus x", "no verb 'bogus'"),
        ("%secret nothing_here", "no secret named"),
        ("%secret get set", "no secret named"),
        ("%secret 'open", "not closed"),
        ("%secret rename none other", "no secret named"),
        ("%secret delete none --yes", "no secret named"),
        ("%secret env none", "no secret named"),
        ("%secret log none", "no secret named"),
        ("%secret log --last 0", "--last takes a number from 1 on"),
        ("%secret log --last many", "not understood"),
        ("%secret log none --clear", "as a whole"),
        ("%secret doctor everything", "not understood"),
    ],
)
def test_bad_lines_have_two_lines(shell: Shell, line: str, error: str) -> None:
    """Each wrong line is an error of ours: what happened, and what to do; nothing is stored."""
    shown = shell.run(line)

    assert isinstance(shell.error, FlowfileNbError)
    assert error in shown
    assert "hint: " in shown
    assert len(shown.strip().split("\n")) == 2
    assert len(fnb.secrets) == 0


@pytest.mark.parametrize(
    "cell",
    [
        f"%secret set prod_pw {CANARY}",
        f"%secret set prod_pw={CANARY}",
        f"%secret prod_pw={CANARY}",
        f"x = %secret set prod_pw {CANARY}",
        f"%secret set prod_pw --replace {CANARY}",
        f"secret set prod_pw {CANARY}",
        f"y = 1\n%secret set prod_pw '{CANARY}'",
        f"get_ipython().run_line_magic('secret', 'set prod_pw {CANARY}')",
    ],
)
def test_a_value_on_the_line_is_refused_and_forgotten(shell: Shell, cell: str) -> None:
    """Nothing is stored, the right form is shown, and IPython remembers the line without the value, on disk too."""
    shown = shell.run(cell)

    assert isinstance(shell.error, ValueOnLineError)
    assert "%secret set prod_pw" in shown
    assert CANARY not in shown
    assert len(fnb.secrets) == 0
    assert CANARY not in shell.remembered()
    assert "removed by flowfile_nb" in shell.remembered()
    shell.run("_i")
    assert CANARY not in shell.shown


@pytest.mark.parametrize(
    ("line", "says", "has_quotes"),
    [
        ("set my pw", '%secret set "my …"', True),
        ("set my pw --replace", '%secret set "my …" --replace', True),
        ("set my=pw --replace", "%secret set my --replace   asks for it", False),
    ],
)
def test_a_name_with_spaces_for_a_new_secret(shell: Shell, line: str, says: str, has_quotes: bool) -> None:
    """Whether the second word is a value is not known: what it was to be is said, with the options, and the word is not."""
    shown = shell.run(f"%secret {line}")

    assert isinstance(shell.error, ValueOnLineError)
    assert says in shown
    assert ("A name with spaces needs quotes" in shown) is has_quotes
    assert "pw" not in shown
    assert shown.count("\n") == 2


def test_other_cells_are_remembered_as_they_are(shell: Shell) -> None:
    """The watch over the history changes nothing else, and not the numbering."""
    shell.run("secret_number = 5  # %secret list")
    shell.run("%secret list")

    assert shell.real.history_manager.input_hist_raw[-2:] == ["secret_number = 5  # %secret list", "%secret list"]
    assert "get_ipython().run_line_magic('secret', 'list')" in shell.real.history_manager.input_hist_parsed[-1]


def test_names_that_are_verbs_or_have_spaces(shell: Shell) -> None:
    """`%secret get list` reaches a secret named like a verb; quotes keep a name together."""
    fnb.secrets.update({"list": "1", "my name": "2", "a=b": "3"})

    for line, name in (("%secret get list", "list"), ("%secret 'my name'", "my name"), ('%secret "a=b"', "a=b")):
        shell.run(line)
        assert isinstance(shell.result, Secret)
        assert shell.result.name == name
    assert "owner" in shell.run("%secret list")


def test_list_and_bare_secret_show_names_only(shell: Shell) -> None:
    """A table with name, owner, shared by, age and last use; an empty one says how to add."""
    assert "%secret set NAME" in shell.run("%secret list")
    fnb.secrets["prod_pw"] = CANARY

    for line in ("%secret", "%secret list"):
        shown = shell.run(line)
        assert "prod_pw" in shown
        assert "local_user" in shown
        assert shown.count("just now") == 1
        assert CANARY not in shown + shell.result._repr_html_()
    assert "<th scope='col'" in shell.result._repr_html_()

    assert len(fnb.secrets["prod_pw"].get_secret_value()) == len(CANARY)
    assert shell.run("%secret list").count("just now") == 2


def test_the_table_has_the_panels_order_and_ages(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name in any case; ages are rounded down, so that 47 hours are one day."""
    fnb.secrets.update({"b": "1", "A": "2"})
    now = time.time()
    monkeypatch.setattr("flowfile_nb.notebook.table.time.time", lambda: now + 47 * 3600)

    lines = shell.run("%secret list").splitlines()

    assert [line.split()[0] for line in lines[-2:]] == ["A", "b"]
    assert "1 d" in lines[-1]


def test_html_is_escaped(shell: Shell) -> None:
    """A name cannot put markup into the notebook, nor turn what stands there round."""
    fnb.secrets["<script>x"] = "v"
    fnb.secrets["prod\u202ewp_"] = "v"

    shell.run("%secret list")

    assert "<script>" not in shell.result._repr_html_()
    assert "prod\\u202ewp_" in shell.result._repr_html_()


def test_saved_connections_follow_a_rename(shell: Shell, tmp_path: Path) -> None:
    """The value stays; what is saved opens as before, and what is open goes on."""
    fnb.secrets["old"] = str(tmp_path / "sales.db")
    shell.run("%%connect warehouse --save\nsqlite:///%secret old")
    shell.run("%%connect palmer --save --no-test\nsqlite:///${secret:old}")
    shell.run("%%connect scratch --no-test\nsqlite:///${secret:old}")
    shell.run("%connect -x palmer")

    shown = shell.run('%secret rename old "new name"').splitlines()

    assert shown == [
        "Renamed old to new name.",
        "palmer, warehouse now use it by the new name.",
        "warehouse, scratch stay open, and from now on by the new name.",
        "In the cell that opens scratch, write  ${secret:new name}",
    ]
    assert fnb.secrets["new name"].get_secret_value() == str(tmp_path / "sales.db")
    assert "old" not in fnb.secrets
    for name in ("warehouse", "palmer"):
        assert "Connected" in shell.run(f"%connect {name}")
        assert shell.error is None


def test_rename_says_what_the_projects_file_needs(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the user's alone, and stays; one that cannot be read stands in nobody's way."""
    monkeypatch.chdir(tmp_path)
    fnb.secrets["old"] = "x"
    Path("connections.toml").write_text('[shop]\nurl = "sqlite:///${secret:old}"\n[lake]\nurl = "sqlite://"\n', "utf-8")
    shell.run("%connect shop --trust --no-test")

    shown = shell.run("%secret rename old new").splitlines()

    assert shown == [
        "Renamed old to new.",
        "connections.toml describes shop with the old name:  write  ${secret:new}  there, or  %connect shop --edit",
        "shop stays open, and from now on by the new name.",
    ]
    shell.run("%connect -x shop")
    Path("connections.toml").write_text("[", "utf-8")
    assert shell.run("%secret rename new old") == "Renamed new to old.\n"


def test_rename_says_what_could_not_follow(shell: Shell, home: Path) -> None:
    """Beside Flowfile's catalog the secret has its new name then; what is saved is told, and how it is mended."""
    write_flowfile_store(home)
    fnb.secrets["old"] = "x"
    session.backend().save_connection("warehouse", "postgresql://a:%secret old@h/x")
    with sqlite3.connect(session.vault().paths.database) as ours:
        ours.execute("CREATE TRIGGER refuse BEFORE UPDATE ON nb_connections BEGIN SELECT raise(ABORT, 'no'); END")

    shown = shell.run("%secret rename old new").splitlines()

    assert shown == ["Renamed old to new.", "warehouse is saved with the old name still:  %connect warehouse --edit"]
    assert "new" in fnb.secrets


def test_flowfiles_own_connections_need_nothing_after_a_rename(shell: Shell, home: Path) -> None:
    """They refer to the secret itself, also one that is open."""
    save_database(write_flowfile_store(home), "theirs", "hunter2", database_type="postgresql", host="h", database="d")
    shell.run("%connect theirs --no-test")
    assert "theirs" in session.opened

    assert shell.run("%secret rename theirs new") == "Renamed theirs to new.\n"

    assert "Bound" in shell.run("%connect theirs --no-test")
    connection = session.backend().flowfile_connections()["theirs"]
    assert session.backend().part_of(connection, "password_id").reveal() == "hunter2"


def test_delete_asks_and_says_who_uses_it(shell: Shell, typed: Typed) -> None:
    """Anything but yes keeps it; `--yes` does not ask; several at once; an unknown one deletes none."""
    fnb.secrets.update({"a": "1", "b": "2", "c": "3"})
    session.backend().save_connection("warehouse", "postgresql://x:%secret a@h/x")

    typed("n")
    assert "Kept a." in shell.run("%secret delete a")
    shell.run("%secret delete a none --yes")
    assert set(fnb.secrets) == {"a", "b", "c"}

    typed("y")
    assert "used by warehouse" in shell.run("%secret delete a")
    assert set(fnb.secrets) == {"b", "c"}
    shell.run("%secret delete b c --yes")
    assert len(fnb.secrets) == 0


def test_delete_names_open_connections(shell: Shell, typed: Typed) -> None:
    """What this kernel has open and never saved is named too; what is closed is not."""
    fnb.secrets.update({"a": "1", "b": "2"})
    shell.run("%%connect warehouse --save --no-test\nsqlite:///%secret a")
    shell.run("%%connect scratch --no-test\nsqlite:///${secret:a}")

    assert "a is used by warehouse (saved and open), scratch (open)." in shell.run("%secret delete a")
    shell.run("%connect -x warehouse\n%connect -x scratch")
    typed("y")
    assert "It was used by warehouse." in shell.run("%secret delete a")
    assert shell.run("%secret delete b").strip() == "Deleted b."


def test_headless_never_asks(shell: Shell) -> None:
    """Without anybody to ask, one clear error says which variable or option helps; nothing changes."""
    fnb.secrets["a"] = "1"
    session.backend().save_connection("warehouse", "postgresql://x:%secret a@h/x")

    shown = shell.run("%secret set prod_pw")
    assert isinstance(shell.error, NoPromptError)
    assert "FLOWFILE_SECRET_PROD_PW" in shown

    shown = shell.run("%secret delete a")
    assert isinstance(shell.error, NoPromptError)
    assert "--yes" in shown
    assert "used by warehouse" in shown
    assert set(fnb.secrets) == {"a"}


def test_empty_input_stores_nothing(shell: Shell, typed: Typed) -> None:
    """Enter alone is not a value."""
    typed("")

    assert "empty value" in shell.run("%secret set prod_pw")
    assert len(fnb.secrets) == 0


def test_the_environment_overrides_headless(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`FLOWFILE_SECRET_<NAME>` works where nothing is stored."""
    monkeypatch.setenv("FLOWFILE_SECRET_PROD_PW", CANARY)

    shell.run("pw = %secret prod_pw")

    assert shell.real.user_ns["pw"].get_secret_value() == CANARY


def test_env_puts_one_value_into_the_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """On purpose, under its own name or another, and the value is not printed."""
    fnb.secrets["PGPASSWORD"] = CANARY
    for variable in ("PGPASSWORD", "OTHER"):
        monkeypatch.delenv(variable, raising=False)

    shown = shell.run("%secret env PGPASSWORD") + shell.run("%secret env PGPASSWORD OTHER")

    assert os.environ["PGPASSWORD"] == os.environ["OTHER"] == CANARY
    assert CANARY not in shown
    shell.run("%secret env PGPASSWORD A=B")
    assert isinstance(shell.error, UsageError)


def test_env_needs_a_legal_variable(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with spaces is no variable: it is refused with the line that works."""
    fnb.secrets["my db-pw"] = CANARY
    before = dict(os.environ)
    monkeypatch.delenv("MY_DB_PW", raising=False)

    shown = shell.run('%secret env "my db-pw"')
    assert isinstance(shell.error, UsageError)
    assert dict(os.environ) == before
    line = shown.split("hint: ")[1].strip()
    assert line == '%secret env "my db-pw" MY_DB_PW'

    shell.run(line)
    assert os.environ["MY_DB_PW"] == CANARY


def test_doctor(shell: Shell, key_directory: Path) -> None:
    """Where key and store are, which key, permissions; a finding that is wrong has its remedy."""
    fnb.secrets["a"] = "1"

    shown = shell.run("%secret doctor")
    assert str(key_directory / "flowfile_nb.db") in shown
    assert f"flowfile_nb {metadata.version('flowfile-nb')}, Python {platform.python_version()}" in shown
    assert "master key" in shown
    assert "mend" not in shown

    (key_directory / ".secret_key").chmod(0o644)
    assert f"chmod 600 '{key_directory / '.secret_key'}'" in shell.run("%secret doctor")


def test_a_semicolon_that_hides_the_output(shell: Shell) -> None:
    """It belongs to no name, as on the line of `%connect`; in quotes it does."""
    fnb.secrets["a;"] = "1"

    shell.run('%secret rename "a;" b;')

    assert list(fnb.secrets) == ["b"]


def test_variables_are_not_pasted_into_the_line(shell: Shell) -> None:
    """`$pw` and `{pw}` stay as they are typed: IPython would paste a value in clear."""
    shell.run(f"pw = '{CANARY}'")

    for line in ("%secret $pw", "%secret {pw}", "%secret set x$pw"):
        assert CANARY not in shell.run(line)


def test_store_magic_carries_the_reference(shell: Shell) -> None:
    """`%store pw` keeps a name, not a value."""
    fnb.secrets["prod_pw"] = CANARY
    shell.run("%load_ext storemagic")
    shell.run("pw = %secret prod_pw")

    shell.run("%store pw")

    kept = shell.real.db["autorestore/pw"]
    assert isinstance(kept, Secret)
    assert CANARY.encode() not in pickle.dumps(kept)


def test_help_page(shell: Shell) -> None:
    """`%secret?` and Shift-Tab show the help page, with every verb, before anything of ours was used."""
    from flowfile_nb.notebook.secret_arguments import VERBS

    page = shell.real.object_inspect_mime("%secret")["text/plain"]

    assert all(f"%secret {verb}" in page for verb in VERBS)
    assert "--timeout SECONDS" in shell.real.object_inspect_mime("%%connect")["text/plain"]
    assert "--if-missing" in shell.run("%secret help")


def test_a_comment_at_the_end_is_no_value(shell: Shell) -> None:
    """What people write behind a line is left out; a `#` in quotes, or one that begins a value, is not a comment."""
    fnb.secrets["prod_pw"] = "the value"
    fnb.secrets["a # b"] = "another"

    assert "Secret('prod_pw')" in shell.run("%secret prod_pw  # don't tell")
    assert "Secret('a # b')" in shell.run("%secret get 'a # b'  # quoted")
    assert "already" in shell.run("%secret set prod_pw --if-missing  # once")
    assert "never typed on the line" in shell.run("%secret set other #hunter2")


def test_set_if_missing_asks_once(shell: Shell) -> None:
    """A cell with `--if-missing` can run again: the second time nothing is asked and nothing changes."""
    os.environ["GIVEN"] = "first"
    shell.run("%secret set prod_pw --env GIVEN --if-missing")
    os.environ["GIVEN"] = "second"

    shown = shell.run("%secret set prod_pw --env GIVEN --if-missing")

    assert "stored already" in shown
    assert fnb.secrets["prod_pw"].get_secret_value() == "first"
    assert "--if-missing" in shell.run("%secret set prod_pw --env GIVEN")


def test_a_name_with_spaces_wants_quotes(shell: Shell) -> None:
    """Without them the error shows the line that works, where such a secret is stored."""
    fnb.secrets["my db pw"] = "the value"

    assert '%secret "my db pw"' in shell.run("%secret my db pw")
    assert "needs quotes" in shell.run("%secret some other name")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("%secret penguins pw", '%secret "penguins pw"'),
        ("%secret get penguins pw", '%secret get "penguins pw"'),
        ("%secret rename penguins pw", '%secret rename "penguins pw" NEW'),
        ("%secret rename penguins pw peng_pw", '%secret rename "penguins pw" peng_pw'),
        ("%secret delete penguins pw --yes", '%secret delete "penguins pw"'),
        ("%secret delete other penguins pw --yes", '%secret delete other "penguins pw"'),
        ("%secret undo penguins pw --yes", '%secret undo "penguins pw" --yes'),
        ("%secret set penguins pw --replace", '%secret set "penguins pw" --replace'),
        ("%secret set penguins pw --generate 32", '%secret set "penguins pw" --generate 32'),
    ],
)
def test_words_that_together_are_a_name(shell: Shell, line: str, hint: str) -> None:
    """The hint is the line with the quotes; nothing is done."""
    fnb.secrets.update({"penguins pw": "the value", "other": "another"})

    shell.run(line)

    assert isinstance(shell.error, FlowfileNbError)
    assert shell.error.hint == f"{hint}   with quotes, because the name has spaces"
    assert set(fnb.secrets) == {"penguins pw", "other"}


@pytest.mark.parametrize("line", ["delete nothere", "rename nothere x", "undo nothere", "log nothere"])
def test_what_is_not_there_is_not_to_be_added_first(shell: Shell, line: str) -> None:
    """Who deletes, renames, undoes or looks back at what is not stored does not want to store it: the nearest is named."""
    shell.run(f"%secret {line}")
    hint = getattr(shell.error, "hint", "")
    fnb.secrets["nowhere"] = "v"
    shell.run(f"%secret {line}")

    assert isinstance(shell.error, NoSuchSecretError)
    told = "What was deleted is not kept.  " if "undo" in line else ""
    assert hint == f"{told}List yours:  %secret list"
    assert shell.error.hint == f"did you mean 'nowhere'?  {told}List yours:  %secret list"
    with pytest.raises(NoSuchSecretError) as refused:
        del fnb.secrets["nothere"]
    assert "Add it" not in refused.value.hint


def test_a_mistyped_verb(shell: Shell) -> None:
    """It is named first, but for a secret of a name that is nearer; a name that begins as a verb does is none."""
    added = "Add it:  %secret set {0}   List yours:  %secret list"
    for line, hint in [
        ("lst", "did you mean  %secret list?  " + added.format("lst")),
        ("get_pw", added.format("get_pw")),
        ("delte my pw", "did you mean  %secret delete?  Verbs are "),
    ]:
        shell.run(f"%secret {line}")
        assert getattr(shell.error, "hint", "").startswith(hint)

    fnb.secrets["list_pw"] = "v"
    shell.run("%secret list_p")
    assert getattr(shell.error, "hint", "").startswith("did you mean 'list_pw'?")


@pytest.mark.parametrize("line", ["%secret help", "%secret --help", "%secret -h", "%connect --help"])
def test_help_is_where_people_look(shell: Shell, line: str) -> None:
    """The help page also comes by the words that other tools have for it."""
    assert line.split(maxsplit=1)[0] + " NAME" in shell.run(line)
