"""The user's own secrets: decrypted as Flowfile would, and never written with a key that does not fit."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from flowfile_nb.backend import Known
from flowfile_nb.core.crypto import Keychain, generate_master_key
from flowfile_nb.errors import (
    DamagedSecretError,
    InvalidNameError,
    InvalidValueError,
    MasterKeyError,
    NoSuchSecretError,
    SecretExistsError,
    WrongKeyError,
)
from flowfile_nb.storage.master_key import read_keys
from flowfile_nb.vault import Vault
from tests.support.stores import expected, write_flowfile_catalog, write_flowfile_store


@pytest.fixture
def vault(home: Path) -> Vault:
    return Vault({})


def test_a_store_of_the_real_flowfile_decrypts_entirely(home: Path, vault: Vault) -> None:
    """Every secret, the bare token of an older version too, equals what Flowfile says it is."""
    write_flowfile_store(home)
    known = {**expected()["secrets"], **expected()["legacy"]}

    assert {name: vault.reveal(name) for name in vault.names()} == known


def test_what_is_stored_is_ones_own(home: Path) -> None:
    """`stored` knows neither what the environment says nor what somebody shares; `reveal` does."""
    write_flowfile_store(home)
    team = expected()["team"]
    shared = {name: value for name, value in team["resolves"]["bob"].items() if value is not None}
    vault = Vault({"FLOWFILE_SECRET_OTHER": "x"}, user_id=team["users"]["bob"])
    vault.set("mine", "m", replace=False)

    assert vault.stored("mine") == "m"
    assert vault.stored("other") is None
    assert vault.reveal("other") == "x"
    own = {name for name, _, owner in zip(*vault.store.listing(vault.user_id), strict=True) if owner == vault.user_id}
    assert set(shared) - own
    assert {name: vault.stored(name) for name in shared} == {name: shared[name] if name in own else None for name in shared}


def test_a_bare_token_under_the_master_key_decrypts(home: Path, vault: Vault) -> None:
    """The oldest rows of all open, too."""
    catalog = sqlite3.connect(write_flowfile_store(home))
    token = Fernet(expected()["master_key"].encode()).encrypt(b"oldest").decode()
    catalog.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES ('oldest', ?, '', 1)", (token,))
    catalog.commit()

    assert vault.reveal("oldest") == "oldest"


@pytest.mark.parametrize("user", ["alice", "bob", "carol"])
def test_shared_secrets_resolve_as_in_flowfile(home: Path, user: str) -> None:
    """One's own name first, then what a group was granted, and nothing else."""
    write_flowfile_store(home)
    team = expected()["team"]
    vault = Vault({}, user_id=team["users"][user])

    for name, value in team["resolves"][user].items():
        if value is None:
            assert name not in vault.names()
            with pytest.raises(NoSuchSecretError):
                vault.reveal(name)
        else:
            assert name in vault.names()
            assert vault.reveal(name) == value


def test_who_owns_and_who_shared(home: Path) -> None:
    """The table says whose a secret is, and from whom it came."""
    write_flowfile_store(home)
    bob = Vault({}, user_id=3)

    assert bob.count() == len(bob.names()) == 2
    listing = bob.describe()
    shown = {name: (owner, sharer) for name, owner, sharer in zip(*listing[:3], strict=True)}

    assert shown == {"shadowed": ("bob", ""), "team_warehouse": ("alice", "alice")}
    assert all(at and 1_700_000_000 < at < 2_000_000_000 for at in listing.updated_at)


def test_a_shared_secret_is_not_deleted_by_a_member(home: Path) -> None:
    """Only the owner deletes."""
    write_flowfile_store(home)

    with pytest.raises(NoSuchSecretError):
        Vault({}, user_id=3).delete("team_warehouse")

    assert Vault({}, user_id=2).reveal("team_warehouse") == "alice-s-value"


def test_set_get_replace(vault: Vault) -> None:
    """A stored value comes back; a second one needs to be meant."""
    assert vault.set("a", "one", replace=False) is False
    with pytest.raises(SecretExistsError):
        vault.set("a", "two", replace=False)
    assert vault.reveal("a") == "one"

    assert vault.set("a", "two", replace=True) is True
    assert vault.reveal("a") == "two"


def test_bad_input_stores_nothing(vault: Vault, home: Path) -> None:
    """Nothing is created, not even a key, for a value that cannot be stored."""
    for name, value in (("", "x"), ("a\nb", "x"), ("a", ""), ("a", "x\0y"), ("a", "x" * 2**20)):
        with pytest.raises((InvalidNameError, InvalidValueError)):
            vault.set(name, value, replace=False)

    assert list(home.iterdir()) == []


def test_the_environment_overrides(home: Path) -> None:
    """`FLOWFILE_SECRET_<NAME>` gives the value of a headless run, stored or not, and the table says so."""
    environ = {"FLOWFILE_SECRET_PROD_PW": "from the environment"}
    vault = Vault(environ)
    vault.require("prod-pw")
    assert vault.reveal("prod-pw") == "from the environment"

    vault.set("prod_pw", "stored", replace=False)

    assert vault.reveal("prod_pw") == "from the environment"
    assert vault.describe().owners == ["environment"]
    del environ["FLOWFILE_SECRET_PROD_PW"]
    assert vault.reveal("prod_pw") == "stored"


