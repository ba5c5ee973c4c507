"""A report in words: paths, places and names, with whatever would show a value masked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flowfile_nb.scan.finding import Finding, Place, Report
from flowfile_nb.scan.fix import BACKUP_ENDING
from flowfile_nb.scan.known import Known

Row = tuple[str, str, str]
"""File, where in it, and the secret's name."""


_TABLES = {"history input": "history", "history output": "output_history"}


class Words(NamedTuple):
    """What a person reads."""

    rows: list[Row]
    summary: str
    notes: list[str]
    """What was not searched, and what to do next."""


def words(report: Report, known: Known) -> Words:
    """Return the report in words. Every text went through the mask: a path, a key or a name may itself hold a value."""
    mask = _Mask(known)
    rows = [(mask.path(path), mask(where), mask(name)) for path, where, name in _rows(report)]
    notes = [mask(note) for note in (*_not_searched(report, known, mask), *_advice(report, known, mask))]
    return Words(rows, mask(_summary(report, known)), notes)


def as_text(row: Row) -> str:
    """
    Return a row as one line, which editors can follow if it has a file and a line.

    >>> as_text(("app.py", "line 12", "prod_pw")), as_text(("a.ipynb", "cell 3, source, line 2", "prod_pw"))
    ('app.py:12: prod_pw', 'a.ipynb: cell 3, source, line 2: prod_pw')
    """
    path, where, name = row
    number = where.removeprefix("line ")
    return f"{path}:{number}: {name}" if number.isdigit() else f"{path}: {where}: {name}"


class _Mask:
    def __init__(self, known: Known) -> None:
        self._redactor = known.redactor

    def __call__(self, text: str) -> str:
        # Masked again as it is printed: what is written for a control character might complete a value.
        return self._redactor.mask(_printable(self._redactor.mask(text)))

    def path(self, path: str) -> str:
        return self(os.fsdecode(self._redactor.mask_bytes(os.fsencode(path))))


def _printable(text: str) -> str:
    """Return *text* on one line and without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text)


def _rows(report: Report) -> Iterator[Row]:
    masked = {fixed.path for fixed in report.fixed}
    for finding in report.findings:
        for place in finding.places:
            done = "  (masked)" if place.changeable and finding.path in masked else ""
            yield finding.path, f"{place}{done}", place.name
        for name, count in finding.more.items():
            yield finding.path, f"and {count:,} more", name


def _summary(report: Report, known: Known) -> str:
    if not known.names:
        return (
            "There are no secrets to look for."
            if not (known.too_short or known.damaged or known.elsewhere)
            else "Nothing was searched."
        )
    searched = f"{_count(report.files, 'file')} ({report.size / 1e6:,.1f} MB in {report.seconds:.1f} s)"
    if not report.findings:
        return f"Clean: none of {_count(len(known.names), 'secret')} in {searched}."
    found = f"{_count(report.total, 'place')} of {_count(len(report.secrets), 'secret')}"
    return f"{found} in {len(report.findings):,} of {searched}."


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _not_searched(report: Report, known: Known, mask: _Mask) -> Iterator[str]:
    if known.too_short:
        yield f"Not looked for, since values under 4 characters are everywhere: {', '.join(known.too_short)}"
    if known.damaged:
        yield f"Not looked for, since they cannot be decrypted: {', '.join(known.damaged)};  %secret doctor  says more"
    if known.elsewhere:
        yield f"Not looked for, since their values are not known in this kernel: {', '.join(known.elsewhere)}"
    for path, remark in report.remarks:
        yield f"{mask.path(path)}: {remark}"
    if report.skipped:
        yield "Left out: " + "; ".join(f"{count:,} {reason}" for reason, count in sorted(report.skipped.items()))


def _advice(report: Report, known: Known, mask: _Mask) -> Iterator[str]:
    for fixed in report.fixed:
        yield (
            f"Masked {_count(fixed.places, 'place')} in {mask.path(fixed.path)}. The backup {mask.path(fixed.backup)} still"
            " holds the values: delete it when all is well, and reload the notebook where it is open"
        )
    masked = {fixed.path for fixed in report.fixed}
    found = list(_left(report.findings, masked))
    left = [place for path, place in found if BACKUP_ENDING not in path]
    if any(place.changeable for place in left):
        yield "Outputs, metadata and widget state of notebooks:  --fix  masks them, after a backup"
    for finding in report.findings:
        if statements := _forgetting(finding.places):
            more = ", and scan again for the others" if finding.more else ""
            code = f"import sqlite3; sqlite3.connect({mask.path(finding.path)!r}).executescript('{statements}')"
            yield f'History: the numbers are session/line. While no IPython runs{more}:  python -c "{code}"'
    if len(left) < len(found):
        yield f"Files *{BACKUP_ENDING} were made by  --fix  and hold what it has masked: delete them"
    if any(place.part in {"", "source", "attachment", "file name"} for place in left):
        yield "Sources and other files are yours to change: in a notebook write  %secret NAME  instead of the value"
    if report.findings:
        yield "Whoever may have seen a value still has it: change it where it is used, then  %secret set NAME --replace"


def _forgetting(places: list[Place]) -> str:
    """Return the statements after which a history does not hold these places; empty where none of them is in one."""
    rows: dict[str, dict[str, None]] = {}
    for place in places:
        if (table := _TABLES.get(place.part)) is not None:
            rows.setdefault(table, {})[f"({place.detail.replace('/', ', ')})"] = None
    deleting = [
        f"DELETE FROM {table} WHERE (session, line) IN (VALUES {', '.join(at)})"  # noqa: S608 - to be read; of our words and numbers
        for table, at in rows.items()
    ]
    # What was deleted stays in the file otherwise.
    vacuum = ["VACUUM"] if deleting or any(place.part == "deleted history" for place in places) else []
    return "; ".join([*deleting, *vacuum])


def _left(findings: Iterable[Finding], masked: set[str]) -> Iterator[tuple[str, Place]]:
    for finding in findings:
        for place in finding.places:
            if not (place.changeable and finding.path in masked):
                yield finding.path, place
