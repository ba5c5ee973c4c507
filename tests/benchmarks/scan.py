"""Searching notebooks for known values."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import string
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.scan.known import Known
from flowfile_nb.scan.scanning import scan as scan_files
from tests.benchmarks.measure import Effort, Row, rounds
from tests.benchmarks.places import new_home, require

_SECRETS = 50
_MEGABYTE = 1_000_000


def scan(effort: Effort) -> Iterator[Row]:
    """
    A scan of a gigabyte of notebooks for 50 secrets, against reading the files, and against `grep`.

    A folder of 128 MB is searched eight times in a row. Sources, stdout, tables in HTML and pictures are mixed as in notebooks;
    all is in the system's cache. Ours looks for every encoding, in decoded texts and pictures too; `grep -F` for the raw values
    alone. Checked each time: one value in a source, one in stdout cut over two lines of the list, one in a picture. Goals:
    10 s, and 0.6 of `grep`'s time.
    """
    megabytes, times = effort.pick((128, 8), (64, 2), (2, 1))
    with new_home() as home:
        values = _values()
        folder = home / "notebooks"
        size = times * _generate(folder, megabytes * _MEGABYTE, list(values.values()))
        known = _known(values)
        patterns = home / "values.txt"
        patterns.write_text("\n".join(values.values()), encoding="ascii")
        grep = shutil.which("grep")
        actions = [lambda _: _clocked(times, lambda: _scan(known, folder)), lambda _: _clocked(times, lambda: _read(folder))]
        if grep:
            actions.append(lambda _: _clocked(times, lambda: _grep(grep, patterns, folder)))
        ours, reading, *grepping = rounds(effort.pick(5, 3, 1), *actions)
    name = f"scan {size / 1e9:.2f} GB of notebooks, {_SECRETS} secrets"
    held = "every value found in its cell" + (", <= 10 s" if max(ours) <= 10 else "")
    yield Row(f"{name} / reading them", ours, reading, held=held)
    yield Row(f"{name} / grep -F, raw values", ours, *grepping, at_most=0.6, missing="" if grep else "not measured: no grep")


def _values() -> dict[str, str]:
    source = random.Random(1)
    return {f"secret_{number}": "".join(source.choices(string.ascii_letters + "!#%+-", k=20)) for number in range(_SECRETS)}


def _known(values: dict[str, str]) -> Known:
    redactor = Redactor()
    for name, value in values.items():
        redactor.learn(name, value)
    redactor.hits(b"")
    return Known(redactor, 200, list(values), [], [], [])


def _scan(known: Known, folder: Path) -> None:
    report = scan_files(known, [str(folder)], tell=lambda progress: None)
    places = [f"{place}: {place.name}" for finding in report.findings for place in finding.places]
    expected = ["source, line 2: secret_0", "output stdout, line 1: secret_1", "output 2 image/png: secret_2"]
    require(places == [f"cell 1, {place}" for place in expected], f"the scan found {places}")


def _read(folder: Path) -> None:
    for entry in os.scandir(folder):
        with open(entry.path, "rb", buffering=0) as file:
            while file.read(4 << 20):
                pass


def _grep(grep: str, patterns: Path, folder: Path) -> None:
    command = [grep, "-r", "-l", "-F", "-f", str(patterns), str(folder)]
    done = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
    require(len(done.stdout.splitlines()) == 1, "grep found something else")


def _clocked(times: int, action: Callable[[], None]) -> float:
    start = time.perf_counter()
    for _ in range(times):
        action()
    return time.perf_counter() - start


def _generate(folder: Path, size: int, values: list[str]) -> int:
    """Write notebooks of 1 MB, the first with three values; return how many bytes there are."""
    folder.mkdir()
    source = random.Random(2)
    words = ["".join(source.choices(string.ascii_lowercase, k=source.randint(2, 9))) for _ in range(5000)]
    written = 0
    while written < size:
        cells: list[Any] = []
        if not written:
            picture = base64.b64encode(b"\x89PNG\r\n" + source.randbytes(1000) + values[2].encode()).decode()
            stdout = {"output_type": "stream", "name": "stdout", "text": [values[1][:7], values[1][7:]]}
            shown = {"output_type": "display_data", "data": {"image/png": picture}, "metadata": {}}
            cells.append(_cell(["x = 1\n", f"pw = '{values[0]}'"], [stdout, shown]))
        cells += [_any_cell(source, words, picture=number % 3 == 0) for number in range(40)]
        notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        data = json.dumps(notebook, indent=1, ensure_ascii=False).encode() + b"\n"
        (folder / f"{written:012}.ipynb").write_bytes(data)
        written += len(data)
    return written


def _any_cell(source: random.Random, words: list[str], *, picture: bool) -> Any:
    def lines(count: int) -> list[str]:
        return [" ".join(source.choices(words, k=8)) + "\n" for _ in range(count)]

    html = [f"      <td>{line}</td>\n" for line in lines(100)]
    outputs: list[Any] = [
        {"output_type": "stream", "name": "stdout", "text": lines(40)},
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": html, "text/plain": lines(20)}},
    ]
    if picture:
        encoded = base64.b64encode(source.randbytes(30_000)).decode()
        outputs.append(
            {"output_type": "display_data", "metadata": {}, "data": {"image/png": encoded, "text/plain": ["<Figure>"]}}
        )
    return _cell(lines(10), outputs)


def _cell(lines: list[str], outputs: list[Any]) -> Any:
    return {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": lines, "outputs": outputs}
