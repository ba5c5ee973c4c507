"""`python -m tests.attacks [WORD]`: try the attacks, or those whose name holds a word, and print what came of them."""

from __future__ import annotations

import sys

from tests.attacks import apis, guesses, storage  # noqa: F401 - put theirs among the others
from tests.attacks.tried import ATTACKS
from tests.attacks.trying import prepare, try_all
from tests.support.postgres import running_postgres


def main(words: list[str]) -> int:
    """Return 0 if all were refused, and each succeeds without its defence."""
    chosen = [one for one in ATTACKS if all(word in f"{one.name} {one.weakness}" for word in words)]
    if not chosen:
        print("no attack has that name")
        return 2
    with running_postgres() as server:
        findings = try_all(prepare(server), print, chosen)
    return 0 if all(found.holds for found in findings) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
