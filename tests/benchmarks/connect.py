"""Opening databases through `%%connect`, against plain SQLAlchemy with the password written into the URL."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.benchmarks.kernel import running_kernel
from tests.benchmarks.measure import Effort, Row, rounds
from tests.benchmarks.places import new_home, private_vault, require

_PASSWORD = "p@ss:w/or d"
_FIRST_ROW = "with {engine}.connect() as connection:\n    assert connection.exec_driver_sql('SELECT 1').scalar() == 1"


class _Database(NamedTuple):
    name: str
    body: str
    """What stands below `%%connect`."""
    url: str
    """What SQLAlchemy takes, with the password."""


def connect(effort: Effort) -> Iterator[Row]:
    """
    From the cell that opens to the first row, as a front end waits for it: at most 1.1 of plain SQLAlchemy's time.

    Ours is `%%connect` and a cell that asks for a row, the peer's is `create_engine` and the same cell. In a fresh
    kernel, where `%load_ext` and `import sqlalchemy` count too; and again and again in one kernel. Then 1,000 new connections
    of one engine, which reads the secret for each: at most 1.05. And 1,000 saved definitions as a table, in under 100 ms.

    In a fresh kernel the floor is the peer that imports Fernet, too: without it no stored value can be read, nor looked for in
    what a cell shows.
    """
    with new_home() as home, _databases(home) as databases:
        for database in databases:
            mine, peers = (_cells(database, ours=side) for side in (True, False))
            sides = [
                ["%load_ext flowfile_nb", *mine],
                ["import sqlalchemy", *peers],
                ["import sqlalchemy, cryptography.fernet", *peers],
            ]
            cold = [lambda _, it=database, cells=cells: _cold(it, cells) for cells in sides]
            ours, peer, floor = rounds(effort.pick(15, 5, 1), *cold)
            yield Row(f"{database.name}: first row in a fresh kernel / SQLAlchemy", ours, peer, at_most=1.1)
            yield Row(f"{database.name}: the floor of that, with Fernet imported / SQLAlchemy", floor, peer)
        for database in databases:
            with new_home() as other, running_kernel(other) as run:
                run(_setup(database))
                opens, plain = (lambda _, it=database, run=run, side=side: _warm(it, run, ours=side) for side in (True, False))
                rounds(effort.pick(10, 3, 1), opens, plain)
                yield Row(
                    f"{database.name}: first row again in that kernel / SQLAlchemy",
                    *rounds(effort.pick(200, 50, 2), opens, plain),
                    at_most=1.1,
                )
        yield from _fresh(home, databases, effort.pick(1000, 300, 5))
        yield _listed(home, effort.pick(1000, 1000, 20))


@contextmanager
def _databases(home: Path) -> Iterator[list[_Database]]:
    from notebooks.throwaway import start_postgres

    server = start_postgres(_PASSWORD)
    place = f"{server.host}:{server.port}/{server.database}"
    try:
        yield [
            _Database("SQLite", f"sqlite:///{home}/data.db", f"sqlite:///{home}/data.db"),
            _Database(
                "PostgreSQL",
                f"postgresql://{server.user}:%secret pw@{place}",
                f"postgresql+psycopg://{server.user}:{quote(_PASSWORD, safe='')}@{place}",
            ),
        ]
    finally:
        server.stop()


def _setup(database: _Database) -> str:
    # The peer's URL has a name: where the password stands in a cell, we warn, and the peer would wait for that.
    lines = ["%load_ext flowfile_nb", "import sqlalchemy, flowfile_nb", f"flowfile_nb.secrets['pw'] = {_PASSWORD!r}"]
    return "\n".join([*lines, f"url = {database.url!r}"])


def _cells(database: _Database, *, ours: bool) -> list[str]:
    if ours:
        return [f"%%connect engine\n{database.body}", _FIRST_ROW.format(engine="engine")]
    return ["plain = sqlalchemy.create_engine(url)", _FIRST_ROW.format(engine="plain")]


def _cold(database: _Database, cells: list[str]) -> float:
    from flowfile_nb.vault import Vault

    with new_home() as home:
        # As `places.environment` has it below that home; stored by somebody before, since what is measured is opening.
        vault = Vault({"FLOWFILE_SECURE_STORAGE_PATH": f"{home}/.config/flowfile", "FLOWFILE_STORAGE_DIR": f"{home}/.flowfile"})
        vault.set("pw", _PASSWORD, replace=False)
        with running_kernel(home) as run:
            run(f"url = {database.url!r}")
            return _clocked(run, cells)


def _warm(database: _Database, run: Callable[[str], Any], *, ours: bool) -> float:
    seconds = _clocked(run, _cells(database, ours=ours))
    run("%connect -x engine" if ours else "plain.dispose(); del plain")
    return seconds


def _clocked(run: Callable[[str], Any], cells: list[str]) -> float:
    start = time.perf_counter()
    for cell in cells:
        run(cell)
    return time.perf_counter() - start


def _fresh(home: Path, databases: list[_Database], count: int) -> Iterator[Row]:
    import sqlalchemy

    import flowfile_nb as fnb
    from flowfile_nb import session

    vault = private_vault(home / "fresh")
    vault.set("pw", _PASSWORD, replace=False)
    vault.set("file", "data.db", replace=False)
    session.use_backend(vault)
    try:
        file = _Database("SQLite, the file's name a secret", f"sqlite:///{home}/%secret file", databases[0].url)
        for database, goal in [(databases[0], 1.05), (databases[1], 1.05), (file, None)]:
            ours, plain = fnb.connect(database.body), sqlalchemy.create_engine(database.url)
            actions = [_opens(ours), _opens(plain)]
            rounds(count // 10, *actions)
            yield Row(f"{database.name}: {count:,} new connections / SQLAlchemy", *rounds(count, *actions), at_most=goal)
            ours.dispose()
            plain.dispose()
    finally:
        session.use_backend(None)


def _opens(engine: Any) -> Callable[[int], float]:
    def opened(number: int) -> float:
        # Closes the pool's, so that the next one is new.
        engine.dispose()
        start = time.perf_counter()
        connection = engine.raw_connection()
        seconds = time.perf_counter() - start
        connection.close()
        return seconds

    return opened


def _listed(home: Path, count: int) -> Row:
    from flowfile_nb import session
    from flowfile_nb.notebook.connect_table import connections_table

    vault = private_vault(home / "listed")
    for number in range(count):
        vault.save_connection(f"warehouse_{number}", f"postgresql://app:%secret pw_{number % 50}@db{number}.example.com/sales")
    session.use_backend(vault)
    try:

        def listed(_: int) -> float:
            start = time.perf_counter()
            table = connections_table(vault, Path(os.devnull).parent)
            shown = repr(table) + table._repr_html_()
            seconds = time.perf_counter() - start
            require(f"warehouse_{count - 1}" in shown, "a saved definition is not listed")
            return seconds

        (figures,) = rounds(12, listed)
    finally:
        session.use_backend(None)
    limit_s = 0.1
    warm = figures[1:]
    require(len(warm) > 0, "nothing was measured")
    return Row(f"{count:,} saved definitions listed / 100 ms", warm, [limit_s] * len(warm), at_most=1.0)
