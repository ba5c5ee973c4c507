"""`%secret log`: who read or changed a secret, when, and from which notebook."""

from __future__ import annotations

import os
import time
from argparse import Namespace

from flowfile_nb import session
from flowfile_nb.errors import StoreError, UsageError
from flowfile_nb.notebook.meant import require_stored
from flowfile_nb.notebook.prompt import confirm
from flowfile_nb.notebook.table import Table

_OFF = "No record is kept: FLOWFILE_NB_LOG is off."
_ONCE = "Reads of one secret by one process within a minute are one entry."


def log(args: Namespace) -> Table | None:
    """Return the entries, the newest first; or delete them all, after asking."""
    if (team := session.team_in_use()) is not None:
        # Imported here: nobody without a team needs it.
        from flowfile_nb.notebook.team_log import team_log

        return team_log(team, args)
    vault = session.vault()
    if args.clear:
        if args.name is not None:
            raise UsageError("the record is deleted as a whole, not for one name", hint="%secret log --clear")
        _clear(agreed=args.yes)
        return None
    if args.last < 1:
        raise UsageError("--last takes a number from 1 on", hint="%secret log --last 100")
    entries = vault.history().entries(args.name)
    if not entries and args.name is not None:
        require_stored([args.name], ["log", args.name])
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at)),
            f"{entry.name} → {entry.to}" if entry.to else entry.name or "the whole store",
            entry.operation,
            entry.outcome,
            _short(entry.notebook),
        )
        for entry in entries[: -args.last - 1 : -1]
    ]
    notes = [f"{len(rows):,} of {len(entries):,} entries. More:  --last {len(entries)}"] if len(rows) < len(entries) else []
    notes += [_ONCE] if rows else ["Nothing is recorded yet."] if vault.log.is_on else []
    notes += [] if vault.log.is_on else [_OFF]
    return Table(("time", "secret", "operation", "outcome", "notebook"), rows, "\n".join(notes))


def _clear(*, agreed: bool) -> None:
    vault = session.vault()
    question = f"Delete the record of uses, {vault.paths.access_log}?  When each secret was last used is forgotten, too."
    if not agreed and not confirm(question, otherwise="%secret log --clear --yes"):
        print("Kept.")
        return
    try:
        vault.log.clear()
    except OSError as error:
        raise StoreError(
            f"{vault.paths.access_log} cannot be deleted: {error.strerror}", hint="%secret doctor  says what is wrong with it"
        ) from None
    print("Deleted the record of uses.")


def _short(path: str) -> str:
    home = os.path.expanduser("~") + os.sep
    return path if not path.startswith(home) else os.path.join("~", path.removeprefix(home))
