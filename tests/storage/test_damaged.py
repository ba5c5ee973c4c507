"""A database in which something has changed by itself. `tests/reliability/pages.py` changes each page at random."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from flowfile_nb.core.sealed import Cost
from flowfile_nb.errors import DamagedSecretError, StoreError, WrongKeyError
from flowfile_nb.lifecycle.backup import write_backup
from flowfile_nb.lifecycle.restore import apply, preview, read_backup
from flowfile_nb.storage import database
from flowfile_nb.vault import Vault
from tests.support.stores import write_flowfile_store


@pytest.fixture
def vault(home: Path) -> Vault:
    """A vault with three secrets, closed."""
    vault = Vault({})
    for name in ("a", "b", "c"):
        vault.set(name, f"value of {name}", replace=False)
    vault.store.close()
    return vault


@contextmanager
def changed(vault: Vault) -> Iterator[sqlite3.Connection]:
    """The database, to change behind its index: the index is not there meanwhile, and as it was afterwards."""
    with closing(sqlite3.connect(vault.paths.database)) as db, db:
        index = db.execute("SELECT * FROM sqlite_master WHERE name = 'uq_secrets_user_name'").fetchone()
        db.execute("PRAGMA writable_schema=ON")
        db.execute("DELETE FROM sqlite_master WHERE name = 'uq_secrets_user_name'")
        db.commit()
    with closing(sqlite3.connect(vault.paths.database)) as db, db:
        yield db
        db.execute("PRAGMA writable_schema=ON")
        db.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", index)


def assert_damage_is_said(error: StoreError) -> None:
    assert "damaged" in error.message
    assert "backup" in error.hint
    assert "gAAAA" not in str(error)


@pytest.mark.parametrize("token", [b"$ffsec$1$1$gAAAA\xe9\xff", b"\xff", None, 5])
def test_a_token_that_is_no_text_concerns_its_own_secret(vault: Vault, token: object) -> None:
    """Its secret is named as damaged, the others are read, all are listed, and it can be stored anew."""
    with closing(sqlite3.connect(vault.paths.database)) as db, db:
        cast = "CAST(? AS TEXT)" if isinstance(token, bytes) else "?"
        db.execute(f"UPDATE secrets SET encrypted_value = {cast} WHERE name = 'b'", (token,))

    with pytest.raises(DamagedSecretError, match="'b' cannot be decrypted") as caught:
        vault.reveal("b")
    assert "gAAAA" not in str(caught.value)

    assert (vault.reveal("a"), vault.reveal("c")) == ("value of a", "value of c")
    assert vault.describe().names == ["a", "b", "c"]
    assert list(vault.fingerprints()) == ["a", "b", "c"]
    assert [finding.state for finding in vault.findings() if not finding.ok] == ["b: cannot be decrypted"]
    vault.set("b", "anew", replace=True)
    assert vault.reveal("b") == "anew"


def test_an_index_that_leads_to_another_row(vault: Vault) -> None:
    """The value of another secret is never returned, and no change is made to it."""
    with changed(vault) as db:
        db.execute("UPDATE secrets SET name = 'x' WHERE name = 'a'")
        db.execute("UPDATE secrets SET name = 'a' WHERE name = 'b'")

    for action in (lambda: vault.reveal("b"), lambda: vault.delete("b"), lambda: vault.set("b", "new", replace=True)):
        with pytest.raises(StoreError) as caught:
            action()
        assert_damage_is_said(caught.value)


def test_an_index_that_leads_nowhere(vault: Vault) -> None:
    """A secret that is there and not found is damage, not an unknown name."""
    with changed(vault) as db:
        db.execute("UPDATE secrets SET name = 'not in the index' WHERE name = 'b'")

    for action in (
        lambda: vault.require("not in the index"),
        lambda: vault.reveal("not in the index"),
        lambda: vault.delete("not in the index"),
        lambda: vault.rename("not in the index", "other"),
    ):
        with pytest.raises(StoreError) as caught:
            action()
        assert_damage_is_said(caught.value)


def test_an_index_that_leads_to_what_is_gone(vault: Vault) -> None:
    """A row whose number and name were overwritten is damage, not an unknown name."""
    with changed(vault) as db:
        db.execute("UPDATE secrets SET id = 99, name = 'overwritten' WHERE name = 'b'")

    with pytest.raises(StoreError) as caught:
        vault.reveal("b")

    assert_damage_is_said(caught.value)


def test_an_owner_that_is_no_number(vault: Vault) -> None:
    """The row is refused, and the key is still proved by the others."""
    with changed(vault) as db:
        db.execute("UPDATE secrets SET user_id = 'one' WHERE name = 'c'")

    with pytest.raises(StoreError) as caught:
        vault.reveal("c")

    assert_damage_is_said(caught.value)
    assert vault.reveal("a") == "value of a"
    Vault({}).set("d", "new", replace=False)


def test_a_name_that_is_no_text(vault: Vault) -> None:
    """It is listed with a mark in the place of what was lost; SQLite's message, which quotes what it read, is not shown."""
    with changed(vault) as db:
        db.execute("UPDATE secrets SET name = CAST(? AS TEXT) WHERE name = 'b'", (b"gAAAA\xff",))

    assert vault.names() == ["a", "gAAAA\ufffd", "c"]
    with pytest.raises(StoreError) as caught:
        vault.reveal("b")
    assert_damage_is_said(caught.value)


