"""Files and folders that only their owner can read, written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from flowfile_nb.errors import StoreError, UnsafePermissionsError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
    except NotADirectoryError:
        raise StoreError(
            f"cannot read {path}: what should be its folder is a file",
            hint="set FLOWFILE_SECURE_STORAGE_PATH to a folder of your own",
        ) from None
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
