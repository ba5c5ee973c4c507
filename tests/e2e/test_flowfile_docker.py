"""Key and database where the real Flowfile finds them, in each environment that moves them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.storage.paths import find_paths
from tests.support.flowfile import PYTHON, running_flowfile

pytestmark = [
    pytest.mark.e2e,
    # A key that is mounted is every test's.
    pytest.mark.alone,
    pytest.mark.skipif(not PYTHON, reason="FLOWFILE_NB_FLOWFILE_PYTHON is not set"),
    pytest.mark.timeout(300),
]

KEY = Fernet.generate_key().decode()
DOCKER = {
    "FLOWFILE_MODE": "docker",
    "FLOWFILE_USER_DATA_DIR": "{home}/user",
    "FLOWFILE_STORAGE_DIR": "{home}/storage",
    "FLOWFILE_INTERNAL_TOKEN": "t" * 64,
    "JWT_SECRET_KEY": "j" * 64,
}
ENVIRONMENTS = {
    "desktop": {},
    "desktop, moved": {"FLOWFILE_SECURE_STORAGE_PATH": "{home}/key", "FLOWFILE_STORAGE_DIR": "{home}/storage"},
    "desktop, APPDATA": {"APPDATA": "{home}/appdata"},
    "desktop, database elsewhere": {"FLOWFILE_DB_PATH": "{home}/some where/catalog#1.db"},
    "desktop, empty variables": {"FLOWFILE_SECURE_STORAGE_PATH": "", "FLOWFILE_STORAGE_DIR": "", "FLOWFILE_DB_PATH": ""},
    "docker": {**DOCKER, "FLOWFILE_MASTER_KEY": KEY},
    "docker, key in quotes": {**DOCKER, "FLOWFILE_MASTER_KEY": f' "{KEY}" '},
    "docker, path": {**DOCKER, "FLOWFILE_MASTER_KEY": KEY, "FLOWFILE_DB_PATH": "{home}/catalog.db"},
    "docker, path as URL": {**DOCKER, "FLOWFILE_MASTER_KEY": KEY, "FLOWFILE_DB_PATH": "sqlite:///{home}/catalog.db"},
    "docker, URL": {**DOCKER, "FLOWFILE_MASTER_KEY": KEY, "FLOWFILE_DATABASE_URL": "sqlite:///{home}/catalog.db"},
    "docker, URL before path": {
        **DOCKER,
        "FLOWFILE_MASTER_KEY": KEY,
        "FLOWFILE_DATABASE_URL": "sqlite:///{home}/by-url.db",
        "FLOWFILE_DB_PATH": "{home}/by-path.db",
    },
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_both_find_the_same_key_and_database(home: Path, monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    """Asked for both, and each reads what the other stores."""
    (home / "some where").mkdir()
    for name, value in ENVIRONMENTS[environment].items():
        monkeypatch.setenv(name, value.format(home=home))
    session.use_backend(None)

    with running_flowfile(home) as flowfile:
        theirs = flowfile("settings")
        flowfile("store", name="theirs", value="from Flowfile")

        vault = session.vault()
        assert vault.paths.catalog == theirs["database"]
        assert fnb.secrets["theirs"].get_secret_value() == "from Flowfile"
        fnb.secrets["ours"] = "from here"
        assert flowfile("read", name="ours") == "from here"
        assert vault.store.location == theirs["database"]
        ours = vault.key.keychain()
        assert ours.key_id == type(ours)(theirs["key"].encode()).key_id


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount the file")
def test_both_read_the_mounted_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/run/secrets/flowfile_master_key`, in docker mode without the variable."""
    mounted = Path("/run/secrets/flowfile_master_key")
    if mounted.exists():
        pytest.fail("this machine has a mounted key")
    for name, value in DOCKER.items():
        monkeypatch.setenv(name, value.format(home=home))
    made = not mounted.parent.exists()
    mounted.parent.mkdir(exist_ok=True)
    try:
        mounted.write_text(f"{KEY}\n", encoding="utf-8")
        session.use_backend(None)
        with running_flowfile(home) as flowfile:
            assert flowfile("settings")["key"] == KEY
            flowfile("store", name="theirs", value="from Flowfile")
            fnb.secrets["ours"] = "from here"

            assert fnb.secrets["theirs"].get_secret_value() == "from Flowfile"
            assert flowfile("read", name="ours") == "from here"
    finally:
        mounted.unlink(missing_ok=True)
        if made:
            mounted.parent.rmdir()


def test_docker_mode_without_a_key_refuses_on_both_sides(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither makes one silently."""
    for name, value in DOCKER.items():
        monkeypatch.setenv(name, value.format(home=home))
    session.use_backend(None)

    with running_flowfile(home) as flowfile, pytest.raises(RuntimeError) as refused:
        flowfile("settings")

    assert "Master key not configured" in str(refused.value)
    assert session.backend().awaits_key()
    assert not os.path.exists(find_paths(os.environ).key_store)