def test_unknown_names_are_helped(vault: Vault) -> None:
    """The error names the nearest one, and to whom wants to use it how to add it."""
    vault.set("warehouse", "x", replace=False)

    for action in (vault.require, vault.reveal, vault.delete):
        with pytest.raises(NoSuchSecretError) as caught:
            action("ware house")
        assert "did you mean 'warehouse'?" in str(caught.value)
        # Who deletes it does not want to add it.
        assert ('%secret set "ware house"' in str(caught.value)) == (action != vault.delete)


def test_a_lost_key_is_not_replaced(vault: Vault, key_directory: Path) -> None:
    """Where something is encrypted, a missing key is an error, for reading and for writing; no new key appears."""
    vault.set("a", "x", replace=False)
    (key_directory / "flowfile.json.enc").rename(key_directory / "elsewhere")

    for action in (lambda: Vault(os.environ).reveal("a"), lambda: vault.set("b", "y", replace=False)):
        with pytest.raises(MasterKeyError, match="is gone"):
            action()

    assert not (key_directory / "flowfile.json.enc").exists()
    (key_directory / "elsewhere").rename(key_directory / "flowfile.json.enc")
    assert vault.reveal("a") == "x"


def test_a_key_that_another_process_is_just_making(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets without a key at the first look: it is looked up again before it is called lost."""
    vault.set("a", "x", replace=False)
    looks = iter([(None, None, None)])
    monkeypatch.setattr("flowfile_nb.storage.store_key.read_keys", lambda *args: next(looks, None) or read_keys(*args))

    assert Vault({}).reveal("a") == "x"
    assert next(looks, "none left") == "none left"


def test_a_key_that_does_not_open_the_store(vault: Vault) -> None:
    """Another key reads nothing and writes nothing; both key ids are named, and the right key still works."""
    vault.set("a", "x", replace=False)
    other = generate_master_key()
    wrong = Vault({"FLOWFILE_MASTER_KEY": other.decode()})

    for action in (
        lambda: wrong.reveal("a"),
        lambda: wrong.set("b", "y", replace=False),
        lambda: wrong.set("a", "y", replace=True),
    ):
        with pytest.raises(WrongKeyError) as caught:
            action()
        assert Keychain(other).key_id in str(caught.value)
        assert other.decode() not in str(caught.value)

    assert vault.names() == ["a"]
    assert vault.reveal("a") == "x"


def test_flowfiles_store_under_another_key_is_not_written(home: Path) -> None:
    """The proof needs no record of ours: a catalog whose rows the key does not open is not written."""
    write_flowfile_catalog(home)

    with pytest.raises(WrongKeyError):
        Vault({"FLOWFILE_MASTER_KEY": generate_master_key().decode()}).set("b", "y", replace=False)


def test_one_damaged_row_does_not_stop_the_others(home: Path, vault: Vault) -> None:
    """Flowfile can leave rows of a lost key behind: they are errors of their own, and the rest works."""
    catalog = sqlite3.connect(write_flowfile_store(home))
    catalog.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES ('dead', 'gAAAAAdead', '', 1)")
    catalog.commit()

    vault.set("new", "x", replace=False)

    assert vault.reveal("new") == "x"
    with pytest.raises(DamagedSecretError, match="'dead'"):
        vault.reveal("dead")


def test_a_key_that_is_no_key(home: Path) -> None:
    """A variable that holds something else is said to be the problem."""
    with pytest.raises(MasterKeyError):
        Vault({"FLOWFILE_MASTER_KEY": "hunter2"}).set("a", "x", replace=False)


def test_a_damaged_key_under_a_running_kernel(home: Path, vault: Vault) -> None:
    """A kernel that holds the key goes on reading what it opens; nothing is written, and a new kernel stops."""
    vault.set("a", "x", replace=False)
    database, key_store = home / ".config/flowfile/flowfile_nb.db", home / ".config/flowfile/flowfile.json.enc"
    assert database.exists()

    key_store.write_bytes(b"")

    assert vault.reveal("a") == "x"
    for action in (lambda: Vault(os.environ).reveal("a"), lambda: vault.set("b", "y", replace=False)):
        with pytest.raises(MasterKeyError, match="is empty"):
            action()


def test_a_rotated_key_is_noticed_while_running(home: Path, vault: Vault) -> None:
    """A token that the held key does not open is tried with the key that the files have by now."""
    vault.set("a", "x", replace=False)
    key_directory = home / ".config/flowfile"
    other = Vault({"FLOWFILE_SECURE_STORAGE_PATH": str(home / "other")})
    other.set("a", "rotated", replace=False)
    ((token,),) = sqlite3.connect(home / "other/flowfile_nb.db").execute("SELECT encrypted_value FROM secrets").fetchall()

    for name in (".secret_key", "flowfile.json.enc"):
        (home / "other" / name).replace(key_directory / name)
    with sqlite3.connect(key_directory / "flowfile_nb.db") as database:
        database.execute("UPDATE secrets SET encrypted_value = ?", (token,))

    assert vault.reveal("a") == "rotated"


def test_what_was_found_a_moment_ago_is_not_used_after_a_change(vault: Vault) -> None:
    """`secrets[name]` and the read behind it are one look-up, unless this vault wrote in between; a second read looks again."""
    vault.set("a", "one", replace=False)

    vault.require("a")
    vault.set("a", "two", replace=True)
    assert vault.reveal("a") == "two"

    vault.require("a")
    vault.rename("a", "b")
    with pytest.raises(NoSuchSecretError):
        vault.reveal("a")

    vault.require("b")
    vault.delete("b")
    with pytest.raises(NoSuchSecretError):
        vault.reveal("b")


def test_what_uses_a_secret(home: Path, vault: Vault) -> None:
    """Flowfile's connections and ours are named, each once."""
    catalog = sqlite3.connect(write_flowfile_store(home))
    catalog.execute("INSERT INTO database_connections (connection_name, password_id, user_id) VALUES ('warehouse', 1, 1)")
    catalog.commit()
    vault.save_connection("sales", "postgresql://app:%secret prod_database_password@h/x")
    vault.save_connection("other", "sqlite://")

    assert vault.used_by("prod_database_password") == ["warehouse", "sales"]
    assert vault.used_by("unicode_value") == []
    assert vault.used_by("none") == []


def test_findings_of_a_healthy_and_of_a_broken_store(home: Path, vault: Vault, key_directory: Path) -> None:
    """Doctor says what is in use, and each trouble with its remedy."""
    assert all(finding.ok for finding in vault.findings())
    vault.set("a", "x", replace=False)
    assert all(finding.ok for finding in vault.findings())

    (key_directory / "flowfile.json.enc").chmod(0o644)

    broken = [finding for finding in vault.findings() if not finding.ok]
    assert broken
    assert all(finding.remedy for finding in broken)
    assert any("chmod 600" in finding.remedy for finding in broken)


def test_findings_name_the_wrong_key_and_the_dead_rows(home: Path, vault: Vault) -> None:
    """Doctor names rows that no key opens, and says which key the store expects."""
    vault.set("good", "x", replace=False)
    rows = sqlite3.connect(home / ".config/flowfile/flowfile_nb.db")
    rows.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES ('dead', 'gAAAAAdead', '', 1)")
    rows.commit()

    states = [finding.state for finding in vault.findings() if not finding.ok]
    assert states == ["dead: cannot be decrypted"]

    wrong = Vault({"FLOWFILE_MASTER_KEY": generate_master_key().decode()})
    assert any("is written with" in finding.state for finding in wrong.findings() if not finding.ok)


def test_a_fingerprint_tells_a_change_and_no_value(vault: Vault) -> None:
    """It differs when the value was stored again, or is overridden; without the secret it raises."""
    vault.set("pw", "hunter2-one", replace=False)
    first = vault.fingerprint("pw")
    assert vault.fingerprint("pw") == first
    assert "hunter2" not in repr(first)

    vault.set("pw", "hunter2-one", replace=True)
    assert vault.fingerprint("pw") != first
    overridden = Vault({"FLOWFILE_SECRET_PW": "hunter2-two"})
    assert overridden.fingerprint("pw") not in {first, vault.fingerprint("pw")}
    assert "hunter2" not in repr(overridden.fingerprint("pw"))
    with pytest.raises(NoSuchSecretError):
        vault.fingerprint("other")


def test_what_is_missing(vault: Vault) -> None:
    """Of some names, each once; a variable counts."""
    vault.set("pw", "x-value", replace=False)
    environment = {"FLOWFILE_SECRET_BY_VARIABLE": "x"}

    assert Vault(environment).missing(["b", "pw", "by variable", "a", "b"]) == ["b", "a"]


def test_when_a_value_was_stored(vault: Vault) -> None:
    """Of a variable nobody knows it, nor of what is not there."""
    before = int(time.time())
    vault.set("pw", "x-value", replace=False)

    stored = vault.updated_at("pw")
    assert stored is not None
    assert before <= stored <= time.time()
    assert vault.updated_at("other") is None
    assert Vault({"FLOWFILE_SECRET_PW": "x"}).updated_at("pw") is None


def test_definitions_of_connections(vault: Vault) -> None:
    """Saved, used, deleted."""
    vault.save_connection("sales", "sqlite://")
    vault.note_connection("", "sales", used_at=7)
    vault.note_connection("/p", "lake", "digest")

    assert vault.used_connections() == {("", "sales"): Known("", 7), ("/p", "lake"): Known("digest", None)}
    assert vault.delete_connection("sales")
    assert not vault.delete_connection("sales")
