"""What a hurried analyst types on a line of `%secret`, in a real IPython shell: each is answered, and each answer works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import FlowfileNbError, UsageError, ValueOnLineError
from tests.support.shell import Shell

Typed = Callable[[str], None]
CANARY = "hunter2-canary"


def _hint(shell: Shell) -> str:
    """Return the hint of what was just refused, on one line."""
    assert isinstance(shell.error, FlowfileNbError), shell.shown
    assert len(shell.shown.strip().splitlines()) == 2, shell.shown
    return shell.error.hint


@pytest.mark.parametrize(
    "line", ["set $name", "set {name}", "set ${name}", "set db_{name}", "get $name", "$name", "delete {name} --yes"]
)
def test_a_variable_is_no_name(shell: Shell, typed: Typed, line: str) -> None:
    """IPython's other magics would put it in: the hint is the call that does, and works as it stands."""
    fnb.secrets["prod_pw"] = CANARY
    shell.run("name = 'prod_pw'")
    typed(CANARY)

    assert "variables are not put into a line" in shell.run(f"%secret {line}")
    assert list(fnb.secrets) == ["prod_pw"]

    call = _hint(shell).removeprefix("write what it stands for, or  ").removesuffix(";  in quotes it is taken as it is")
    shell.run(call)
    assert "{" not in shell.shown.replace("${secret:", "")
    assert "Traceback" not in shell.shown


def test_a_variable_that_is_not_there_is_no_name(shell: Shell) -> None:
    """Nothing is called for it; a path with one is no path, either."""
    shell.run("%secret set $nowhere")
    assert _hint(shell) == "write what it stands for;  in quotes it is taken as it is"
    shell.run("%secret backup {folder}/all.backup")
    assert isinstance(shell.error, UsageError)
    assert "'{folder}' itself; nothing was done" in shell.shown


def test_a_name_may_look_like_a_variable(shell: Shell, typed: Typed) -> None:
    """In quotes it is stored; what is stored is found without them, too."""
    typed(CANARY)
    for name in ("$name", "{name}", "us$rates"):
        assert f"Stored {name}" in shell.run(f'%secret set "{name}"')
        assert repr(shell.real.run_line_magic("secret", name)) == f"Secret({name!r})"
        assert f"Deleted {name}" in shell.run(f"%secret delete {name} --yes")


@pytest.mark.parametrize("value", ["$pw", "{pw}", "${pw}"])
def test_a_variable_in_the_place_of_the_value(shell: Shell, value: str) -> None:
    """It is refused as a value is; the hint stores it."""
    shell.run("pw = 'hunter2' + '-canary'")

    shell.run(f"%secret set prod_pw {value}")
    assert isinstance(shell.error, ValueOnLineError)
    assert "prod_pw" not in fnb.secrets
    assert f"set prod_pw {value}" not in shell.remembered()

    shell.run(_hint(shell).partition(":  ")[2])
    assert fnb.secrets["prod_pw"].get_secret_value() == CANARY
    assert CANARY not in shell.remembered()


def test_a_value_that_begins_as_a_variable_does_is_not_repeated(shell: Shell) -> None:
    """No variable is called that: it is the value."""
    shell.run("%secret set prod_pw $ecret-canary")

    assert isinstance(shell.error, ValueOnLineError)
    assert "ecret-canary" not in shell.shown + shell.remembered()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("$DB_PASSWORD", "its name alone:  DB_PASSWORD"),
        ("${DB_PASSWORD}", "its name alone:  DB_PASSWORD"),
        ("%DB_PASSWORD%", "its name alone:  DB_PASSWORD"),
        ("db_password", "did you mean DB_PASSWORD?"),
        ("DB_PASWORD", "did you mean DB_PASSWORD?"),
        ("ZZZZZZZZ", "set it before the kernel starts"),
    ],
)
def test_an_environment_variable_written_wrongly(shell: Shell, monkeypatch: pytest.MonkeyPatch, given: str, hint: str) -> None:
    """The nearest is named; what stands on the line may be a value, and is not repeated."""
    monkeypatch.setenv("DB_PASSWORD", CANARY)

    for line in (f"set x --env {given}", f"backup b.backup --passphrase-env {given}"):
        shell.run(f"%secret {line}")
        assert _hint(shell) == hint
        assert given not in shell.error.message
    shell.run(f"%secret set x --env={given}")
    assert _hint(shell) == hint


