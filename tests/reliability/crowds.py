"""32 processes that write 25 secrets each at once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

from tests.benchmarks.measure import BrokenError
from tests.benchmarks.places import inside_own, new_home, private_vault, value_of
from tests.benchmarks.writers import PROCESSES, writer_names
from tests.reliability.counts import Plan, Tally

_EACH = 25


def crowds(plan: Plan) -> Iterator[Tally]:
    """Let 32 writers add 25 secrets each: all 800 are kept, each once, and nobody sees an error."""
    processes, each = plan.pick((PROCESSES, _EACH), (8, 5))
    tally = Tally(f"{processes} writers of {each} secrets each")
    with new_home() as home:
        try:
            inside_own("tests.benchmarks.writers:alone", home, processes=processes, each=each, trials=1)
        except BrokenError as error:
            tally.shown += 1
            tally.wrong.append(str(error).splitlines()[-1])
        # Counted anew by a process that was not there.
        vault = private_vault(home / "ours-0")
        for name in (name for part in writer_names(processes, each) for name in part):
            tally.tried += 1
            row = vault.store.find(vault.user_id, name)
            if row is None:
                tally.lost.append(name)
            elif vault.key.decrypt(row) != value_of(name):
                tally.wrong.append(f"{name} holds another value")
        with closing(sqlite3.connect(vault.paths.database)) as database:
            doubled = Counter(name for (name,) in database.execute("SELECT name FROM secrets"))
        tally.wrong += [f"{name} is stored {count} times" for name, count in doubled.items() if count > 1]
        tally.note = f"{tally.tried - len(tally.lost)} of {tally.tried} kept"
        vault.store.close()
    yield tally
