"""`doctor`: what it finds, and that the command it names mends it."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.__main__ import main
from flowfile_nb.backend import Finding
from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.vault import Vault
from tests.support.shell import Shell
from tests.support.stores import write_flowfile_catalog, write_flowfile_store

DEAD = "gAAAAAdead"


def to_mend(vault: Vault | None = None) -> list[Finding]:
    """Return what a doctor finds that is to be mended."""
    return [finding for finding in (vault or Vault(os.environ)).findings() if not finding.ok]


def said(vault: Vault, topic: str) -> str:
    """Return what a doctor says about one topic."""
    return "\n".join(finding.state for finding in vault.findings() if finding.topic == topic)


def follow(shell: Shell, remedy: str) -> None:
    """Do what a remedy says: its command, up to the words that explain it; in a terminal if it is not a magic."""
    command = remedy.split("  ", maxsplit=1)[0]
    if command.startswith("%"):
        shell.run(command)
        assert shell.error is None, shell.shown
    else:
        subprocess.run(shlex.split(command), check=True)


def the_remedy(topic: str) -> str:
    """Return the remedy of the one finding that is to be mended, which is about this topic."""
    (finding,) = to_mend()
    assert finding.topic == topic
    assert finding.remedy
    return finding.remedy


@pytest.fixture
def catalog(home: Path) -> sqlite3.Connection:
    """A catalog of the real Flowfile, as somebody with SQL at hand sees it."""
    db = sqlite3.connect(write_flowfile_store(home), isolation_level=None)
    (home / ".config" / "flowfile").chmod(0o700)
    return db


# What is fine


@pytest.mark.parametrize("before", ["nothing", "a secret", "Flowfile's store"])
def test_a_healthy_store_has_nothing_to_mend(home: Path, before: str) -> None:
    """On a new home, with a secret of ours, and with the store of a real Flowfile: all is fine, and looking changes nothing."""
    if before == "Flowfile's store":
        write_flowfile_store(home)
    if before == "a secret":
        fnb.secrets["a"] = "x"
    files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and "-shm" not in path.name}

    assert to_mend() == []

    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and "-shm" not in path.name} == files


def test_what_is_in_use_is_said(home: Path, key_directory: Path) -> None:
    """Paths, key, database with its schema, journal and disk, record of uses, and that there is no backup."""
    vault = Vault({"FLOWFILE_SECRET_A": "x", "FLOWFILE_SECRET_NEW_ONE": "y", "FLOWFILE_MODE": "electron"})
    vault.set("a", "x", replace=False)

    assert str(key_directory) in said(vault, "paths")
    assert ".flowfile/database/flowfile_catalog.db, which is not there" in said(vault, "paths")
    assert said(vault, "mode") == "electron"
    assert said(vault, "master key").startswith(f"{vault.key.keychain().key_id} from {key_directory}")
    assert "our own database, schema 3, journal wal" in said(vault, "store")
    assert said(vault, "secrets") == "1"
    assert said(vault, "log").startswith(f"on, {key_directory / 'flowfile_nb.log'}")
    assert said(vault, "environment").splitlines() == [
        "FLOWFILE_SECRET_A overrides a",
        "FLOWFILE_SECRET_NEW_ONE gives a secret that is not stored",
    ]
    assert said(vault, "last backup") == "none is recorded"
    assert said(Vault({"FLOWFILE_NB_LOG": "off"}), "log") == "off: FLOWFILE_NB_LOG says so"


@pytest.mark.parametrize("recorded", ['{{"at": 1700000000, "path": "{0}"}}', "1700000000 {0}"])
def test_the_last_backup_is_shown(home: Path, recorded: str) -> None:
    """When and where; and that the file is not there any more."""
    vault = Vault({})
    vault.set("a", "x", replace=False)
    vault.store.set_fact("last_backup", recorded.format(home / "my backup"))

    assert f"{home}/my backup; it is not there now" in said(vault, "last backup")
    (home / "my backup").touch()
    assert said(vault, "last backup").endswith("my backup")
    assert "2023-11-1" in said(vault, "last backup")


# What is to be mended, and its remedy


@pytest.mark.parametrize("name", [".secret_key", "flowfile.json.enc", "flowfile_nb.db", "flowfile_nb.log", "."])
def test_files_that_others_can_read(shell: Shell, key_directory: Path, name: str) -> None:
    """The chmod that is named mends it, and so does --fix."""
    fnb.secrets["a"] = "x"
    (key_directory / name).chmod(0o755)
    if name == ".":
        assert (key_directory).stat().st_mode & 0o77
    session.use_backend(None)

    for finding in to_mend():
        follow(shell, finding.remedy)
    assert to_mend() == []

    (key_directory / name).chmod(0o755)
    assert "is now 0" in shell.run("%secret doctor --fix")
    assert to_mend() == []


def test_rows_that_no_key_opens(shell: Shell, catalog: sqlite3.Connection, tmp_path: Path) -> None:
    """Each is listed by its name and stays; storing it anew mends it."""
    catalog.execute(f"INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES ('my dead', '{DEAD}', '', 1)")
    (tmp_path / "value").write_text("new")

    remedy = the_remedy("secret")
    assert "my dead: cannot be decrypted" in to_mend()[0].state
    assert catalog.execute("SELECT count(*) FROM secrets WHERE name = 'my dead'").fetchone() == (1,)

    shell.run(f"{remedy.split('  ')[0]} --file {tmp_path / 'value'}")
    assert to_mend() == []
    assert fnb.secrets["my dead"].get_secret_value() == "new"


def test_many_rows_that_no_key_opens(catalog: sqlite3.Connection) -> None:
    """Twenty are listed, and how many more there are."""
    rows = [(f"dead_{number:03}", DEAD) for number in range(30)]
    catalog.executemany("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', 1)", rows)

    findings = to_mend()

    assert len(findings) == 21
    assert findings[-1].state == "and 10 more cannot be decrypted"


def test_a_shared_row_that_no_key_opens(catalog: sqlite3.Connection) -> None:
    """Only its owner can store it anew, so the owner is to be asked."""
    catalog.execute(f"UPDATE secrets SET encrypted_value = '{DEAD}' WHERE name = 'team_warehouse'")

    (finding,) = to_mend(Vault({}, user_id=3))

    assert "ask its owner" in finding.remedy


def test_a_name_that_is_stored_twice(shell: Shell, catalog: sqlite3.Connection) -> None:
    """Which row is used is said; --fix gives the other ones names, and no value is lost or changes its name."""
    token = {number: Vault({}).key.keychain().encrypt_secret(f"value {number}", 1) for number in range(1, 4)}
    for number in range(1, 4):
        insert = "INSERT INTO secrets (id, name, encrypted_value, iv, user_id) VALUES (?, 'dup', ?, '', 1)"
        catalog.execute(insert, (100 + number, token[number]))
    catalog.execute("UPDATE secrets SET name = 'dup (2)' WHERE name = 'unicode_value'")

    remedy = the_remedy("stored twice")
    assert "row 101 is used" in to_mend()[0].state
    assert "102, 103" in to_mend()[0].state
    follow(shell, remedy)

    assert to_mend() == []
    assert [Vault({}).reveal(name) for name in ("dup", "dup (3)", "dup (4)")] == ["value 1", "value 2", "value 3"]


@pytest.mark.parametrize("gone", ["secrets", "user_groups"])
def test_shares_of_what_is_gone(shell: Shell, catalog: sqlite3.Connection, gone: str) -> None:
    """A share without its secret or its group is deleted by --fix; the others stay."""
    catalog.execute("DELETE FROM secrets WHERE id = 10" if gone == "secrets" else "DELETE FROM user_groups")

    remedy = the_remedy("shares")
    assert "secret 10 with group 1" in to_mend()[0].state
    follow(shell, remedy)

    assert to_mend() == []
    left = catalog.execute("SELECT resource_id FROM resource_grants").fetchall()
    assert left == ([(12,)] if gone == "secrets" else [])


def test_many_orphaned_shares_are_counted(catalog: sqlite3.Connection) -> None:
    """The list stays readable."""
    grants = [(number,) for number in range(1_000, 1_030)]
    catalog.executemany(
        "INSERT INTO resource_grants (resource_type, resource_id, group_id, granted_by) VALUES ('secret', ?, 1, 2)", grants
    )

    assert "and 10 more" in to_mend()[0].state


def test_a_secret_that_got_a_suffix_when_it_moved(shell: Shell, home: Path) -> None:
    """Where Flowfile's catalog had the name, ours is renamed with the command that is named."""
    write_flowfile_store(home)
    (home / ".flowfile").rename(home / "later")
    fnb.secrets["prod_database_password"] = "ours"
    (home / "later").rename(home / ".flowfile")

    remedy = the_remedy("moved to Flowfile")
    follow(shell, remedy.replace("NEW", "my_password"))

    assert to_mend() == []
    assert fnb.secrets["my_password"].get_secret_value() == "ours"


