"""
A clock that is wrong: set back, set forward, or beginning at 1970 as after a dead battery.

Nothing here may depend on the time of day. In a process of its own `time.time` is replaced before anything asks for it; that is
where Fernet, our tables and our records of times take it from. `time.monotonic` cannot be set by anybody and stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.places import inside_own, new_home, private_vault
from tests.reliability.counts import Plan, Tally, as_json

_DAY = 86_400
_SHIFTS = {
    "an hour back": -3_600,
    "a day back": -_DAY,
    "ten years back": -3_650 * _DAY,
    "a second back": -1,
    "a century ahead": 36_500 * _DAY,
}
_ORDINARY = 1_700_000_000


def clocks(plan: Plan) -> Iterator[Tally]:
    """Store at one time and work at another: every value is read, ages make sense, and writing works."""
    del plan
    with new_home() as home:
        yield Tally(**inside_own("tests.reliability.clocks:set_clocks", home))


def set_clocks() -> dict[str, Any]:
    """Set this process's clock to and fro; return the tally."""
    tally, real = Tally("a clock that was set"), time.time
    try:
        for what, shift in _SHIFTS.items():
            _store_and_move(tally, what, _ORDINARY, _ORDINARY + shift)
        _store_and_move(tally, "back to 1970", _ORDINARY, 0)
        _store_and_move(tally, "from 1970 to today", 0, _ORDINARY)
    finally:
        time.time = real
    return as_json(tally)


def _store_and_move(tally: Tally, what: str, then: int, now: int) -> None:
    home = Path(f"home-{what}").absolute()
    try:
        _set_clock(then)
        private_vault(home).set("before", "stored before", replace=False)
        _set_clock(now)
        vault = private_vault(home)
        vault.set("after", "stored after", replace=False)
        vault.rename("after", "renamed after")
        values = {name: vault.reveal(name) for name in vault.names()}
        tally.tried += 1
        if values != {"before": "stored before", "renamed after": "stored after"}:
            tally.wrong.append(f"{what}: reads {values}")
        if bad := [finding.state for finding in vault.findings() if not finding.ok]:
            tally.wrong.append(f"{what}: doctor says {bad}")
        _look_at_ages(tally, what, vault, then, now)
        vault.set("before", "replaced", replace=True)
        if vault.reveal("before") != "replaced":
            tally.lost.append(f"{what}: a replaced value")
        vault.delete("before")
    except Exception as error:
        tally.shown += 1
        tally.wrong.append(f"{what}: {type(error).__name__}: {error}")


def _look_at_ages(tally: Tally, what: str, vault: Any, then: int, now: int) -> None:
    from flowfile_nb.notebook.table import secrets_table

    listing = vault.describe()
    if listing.updated_at != [then, now]:
        tally.wrong.append(f"{what}: times are {listing.updated_at} instead of {[then, now]}")
    table = secrets_table(listing)
    ages = [row[list(table.header).index("age")] for row in table.rows]
    first = "just now" if now - then < 60 else f"{(now - then) // (365 * _DAY)} y"
    if ages != [first, "just now"]:
        tally.wrong.append(f"{what}: ages are {ages} instead of {[first, 'just now']}")


def _set_clock(seconds: int) -> None:
    time.time = lambda: float(seconds)
