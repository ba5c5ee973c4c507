"""One scan: all files, each in its way, into one report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from flowfile_nb.errors import UsageError
from flowfile_nb.scan.files import Target, select
from flowfile_nb.scan.finding import Place, Report, gather
from flowfile_nb.scan.fix import BACKUP_ENDING, CannotFixError, fix_notebook
from flowfile_nb.scan.history import NAME as HISTORY
from flowfile_nb.scan.history import search_history
from flowfile_nb.scan.known import Known
from flowfile_nb.scan.notebook_file import NotANotebookError, search_notebook
from flowfile_nb.scan.reading import Reader, as_utf8
from flowfile_nb.scan.staged import blobs, staged_files
from flowfile_nb.scan.text import search_text

LARGE = "large ones: binary over 256 MB, others over 2 GB (those that are named are searched)"

_LARGE_BINARY = 256 << 20
_LARGE = 2 << 30
# A larger notebook is searched as text, since reading JSON takes several times its size in memory.
_LARGE_NOTEBOOK = 128 << 20


class Progress(NamedTuple):
    """How far a scan is."""

    done: int
    """Bytes."""
    total: int
    """Bytes; 0 where that is not known."""
    files: int
    found: int
    """Places."""


Tell = Callable[[Progress], None]


def scan(known: Known, paths: Sequence[str], histories: Sequence[str] = (), *, fix: bool = False, tell: Tell) -> Report:
    """
    Search files for values.

    Args:
        known: The values.
        paths: Files and folders; without any the current folder, as `files.select` says.
        histories: IPython's histories, which are searched too if no path is given.
        fix: Mask what is found in outputs, metadata and widget state of notebooks.
        tell: Called often.

    Raises:
        UsageError: If a path does not exist.
    """
    running = _Scan(known, tell)
    if known.names:
        try:
            selection = select(paths)
        except UsageError as error:
            # It says a path.
            raise UsageError(known.redactor.mask(error.message), hint=error.hint) from None
        targets = selection.targets
        if not paths:
            already = {os.path.realpath(target.path) for target in targets if os.path.basename(target.path) == HISTORY}
            targets += [
                Target(path, os.path.getsize(path), named=True)
                for path in histories
                if os.path.exists(path) and os.path.realpath(path) not in already
            ]
        running.report.skipped.update(selection.skipped)
        running.report.remarks += selection.remarks
        running.total = sum(target.size for target in targets)
        reader = Reader()
        for target in targets:
            running.file(target, reader, fix=fix)
    return running.finished()


def scan_staged(known: Known, *, tell: Tell) -> Report:
    """
    Search what git is about to commit, in the repository of the current folder.

    Raises:
        UsageError: If there is none.
    """
    running = _Scan(known, tell)
    staged = staged_files()
    if known.names and staged:
        with blobs() as opened:
            for path, blob in staged:
                try:
                    size, pieces = opened.open(blob)
                    running.content(path, size, pieces)
                except OSError as error:
                    running.remark(path, error)
    return running.finished()


class _Scan:
    def __init__(self, known: Known, tell: Tell) -> None:
        self._known = known
        self._tell = tell
        self._start = time.perf_counter()
        self._places = 0
        self._named: set[str] = set()
        self.report = Report()
        self.total = 0

    def finished(self) -> Report:
        self.report.seconds = time.perf_counter() - self._start
        return self.report

    def remark(self, path: str, why: Exception | str) -> None:
        text = (why.strerror or str(why)) if isinstance(why, OSError) else str(why)
        self.report.remarks.append((path, text))

    def file(self, target: Target, reader: Reader, *, fix: bool) -> None:
        path = target.path
        before = self.report.size
        try:
            if os.path.basename(path) == HISTORY:
                self._found(path, self._history(path, reader))
            elif not target.named and target.size > _LARGE:
                self.report.skipped[LARGE] += 1
                return
            else:
                pieces = reader.pieces(path)
                if not target.named and target.size > _LARGE_BINARY:
                    pieces = self._unless_binary(pieces)
                changeable = self.content(path, target.size, pieces)
                if fix and changeable:
                    self._fix(path, reader)
        except FileNotFoundError:
            pass  # gone since it was listed: nothing is in it any more
        except _LargeBinaryError:
            self.report.skipped[LARGE] += 1
        except OSError as error:
            self.remark(path, error)
        # What was not read is done, too.
        self._tell(Progress(max(self.report.size, before), self.total, self.report.files, self._places))

    def content(self, path: str, size: int, pieces: Iterable[bytes]) -> bool:
        """Search one content in the way of its name; return whether `--fix` would change it."""
        name = os.path.basename(path)
        notebook = name.endswith(".ipynb") or f".ipynb{BACKUP_ENDING}" in name
        if notebook and size <= _LARGE_NOTEBOOK:
            places = self._notebook(path, b"".join(self._counted(pieces)))
            self._found(path, places)
            return name.endswith(".ipynb") and any(place.changeable for place in places)
        if notebook:
            self.remark(path, "searched as text, not as a notebook: it is over 128 MB")
        self._found(path, search_text(as_utf8(self._counted(pieces)), self._known))
        return False

    def _notebook(self, path: str, data: bytes) -> list[Place]:
        try:
            return search_notebook(data, self._known.redactor)
        except NotANotebookError as error:
            if data.strip():
                self.remark(path, f"searched as text, not as a notebook: {error}")
            return list(search_text(as_utf8([data]), self._known))

    def _history(self, path: str, reader: Reader) -> Iterator[Place]:
        in_rows = set()
        try:
            for place in search_history(path, self._known.redactor):
                in_rows.add(place.name)
                yield place
        except OSError as error:
            self.remark(path, f"searched as bytes: {error.strerror}")
        # SQLite leaves in the file what was deleted from the table.
        for place in search_text(self._counted(reader.pieces(path)), self._known):
            if place.name not in in_rows:
                yield Place(place.name, "deleted history")

    def _fix(self, path: str, reader: Reader) -> None:
        try:
            fixed = fix_notebook(path, self._known.redactor, reader)
        except CannotFixError as error:
            self.remark(path, str(error))
        else:
            if fixed:
                self.report.fixed.append(fixed)

    def _found(self, path: str, places: Iterable[Place]) -> None:
        finding = gather(path, chain(self._in_name(path), places))
        self.report.files += 1
        if finding.places:
            self.report.findings.append(finding)
            self._places += finding.total

    def _in_name(self, path: str) -> Iterator[Place]:
        """Yield the values in a path; of a folder once, not again with each file in it."""
        folder, name = os.path.split(path)
        if path in self._named or not name:
            return
        self._named.add(path)
        data = os.fsencode(path)
        for hit in self._known.redactor.find(data):
            if hit.end > len(data) - len(os.fsencode(name)):
                yield Place(hit.name, "file name")
        if folder:
            yield from self._in_name(folder)

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.report.size += len(piece)
            self._tell(Progress(self.report.size, self.total, self.report.files, self._places))
            yield piece

    @staticmethod
    def _unless_binary(pieces: Iterable[bytes]) -> Iterator[bytes]:
        for number, piece in enumerate(pieces):
            if not number and b"\0" in piece:
                raise _LargeBinaryError
            yield piece


class _LargeBinaryError(Exception):
    """The file is left out."""