@pytest.mark.parametrize("trouble", ["folder", "disk"])
def test_a_record_of_uses_that_cannot_be_written(shell: Shell, key_directory: Path, trouble: str) -> None:
    """What keeps it from being written is said, and the remedy works."""
    fnb.secrets["a"] = "x"
    vault = session.vault()
    log = key_directory / "flowfile_nb.log"
    if trouble == "folder":
        log.unlink()
        log.mkdir()
        follow(shell, the_remedy("log"))
    else:
        vault.log.problem = "No space left on device"
        (finding,) = to_mend(vault)
        assert "No space left on device" in finding.state
        assert "FLOWFILE_NB_LOG=off" in finding.remedy
        vault.reveal("a")

    assert to_mend(vault) == []


def test_a_foreign_key(home: Path) -> None:
    """It is one finding, with both ids, however many rows it does not open."""
    Vault({}).set("a", "x", replace=False)
    Vault({}).set("b", "x", replace=False)

    (finding,) = to_mend(Vault({"FLOWFILE_MASTER_KEY": generate_master_key().decode()}))

    assert finding.topic == "master key"
    assert "is written with" in finding.state


# Stores that are broken


def damaged(home: Path) -> None:
    (home / ".config/flowfile/flowfile_nb.db").write_bytes(b"this is no database" * 1_000)