def test_the_only_secret_is_damaged(home: Path) -> None:
    """It is that row, not the key, as the record beside it tells: it is stored anew as `doctor` says, and others are added."""
    vault = Vault({})
    vault.set("a", "x", replace=False)
    vault.store.close()
    with closing(sqlite3.connect(vault.paths.database)) as db, db:
        db.execute("UPDATE secrets SET encrypted_value = replace(encrypted_value, 'gAAAA', 'gAAAB')")

    with pytest.raises(DamagedSecretError, match="'a' cannot be decrypted"):
        Vault({}).reveal("a")
    Vault({}).set("b", "y", replace=False)
    Vault({}).set("a", "z", replace=True)

    assert (Vault({}).reveal("a"), Vault({}).reveal("b")) == ("z", "y")


def test_all_of_flowfiles_rows_are_another_keys(home: Path) -> None:
    """Its catalog carries no record of ours: with the key that it was last written with, too, nothing is written."""
    catalog = write_flowfile_store(home)
    vault = Vault({})
    vault.set("a", "x", replace=False)
    with closing(sqlite3.connect(catalog)) as db, db:
        db.execute("UPDATE secrets SET encrypted_value = '$ffsec$1$1$gAAAAdead'")

    for action in (lambda: Vault({}).reveal("a"), lambda: Vault({}).set("b", "y", replace=False)):
        with pytest.raises(WrongKeyError, match=r"opens none of the secrets in .*, which was last written with it") as caught:
            action()
        assert "right key" not in str(caught.value)


def test_what_is_no_database_any_more(vault: Vault) -> None:
    """A backup would find nothing to save, so it is not what is said; moved away, the store is made anew from one."""
    backup = vault.paths.directory + ".backup"
    write_backup(vault, backup, "correct horse battery", cost=Cost(1, 1, 1))
    vault.store.close()
    Path(vault.paths.database).write_bytes(b"garbage" * 1000)

    with pytest.raises(StoreError, match="no database any more") as caught:
        Vault({}).reveal("a")
    assert "saves" not in caught.value.hint

    os.rename(vault.paths.database, vault.paths.database + ".damaged")
    anew = Vault({})
    apply(anew, preview(anew, read_backup(backup, "correct horse battery")), replace=False)

    assert Vault({}).reveal("a") == "value of a"


def test_a_table_that_is_gone(vault: Vault) -> None:
    """A database of ours without its table is damaged, not empty: nothing is made in it."""
    with closing(sqlite3.connect(vault.paths.database)) as db, db:
        db.execute("DROP TABLE secrets")

    for action in (vault.names, lambda: vault.set("a", "new", replace=True)):
        with pytest.raises(StoreError) as caught:
            action()
        assert_damage_is_said(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.DatabaseError("database disk image is malformed"),
        sqlite3.OperationalError("Could not decode to UTF-8 column 'name' with text 'gAAAA\ufffd'"),
        sqlite3.OperationalError("no such column: encrypted_value"),
        sqlite3.IntegrityError("UNIQUE constraint failed: secrets.user_id, secrets.name"),
        UnicodeDecodeError("utf-8", b"gAAAA\xff", 5, 6, "invalid start byte"),
    ],
)
def test_what_sqlite_says_of_damage(error: Exception) -> None:
    """Every form of it has the same remedy."""
    with pytest.raises(StoreError) as caught, database.translated("/home/x/flowfile_nb.db"):
        raise error
    assert_damage_is_said(caught.value)


def test_a_database_that_was_never_filled(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file that may not be written is no damage: nothing was ever stored in it."""
    Path(vault.paths.database).write_bytes(b"")
    monkeypatch.setattr(os, "access", lambda path, how: not how & os.W_OK)

    assert vault.names() == []
