"""`%secret rotate-key` in a shell: what it says, what it asks, and when it changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.errors import FlowfileNbError, MasterKeyError, NoPromptError, StoreError, UsageError, WrongKeyError
from flowfile_nb.notebook import rotate_verb
from flowfile_nb.notebook.bar import NotebookBar
from flowfile_nb.notebook.table import Table
from flowfile_nb.storage.renewal import Renewal
from flowfile_nb.vault import Vault
from tests.support.kernel import running_kernel
from tests.support.shell import Shell
from tests.support.stores import write_flowfile_store

VALUE = "a-canary-value"


@pytest.fixture
def backups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Stands in for the writing of a backup: path, passphrase, and the id of the key at that moment."""
    made: list[tuple[str, str, str]] = []

    def write_backup(vault: Vault, path: str, passphrase: str, *, tell: Callable[[int, int], None]) -> None:
        made.append((path, passphrase, key_id()))

    monkeypatch.setattr(rotate_verb, "write_backup", write_backup)
    return made


def key_id() -> str:
    return Vault(os.environ).key.keychain().key_id


def rows_of(shell: Shell) -> dict[str, str]:
    """Return the table that a line gave, in which no value may be."""
    assert isinstance(shell.result, Table), shell.shown
    assert VALUE not in shell.shown + repr(shell.result)
    return dict(shell.result.rows)


def refused(shell: Shell, line: str, error: type[FlowfileNbError], message: str) -> FlowfileNbError:
    """Run a line that must not work; return its error, after which the key is what it was."""
    before = key_id() if fnb.secrets else None
    shell.run(line)
    assert type(shell.error) is error, shell.shown
    assert message in str(shell.error)
    assert shell.error.hint
    assert before == (key_id() if fnb.secrets else None)
    return shell.error


def test_a_dry_run_changes_nothing(home: Path, shell: Shell) -> None:
    """It says what would be done to how many secrets of whom, which rows nobody can open, and where the backup would be."""
    catalog = write_flowfile_store(home)
    session.vault().store.put(1, "dead", "$ffsec$1$1$gAAAAAdead", replace=False)
    before = catalog.read_bytes()

    shell.run("%secret rotate-key --dry-run")

    rows = rows_of(shell)
    assert rows["master key"] == f"{key_id()} → — (it is made then)"
    assert rows["database"] == str(catalog)
    assert rows["secrets"] == "10 of local_user, 3 of alice, 1 of bob"
    assert rows["left as they are"] == "1 that the key does not open: secrets.encrypted_value: dead"
    assert rows["backup"].startswith(str(home / ".config/flowfile/before-rotation-"))
    assert "Nothing was changed" in shell.result.note
    assert catalog.read_bytes() == before


def test_without_a_backup(shell: Shell) -> None:
    """It has to be said; the value is what it was, under another key."""
    fnb.secrets["a"] = VALUE
    old = key_id()

    shell.run("%secret rotate-key --no-backup --yes")

    rows = rows_of(shell)
    assert rows["backup"] == "none"
    assert rows["master key"] == f"{old} → {key_id()}"
    assert old != key_id()
    assert Vault(os.environ).reveal("a") == fnb.secrets["a"].get_secret_value() == VALUE


