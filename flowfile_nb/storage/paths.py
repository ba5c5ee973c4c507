"""
Where key and database are, as Flowfile has them, and files that only their owner can read.

Source: Flowfile 0.23.3, `flowfile_core/auth/secrets.py` and `shared/storage_config.py`. Flowfile uses `~/.config` on every
system but Windows, so platformdirs (another folder on macOS, `XDG_CONFIG_HOME` on Linux) would miss its store.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from flowfile_nb.errors import StoreError, UnsafePermissionsError

_KEY_HOMES = ("files", "keychain")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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


def make_private_directory(path: str) -> None:
    """
    Make *path* and its parents; *path* itself is 0700 from its first moment.

    Raises:
        StoreError: If it cannot be made or written.
    """
    try:
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(path, 0o700)
            mode = os.stat(path).st_mode
        if sys.platform != "win32" and mode & 0o077:
            # Flowfile does the same at each start. Nothing readable by others was in a file of ours.
            os.chmod(path, 0o700)
    except OSError as error:
        raise not_writable(path, error) from None


def not_writable(path: str, error: OSError) -> StoreError:
    """Return the error for a folder in which nothing can be written, or nothing more."""
    if error.errno in _NO_ROOM:
        remedy = "free some space, or have your quota raised, and try again;  df -h  shows what is left"
    else:
        remedy = "make the folder writable, or set FLOWFILE_SECURE_STORAGE_PATH to a folder of your own"
    return StoreError(f"cannot write in {path}: {error.strerror or 'not permitted'}; nothing was changed", hint=remedy)


def read_private(path: str, environ: Mapping[str, str]) -> bytes | None:
    """
    Return the bytes of a file that only its owner can read, or None if there is no such file.

    Raises:
        UnsafePermissionsError: If others could read it. Where a file system has no permissions to set (some network and
            Windows drives), Jupyter's own switch `JUPYTER_ALLOW_INSECURE_WRITES=true` allows it.
        StoreError: If it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if sys.platform != "win32" and mode & 0o077 and not _insecure_allowed(environ):
                raise UnsafePermissionsError(
                    f"{path} can be read by others on this machine (mode {mode:04o})",
                    hint=f"chmod 600 '{path}'",
                )
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}", hint=f"make it readable for you:  ls -l '{path}'") from None


def create_private(path: str, content: bytes) -> bool:
    """
    Create *path* whole, durable and 0600, or leave it alone if it exists.

    The file appears under its name only when it is complete and on disk, so no other process ever reads half of it.

    Returns:
        Whether this call created it; False means that somebody else was first.

    Raises:
        StoreError: If it cannot be written; nothing of it is left then.
    """
    with _written(path):
        return place_private(path, content, lambda temporary: None, overwrite=False)


def replace_private(path: str, content: bytes) -> None:
    """
    Replace *path* whole, durable and 0600; a reader sees the old content or the new, nothing between.

    Raises:
        StoreError: If it cannot be written; the old content is still there then.
    """
    with _written(path):
        place_private(path, content, lambda temporary: None, overwrite=True)


def place_private(path: str, content: bytes, verify: Callable[[str], None], *, overwrite: bool) -> bool:
    """
    Write *content* under a temporary name, 0600 and durable, and give it the name *path* once *verify* has let it pass.

    Args:
        path: Of the file; its folder exists.
        content: Of the file.
        verify: Is given the temporary name, and raises where the file shall not be.
        overwrite: Whether to take the place of a file of that name.

    Returns:
        Whether it is there now; False means that there is another.
    """
    temporary = _write_temporary(path, content)
    try:
        verify(temporary)
        placed = overwrite or _link(temporary, path)
        if overwrite:
            os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    _sync_directory(path)
    return placed


def _link(temporary: str, path: str) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:
        # No hard links here (FAT, some network drives). Our callers hold the lock, so a test and a rename are as good.
        if os.path.exists(path):
            return False
        os.replace(temporary, path)
    return True


def exchange_private(path: str, content: bytes, if_still: tuple[int, int, int] | None) -> bytes | None:
    """
    Replace a file that another program replaces, too, as `replace_private` does, and tell what was there until that moment.

    Args:
        path: The file.
        content: What it holds from now on.
        if_still: The `stamp` of the file that *content* was made from, for systems that cannot exchange two names: there a
            file that has another is left alone.

    Returns:
        The replaced content; None where it was left alone.

    Raises:
        StoreError: If it cannot be written; the old content is still there then.
    """
    with _written(path):
        temporary = _write_temporary(path, content)
        try:
            if _exchange(temporary, path):
                with open(temporary, "rb") as file:
                    return file.read()
            if stamp(path) != if_still:
                return None
            with open(path, "rb") as file:
                replaced = file.read()
            os.replace(temporary, path)
            return replaced
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)
            _sync_directory(path)


def stamp(path: str) -> tuple[int, int, int] | None:
    """Return something that differs when a file has been written anew, or None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _write_temporary(path: str, content: bytes) -> str:
    temporary = f"{path}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            # The system's own time stamps are as coarse as its clock's ticks: `stamp` could not tell two files of one tick.
            os.utime(temporary, ns=(now := time.time_ns(), now))
            os.fsync(file.fileno())
    except BaseException:
        # The disk is full, say: half a file is of no use.
        os.unlink(temporary)
        raise
    return temporary


def _exchange(one: str, other: str) -> bool:
    """Give two files each other's names in one step (Linux); return whether that could be done."""
    # Imported here: it is needed once in the life of a store, beside a Flowfile.
    import ctypes

    rename = getattr(ctypes.CDLL(None) if sys.platform != "win32" else None, "renameat2", None)
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE (linux/fcntl.h, linux/fs.h)
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0


@contextmanager
def _written(path: str) -> Iterator[None]:
    """Turn what the file system says into our error."""
    try:
        yield
    except OSError as error:
        raise not_writable(os.path.dirname(path), error) from None


def _sync_directory(path: str) -> None:
    """Make the name of *path* durable: without this a power cut can lose a file whose content was synced."""
    if sys.platform != "win32":
        descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _insecure_allowed(environ: Mapping[str, str]) -> bool:
    return environ.get("JUPYTER_ALLOW_INSECURE_WRITES", "").lower() in {"true", "1"}
