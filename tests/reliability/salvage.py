"""What can still be read of a damaged database gets into a backup."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import DamagedSecretError, FlowfileNbError, StoreError
from tests.benchmarks.places import inside_own, new_home, private_vault
from tests.reliability.counts import Plan, Tally, as_json, not_ours
from tests.reliability.pages import PAGE, STORED, damage, filled, kinds

_PASSPHRASE = "correct horse battery staple"


def salvage(plan: Plan) -> Iterator[Tally]:
    """Change each page of a database and back it up: whatever is read one by one is in the backup, with its value."""
    for catalog in (False, True):
        with new_home() as home:
            yield Tally(
                **inside_own(
                    "tests.reliability.salvage:back_up_damaged", home, catalog=catalog, seed=plan.seed, rounds=plan.pick(4, 0)
                )
            )


def back_up_damaged(rounds: int, seed: int, *, catalog: bool) -> dict[str, Any]:
    """Back up a store with a changed page, and read the backup; return the tally."""
    tally = Tally("backup of a damaged " + ("catalog" if catalog else "database"))
    template, numbers = Path("template").absolute(), random.Random(f"{seed} {catalog}")
    database = Path(filled(template, catalog=catalog))
    saved = 0
    for page in range((template / database).stat().st_size // PAGE):
        for kind in kinds(rounds, numbers):
            home = Path(f"home-{tally.tried}").absolute()
            shutil.copytree(template, home)
            damage(home / database, page * PAGE, PAGE, kind, numbers)
            tally.tried += 1
            saved += _back_up(home, f"page {page + 1}, {kind.__name__.strip('_')}", tally)
            shutil.rmtree(home)
    tally.note = f"{saved:,} of {tally.tried * len(STORED):,} secrets saved"
    return as_json(tally)


def _back_up(home: Path, what: str, tally: Tally) -> int:
    """Return how many secrets a backup has saved, with the values they had."""
    from flowfile_nb.core.sealed import Cost
    from flowfile_nb.lifecycle.backup import write_backup
    from flowfile_nb.lifecycle.restore import read_backup

    vault = private_vault(home)
    readable = set()
    for name in STORED:
        with suppress(FlowfileNbError):
            vault.reveal(name)
            readable.add(name)
    try:
        write_backup(vault, str(home / "backup"), _PASSPHRASE, cost=Cost(1, 1, 1))
    except Exception as error:
        tally.shown += 1
        if problem := not_ours(error, StoreError):
            tally.wrong.append(f"{what}: {problem}")
        tally.lost += [f"{what}: {name!r} is read, and not saved: {error}" for name in sorted(readable)]
        return 0
    finally:
        vault.store.close()
    contents = read_backup(str(home / "backup"), _PASSPHRASE)
    keychain = Keychain(contents.master_key)
    saved = set()
    for row in contents.whole.rows:
        with suppress(DamagedSecretError):
            value = keychain.decrypt_secret(row.token, row.owner_id)
            if value == STORED.get(row.name):
                saved.add(row.name)
            elif row.name in STORED and value not in STORED.values():
                tally.wrong.append(f"{what}: {row.name!r} is saved with another value")
    # Where the damage has made another legal name of a row's name, nothing in the database tells it from the right one.
    tally.lost += [f"{what}: {name!r} is read, and not in the backup" for name in sorted(readable - saved)]
    return len(saved)
