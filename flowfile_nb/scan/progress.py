"""How far a scan is, in one line."""

from __future__ import annotations

from flowfile_nb.scan.scanning import Progress


def described(progress: Progress) -> str:
    """
    Return one line about it.

    >>> described(Progress(250_000_000, 1_000_000_000, 41, 3))
    '25 %  250 of 1,000 MB, 41 files, 3 places found'
    """
    done = f"{progress.done / 1e6:,.0f}"
    size = f"{percent(progress)} %  {done} of {progress.total / 1e6:,.0f} MB" if progress.total else f"{done} MB"
    return f"{size}, {progress.files:,} files, {progress.found:,} places found"


def percent(progress: Progress) -> int:
    """Return how much of it is done; files may have grown meanwhile."""
    return min(100, round(100 * progress.done / progress.total)) if progress.total else 0


def shown(progress: Progress) -> tuple[int | None, str]:
    """Return what a bar shows: per cent, or None where the size is not known yet, and the line."""
    return percent(progress) if progress.total else None, described(progress)
