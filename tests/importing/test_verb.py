"""`%secret import` in a real shell: preview, question, storing, and what becomes of the source."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.core.encodings import patterns_of
from flowfile_nb.errors import (
    FlowfileNbError,
    ImportSourceError,
    MissingDriverError,
    NoPromptError,
    StoreError,
    UsageError,
)
from flowfile_nb.importing import source as source_module
from flowfile_nb.vault import Vault
from tests.support.kernel import running_kernel
from tests.support.shell import Shell

Typed = Callable[[str], None]
PASSWORD, TOKEN, OLD = "p@ss:w/or d?#%ü-canary", "tok-canary-4711", "another-canary"
ENV = f"# mine\r\nexport DB_PASSWORD='{PASSWORD}'  # prod\r\nAPI_TOKEN={TOKEN}\r\nLOG_LEVEL=debug\r\n".encode()
CLEAN = b"# mine\r\nexport DB_PASSWORD='${secret:DB_PASSWORD}'  # prod\r\nAPI_TOKEN=${secret:API_TOKEN}\r\nLOG_LEVEL=debug\r\n"
ROOT = Path(fnb.__file__).parent.parent


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.env` file in the current folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = folder / ".env"
    path.write_bytes(ENV)
    return path


def shown_by(shell: Shell, line: str) -> str:
    """Run a line; return what it shows, in which there is no value in any form."""
    shown = shell.run(line)
    shown = "\n".join([shell.displayed, shown]) if shell.displayed else shown
    leaked = [form for value in (PASSWORD, TOKEN, OLD) for form in patterns_of(value) if form.decode() in shown]
    assert not leaked, shown
    return shown


def stored() -> dict[str, str]:
    """Return all secrets in clear."""
    return {name: fnb.secrets[name].get_secret_value() for name in fnb.secrets}


def test_the_preview_and_nothing_else(shell: Shell, env: Path) -> None:
    """A dry run shows name, key, line and what would be done; it stores nothing, and masks the values from then on."""
    shown = shown_by(shell, "%secret import .env --dry-run")

    assert "DB_PASSWORD  line 2: DB_PASSWORD  credential: will be stored" in shown
    assert "API_TOKEN    line 3: API_TOKEN    credential: will be stored" in shown
    assert "line 4: LOG_LEVEL    looks like a plain setting: skipped unless named" in shown
    assert "debug" not in shown
    assert (stored(), env.read_bytes()) == ({}, ENV)
    assert shown_by(shell, "import pathlib; print(pathlib.Path('.env').read_text('utf-8'))").count("[secret:") == 2


def test_stored_then_replaced_in_the_file(shell: Shell, env: Path, typed: Typed) -> None:
    """Two questions; after the second the file has references, every other byte and its permissions; no copy is left."""
    env.chmod(0o640)
    typed("y")

    shown = shown_by(shell, "%secret import .env")

    assert stored() == {"DB_PASSWORD": PASSWORD, "API_TOKEN": TOKEN}
    assert env.read_bytes() == CLEAN
    assert stat.S_IMODE(env.stat().st_mode) == 0o640
    assert os.listdir(env.parent) == [".env"]
    for told in ("python-dotenv", "%secret env DB_PASSWORD DB_PASSWORD", "Git's history", "%secret scan"):
        assert told in shown
    # What is replaced already is none any more.
    assert "references already" in shown_by(shell, "%secret import .env")


def test_no_means_no(shell: Shell, env: Path, typed: Typed) -> None:
    """Anything but y stores nothing."""
    typed("no")

    assert "Nothing was stored" in shown_by(shell, "%secret import .env")
    assert (stored(), env.read_bytes()) == ({}, ENV)


def test_headless_needs_yes(shell: Shell, env: Path) -> None:
    """Where nobody can be asked the error says the very line; with it all is stored, and the file stays unless told."""
    shown = shown_by(shell, "%secret import .env API_TOKEN --prefix dev_")
    assert isinstance(shell.error, NoPromptError)
    assert "hint: %secret import .env API_TOKEN --prefix dev_ --yes" in shown
    assert stored() == {}

    shown = shown_by(shell, "%secret import .env API_TOKEN --prefix dev_ --yes")
    assert stored() == {"dev_API_TOKEN": TOKEN}
    assert env.read_bytes() == ENV
    assert ".env still holds the values" in shown


def test_clean_in_one_line(shell: Shell, env: Path) -> None:
    """For a script: stored and replaced; what was not chosen stays."""
    shown_by(shell, "%secret import .env DB_PASSWORD --clean --yes")

    assert stored() == {"DB_PASSWORD": PASSWORD}
    assert env.read_bytes() == CLEAN.replace(b"${secret:API_TOKEN}", TOKEN.encode())


def test_a_value_that_stays_elsewhere_is_told(shell: Shell, env: Path) -> None:
    """In a comment, for one: the line is named."""
    env.write_bytes(b"# was " + TOKEN.encode() + b"\n" + b"API_TOKEN=" + TOKEN.encode())

    assert "The value of API_TOKEN still stands in line 1" in shown_by(shell, "%secret import .env --clean --yes")


def test_all_and_names(shell: Shell, env: Path) -> None:
    """`--all` takes plain settings, too; a name takes one of them; a wrong name is told with the nearest."""
    shown = shown_by(shell, "%secret import .env LOG_LEVL")
    assert isinstance(shell.error, UsageError)
    assert "did you mean 'LOG_LEVEL'" in shown

    shown_by(shell, "%secret import .env LOG_LEVEL --yes")
    assert stored() == {"LOG_LEVEL": "debug"}

    shown_by(shell, "%secret import .env --all --yes")
    assert stored() == {"LOG_LEVEL": "debug", "DB_PASSWORD": PASSWORD, "API_TOKEN": TOKEN}


def test_what_is_stored_already(shell: Shell, env: Path) -> None:
    """The same value counts as imported; another one stays, is not replaced in the file, and goes only with `--replace`."""
    fnb.secrets.update({"DB_PASSWORD": PASSWORD, "API_TOKEN": OLD})

    shown = shown_by(shell, "%secret import .env --clean --yes")

    assert "stored already, the same value" in shown
    assert "another value is stored under this name: kept" in shown
    assert stored() == {"DB_PASSWORD": PASSWORD, "API_TOKEN": OLD}
    assert env.read_bytes() == CLEAN.replace(b"${secret:API_TOKEN}", TOKEN.encode())

    shown = shown_by(shell, "%secret import .env --yes")
    assert isinstance(shell.error, ImportSourceError)
    assert "--replace" in shown

    assert "replaces another stored value" in shown_by(shell, "%secret import .env --replace --clean --yes")
    assert stored()["API_TOKEN"] == TOKEN
    assert env.read_bytes() == CLEAN


def test_what_the_environment_says_is_not_what_is_stored(shell: Shell, env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that overrides a secret here neither hides that it is missing in the store nor stands in for it."""
    monkeypatch.setenv("FLOWFILE_SECRET_API_TOKEN", TOKEN)

    shown_by(shell, "%secret import .env --clean --yes")

    monkeypatch.delenv("FLOWFILE_SECRET_API_TOKEN")
    assert stored() == {"DB_PASSWORD": PASSWORD, "API_TOKEN": TOKEN}