def test_an_environment_variable_that_is_empty(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, which another message would deny."""
    monkeypatch.setenv("DB_PASSWORD", "")

    assert "variable 'DB_PASSWORD' is empty; nothing was stored" in shell.run("%secret set x --env DB_PASSWORD")


def test_a_variable_of_python_is_none_of_the_environment(shell: Shell) -> None:
    """The hint stores it."""
    shell.run("pw = 'hunter2' + '-canary'")

    for given in ("pw", "$pw", "{pw}"):
        assert "that is one of Python" in shell.run(f"%secret set 'my pw' --env {given}")
    shell.run(_hint(shell).partition(":  ")[2])

    assert fnb.secrets["my pw"].get_secret_value() == CANARY


@pytest.mark.parametrize("given", [f"--env PW={CANARY}", f"--env={CANARY}", f"--env {CANARY}", f"--env=PW={CANARY}"])
def test_a_value_behind_env(shell: Shell, given: str) -> None:
    """What can be no variable's name is taken for a value: refused, and not kept."""
    shell.run(f"%secret set prod_pw {given}")

    assert isinstance(shell.error, ValueOnLineError)
    assert CANARY not in shell.shown + shell.remembered()
    assert _hint(shell).startswith("%secret set prod_pw   asks for it, hidden.")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--gen", "--generate"),
        ("--gen 20", "--generate"),
        ("-g", "--generate"),
        ("-f pw.txt", "--file"),
        ("-e DB_PASSWORD", "--env"),
        ("-r", "--replace"),
        ("--force", "--replace"),
        ("--overwrite", "--replace"),
        ("--if-mising", "--if-missing"),
    ],
)
def test_an_option_written_as_elsewhere(shell: Shell, given: str, meant: str) -> None:
    """Its short form, its beginning and another tool's word say what was meant."""
    shell.run(f"%secret set x {given}")

    assert _hint(shell).startswith(f"did you mean {meant}?   %secret set NAME ")
    assert "an option is unknown" in shell.error.message


@pytest.mark.parametrize("given", [f"--value {CANARY}", f"--password={CANARY}", f"-p {CANARY}", f"-{CANARY}"])
def test_an_option_for_the_value(shell: Shell, given: str) -> None:
    """There is none, and no other one is suggested in its place; nor is the value kept."""
    shell.run(f"%secret set x {given}")

    assert isinstance(shell.error, UsageError)
    assert CANARY not in shell.shown
    assert "did you mean" not in shell.shown


def test_a_file_that_gives_no_value(shell: Shell, tmp_path: Path) -> None:
    """A missing one, with the nearest name; a folder; an empty one. The path is not repeated: it may be the value."""
    (tmp_path / "pw.txt").write_text("")
    (tmp_path / "line.txt").write_text("\n")

    for file, hint in {
        tmp_path / "pw.text": "did you mean pw.txt?",
        tmp_path / "zzzzzzzzzz": f"it was looked for in {tmp_path}",
        tmp_path / "nowhere" / "pw.txt": "the folder of that path does not exist, either",
        tmp_path: "name the file in it",
        tmp_path / "pw.txt": "save the value into it, or leave out  --file",
        tmp_path / "line.txt": "save the value into it, or leave out  --file",
    }.items():
        shell.run(f"%secret set x --file {file}")
        assert _hint(shell) == hint
        assert str(file) not in shell.error.message


