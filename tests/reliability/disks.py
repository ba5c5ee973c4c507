"""
A disk that takes nothing more: full at every page that a change needs, limited by a quota, or read-only.

The full and the read-only disk are mounts in a namespace of their own, for which root or an unprivileged user namespace is
needed (`unshare`). A limit on the size of files (RLIMIT_FSIZE) needs neither, and makes writing fail just as truly.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flowfile_nb.errors import StoreError
from tests.benchmarks.places import inside_own, new_home, private_vault
from tests.benchmarks.writers import make_catalog
from tests.reliability.counts import Plan, Tally, as_json, not_ours

_PAGE = 4096
_MOST_PAGES = 120
"""More than any change here writes."""
_IN_A_ROW = 3
_TMPFS_BYTES = 4 * 2**20
_STORED = {"first": "one", "second": "two " * 1500, "third": "three"}
_ROOM, _WRITABLE = "free some space", "make the folder writable"
_NEW = "new " * 1000
_VARIABLE = "FNB_RELIABILITY_VALUE"

_fork = multiprocessing.get_context("fork")


def full_disk(plan: Plan) -> Iterator[Tally]:
    """Leave a change one page more of disk each time until it succeeds: before that a clear error, and all is as it was."""
    yield from _trials(plan, "disk full", "fill_disk", mounts=True)


def quota(plan: Plan) -> Iterator[Tally]:
    """Allow files one page more each time until a change succeeds: before that a clear error, and all is as it was."""
    yield from _trials(plan, "quota reached", "limit_files", mounts=False)


def read_only_disk(plan: Plan) -> Iterator[Tally]:
    """Mount the store read-only: it is read, a change is a clear error, no file changes, and afterwards writing works."""
    yield from _trials(plan, "read-only disk", "mount_read_only", mounts=True)


def _trials(plan: Plan, what: str, function: str, *, mounts: bool) -> Iterator[Tally]:
    within = _namespace() if mounts else ()
    for catalog in (False, True):
        place = "Flowfile's catalog" if catalog else "own database"
        if within is None:
            yield Tally(f"{what}, {place}", note="not tried: nothing can be mounted here")
            continue
        with new_home() as home:
            found = inside_own(
                f"tests.reliability.disks:{function}", home, within=within, catalog=catalog, step=plan.pick(1, 7)
            )
        yield Tally(**{**found, "what": f"{what}, {place}"})


@cache
def _namespace() -> tuple[str, ...] | None:
    """Return the command in which mounting is allowed, and which takes the mounts away when it ends; None if there is none."""
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    command = ("unshare", *as_root, "--mount")
    with contextlib.suppress(OSError):
        probe = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return command
    return None


# In the process that may mount


def fill_disk(step: int, *, catalog: bool) -> dict[str, Any]:
    """Fill a small tmpfs but for some pages; return the tally."""
    tally, template, disk = Tally(""), Path("template").absolute(), Path("disk").absolute()
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_TMPFS_BYTES}", "none", str(disk)], check=True)
    ballast = disk / "ballast"
    for name, change in _changes(template, catalog=catalog):
        succeeded = 0
        for pages in range(0, _MOST_PAGES, step):
            home = _copied(template if name != "first use" else None, disk / "home")
            _fill(ballast, pages)
            outcome = _in_child(partial(_changed, home, change))
            still = _in_child(partial(_contents, home))
            ballast.unlink()
            _judge(tally, f"{name} with {pages} free pages", home, (outcome, still))
            shutil.rmtree(home)
            succeeded = succeeded + 1 if outcome is None else 0
            if succeeded == _IN_A_ROW:
                break
        else:
            tally.wrong.append(f"{name} fails with {_MOST_PAGES} free pages, too")
    return as_json(tally)


def limit_files(step: int, *, catalog: bool) -> dict[str, Any]:
    """Forbid files to grow beyond some pages; return the tally."""
    tally, template = Tally(""), Path("template").absolute()
    for name, change in _changes(template, catalog=catalog):
        succeeded = 0
        for pages in range(0, _MOST_PAGES, step):
            home = _copied(template if name != "first use" else None, Path("home").absolute())
            outcome = _in_child(partial(_limited, pages * _PAGE, home, change))
            _judge(tally, f"{name} with files of {pages} pages", home, (outcome,))
            shutil.rmtree(home)
            succeeded = succeeded + 1 if outcome is None else 0
            if succeeded == _IN_A_ROW:
                break
        else:
            tally.wrong.append(f"{name} fails with files of {_MOST_PAGES} pages, too")
    return as_json(tally)


def mount_read_only(step: int, *, catalog: bool) -> dict[str, Any]:
    """Mount a store read-only over itself; return the tally."""
    del step
    tally, template = Tally(""), Path("template").absolute()
    for name, change in _changes(template, catalog=catalog):
        home = _copied(template if name != "first use" else None, Path("home").absolute())
        before = _files(home)
        subprocess.run(["mount", "--bind", home, home], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", home], check=True)
        outcome = _in_child(partial(_changed, home, change))
        still = _in_child(partial(_contents, home))
        subprocess.run(["umount", home], check=True)
        if outcome is None:
            tally.wrong.append(f"{name} on a read-only disk is acknowledged")
        if still != (_STORED if before else {}):
            tally.wrong.append(f"{name}: a read-only store cannot be read: {still}")
        if _files(home) != before:
            tally.wrong.append(f"{name} on a read-only disk changed a file")
        _judge(tally, f"{name} on a read-only disk", home, (outcome, still), _WRITABLE)
        shutil.rmtree(home)
    return as_json(tally)


def _changes(template: Path, *, catalog: bool) -> Iterator[tuple[str, Callable[[Any], object]]]:
    """Make a store, and yield the changes to try on copies of it, by name."""
    vault = private_vault(template)
    if catalog:
        make_catalog(Path(vault.paths.catalog))
    for name, value in _STORED.items():
        vault.set(name, value, replace=False)
    vault.store.close()
    if not catalog:
        yield "first use", lambda vault: vault.set("new", _NEW, replace=False)
    yield "add", lambda vault: vault.set("new", _NEW, replace=False)
    yield "replace", lambda vault: vault.set("first", _NEW, replace=True)
    yield "set --replace", _replace_by_magic
    yield "rename", lambda vault: vault.rename("second", "a name that is longer than it was " * 200)
    yield "delete", lambda vault: vault.delete("second")


def _replace_by_magic(vault: Any) -> None:
    """Replace as the notebook does."""
    from flowfile_nb import session
    from flowfile_nb.notebook import magics

    session.use_backend(vault)
    os.environ[_VARIABLE] = _NEW
    with contextlib.redirect_stdout(io.StringIO()):
        magics.secret(SimpleNamespace(user_ns={}, history_manager=None), f"set first --replace --env {_VARIABLE}")  # type: ignore[arg-type] # all that is asked


def _judge(tally: Tally, what: str, home: Path, answers: tuple[object, ...], remedy: str = _ROOM) -> None:
    """
    Count what came of a change.

    Args:
        tally: Counts.
        what: Was tried.
        home: Where, writable again.
        answers: The change's error or None, and what could be read meanwhile or the error of that.
        remedy: What each error has to hold.
    """
    tally.tried += 1
    outcome = answers[0]
    for error in answers:
        if isinstance(error, BaseException):
            tally.shown += 1
            problem = not_ours(error, StoreError)
            if problem or remedy not in str(error):
                tally.wrong.append(f"{what}: {problem or f'an error without the remedy: {error}'}")
    if list(home.rglob("*.tmp")):
        tally.wrong.append(f"{what}: leaves {[path.name for path in home.rglob('*.tmp')]}")
    now = _in_child(partial(_contents, home))
    if not isinstance(now, dict):
        tally.wrong.append(f"{what}: cannot be read when there is room again: {now}")
        return
    kept = {name: value for name, value in _STORED.items() if now.get(name) == value}
    before = {} if what.startswith("first use") else _STORED
    if outcome is not None and now != before:
        tally.lost += [f"{what}: {name} is gone" for name in before if name not in kept]
        tally.wrong.append(f"{what}: refused, and yet something changed: {sorted(now)}")
    if outcome is None and now == before:
        tally.lost.append(f"{what}: acknowledged, and not there")
    again = _in_child(partial(_changed, home, lambda vault: vault.set("afterwards", "x", replace=False)))
    if again is not None:
        tally.wrong.append(f"{what}: nothing can be written when there is room again: {again}")


def _copied(template: Path | None, home: Path) -> Path:
    if template is None:
        home.mkdir()
    else:
        shutil.copytree(template, home)
    return home


def _fill(ballast: Path, pages: int) -> None:
    """Write a file until the disk is full, then give *pages* back."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * _PAGE) == _PAGE:
            pass
    os.truncate(ballast, max(0, ballast.stat().st_size // _PAGE - pages) * _PAGE)


def _limited(size: int, home: Path, change: Callable[[Any], object]) -> None:
    # Python ignores the signal that comes with it (SIGXFSZ), so that writing fails with EFBIG.
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    _changed(home, change)


def _changed(home: Path, change: Callable[[Any], object]) -> None:
    change(private_vault(home))


def _contents(home: Path) -> dict[str, str]:
    """Return all that a process finds that has not read before; an unsound database is an error."""
    vault = private_vault(home)
    contents = {name: vault.reveal(name) for name in vault.names()}
    location = vault.store.location
    vault.store.close()
    if location and os.access(home, os.W_OK) and not (home.parent / "ballast").exists():
        with closing(sqlite3.connect(location)) as database:
            (sound,) = database.execute("PRAGMA integrity_check").fetchone()
        if sound != "ok":
            raise AssertionError(sound)
    return contents


def _files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def _in_child(action: Callable[[], Any]) -> Any:
    """Return what *action* returns in a process of its own, or its exception."""
    receiver, sender = _fork.Pipe(duplex=False)
    child = _fork.Process(target=_send, args=(action, sender))
    child.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        return RuntimeError("the process died")
    finally:
        child.join()
        receiver.close()


def _send(action: Callable[[], Any], sender: Connection) -> None:
    # Pipes have no size, so a limit on files does not concern them.
    try:
        sender.send(action())
    except BaseException as error:
        # Another's error need not pickle.
        sender.send(error if isinstance(error, StoreError) else RuntimeError(f"{type(error).__name__}: {error}"))