def test_delete(shell: Shell, env: Path, typed: Typed) -> None:
    """After a question that counts what else is in it."""
    typed("n")
    shown_by(shell, "%secret import .env --delete --dry-run")
    assert env.exists()

    shown = shown_by(shell, "%secret import .env --delete --yes")

    assert "Deleted .env. 1 other setting went with it." in shown
    assert stored() == {"DB_PASSWORD": PASSWORD, "API_TOKEN": TOKEN}
    assert os.listdir(env.parent) == []


def test_delete_is_asked(shell: Shell, env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Yes to storing is not yes to deleting."""
    questions: list[str] = []

    def confirm(question: str, *, otherwise: str) -> bool:
        questions.append(question)
        return len(questions) == 1

    monkeypatch.setattr("flowfile_nb.notebook.import_verb.confirm", confirm)

    shown = shown_by(shell, "%secret import .env --delete")

    assert questions == ["Store 2 secrets?", "Delete .env? 1 other setting in it will be gone, too."]
    assert "Kept .env" in shown
    assert env.read_bytes() == ENV


@pytest.mark.parametrize(
    ("line", "said"),
    [("DB_PASSWORD", "API_TOKEN"), ("", "API_TOKEN")],
)
def test_no_delete_of_what_is_not_stored(shell: Shell, env: Path, line: str, said: str) -> None:
    """A credential that was left out, or whose stored value is another, would be lost."""
    fnb.secrets["API_TOKEN"] = OLD

    shown = shown_by(shell, f"%secret import .env {line} --delete --yes")

    assert isinstance(shell.error, ImportSourceError)
    assert f"does not have the value: {said}" in shown
    assert env.read_bytes() == ENV


def test_no_delete_of_what_was_not_understood(shell: Shell, env: Path) -> None:
    """A line that no parser takes may be the half of a key."""
    env.write_bytes(ENV + b"KEY=-----BEGIN PRIVATE KEY-----\nMIIcanary/+\n-----END PRIVATE KEY-----\n")

    shown = shown_by(shell, "%secret import .env --delete --yes")

    assert isinstance(shell.error, ImportSourceError)
    assert "not understood at line 5, 6, 7" in shown
    assert "MIIcanary" not in shown
    assert env.exists()


def test_connections_are_saved_and_open(shell: Shell, tmp_path: Path) -> None:
    """Of JupySQL's file each section is one secret and one connection, which opens by its name."""
    ini = tmp_path / "connections.ini"
    ini.write_text(f"[default]\ndrivername = duckdb\n[pg]\ndrivername = sqlite\npassword = {TOKEN}\n", encoding="utf-8")

    shown = shown_by(shell, f"%secret import {ini} --yes --clean")

    assert "%connect default" in shown
    assert "JupySQL" in shown
    assert stored() == {"pg_password": TOKEN}
    assert session.backend().connection_bodies()["pg"] == 'type = "sqlite"\npassword = "${secret:pg_password}"'
    assert "Bound" in shell.run("%connect default --no-test")
    # Again, and changed: a saved connection stays unless it is said.
    ini.write_text(f"[pg]\ndrivername = mysql\npassword = {TOKEN}\n", encoding="utf-8")
    assert "a connection of this name is saved: kept" in shown_by(shell, f"%secret import {ini} --yes")
    shown_by(shell, f"%secret import {ini} --yes --replace")
    assert "mysql" in session.backend().connection_bodies()["pg"]


def test_from_the_environment(shell: Shell, env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--env` takes the variables that override secrets; the names are in lower case."""
    shown_by(shell, "%secret import --env --yes")
    assert isinstance(shell.error, ImportSourceError)

    monkeypatch.setenv("FLOWFILE_SECRET_PROD_PW", PASSWORD)
    monkeypatch.setenv("FLOWFILE_SECRET_OTHER", TOKEN)
    shown = shown_by(shell, "%secret import --env prod_pw --yes")

    assert "still override" in shown
    assert session.vault().stored("prod_pw") == PASSWORD
    assert session.vault().stored("other") is None


class Keychain(keyring.backend.KeyringBackend):
    """A keychain in memory."""

    priority = 1  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        if service == "broken":
            raise keyring.errors.KeyringLocked(TOKEN)
        return PASSWORD if (service, username) == ("my db", "app") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


def test_from_the_keychain(shell: Shell, env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry by service and user; what is missing or locked is told without what the keychain says."""
    monkeypatch.setattr(keyring.core, "_keyring_backend", Keychain())

    shown = shown_by(shell, '%secret import --keyring "my db" app')
    assert '--keyring "my db" app --yes' in shown

    assert "stays in the keychain" in shown_by(shell, '%secret import --keyring "my db" app --yes')
    assert stored() == {"my_db_app": PASSWORD}
    assert "no entry" in shown_by(shell, "%secret import --keyring nothing app --yes")
    assert "did not answer (KeyringLocked)" in shown_by(shell, "%secret import --keyring broken app --yes")


@pytest.mark.parametrize(
    ("module", "line", "extra"),
    [("dotenv.parser", ".env", "import"), ("keyring", "--keyring a b", "keyring")],
)
@pytest.mark.usefixtures("env")
def test_missing_libraries(shell: Shell, monkeypatch: pytest.MonkeyPatch, module: str, line: str, extra: str) -> None:
    """The exact line that installs them."""
    monkeypatch.setitem(sys.modules, module, None)

    shown = shown_by(shell, f"%secret import {line} --yes")

    assert isinstance(shell.error, MissingDriverError)
    assert f"pip install 'flowfile-nb[{extra}]'" in shown


MISTAKES = [
    ("", "what is to be imported?"),
    ("nowhere.env", "cannot read"),
    (".", "is a folder"),
    ("nowhere", "cannot read nowhere: No such file"),
    (". --as env", "is a folder"),
    ("link.env", "is a link"),
    ("pipe.env", "no plain file"),
    ("big.env", "bytes; the limit is"),
    ("latin.env", "not UTF-8"),
    ("utf16.env", "not UTF-8"),
    ("blanks.env", "blanks in a row"),
    ("empty.env", "no credential was found"),
    ("notes.txt", "cannot be told from its name"),
    ("a.yaml", "writes JSON"),
    ("bad.toml", "is not TOML at line 2"),
    ("twice.ini", "at line 3: a section or a key of it stands there for the second time"),
    ("bare.ini", "at line 1: a section such as [prod]"),
    ("bad.ini", "is not an ini file at line 2"),
    ("bad.json", "is not JSON at line 1"),
    ("list.json", "no object with names"),
    ("nul.json", "no secret can have these values"),
    (".env --as toml", "is not TOML at line 2"),
    (".env --as nothing", "not understood"),
    (".env --clean --delete", "exclude each other"),
    (".env --prefix 'a b'", "a prefix has"),
    ("--env --keyring a b", "two sources"),
    ("--env --clean", "are for files"),
    ("--nope", "not understood"),
]


def test_mistakes_are_two_lines(shell: Shell, env: Path) -> None:
    """Each is an error of ours without anything of what the file says; nothing is stored, nothing changed."""
    folder = env.parent
    (folder / "link.env").symlink_to(env)
    os.mkfifo(folder / "pipe.env")
    files = {
        "big.env": b"A_TOKEN=" + b"x" * 300_000,
        "latin.env": f"A_TOKEN={PASSWORD}".encode("latin-1"),
        "utf16.env": f"A_TOKEN={PASSWORD}".encode("utf-16"),
        "blanks.env": f"A_TOKEN={TOKEN}".encode() + b" " * 1_000,
        "empty.env": b"# nothing\nA_TOKEN=\n",
        "notes.txt": ENV,
        "a.yaml": ENV,
        "bad.toml": f"a=1\npassword = {TOKEN}".encode(),
        "twice.ini": f"[a]\npassword={TOKEN}\npassword={OLD}".encode(),
        "bare.ini": f"password={TOKEN}".encode(),
        "bad.ini": f"[a]\n{TOKEN}".encode(),
        "bad.json": f'{{"password": "{TOKEN}}}'.encode(),
        "list.json": f'["{TOKEN}"]'.encode(),
        "nul.json": f'{{"password": "{TOKEN}\\u0000"}}'.encode(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)

    for line, said in MISTAKES:
        shown = shown_by(shell, f"%secret import {line} --yes")

        assert isinstance(shell.error, FlowfileNbError), shown
        assert said in shown
        assert len(shown[shown.index(type(shell.error).__name__) :].strip().split("\n")) == 2
    assert stored() == {}
    assert env.read_bytes() == ENV


def test_a_store_that_does_not_keep_its_word(shell: Shell, env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not read back as it was written is not taken out of the file."""
    asked: list[str] = []

    def stored_before(vault: Vault, name: str) -> str | None:
        asked.append(name)
        return None if len(asked) <= 2 else OLD

    monkeypatch.setattr(Vault, "stored", stored_before)

    shown = shown_by(shell, "%secret import .env --clean --yes")

    assert isinstance(shell.error, StoreError)
    assert "source is untouched" in shown
    assert env.read_bytes() == ENV


def test_a_file_that_changes_meanwhile(shell: Shell, env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor that saved during the question wins; nothing of its work is lost."""
    theirs = ENV + b"NEW=1\r\n"

    def edit(question: str, *, otherwise: str) -> bool:
        env.write_bytes(theirs)
        return True

    monkeypatch.setattr("flowfile_nb.notebook.import_verb.confirm", edit)

    shown = shown_by(shell, "%secret import .env --clean")

    assert isinstance(shell.error, ImportSourceError)
    assert "changed meanwhile" in shown
    assert env.read_bytes() == theirs
    assert os.listdir(env.parent) == [".env"]
    assert len(stored()) == 2


def test_a_folder_that_cannot_be_written(shell: Shell, env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets are stored, the file is as it was, and both are said."""

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(source_module.os, "replace", full)

    shown = shown_by(shell, "%secret import .env --clean --yes")

    assert "No space left on device; it still holds the values" in shown
    assert env.read_bytes() == ENV
    assert os.listdir(env.parent) == [".env"]
    assert len(stored()) == 2


def test_what_cannot_be_rewritten_safely(shell: Shell, env: Path) -> None:
    """The result is read again before it is written; where it would say something else, the file stays."""
    ini = env.parent / "a.ini"
    data = f'[a]\nconn = {{\n  "conn_type": "mysql",\n  "password": "{TOKEN}"}}\n'.encode()
    ini.write_bytes(data)

    shown = shown_by(shell, "%secret import a.ini --clean --yes")

    assert "cannot be rewritten so that all else stays" in shown
    assert ini.read_bytes() == data
    assert stored() == {"a_conn_password": TOKEN}


def test_numbers_stay_and_are_told(shell: Shell, env: Path) -> None:
    """A number has no place for a reference: it is stored, and named."""
    (env.parent / "secrets.toml").write_text(f'pin = 4711\npassword = "{TOKEN}"\n', encoding="utf-8")

    shown = shown_by(shell, "%secret import secrets.toml --clean --yes")

    assert "Not replaced, take them out by hand: pin" in shown
    assert stored() == {"pin": "4711", "password": TOKEN}
    assert (env.parent / "secrets.toml").read_text(encoding="utf-8") == 'pin = 4711\npassword = "${secret:password}"\n'


def test_hard_links_are_told(shell: Shell, env: Path) -> None:
    """Another name of the file keeps the old content."""
    os.link(env, env.parent / "other")

    assert "1 other name (hard links)" in shown_by(shell, "%secret import .env --clean --yes")


KILLED = """
import os, signal, sys
from flowfile_nb import __main__
from flowfile_nb.importing import flow, source

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

setattr({place}, die)
__main__.main(["import", ".env", "--clean", "--yes"])
"""


@pytest.mark.parametrize("place", ["flow, '_finish'", "source, '_like'", "source.os, 'replace'", "source, '_sync'"])
def test_killed_between_storing_and_cleaning(shell: Shell, env: Path, place: str) -> None:
    """Wherever it dies, each value is in the store, and the file is whole: the old one or the new. The next run goes on."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED.replace("{place}", place)], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )

    assert done.returncode == -signal.SIGKILL
    assert stored() == {"DB_PASSWORD": PASSWORD, "API_TOKEN": TOKEN}
    assert env.read_bytes() == (CLEAN if "_sync" in place else ENV)
    shown_by(shell, "%secret import .env --clean --yes")
    assert env.read_bytes() == CLEAN


def test_on_the_command_line(env: Path) -> None:
    """`python -m flowfile_nb import`: the same table, without a terminal no question, exit status 2 after an error."""

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "flowfile_nb", "import", *arguments]
        surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert not [value for value in (PASSWORD, TOKEN) if value in done.stdout + done.stderr]
        return done.returncode, done.stdout + done.stderr

    status, shown = run(".env")
    assert status == 2
    assert "hint: python -m flowfile_nb import .env --yes" in shown
    status, shown = run(".env", "--yes", "--clean")
    assert (status, env.read_bytes()) == (0, CLEAN)
    assert "DB_PASSWORD  line 2: DB_PASSWORD" in shown
    assert stored() == {"DB_PASSWORD": PASSWORD, "API_TOKEN": TOKEN}
    assert run("--nope")[0] == 2


def test_in_a_kernel(env: Path) -> None:
    """Nothing that a real kernel sends holds a value, before the question and after it."""
    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb")

        shown = kernel.run("%secret import .env", typed="y")

        assert "Rewritten: .env" in shown
        assert not [form for value in (PASSWORD, TOKEN) for form in patterns_of(value) if form.decode() in kernel.shown()]
    assert env.read_bytes() == CLEAN


def test_completion(shell: Shell, env: Path) -> None:
    """Files after the verb, options after a dash."""
    assert shell.complete("%secret import .e") == [".env"]
    assert "--clean" in shell.complete("%secret import .env --c")
