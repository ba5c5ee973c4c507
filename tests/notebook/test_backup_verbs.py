"""`%secret backup` and `%secret restore` in a real shell, and in a real kernel."""

from __future__ import annotations

import getpass
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.core.crypto import Keychain, generate_master_key
from flowfile_nb.core.sealed import Cost
from flowfile_nb.errors import FlowfileNbError, NoPromptError, UsageError, WrongPassphraseError
from flowfile_nb.storage.master_key import read_master_key
from tests.canary.values import seen
from tests.support.kernel import LocalKernelManager, running_kernel
from tests.support.shell import Shell

Typed = Callable[[str], None]
PASSPHRASE = "correct-horse-canary-ü"
VALUE = "hunter2-canary"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases that cost nothing; nothing else here depends on what they cost."""
    monkeypatch.setattr("flowfile_nb.lifecycle.backup.write_backup.__kwdefaults__", {**_defaults(), "cost": Cost(1, 1, 1)})


def _defaults() -> dict[str, object]:
    from flowfile_nb.lifecycle.backup import write_backup

    return dict(write_backup.__kwdefaults__)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Somebody at a terminal, who types these texts one after the other."""

    def type_(*texts: str) -> None:
        left: Iterator[str] = iter(texts)
        monkeypatch.setattr("flowfile_nb.notebook.prompt._require_someone", lambda: None)
        monkeypatch.setattr(getpass, "getpass", lambda prompt: next(left))
        monkeypatch.setattr("builtins.input", lambda prompt: next(left))

    return type_


@pytest.fixture
def backup(shell: Shell, home: Path, typed: Typed) -> str:
    """The path of a backup of `pw`, of `other`, and of a connection."""
    fnb.secrets.update({"pw": VALUE, "other": "x"})
    session.backend().save_connection("warehouse", "sqlite://")
    typed(PASSPHRASE)
    shown = shell.run("%secret backup '~/my secrets.backup'")
    assert "Backed up 2 secrets, 1 connection and the master key" in shown
    assert "read it back" in shown
    return str(home / "my secrets.backup")


def test_roundtrip_on_a_new_home(shell: Shell, backup: str, home: Path, typed: Typed, answers: Callable[..., None]) -> None:
    """Asked for hidden, shown in a table, asked once more; then all is there, and nothing of it was shown."""
    for path in (home / ".config/flowfile").iterdir():
        path.unlink()
    session.use_backend(None)

    answers(PASSPHRASE, "n")
    shown = shell.run(f"%secret restore '{backup}'")
    assert "pw" in shown
    assert "is added" in shown
    assert "becomes the one here" in shown
    assert "Nothing was changed." in shown
    assert len(fnb.secrets) == 0
    answers(PASSPHRASE, "y")
    shown += shell.run(f"%secret restore '{backup}'")

    assert "Restored: 3 added, 0 replaced." in shown
    assert fnb.secrets["pw"].get_secret_value() == VALUE
    assert session.backend().connection_bodies() == {"warehouse": "sqlite://"}
    assert "Nothing to restore." in shell.run(f"%secret restore '{backup}' --yes --passphrase-env NONE") or shell.error
    answers(PASSPHRASE)
    assert "Nothing to restore." in shell.run(f"%secret restore '{backup}'")
    for canary in (VALUE, PASSPHRASE):
        assert canary not in shown + shell.remembered()


def test_what_differs_is_replaced_only_if_it_is_said(shell: Shell, backup: str, answers: Callable[..., None]) -> None:
    """The table says what happens to it; after `--replace` undo takes it back."""
    fnb.secrets["pw"] = "newer"
    del fnb.secrets["other"]

    answers(PASSPHRASE, "y")
    shown = shell.run(f"%secret restore '{backup}'")
    assert "keeps the value that is here;  --replace" in shown
    assert "Restored: 1 added, 0 replaced." in shown
    assert fnb.secrets["pw"].get_secret_value() == "newer"

    answers(PASSPHRASE, "y")
    shown = shell.run(f"%secret restore '{backup}' --replace")
    assert "gets the value of the backup" in shown
    assert "Restored: 0 added, 1 replaced." in shown
    assert "7 days" in shown
    assert fnb.secrets["pw"].get_secret_value() == VALUE
    shell.run("%secret undo pw --yes")
    assert fnb.secrets["pw"].get_secret_value() == "newer"


def test_a_large_backup_is_shown_in_short(shell: Shell, backup: str, answers: Callable[..., None]) -> None:
    """What stays the same is a number, and what comes in a hundred rows and a number."""
    fnb.secrets.update({f"s{number:03}": "x" for number in range(120)})
    answers(PASSPHRASE, PASSPHRASE)
    shell.run("%secret backup ~/large")
    for number in range(105):
        del fnb.secrets[f"s{number:03}"]

    answers(PASSPHRASE, "n")
    shown = shell.run("%secret restore ~/large")

    assert "… and 5 more rows." in shown
    assert "18 are the same" in shown
    assert shown.count("is added") == 100


