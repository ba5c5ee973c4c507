from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowfile_nb.loading import uncollected

_MANY = 10 * gc.get_threshold()[0]


class _Kept:
    """Something that the collector knows."""


@pytest.fixture
def collections() -> Iterator[list[int]]:
    """The generations that were collected in a test."""
    seen: list[int] = []

    def noted(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(noted)
    yield seen
    gc.callbacks.remove(noted)


def _is_old(thing: object) -> bool:
    return any(thing is one for one in gc.get_objects(generation=2))


def test_nothing_is_collected_while_a_block_imports_and_what_it_made_is_old(
    collections: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with uncollected():
        kept = [_Kept() for _ in range(_MANY)]
        monkeypatch.setitem(sys.modules, "this", sys)
    assert collections == []
    assert gc.isenabled()
    assert _is_old(kept[-1])
    assert gc.get_freeze_count() == 0


def test_where_nothing_is_imported_what_was_made_stays_young() -> None:
    with uncollected():
        kept = _Kept()
    assert not _is_old(kept)
    assert gc.isenabled()


def test_a_block_that_fails_leaves_the_collector_on() -> None:
    with pytest.raises(ZeroDivisionError), uncollected():
        1 / 0  # noqa: B018 - an error
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_somebody_else_has_frozen_stays_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        assert frozen > 0
        with uncollected():
            monkeypatch.setitem(sys.modules, "this", sys)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_the_first_connection_of_a_process_waits_for_few_collections(tmp_path: Path) -> None:
    ours = _collections("import flowfile_nb.connecting", "flowfile_nb.connect('sqlite:///data.db')", tmp_path)
    plain = _collections("pass", "import sqlalchemy; sqlalchemy.create_engine('sqlite:///data.db')", tmp_path)
    # What is left is our own modules.
    assert ours < plain / 2


def _collections(before: str, statement: str, folder: Path) -> int:
    """Return how often the collector of a new process runs during a statement."""
    count = "sum(one['collections'] for one in gc.get_stats())"
    script = f"import gc; {before}\nfirst = {count}\n{statement}\nprint({count} - first)"
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    return int(done.stdout)
