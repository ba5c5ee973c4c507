"""`%secret backup` and `%secret restore`: ask for the passphrase, show what will happen, ask, do it."""

from __future__ import annotations

import os
import time
from argparse import Namespace

from flowfile_nb import session
from flowfile_nb.core.names import UNDO_DAYS, quoted
from flowfile_nb.errors import UsageError
from flowfile_nb.lifecycle.backup import require_passphrase, write_backup
from flowfile_nb.lifecycle.restore import DIFFERS, NEW, SAME, SHADOWED, UNREADABLE, Plan, apply, opened, preview, read_sealed
from flowfile_nb.notebook.line_variables import from_environment
from flowfile_nb.notebook.prompt import ask_passphrase, confirm
from flowfile_nb.notebook.table import Table

VARIABLE = "BACKUP_PASSPHRASE"
"""The variable that the hints of a headless run name."""
_FILE = "secrets.backup"
_NAMED = 10
_ROWS = 100


def backup(args: Namespace) -> None:
    """Write a backup and say what is in it."""
    vault = session.vault()
    path = os.path.abspath(os.path.expanduser(args.path))
    # Before anything is asked.
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder; no backup was written", hint=_line("backup", os.path.join(args.path, _FILE)))
    if not os.path.isdir(os.path.dirname(path)):
        raise UsageError(
            f"there is no folder {os.path.dirname(path)}; no backup was written", hint="make it, or choose another"
        )
    if os.path.lexists(path) and not args.overwrite:
        raise UsageError(f"{path} exists already; it was not overwritten", hint="choose another name, or say  --overwrite")
    otherwise = _otherwise("backup", args.path, *(["--overwrite"] if args.overwrite else []))
    passphrase = _given(args) or ask_passphrase("Passphrase of the backup", twice=True, otherwise=otherwise)
    done = write_backup(vault, path, require_passphrase(passphrase), overwrite=args.overwrite)
    print(f"Backed up {_counted(done.secrets, 'secret')}, {_counted(done.connections, 'connection')} and the master key")
    print(f"{done.key_id} to {done.path}, and read it back.")
    print("Keep the passphrase apart from it, and safe: without it nobody can open the backup.")
    if done.unreadable:
        print(f"Carried as they are, because the master key does not open them: {_named(done.unreadable)}")
    if done.lost:
        print(f"The store is damaged. Not in the backup, because they cannot be read: {_named(done.lost)}")


def restore(args: Namespace) -> None:
    """Show what a backup would change, ask, and restore it."""
    vault = session.vault()
    sealed = read_sealed(args.path)
    otherwise = _otherwise("restore", args.path, *(["--replace"] if args.replace else []), "--yes")
    passphrase = _given(args) or ask_passphrase("Passphrase of the backup", twice=False, otherwise=otherwise)
    plan = preview(vault, opened(sealed, passphrase))
    print(_described(plan, replace=args.replace))
    adds, replaces = plan.count(NEW) + plan.carried, plan.count(DIFFERS) if args.replace else 0
    if not adds and not replaces and not plan.groups and not plan.takes_key:
        print("Nothing to restore.")
        return
    question = f"Add {adds:,}" + (f", replace {replaces:,}" if replaces else "") + "?"
    if not args.yes and not confirm(question, otherwise=otherwise):
        print("Nothing was changed.")
        return
    done = apply(vault, plan, replace=args.replace)
    print(f"Restored: {done.added:,} added, {done.replaced:,} replaced.")
    if done.replaced:
        print(f"The values that were replaced are kept for {UNDO_DAYS} days:  %secret undo NAME")
    if done.late:
        print(f"Left alone, because another program changed them just now: {_named(done.late)}")


def _described(plan: Plan, *, replace: bool) -> Table:
    fate = {
        NEW: "is added",
        SAME: "stays",
        DIFFERS: "gets the value of the backup" if replace else "keeps the value that is here;  --replace  takes the backup's",
        SHADOWED: "is left out",
        UNREADABLE: "is added as it is, in case its key turns up",
    }
    rows = [
        (entry.row.name, entry.owner, entry.state, "stays" if entry.state == UNREADABLE and entry.seen else fate[entry.state])
        for entry in plan.entries
    ]
    rows += [(f"connection {item.name}", "", state, fate[state]) for item, state in plan.connections]
    # Of a large store that was backed up yesterday nearly all is the same.
    changing = [row for row in rows if row[2] != SAME]
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(plan.backup.made_at))
    notes = [
        f"Backup of {made}, with the master key {plan.key_id}" + (", which becomes the one here." if plan.takes_key else ".")
    ]
    if len(changing) > _ROWS:
        notes.append(f"… and {len(changing) - _ROWS:,} more rows.")
    if len(changing) < len(rows):
        same = len(rows) - len(changing)
        notes.append(
            f"{same:,} {'is' if same == 1 else 'are'} the same, here and in the backup, and stay{'s' if same == 1 else ''}."
        )
    if plan.groups:
        notes.append(f"Groups that are new here, with their members: {_named(plan.groups)}")
    if plan.backup.whole.lost:
        notes.append(f"Made of a damaged store, without: {_named(plan.backup.whole.lost)}")
    return Table(("name", "owner", "state", "what happens"), changing[:_ROWS], "\n".join(notes))


def _given(args: Namespace) -> str | None:
    if args.passphrase_env is None:
        return None
    return from_environment(args.passphrase_env, "nothing was done")


def _otherwise(verb: str, path: str, *options: str) -> str:
    return f"set {VARIABLE} before the kernel starts, and  {_line(verb, path, f'--passphrase-env {VARIABLE}', *options)}"


def _line(verb: str, path: str, *options: str) -> str:
    return " ".join(["%secret", verb, quoted(path), *options])


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _named(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