def test_in_scripts(shell: Shell, backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase comes from a variable, and `--yes` answers."""
    monkeypatch.setattr("flowfile_nb.notebook.prompt._require_someone", _nobody)
    monkeypatch.setenv("BACKUP_PASSPHRASE", PASSPHRASE)
    del fnb.secrets["other"]

    assert "Backed up 1 secret" in shell.run(f"%secret backup '{backup}' --overwrite --passphrase-env BACKUP_PASSPHRASE")
    del fnb.secrets["pw"]
    shell.run(f"%secret restore '{backup}' --passphrase-env BACKUP_PASSPHRASE")
    assert isinstance(shell.error, NoPromptError)
    assert "--yes" in shell.shown
    shell.run(f"%secret restore '{backup}' --passphrase-env BACKUP_PASSPHRASE --yes")

    assert fnb.secrets["pw"].get_secret_value() == VALUE
    for line in (f"%secret restore '{backup}'", "%secret backup ~/new"):
        shell.run(line)
        assert isinstance(shell.error, NoPromptError)
        assert "--passphrase-env" in shell.shown
        assert len(shell.shown.strip().split("\n")) == 2


def _nobody() -> None:
    raise EOFError


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("%secret backup", "not understood"),
        ("%secret backup a b", "a passphrase is never typed on the line"),
        ("%secret backup ~/x --passphrase-env NOT_SET", "no environment variable"),
        ("%secret backup ~/x --passphrase-env SHORT", "at least 12"),
        ("%secret restore", "not understood"),
        ("%secret restore /nowhere --passphrase-env LONG", "cannot read"),
        ("%secret restore /etc/hostname --passphrase-env LONG", "no backup"),
        ("%secret backup ~/x --passphrase correct-horse-canary", "never typed on the line"),
        ("%secret restore ~/x correct-horse-canary", "never typed on the line"),
        ("%secret backup /", "/ is a folder"),
        ("%secret backup /nowhere/x", "there is no folder /nowhere"),
        ("%secret restore /nowhere", "cannot read"),
        ("%secret restore /etc/hostname", "no backup"),
        ("%secret export ~/x", "%secret backup ~/secrets.backup"),
        ("%secret export", "%secret backup ~/secrets.backup"),
    ],
)
def test_bad_lines(shell: Shell, monkeypatch: pytest.MonkeyPatch, line: str, error: str) -> None:
    """Two lines: what happened, and what to do; a passphrase on the line is not repeated."""
    monkeypatch.setenv("SHORT", "canary")
    monkeypatch.setenv("LONG", PASSPHRASE)

    shown = shell.run(line)

    assert isinstance(shell.error, FlowfileNbError)
    assert error in shown
    assert "canary" not in shown + shell.remembered()
    assert len(shown.strip().split("\n")) == 2


def test_the_hints_of_a_headless_run_work(shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each names the variable, and holds the whole line."""
    fnb.secrets["pw"] = VALUE
    monkeypatch.setenv("BACKUP_PASSPHRASE", PASSPHRASE)
    (home / "my folder").mkdir()

    shell.run(f"%secret backup '{home}/my folder'")
    shell.run(shell.error.hint)
    for line in (
        f"backup '{home}/my folder/secrets.backup' --overwrite",
        f"restore '{home}/my folder/secrets.backup' --replace",
    ):
        shell.run(f"%secret {line}")
        assert isinstance(shell.error, NoPromptError)
        said, _, again = shell.error.hint.partition(", and  ")
        assert said == "set BACKUP_PASSPHRASE before the kernel starts"
        shell.run(again)
        assert shell.error is None, (again, shell.shown)
    for _ in range(2):
        shell.run("%secret rotate-key --backup ~/third")
        assert isinstance(shell.error, NoPromptError)
    shell.run(shell.error.hint.partition(", and  ")[2])
    assert shell.error is None, shell.shown
    assert (home / "third").exists()


def test_a_secret_may_be_called_export(shell: Shell) -> None:
    """It is reached by its name."""
    fnb.secrets["export"] = "x"

    shell.run("%secret export")

    assert repr(shell.result) == "Secret('export')"


def test_mistyped(shell: Shell, backup: str, answers: Callable[..., None], home: Path) -> None:
    """Two passphrases that differ make no backup; a file that is there is refused before anything is asked."""
    answers(PASSPHRASE, PASSPHRASE + "x")
    shell.run("%secret backup ~/new")
    assert isinstance(shell.error, UsageError)
    assert "not the same" in shell.shown
    assert not (home / "new").exists()

    answers()
    shell.run(f"%secret backup '{backup}'")
    assert "--overwrite" in shell.shown
    answers(PASSPHRASE + "x")
    shell.run(f"%secret restore '{backup}'")
    assert isinstance(shell.error, WrongPassphraseError)
    assert PASSPHRASE not in shell.shown


def test_what_cannot_be_backed_up_is_said(shell: Shell, home: Path, answers: Callable[..., None]) -> None:
    """Rows that no key opens, and rows that cannot be read, by name: in the backup's summary, and where it is restored."""
    for number in range(15):
        fnb.secrets[f"s{number:02}"] = "x" * 3_000
    vault = session.vault()
    vault.store.put(1, "the one of a lost key", Keychain(generate_master_key()).encrypt_secret("x", 1), replace=False)
    vault.store.close()
    connection = sqlite3.connect(vault.paths.database)
    connection.execute("UPDATE secrets SET encrypted_value = x'00' WHERE name < 's12'")
    connection.execute("UPDATE secrets SET name = 's00' WHERE id = 1")
    connection.commit()
    connection.close()

    answers(PASSPHRASE, PASSPHRASE)
    shown = shell.run("%secret backup ~/new")
    assert "does not open them: the one of a lost key" in shown
    assert "row 1, row 2" in shown
    assert "and 2 more" in shown
    for path in (home / ".config/flowfile").iterdir():
        path.unlink()
    session.use_backend(None)
    answers(PASSPHRASE, "y")
    shown = shell.run("%secret restore ~/new")

    assert "in case its key turns up" in shown
    assert "Made of a damaged store, without: row 1" in shown
    assert "Restored: 4 added" in shown
    answers(PASSPHRASE)
    assert "4 are the same" in shell.run("%secret restore ~/new")


def test_late_values_are_named(shell: Shell, backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another kernel stored while one thought about the question stays, and is named."""
    del fnb.secrets["pw"]
    monkeypatch.setenv("P", PASSPHRASE)

    def think(question: str, *, otherwise: str) -> bool:
        fnb.secrets["pw"] = "from another kernel"
        return True

    monkeypatch.setattr("flowfile_nb.notebook.backup_verbs.confirm", think)
    shown = shell.run(f"%secret restore '{backup}' --passphrase-env P")

    assert "Left alone, because another program changed them just now: pw" in shown
    assert fnb.secrets["pw"].get_secret_value() == "from another kernel"


def test_completion(shell: Shell, backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files after the verbs, variables after `--passphrase-env`, names after undo."""
    monkeypatch.setenv("BACKUP_PASSPHRASE", PASSPHRASE)

    assert f"{os.environ['HOME']}/.config/" in shell.complete(f"%secret restore {os.environ['HOME']}/.con")
    assert shell.complete("%secret backup x --passphrase-env BACKUP_P") == ["BACKUP_PASSPHRASE"]
    assert shell.complete("%secret undo p") == ["pw"]
    assert "--overwrite" in shell.complete("%secret backup x --")


def test_in_a_real_kernel(home: Path) -> None:
    """What is typed at hidden prompts, the value, the key: no message and no file of IPython's has any of them."""
    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb")
        kernel.run("%secret set pw", typed=VALUE)
        shown = kernel.run("%secret backup ~/b", typed=PASSPHRASE)
        kernel.run("fnb.secrets['pw'] = 'newer'")
        # The same text is typed at each prompt: as a passphrase, and as an answer, which is no then.
        shown += kernel.run("%secret restore ~/b --replace", typed=PASSPHRASE)
        shown += kernel.run("%secret restore ~/b --replace --yes", typed=PASSPHRASE)
        shown += kernel.run("%secret undo pw", typed="y")
        shown += kernel.run("%secret restore ~/b --yes", typed=PASSPHRASE + "x")
        hidden = [message["content"]["password"] for message in kernel.messages if message["msg_type"] == "input_request"]
        sent = kernel.shown()

    for said in ("Backed up 1 secret", "Nothing was changed.", "1 replaced", "previous value again", "WrongPassphraseError"):
        assert said in shown
    assert hidden == [True, True, True, True, False, True, False, True]
    assert fnb.secrets["pw"].get_secret_value() == "newer"
    files = [path.read_bytes().decode("latin-1") for path in home.rglob("*") if path.is_file()]
    assert (home / ".ipython/profile_default/history.sqlite").exists()
    for canary in (VALUE, PASSPHRASE, _master_key()):
        assert not seen(canary, [sent, *files])


def test_in_a_saved_notebook(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a nightly notebook leaves behind: what was backed up and restored, and none of what it is."""
    fnb.secrets["pw"] = VALUE
    monkeypatch.setenv("BACKUP_PASSPHRASE", PASSPHRASE)
    cells = ("%load_ext flowfile_nb", "%secret backup ~/b --passphrase-env BACKUP_PASSPHRASE", "%secret delete pw --yes")
    cells += ("%secret restore ~/b --passphrase-env BACKUP_PASSPHRASE --yes", "%secret pw", "%secret restore ~/b")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with warnings.catch_warnings():
        # nbclient's own business.
        warnings.simplefilter("ignore")
        NotebookClient(
            notebook, kernel_manager_class=LocalKernelManager, kernel_name="python3", allow_errors=True, timeout=60
        ).execute()
    nbformat.write(notebook, home / "nightly.ipynb")

    text = (home / "nightly.ipynb").read_text(encoding="utf-8")
    for said in ("Backed up 1 secret", "Restored: 1 added", "Secret('pw')", "NoPromptError"):
        assert said in text
    for canary in (VALUE, PASSPHRASE, _master_key()):
        assert not seen(canary, [text])


def _master_key() -> str:
    vault = session.vault()
    return (read_master_key(vault.paths, vault.environ) or b"").decode()
