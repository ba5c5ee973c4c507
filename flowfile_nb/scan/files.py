"""Which files a scan looks at."""

from __future__ import annotations

import os
import stat
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from flowfile_nb.errors import UsageError
from flowfile_nb.scan.git import git

IGNORED = "ignored by git"
OTHERS_FOLDERS = "folders with other people's programs (node_modules, virtual environments)"
LINKS = "links to folders, and broken ones"
SPECIAL = "no regular files (pipes, sockets, devices)"

_NOT_ENTERED = {".git", ".hg", ".svn", ".bzr"}
_CHECKPOINTS = ".ipynb_checkpoints"
# What says that a folder is an environment: of venv, of conda.
_ENVIRONMENT_SIGNS = ("pyvenv.cfg", "conda-meta")


class Target(NamedTuple):
    """A file to search."""

    path: str
    size: int
    named: bool = False
    """Whether it was named itself, and not found in a folder."""


class Selection(NamedTuple):
    """The files to search, and what was left out."""

    targets: list[Target]
    skipped: Counter[str]
    remarks: list[tuple[str, str]]


def select(paths: Sequence[str]) -> Selection:
    """
    Return the files to look at.

    A folder that is named counts with all that is in it. Without any name it is the current folder; where git manages it, the
    files that git tracks or would, and beside those the notebooks' checkpoints and `.env` files although git ignores them.
    Links to folders are not followed.

    Raises:
        UsageError: If a path does not exist.
    """
    selection = Selection([], Counter(), [])
    chosen: dict[str, Target] = {}
    for path in paths:
        given = os.path.expanduser(path)
        if os.path.isdir(given):
            found = _folder(given, selection, None)
        elif os.path.lexists(given):
            found = iter([given])
        else:
            pattern = any(char in path for char in "*?[")
            hint = "patterns are not looked up: name the folder, or each file" if pattern else "check the path"
            raise UsageError(f"there is no {path}; nothing was scanned", hint=hint)
        for file in found:
            _take(_short(file), selection, chosen, named=file == given)
    if not paths:
        tracked = _git_files(".")
        for file in _folder(".", selection, tracked):
            _take(_short(file), selection, chosen)
        # Also those in folders that were not entered.
        for file in sorted(tracked or ()):
            _take(_short(file), selection, chosen)
    selection.targets.extend(chosen.values())
    return selection


def _short(path: str) -> str:
    return path.removeprefix("." + os.sep)


def _take(path: str, selection: Selection, chosen: dict[str, Target], *, named: bool = False) -> None:
    if path in chosen:
        return
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            selection.skipped[LINKS] += 1
        return  # gone meanwhile, or deleted and not yet committed
    except OSError as error:
        selection.remarks.append((path, error.strerror or str(error)))
        return
    if stat.S_ISREG(status.st_mode):
        chosen[path] = Target(path, status.st_size, named)
    elif not stat.S_ISDIR(status.st_mode):
        # Reading a pipe would wait for ever.
        selection.skipped[SPECIAL] += 1


def _folder(root: str, selection: Selection, tracked: set[str] | None) -> Iterator[str]:
    """Yield the files below *root*; with *tracked*, only those and what is looked at although git ignores it."""
    folders = [root]
    while folders:
        folder = folders.pop()
        entries = _entries(folder, selection)
        names = {entry.name for entry in entries}
        if folder != root and not names.isdisjoint(_ENVIRONMENT_SIGNS):
            selection.skipped[OTHERS_FOLDERS] += 1
            continue
        if ".git" in names:
            yield from _work_tree(folder, tracked if folder != root else None)
        inner = []
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                if _is_wanted(entry, selection, tracked):
                    yield entry.path
            elif entry.name == "node_modules":
                selection.skipped[OTHERS_FOLDERS] += 1
            elif entry.name not in _NOT_ENTERED:
                inner.append(entry.path)
        # The next one is taken from the end.
        folders += reversed(inner)


def _work_tree(folder: str, tracked: set[str] | None) -> Iterator[str]:
    """Yield git's settings for a work tree; add its files to *tracked*, those of the repository it is in, if it is a part."""
    # A password in the address of a remote. In a further work tree, and in a submodule, `.git` is a file.
    if os.path.isdir(os.path.join(folder, ".git")):
        yield os.path.join(folder, ".git", "config")
    if tracked is not None and _is_part(folder, tracked):
        tracked |= _git_files(folder) or set()


def _entries(folder: str, selection: Selection) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        selection.remarks.append((_short(folder), error.strerror or str(error)))
        return []


def _is_wanted(entry: os.DirEntry[str], selection: Selection, tracked: set[str] | None) -> bool:
    if entry.is_symlink() and entry.is_dir():
        selection.skipped[LINKS] += 1
        return False
    if tracked is None or entry.path in tracked or _although_ignored(entry.path):
        return True
    selection.skipped[IGNORED] += 1
    return False


def _although_ignored(path: str) -> bool:
    name = os.path.basename(path)
    return _CHECKPOINTS in path.split(os.sep) or name == ".env" or name.startswith(".env.") or name.endswith(".env")


def _is_part(folder: str, tracked: set[str]) -> bool:
    """Return whether git lists a repository inside of another: as a submodule, or as a folder it does not ignore."""
    return folder in tracked or folder + os.sep in tracked


def _git_files(folder: str) -> set[str] | None:
    """Return the files of a git work tree that git tracks or would; None where there is no git or no work tree."""
    try:
        command = git("-C", folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    except UsageError:
        return None
    # What a hook's git says of its own repository does not hold for this folder's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    listed = subprocess.run(command, env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if listed.returncode:
        return None
    return {os.path.join(folder, os.fsdecode(name).replace("/", os.sep)) for name in listed.stdout.split(b"\0") if name}
