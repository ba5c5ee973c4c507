"""How bob finds out which of many guesses is a shared password, without the database hearing of one. As in `tried`."""

from __future__ import annotations

from tests.attacks.tried import attack
from tests.support.front import House, Result

_WRONG = [f"guess-{number:04d}" for number in range(200)]


def _asked(house: House, statement: str, parameters: dict[str, str] | None = None) -> str:
    """Return what bob is told of a statement that fails."""
    answer = house.bob.query(statement, parameters=parameters)
    return str(answer.end.get("message")) if isinstance(answer, Result) else answer.text


@attack("find out by the record which of many guesses is the password", "repeats_words")
def _by_the_record(house: House) -> bool:
    house.bob.query(f"SELECT 1 -- {' '.join(['before', *_WRONG, house.server.password, 'after'])}")
    told = [str(entry["statement"]) for entry in house.bob.get("log", name="warehouse").json()["entries"]]
    return any("before" in one and house.server.password not in one for one in told)


@attack("find out by an error which guess is the password", "masks_own_words")
def _by_an_error(house: House) -> bool:
    guesses = [house.server.password, _WRONG[0]]
    return len({guess in _asked(house, f"SELECT %({guess})s", {}) for guess in guesses}) == 2
