"""
Where key and database are, as Flowfile has them.

Source: Flowfile 0.23.3, `flowfile_core/auth/secrets.py` and `shared/storage_config.py`. Flowfile uses `~/.config` on every
system but Windows, so platformdirs (another folder on macOS, `XDG_CONFIG_HOME` on Linux) would miss its store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from flowfile_nb.errors import StoreError

_KEY_HOMES = ("files", "keychain")


class Paths:
    """
    Where everything is. Absolute paths; the files need not exist.

    Args:
        directory: The key's directory, 0700: `~/.config/flowfile`.
        catalog: Flowfile's own database: `~/.flowfile/database/flowfile_catalog.db`.
        mounted_key: A master key that a container is given as a file.
        keychain: Whether the master key is in the OS keychain. Flowfile cannot read it there, so our own database is used.
    """

    __slots__ = ("access_log", "catalog", "database", "directory", "key_store", "keychain", "lock", "mounted_key", "secret_key")

    def __init__(
        self,
        directory: str,
        catalog: str,
        mounted_key: str = "/run/secrets/flowfile_master_key",
        *,
        keychain: bool = False,
    ) -> None:
        self.directory = directory
        self.catalog = catalog
        self.mounted_key = mounted_key
        self.keychain = keychain
        self.secret_key = os.path.join(directory, ".secret_key")
        """A Fernet key that seals `key_store`."""
        self.key_store = os.path.join(directory, "flowfile.json.enc")
        """One Fernet token of a JSON object; its entry `master_key` is the master key."""
        self.database = os.path.join(directory, "flowfile_nb.db")
        """Our own database."""
        self.access_log = os.path.join(directory, "flowfile_nb.log")
        """The record of what was done with which secret; no value."""
        self.lock = os.path.join(directory, "flowfile_nb.lock")
        """An empty file; whoever creates a key or writes a secret locks it."""


def find_paths(environ: Mapping[str, str]) -> Paths:
    """
    Return the paths that Flowfile would use with this environment.

    Raises:
        StoreError: If Flowfile's catalog is set to a server instead of a file, or the key's home is set to what is none.
    """
    home = environ.get("FLOWFILE_NB_KEY_HOME")
    if home and home not in _KEY_HOMES:
        raise StoreError(
            f"FLOWFILE_NB_KEY_HOME can be {' or '.join(_KEY_HOMES)}, and is set to something else",
            hint="unset it, and the master key is in files, where Flowfile finds it too",
        )
    config = environ.get("APPDATA") or os.path.expanduser("~/.config")
    directory = environ.get("FLOWFILE_SECURE_STORAGE_PATH") or os.path.join(config, "flowfile")
    catalog = environ.get("FLOWFILE_DATABASE_URL") or environ.get("FLOWFILE_DB_PATH")
    if catalog and "://" in catalog:
        if not catalog.startswith("sqlite:///"):
            raise StoreError(
                "Flowfile's catalog is on a database server; secrets are kept in a file here",
                hint="unset FLOWFILE_DATABASE_URL, or set FLOWFILE_DB_PATH to a file",
            )
        catalog = catalog.removeprefix("sqlite:///")
    if not catalog:
        default = "/app/internal_storage" if environ.get("FLOWFILE_MODE") == "docker" else os.path.expanduser("~/.flowfile")
        base = environ.get("FLOWFILE_STORAGE_DIR") or default
        catalog = os.path.join(base, "database", "flowfile_catalog.db")
    return Paths(os.path.abspath(directory), os.path.abspath(catalog), keychain=home == "keychain")