def test_a_variable_that_is_used_in_place_of_what_is_stored(
    shell: Shell, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each verb that changes what is stored says in a line that it has no effect here, and how it has one."""
    monkeypatch.setenv("FLOWFILE_SECRET_X", "from-the-variable")
    monkeypatch.setenv("FLOWFILE_SECRET_Y", "another")
    said = (
        "In this kernel FLOWFILE_SECRET_{} is used in its place. To end that:  import os; del os.environ['FLOWFILE_SECRET_{}']"
    )
    typed(CANARY)

    for line in ("set x", "set x --replace"):
        assert said.format("X", "X") in shell.run(f"%secret {line}").splitlines()
    assert said.format("X", "X") in shell.run("%secret undo x --yes").splitlines()
    renamed = shell.run("%secret rename x y").splitlines()
    assert said.format("Y", "Y") in renamed
    assert "In this kernel FLOWFILE_SECRET_X still gives a secret x." in renamed[2]
    assert "FLOWFILE_SECRET_Y still gives a secret y." in shell.run("%secret delete y --yes")

    for line in ("delete y --yes", "rename y z", "undo y --yes"):
        shell.run(f"%secret {line}")
        assert _hint(shell) == "to end that:  import os; del os.environ['FLOWFILE_SECRET_Y']"
        assert "nothing is stored as 'y': FLOWFILE_SECRET_Y gives it" in shell.shown
    shell.run(_hint(shell).partition(":  ")[2])
    shell.run("%secret y")
    assert "no secret named 'y'" in shell.shown


def test_no_variable_is_told_of_where_none_is_set(shell: Shell, typed: Typed) -> None:
    """As everywhere."""
    typed(CANARY)

    assert "In this kernel" not in shell.run("%secret set x") + shell.run("%secret rename x y") + shell.run(
        "%secret delete y --yes"
    )


def test_a_value_that_was_typed_before_it_was_stored(shell: Shell, typed: Typed) -> None:
    """Which inputs hold it is said, and never the value; `%secret scan`, which is named, says how they are cleaned."""
    first = shell.real.execution_count
    shell.run(f"pw = {CANARY!r}")
    shell.run("x = 1")
    shell.run(f"print({CANARY!r})")
    typed(CANARY)

    shown = shell.run("%secret set pw")

    told = shown.splitlines()[1]
    assert told.startswith(f"The value stands in clear in In[{first}], In[{first + 2}]: delete it from the notebook.")
    assert CANARY not in shown
    shell.real.history_manager.writeout_cache()
    shown = shell.run("%secret scan")
    assert "history input" in shown
    assert "DELETE FROM history" in shown


def test_a_value_that_was_typed_in_many_cells(shell: Shell) -> None:
    """From a file or a variable, too; five are named."""
    for _ in range(7):
        shell.run(f"import os; os.environ['DB_PASSWORD'] = {CANARY!r}")

    assert " and 2 more: delete it" in shell.run("%secret set pw --env DB_PASSWORD")


def test_a_value_that_was_never_typed(shell: Shell, typed: Typed) -> None:
    """Nothing is said; nor where a longer word has a short one in it."""
    shell.run("products = 1")

    for name, value in (("pw", CANARY), ("short", "prod"), ("tiny", "1")):
        typed(value)
        assert "stands in clear" not in shell.run(f"%secret set {name}")


@pytest.mark.parametrize(
    "line", ["help", "--help", "help set", "set --help", "scan -h", "set x --help", "groups create --help"]
)
def test_help_of_one_verb(shell: Shell, line: str) -> None:
    """There is one help page, and each verb is on it."""
    assert "%secret set NAME" in shell.run(f"%secret {line}")
    assert shell.error is None


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("rename a a", "%secret rename a NEW"),
        ("rename a b", "choose another name, or delete that one before:  %secret delete b"),
        ("rename a new name", '%secret rename a "new name"   with quotes, because the name has spaces'),
        ("rename my name other name", '%secret rename "my name" "other name"   with quotes, because the name has spaces'),
        ("rename my name c", '%secret rename "my name" c   with quotes, because the name has spaces'),
    ],
)
def test_a_rename_that_cannot_be(shell: Shell, line: str, hint: str) -> None:
    """Nothing is renamed; to delete the secret itself is no way to keep its name."""
    fnb.secrets.update({"a": CANARY, "b": CANARY, "my name": CANARY})

    shell.run(f"%secret {line}")

    assert _hint(shell) == hint
    assert sorted(fnb.secrets) == ["a", "b", "my name"]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("update b", "%secret set b --replace"),
        ("generate x", "%secret set x --generate"),
        ("store x", "%secret set x"),
        ("reveal b", "pw = %secret b   a value is never shown"),
        ("status", "%secret doctor"),
        ("history b", "%secret log b"),
        ("find b", "%secret list"),
        ("b.get_secret_value()", "x = %secret b   and in the next line  x.get_secret_value()"),
        ("share b --with g", "did you mean --group?   %secret share NAME [--group GROUP [--write]]"),
        ("backup x --replace", "did you mean --overwrite?   %secret backup PATH [--overwrite] [--passphrase-env VAR]"),
        ("delete b --force", "did you mean --yes?   %secret delete NAME [NAME …] [--yes]"),
        ("log -n 5", "did you mean --last?   %secret log [NAME] [--last N]   or   %secret log --clear [--yes]"),
    ],
)
def test_what_goes_by_another_word_elsewhere(shell: Shell, line: str, hint: str) -> None:
    """The line that does it here is the hint."""
    fnb.secrets["b"] = CANARY

    shell.run(f"%secret {line}")

    assert _hint(shell) == hint


@pytest.mark.parametrize("verb", ["add", "create", "store", "update", "replace"])
def test_a_value_behind_another_tools_verb(shell: Shell, verb: str) -> None:
    """It was repeated in the hint, and kept."""
    shell.run(f"%secret {verb} prod_pw {CANARY}")

    assert isinstance(shell.error, ValueOnLineError)
    assert CANARY not in shell.shown + shell.remembered()
    replace = " --replace" if verb in {"update", "replace"} else ""
    assert _hint(shell).startswith(f"%secret set prod_pw{replace}   asks for it, hidden.")


@pytest.mark.parametrize(
    "line",
    [
        *("%secrets set pw {0}", "%sercet set pw {0}", "%Secret set pw {0}", "!secret set pw {0}"),
        *("%%secret set pw {0}", "%%secret set pw\n{0}"),
    ],
)
def test_a_value_behind_a_mistyped_magic(shell: Shell, line: str) -> None:
    """IPython says that there is none of that name; its history does not keep the value, in the first cell neither."""
    shell.run(line.format(CANARY))

    assert CANARY not in shell.remembered()


def test_a_value_behind_a_name(shell: Shell) -> None:
    """As if the magic were a setting: what stores it is said, and the value is not kept."""
    shell.run(f"%secret prod_pw {CANARY}")
    assert _hint(shell).startswith("to store it:  %secret set prod_pw   asks for the value, hidden;")
    fnb.secrets["prod_pw"] = "another-value"
    shell.run(f"%secret prod_pw: {CANARY}")
    shell.run(f"%secret prod_pw {CANARY}")
    assert _hint(shell).startswith("to store it:  %secret set prod_pw --replace   asks")
    shell.run(f"%secret env prod_pw={CANARY}")
    assert isinstance(shell.error, ValueOnLineError)
    assert CANARY not in shell.shown + shell.remembered()


def test_a_line_is_none_of_a_shell(shell: Shell) -> None:
    """`<` takes nothing from a file, and an option does."""
    shell.run("%secret set prod_pw < pw.txt")
    assert _hint(shell) == "%secret set prod_pw --file PATH   takes it from a file"
    fnb.secrets["prod_pw"] = CANARY
    shell.run("%secret scan *.ipynb")
    assert "patterns are not looked up" in _hint(shell)


def test_a_variable_that_is_there_already(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be one that something else needs: that it was replaced is said."""
    monkeypatch.setenv("PGPASSWORD", "another")
    fnb.secrets["pw"] = CANARY

    assert "Set PGPASSWORD in this kernel, in place of another value." in shell.run("%secret env pw PGPASSWORD")
    assert "Set PGPASSWORD in this kernel. " in shell.run("%secret env pw PGPASSWORD")


def test_an_import_that_takes_nothing(shell: Shell, tmp_path: Path) -> None:
    """The hint holds the whole line, and both of its ways work."""
    file = tmp_path / ".env"
    file.write_text("A_PASSWORD=hunter2-canary\nDEBUG=1\n")
    fnb.secrets["A_PASSWORD"] = "another-value"

    shell.run(f"%secret import {file} --yes")
    replacing, _, keeping = shell.error.hint.partition(";  ")
    shell.run(keeping.partition("   ")[0] + " --yes")
    assert fnb.secrets["new_A_PASSWORD"].get_secret_value() == CANARY
    shell.run(replacing.partition("   ")[0] + " --yes")
    assert fnb.secrets["A_PASSWORD"].get_secret_value() == CANARY

    file.write_text("DEBUG=1\n")
    shell.run(f"%secret import {file} --yes")
    shell.run(shell.error.hint.partition("   ")[0] + " --yes")
    assert fnb.secrets["DEBUG"].get_secret_value() == "1"


def test_a_secret_in_text_names_itself(shell: Shell) -> None:
    """The reference in the hint is one to copy."""
    fnb.secrets["my pw"] = CANARY

    shell.run("pw = %secret 'my pw'\nf'{pw}'")

    assert "use %%connect with  ${secret:my pw}," in _hint(shell)


def test_a_reference_is_no_name(shell: Shell) -> None:
    """What is copied from a connection gives the name in the hint."""
    fnb.secrets["my pw"] = CANARY

    for line in ("%secret ${secret:my pw}", "%secret delete ${secret:my pw} --yes"):
        shell.run(line)
        assert "that is a reference" in shell.shown
    assert _hint(shell) == '%secret delete "my pw" --yes'
    assert "Deleted my pw" in shell.run(_hint(shell))


@pytest.mark.parametrize(
    ("value", "said"), [(f" {CANARY}", True), (f"{CANARY}\t", True), (CANARY, False), ("two words", False)]
)
def test_a_blank_that_was_pasted_with_the_value(shell: Shell, typed: Typed, value: str, said: bool) -> None:
    """It is stored as it was typed, and said: a server would refuse it, and nobody sees why."""
    typed(value)

    shown = shell.run("%secret set pw")

    assert ("It begins or ends with a blank" in shown) is said
    assert fnb.secrets["pw"].get_secret_value() == value


def test_a_value_for_a_forgotten_name(shell: Shell) -> None:
    """The hint shows where a name belongs, and does not repeat that there was none."""
    shell.run("%secret set =hunter2xyz x")

    assert isinstance(shell.error, ValueOnLineError)
    assert shell.error.hint.startswith("%secret set NAME   asks for it")