def damaged_page(home: Path) -> None:
    path = home / ".config/flowfile/flowfile_nb.db"
    for number in range(200):
        fnb.secrets[f"name_{number}"] = "x" * 200
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    content[-4096 * 3 : -4096 * 2] = b"\x55" * 4096
    path.write_bytes(content)


def newer(home: Path) -> None:
    with sqlite3.connect(home / ".config/flowfile/flowfile_nb.db") as db:
        db.execute("PRAGMA user_version = 99")


def empty_key(home: Path) -> None:
    (home / ".config/flowfile/flowfile.json.enc").write_bytes(b"")


def lost_key(home: Path) -> None:
    (home / ".config/flowfile/flowfile.json.enc").unlink()


def key_is_a_folder(home: Path) -> None:
    lost_key(home)
    (home / ".config/flowfile/flowfile.json.enc").mkdir(mode=0o700)


def nonsense_backup(home: Path) -> None:
    session.vault().store.set_fact("last_backup", '{"when": "yesterday"}')


BREAKAGES = [damaged, damaged_page, newer, empty_key, lost_key, key_is_a_folder, nonsense_backup]


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda found: found.__name__)
def test_a_broken_store_is_described_and_never_raises(shell: Shell, home: Path, breakage: object) -> None:
    """Whatever is broken, each check says its part, with what to do; the others go on; the table is shown."""
    fnb.secrets["a"] = "canary7Q4x"
    breakage(home)  # type: ignore[operator]
    session.use_backend(None)

    findings = session.vault().findings()

    assert any(not finding.ok for finding in findings)
    assert all(finding.remedy for finding in findings if not finding.ok)
    assert {"mode", "paths", "permissions", "log"} <= {finding.topic for finding in findings}
    assert len({finding.state for finding in findings if not finding.ok}) == len([f for f in findings if not f.ok])
    shown = shell.run("%secret doctor")
    assert shell.error is None
    assert "mend" in shown
    assert "canary7Q4x" not in shown


def test_a_store_whose_place_is_not_settled(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even that is a finding in a notebook; the command cannot tell, and says so with status 2."""
    monkeypatch.setenv("FLOWFILE_DATABASE_URL", "postgresql://server/flowfile")
    session.use_backend(None)

    shown = shell.run("%secret doctor")

    assert shell.error is None
    assert "unset FLOWFILE_DATABASE_URL" in shown
    assert main(["doctor"]) == 2


# On the command line


def test_exit_status_and_json(home: Path, key_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 if all is fine, 1 if something is to be mended; --json is a list; --fix mends and says so."""
    fnb.secrets["a"] = "x"
    assert main(["doctor"]) == 0
    assert "ok    master key" in capsys.readouterr().out

    (key_directory / ".secret_key").chmod(0o644)
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (unsafe,) = [finding for finding in found if not finding["ok"] and finding["topic"] == "permissions"]
    assert set(unsafe) == {"topic", "state", "ok", "remedy"}
    assert main(["doctor"]) == 1
    assert f"→ chmod 600 '{key_directory / '.secret_key'}'" in capsys.readouterr().out

    assert main(["doctor", "--fix"]) == 0
    assert f"mended: {key_directory / '.secret_key'} is now 0600" in capsys.readouterr().out


def test_a_whole_process(home: Path) -> None:
    """`python -m flowfile_nb doctor` needs no notebook and makes nothing on a new home."""
    command = [sys.executable, "-m", "flowfile_nb", "doctor", "--json"]

    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert all(finding["ok"] for finding in json.loads(done.stdout))
    assert list(home.iterdir()) == []


def test_a_catalog_under_a_foreign_key_is_read_without_a_record_of_ours(home: Path) -> None:
    """Flowfile's own store with another key: its rows are named, and nothing is changed."""
    write_flowfile_catalog(home)

    findings = to_mend(Vault({"FLOWFILE_MASTER_KEY": generate_master_key().decode()}))

    assert {finding.topic for finding in findings} == {"secret"}
    assert len(findings) == 9
