"""Text of any size: lines, pieces, encodings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core.encodings import patterns_of
from flowfile_nb.scan import text
from flowfile_nb.scan.known import _longest_form
from tests.core.redaction_values import HARD_VALUES, VALUES
from tests.scan.made import FORMS, VALUE, Scanned, knowing

Scan = Callable[..., Scanned]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_in_files_of_all_kinds(folder: Path, scan: Scan, form: str) -> None:
    """Code, settings, logs, anything: the file and the line."""
    written = FORMS[form](VALUE)
    for name in ("app.py", ".env", "run.log", "data.csv", "page.html"):
        (folder / name).write_text(f"# one\n# two\nx = {written}\n", encoding="utf-8")

    done = scan(".")

    assert done.status == 1
    assert done.found == [f"{name}:3: prod_pw" for name in (".env", "app.py", "data.csv", "page.html", "run.log")]


def test_clean_files(folder: Path, scan: Scan) -> None:
    """Nothing is found where there is nothing, and it says how much was looked at."""
    (folder / "a.py").write_text("x = 1\n" * 1000)
    (folder / "empty").touch()

    done = scan()

    assert (done.status, done.found, done.err) == (0, [], "")
    assert "Clean: none of 2 secrets in 2 files" in done.out


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le-bom", "utf-16-be-bom", "utf-8-sig"])
def test_what_windows_writes(folder: Path, scan: Scan, encoding: str) -> None:
    """PowerShell's `>` writes UTF-16."""
    content = f"\ufeffone\npw={VALUE}\n"
    bare = encoding.removesuffix("-bom")
    (folder / "out.txt").write_bytes(content.encode(bare) if encoding.endswith("-bom") else content[1:].encode(bare))

    assert scan().found == ["out.txt:2: prod_pw"]


def test_binary_data_has_no_lines(folder: Path, scan: Scan) -> None:
    """A pickle, a database: found, without a line that would mean nothing."""
    (folder / "a.pkl").write_bytes(b"\x80\x04\x95\0\0\n\0" + VALUE.encode() + b"\0")

    assert scan().found == ["a.pkl: binary data: prod_pw"]


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_a_value_cut_by_the_pieces(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """In whatever pieces a file comes, all values are found, once, in their lines."""
    monkeypatch.setattr(text, "PIECE", 1)
    known = knowing(prod_pw="hunter2", long="x" * 40)
    content = b"".join(
        b"%d %s\n" % (n, b"hunter2" if n % 5 == 0 else b"x" * 40 if n % 7 == 0 else b"clean") for n in range(3000)
    )

    found = list(text.search_text((content[at : at + size] for at in range(0, len(content), size)), known))

    assert [(place.line, place.name) for place in found] == [
        (n + 1, "prod_pw" if n % 5 == 0 else "long") for n in range(3000) if n % 5 == 0 or n % 7 == 0
    ]


@given(before=st.integers(0, 700), size=st.integers(1, 700), value=st.sampled_from(["hunter2", "canary-ü-value", "a\nb\ncdef"]))
def test_pieces_change_nothing(before: int, size: int, value: str) -> None:
    """What is found does not depend on the pieces."""
    known = knowing(pw=value)
    content = (b"-" * before + b"\n" + value.encode() + b"-[secret:pw]" + b"-" * 300) * 3
    with pytest.MonkeyPatch.context() as patch:
        whole = list(text.search_text([content], known))
        patch.setattr(text, "PIECE", 1)

        in_pieces = list(text.search_text((content[at : at + size] for at in range(0, len(content), size)), known))

    assert in_pieces == whole
    assert len(whole) == 3


def test_a_mask_cut_by_the_pieces_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret with the value `secret` is not found in the masks of others, however long those are."""
    monkeypatch.setattr(text, "PIECE", 1)
    name = "n" * 300
    known = knowing(**{name: "hunter2", "poor": "secret"})
    content = (b"-" * 100 + f"[secret:{name}]".encode()) * 20

    for size in (1, 50, 333):
        assert not list(text.search_text((content[at : at + size] for at in range(0, len(content), size)), known))


@given(VALUES | st.sampled_from(HARD_VALUES) | st.text(st.sampled_from("\n\r\0\x01\"'\\&\u2028\U0001f600ü"), min_size=4))
def test_no_form_is_longer_than_the_reach(value: str) -> None:
    """The pieces overlap by more than the longest form of each value."""
    assert max(map(len, patterns_of(value))) <= _longest_form(value)


_MEMORY = """
import resource, sys
from tests.scan.made import knowing
from flowfile_nb.scan.scanning import scan
known = knowing(prod_pw="hunter2-canary")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = scan(known, [sys.argv[1]], tell=lambda progress: None)
print(report.size, report.total, report.findings[0].places[0].line, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the module resource is POSIX's")
def test_a_large_file_does_not_fill_the_memory(folder: Path) -> None:
    """96 MB of log are searched in less than a third of that; each place is found, in its line."""
    line = b"2024-01-01 00:00:00 nothing happened here at all, once more, and nothing will\n"
    with open(folder / "big.log", "wb") as file:
        for _ in range(96):
            file.write(line * (2**20 // len(line)))
            lines = 96 * (2**20 // len(line))
        file.write(b"pw=hunter2-canary\n")
    done = subprocess.run([sys.executable, "-c", _MEMORY, "big.log"], capture_output=True, text=True, check=True)

    size, total, number, growth = map(int, done.stdout.split())

    assert (size, total, number) == ((folder / "big.log").stat().st_size, 1, lines + 1)
    assert growth < 32 * 1024  # kilobytes
