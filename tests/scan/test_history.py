"""IPython's history, as a real shell writes it."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from tests.scan.made import VALUE, Scanned

Scan = Callable[..., Scanned]


@pytest.fixture
def history(folder: Path) -> Path:
    """The default profile's history, with a value in the second input and, as a form, in an output of the second session."""
    path = Path.home() / ".ipython" / "profile_default" / "history.sqlite"
    path.parent.mkdir(parents=True)
    config = Config()
    config.HistoryManager.hist_file = str(path)
    config.HistoryManager.db_log_output = True
    for cells in (["x = 1", f"pw = {VALUE!r}", "x"], ["y = 1", f"{VALUE!r}.encode().hex()", "del y"]):
        InteractiveShell.clear_instance()
        shell = InteractiveShell.instance(config=config)
        for cell in cells:
            shell.run_cell(cell, store_history=True)
        manager: HistoryManager = shell.history_manager
        manager.writeout_cache()
        manager.end_session()
        manager.save_thread.stop()
        InteractiveShell.clear_instance()
    return path


def test_inputs_and_outputs_are_found(scan: Scan, history: Path, folder: Path) -> None:
    """Session and line of each; the history is looked at where no path is named."""
    done = scan()

    assert done.status == 1
    assert done.found == [
        f"{history}: history input 1/2: prod_pw",
        f"{history}: history input 2/2: prod_pw",
        f"{history}: history output 2/2: prod_pw",
    ]
    assert scan(".").status == 0


def test_the_command_that_is_shown_cleans_it(scan: Scan, history: Path) -> None:
    """As it stands: the rows go, with their bytes, and no others."""
    shown = next(line for line in scan().out.splitlines() if line.startswith("History: "))

    program, *arguments = shlex.split(shown.partition("no IPython runs:  ")[2])
    assert program == "python"
    subprocess.run([sys.executable, *arguments], check=True)

    assert scan().status == 0
    with closing(sqlite3.connect(history)) as database:
        assert [text for (text,) in database.execute("SELECT source_raw FROM history")] == ["x = 1", "x", "y = 1", "del y"]


def test_it_is_not_written(scan: Scan, history: Path) -> None:
    """Reading only: the file and its folder stay as they were, `--fix` or not."""
    before = history.read_bytes(), history.stat().st_mtime_ns, sorted(history.parent.iterdir())

    assert len(scan("--fix").found) == 3
    assert (history.read_bytes(), history.stat().st_mtime_ns, sorted(history.parent.iterdir())) == before


_INTERRUPTED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.executescript("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN")
database.executemany("INSERT INTO history VALUES (9, ?, '', hex(randomblob(1000)))", [(n,) for n in range(500)])
os._exit(0)
"""


def test_an_interrupted_write_is_not_undone_by_a_scan(scan: Scan, history: Path) -> None:
    """What SQLite would do to repair the file is left to those who own it; the bytes are searched."""
    subprocess.run([sys.executable, "-c", _INTERRUPTED, str(history)], check=True)
    journal = history.with_name("history.sqlite-journal")
    before = history.read_bytes(), journal.read_bytes()

    done = scan()

    assert (history.read_bytes(), journal.read_bytes()) == before
    assert f"{history}: searched as bytes" in done.out
    assert done.found == [f"{history}: deleted history: prod_pw"]


def test_what_was_deleted_from_the_table_is_still_in_the_file(scan: Scan, history: Path) -> None:
    """SQLite frees the space and leaves the bytes, until VACUUM."""
    with closing(sqlite3.connect(history)) as database:
        database.execute("PRAGMA secure_delete = OFF")
        with database:
            database.execute("DELETE FROM history WHERE source LIKE '%canary%'")
            database.execute("DELETE FROM output_history")

        done = scan()
    assert f"{history}: deleted history: prod_pw" in done.found

    shown = next(line for line in done.out.splitlines() if line.startswith("History: "))
    subprocess.run([sys.executable, *shlex.split(shown.partition("no IPython runs:  python")[2])], check=True)
    assert scan().status == 0


def test_a_long_input(scan: Scan, history: Path) -> None:
    """What is longer than a page of the database is cut in the file, and found in the row."""
    with closing(sqlite3.connect(history)) as database, database:
        database.execute("DELETE FROM history")
        database.execute("DELETE FROM output_history")
        long = "x" * 4000 + VALUE * 3 + "x" * 4000 + VALUE
        database.execute("INSERT INTO history VALUES (7, 8, ?, ?)", (long, long))

    assert f"{history}: history input 7/8: prod_pw" in scan().found


@pytest.mark.parametrize("content", [b"", b"no database ", b"SQLite format 3\0" + b"x" * 1000])
def test_a_damaged_one_is_searched_as_bytes(scan: Scan, folder: Path, content: bytes) -> None:
    """It is said, and nothing is called clean unsearched."""
    (folder / "history.sqlite").write_bytes(content + VALUE.encode())

    done = scan(".")

    assert done.found == ["history.sqlite: deleted history: prod_pw"]
    assert "history.sqlite: searched as bytes" in done.out


def test_one_with_rows_that_are_no_text(scan: Scan, history: Path) -> None:
    """Bytes in a text column stop nothing."""
    with closing(sqlite3.connect(history)) as database, database:
        database.execute("INSERT INTO history VALUES (8, 1, CAST(x'ff41' AS TEXT), x'00ff')")
        database.execute("INSERT INTO history VALUES (8, 2, NULL, 5)")

    assert len(scan().found) == 3