def test_without_a_backup_it_asks(shell: Shell, typed: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a backup would be needed for is begun without a yes; headless, the hint is the line that says it."""
    fnb.secrets["a"] = VALUE
    old = key_id()

    hint = refused(shell, "%secret rotate-key --no-backup", NoPromptError, "headless").hint
    assert hint == "%secret rotate-key --no-backup --yes"
    typed("n")
    assert refused(shell, "%secret rotate-key --no-backup", UsageError, "nothing was changed").hint.endswith(
        "%secret rotate-key"
    )
    typed("y")
    shell.run("%secret rotate-key --no-backup")
    assert key_id() != old

    old = key_id()
    shell.run(hint)
    assert key_id() != old


def test_backup_first(home: Path, shell: Shell, backups: list[Any], typed: Callable[[str], None]) -> None:
    """The passphrase is asked for, twice and hidden, and the backup is there before anything is changed."""
    fnb.secrets["a"] = VALUE
    old = key_id()
    typed("four words of mine")

    shell.run(f"%secret rotate-key --backup '{home}/my backup'")

    assert backups == [(f"{home}/my backup", "four words of mine", old)]
    assert rows_of(shell)["backup"] == f"{home}/my backup"
    assert key_id() != old
    assert "four words of mine" not in repr(shell.result) + shell.shown + shell.remembered()


def test_a_backup_that_fails_stops_it(shell: Shell, backups: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the backup that was asked for, nothing is changed."""
    fnb.secrets["a"] = VALUE
    monkeypatch.setenv("PASSPHRASE", "four words of mine")

    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full", hint="free some space")

    monkeypatch.setattr(rotate_verb, "write_backup", full)

    refused(shell, "%secret rotate-key --passphrase-env PASSPHRASE", StoreError, "the disk is full")


def test_headless(shell: Shell, backups: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked: the error names a variable."""
    fnb.secrets["a"] = VALUE

    error = refused(shell, "%secret rotate-key", NoPromptError, "headless")
    assert error.hint.endswith("%secret rotate-key --passphrase-env BACKUP_PASSPHRASE")
    refused(shell, "%secret rotate-key --passphrase-env NONE", UsageError, "no environment variable")
    assert backups == []

    monkeypatch.setenv("PASSPHRASE", "from the environment")
    shell.run("%secret rotate-key --passphrase-env PASSPHRASE")
    assert [passphrase for _, passphrase, _ in backups] == ["from the environment"]


def test_passphrases_that_differ(
    shell: Shell, backups: list[Any], typed: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip of the finger would make a backup that nobody can open."""
    fnb.secrets["a"] = VALUE
    typed("")
    given = iter(["one", "two"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(given))

    refused(shell, "%secret rotate-key", UsageError, "the two passphrases")
    assert backups == []


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("--no-backup --backup x", UsageError, "--no-backup goes neither"),
        ("--no-backup --passphrase-env x", UsageError, "--no-backup goes neither"),
        ("--no-backup --new-key-env HOME", UsageError, "a new one is made here"),
        ("--no-backup --new-key-env NONE", UsageError, "no environment variable"),
        ("now", UsageError, "was not understood"),
    ],
)
def test_lines_that_are_refused(shell: Shell, line: str, error: type[FlowfileNbError], message: str) -> None:
    """What contradicts itself changes nothing."""
    fnb.secrets["a"] = VALUE

    refused(shell, f"%secret rotate-key {line}", error, message)


@pytest.mark.parametrize("line", ["--dry-run", "--no-backup"])
def test_nothing_to_rotate(home: Path, shell: Shell, line: str) -> None:
    """An empty home has no key, and gets none."""
    refused(shell, f"%secret rotate-key {line}", MasterKeyError, "there is no master key yet")

    assert not (home / ".config").exists()


def test_the_wrong_key_is_not_rotated(home: Path, shell: Shell, key_directory: Path) -> None:
    """A store that the key does not open is not put under a third one."""
    fnb.secrets["a"] = VALUE
    other = Vault({"FLOWFILE_SECURE_STORAGE_PATH": str(home / "other")})
    other.set("b", "x", replace=False)
    for name in (".secret_key", "flowfile.json.enc"):
        (home / "other" / name).replace(key_directory / name)
    session.use_backend(None)

    refused(shell, "%secret rotate-key --no-backup", WrongKeyError, "does not open")


def test_a_given_key(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is changed where it is given: the rows go under the key in a variable, and what is to be done then is said."""
    old, new = generate_master_key().decode(), generate_master_key().decode()
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", old)
    monkeypatch.setenv("NEW_KEY", new)
    fnb.secrets["a"] = VALUE

    error = refused(shell, "%secret rotate-key --no-backup", UsageError, "the environment variable FLOWFILE_MASTER_KEY")
    assert "--new-key-env" in error.hint
    shell.run("%secret rotate-key --no-backup --new-key-env NEW_KEY --dry-run")
    assert Vault(os.environ).reveal("a") == VALUE
    assert "Nothing was changed" in shell.result.note

    shell.run("%secret rotate-key --no-backup --new-key-env NEW_KEY --yes")

    rows_of(shell)
    assert "FLOWFILE_MASTER_KEY is to be what NEW_KEY is now" in shell.result.note
    assert not {old, new} & set(repr(shell.result).split())
    with pytest.raises(WrongKeyError):
        Vault(os.environ).set("b", "x", replace=False)
    with pytest.raises(WrongKeyError):
        Vault(os.environ).reveal("a")
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", new)
    Vault(os.environ).set("b", "x", replace=False)
    assert Vault(os.environ).reveal("a") == VALUE


@pytest.mark.parametrize(
    ("new", "message"), [("hunter2", "is not a Fernet key"), ("", "'NEW_KEY'"), (None, "is the one in use")]
)
def test_a_given_key_that_is_no_new_one(shell: Shell, new: str | None, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, none at all, and the old one."""
    old = generate_master_key().decode()
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", old)
    monkeypatch.setenv("NEW_KEY", old if new is None else new)
    fnb.secrets["a"] = VALUE

    error = refused(shell, "%secret rotate-key --no-backup --new-key-env NEW_KEY", UsageError, message)

    assert "hunter2" not in str(error)


def test_a_given_key_whose_change_was_cut_short(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when the rows were changed and the record was not: the same line finishes it. A foreign key does not."""
    old, new = generate_master_key().decode(), generate_master_key().decode()
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", old)
    monkeypatch.setenv("NEW_KEY", new)
    fnb.secrets["a"] = VALUE
    real = Renewal.apply

    def interrupted(self: Renewal, connection: Any) -> None:
        real(self, connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Renewal, "apply", interrupted)
        shell.run("%secret rotate-key --no-backup --new-key-env NEW_KEY --yes")
        assert isinstance(shell.error, KeyboardInterrupt)

    shell.run("%secret rotate-key --no-backup --new-key-env NEW_KEY --yes")

    assert shell.error is None
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", new)
    assert Vault(os.environ).reveal("a") == VALUE
    assert Vault(os.environ).store.fact("key_id") == key_id()
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", generate_master_key().decode())
    monkeypatch.setenv("NEW_KEY", old)
    refused(shell, "%secret rotate-key --no-backup --new-key-env NEW_KEY", WrongKeyError, "does not open")


def test_other_tokens_and_many_names(home: Path, shell: Shell) -> None:
    """What Flowfile keeps elsewhere is counted by its place; a long list of names is cut."""
    write_flowfile_store(home)
    vault = session.vault()
    with vault.store.active.writing() as db:
        db.execute("CREATE TABLE notification_channels (id INTEGER PRIMARY KEY, name TEXT, webhook_url_encrypted TEXT)")
        hook = vault.key.keychain().encrypt_secret("https://hook", 1)
        db.execute("INSERT INTO notification_channels VALUES (1, 'chat', ?)", (hook,))
        for number in range(22):
            db.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, 'x', '', 1)", (f"d{number:02}",))

    shell.run("%secret rotate-key --dry-run --no-backup")

    rows = rows_of(shell)
    assert rows["also encrypted"] == "1 in notification_channels.webhook_url_encrypted"
    assert rows["left as they are"].startswith("22 that the key does not open: secrets.encrypted_value: d00, ")
    assert rows["left as they are"].endswith("d19 and 2 more")


def test_the_bar(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told while the tokens are worked out, and taken away in the end."""
    fnb.secrets["a"] = VALUE
    seen: list[Any] = []

    class Bar(NotebookBar[Any]):
        def __call__(self, told: Any) -> None:
            seen.append(self._shown(told))

        def close(self) -> None:
            seen.append("closed")

    monkeypatch.setattr(rotate_verb, "progress_bar", lambda shell, shown: Bar(shown))
    shell.run("%secret rotate-key --no-backup --yes")

    assert seen == [(100, "1 of 1 secrets"), "closed"]
    assert rotate_verb._shown((2500, 10_000)) == (25, "2,500 of 10,000 secrets")
    assert rotate_verb._shown((0, 0)) == (None, "0 of 0 secrets")


def test_completion(shell: Shell) -> None:
    """Tab knows the verb and its options."""
    assert "rotate-key" in shell.complete("%secret rot")
    assert "--dry-run" in shell.complete("%secret rotate-key --")


def test_in_kernels(home: Path) -> None:
    """One kernel rotates; another one, which had read, goes on reading and writing."""
    with running_kernel() as one, running_kernel() as other:
        for kernel in (one, other):
            kernel.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb")
        one.run(f"fnb.secrets['a'] = {VALUE!r}")
        before = other.run("len(fnb.secrets['a'].get_secret_value())")

        shown = one.run("%secret rotate-key --no-backup --yes")

        assert "Other kernels, and Flowfile, go on working" in shown
        assert other.run("len(fnb.secrets['a'].get_secret_value())") == before == str(len(VALUE))
        other.run("fnb.secrets['b'] = 'written after'")
        assert one.run("len(fnb.secrets['b'].get_secret_value())") == "13"
        assert VALUE not in one.shown() + other.shown()
