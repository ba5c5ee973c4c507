"""`%secret rotate-key`: a backup, then another master key; or what that would do."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flowfile_nb import session
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import UsageError
from flowfile_nb.lifecycle.backup import require_passphrase, write_backup
from flowfile_nb.lifecycle.rotation import Rotation, preview, rotate
from flowfile_nb.notebook.backup_verbs import VARIABLE
from flowfile_nb.notebook.bar import progress_bar
from flowfile_nb.notebook.line_variables import from_environment
from flowfile_nb.notebook.prompt import ask_passphrase, confirm
from flowfile_nb.notebook.table import Table

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_MOST_NAMED = 20
_NOTHING = "nothing was done"
_DRY = "Nothing was changed.  %secret rotate-key  does it."
_DONE = "Done. Other kernels, and Flowfile, go on working."


def rotate_key(shell: InteractiveShell, args: Namespace) -> Table:
    """Return what was done, or with `--dry-run` what would be: key ids, database, whose secrets, what stays as it is."""
    if not args.backup_first and (args.backup or args.passphrase_env):
        raise UsageError(
            "--no-backup goes neither with --backup nor with --passphrase-env", hint="%secret rotate-key --dry-run"
        )
    vault = session.vault()
    path = os.path.abspath(os.path.expanduser(args.backup)) if args.backup else _beside(vault.paths.directory)
    new_key = None if args.new_key_env is None else from_environment(args.new_key_env, _NOTHING).strip().encode()
    bar = progress_bar(shell, _shown)

    def tell(done: int, total: int) -> None:
        bar((done, total))

    try:
        if args.dry_run:
            found, note = preview(vault, tell=tell, new_key=new_key), _DRY
        else:
            if args.backup_first:
                backup: Callable[[], object] = partial(_backup(args), vault, path, tell=tell)
            else:
                backup = partial(_require_agreed, args)
            found, note = rotate(vault, backup=backup, tell=tell, new_key=new_key), _DONE
    finally:
        bar.close()
    if new_key is not None and not args.dry_run:
        note = (
            f"Done. Give this key, {found.new_key_id}, to all that uses the store, in the place of {found.old_key_id}:"
            f" FLOWFILE_MASTER_KEY is to be what {args.new_key_env} is now, or the mounted file is to hold it. Then restart"
            " kernels and Flowfile: with the old key they neither read nor write."
        )
    return Table(("what", "state"), [("backup", path if args.backup_first else "none"), *_rows(found)], note)


def _beside(directory: str) -> str:
    return os.path.join(directory, time.strftime("before-rotation-%Y%m%d-%H%M%S.backup"))


def _require_agreed(args: Namespace) -> None:
    """Ask whether to go on without a backup. It is called when all else has been found to be right."""
    again = _line(args, "--no-backup")
    if not args.yes and not confirm("Re-encrypt every secret, without a backup of them before?", otherwise=f"{again} --yes"):
        raise UsageError("nothing was changed", hint=f"with a backup:  {_line(args)}")


def _backup(args: Namespace) -> Callable[..., object]:
    """Return what writes the backup; the passphrase is asked for now, before anything is done."""
    if args.passphrase_env:
        given = from_environment(args.passphrase_env, _NOTHING)
    else:
        options = [f"--backup {quoted(args.backup)}"] if args.backup else []
        again = _line(args, *options, f"--passphrase-env {VARIABLE}")
        otherwise = f"set {VARIABLE} before the kernel starts, and  {again}"
        given = ask_passphrase("Passphrase of the backup", twice=True, otherwise=otherwise)
    return partial(write_backup, passphrase=require_passphrase(given))


def _line(args: Namespace, *options: str) -> str:
    """Return the line that does what was asked for, with *options*."""
    key = [f"--new-key-env {args.new_key_env}"] if args.new_key_env else []
    return " ".join(["%secret rotate-key", *options, *key])


def _rows(found: Rotation) -> list[tuple[str, str]]:
    contents = found.contents
    rows = [
        ("master key", f"{found.old_key_id} → {found.new_key_id or '— (it is made then)'}"),
        ("database", contents.location or "none yet"),
        ("secrets", ", ".join(f"{rows:,} of {owner}" for owner, rows in contents.owners.items()) or "none"),
    ]
    rows += [("also encrypted", f"{number:,} in {place}") for place, number in contents.elsewhere.items()]
    if contents.unopened:
        named = ", ".join(contents.unopened[:_MOST_NAMED])
        more = f" and {len(contents.unopened) - _MOST_NAMED:,} more" if len(contents.unopened) > _MOST_NAMED else ""
        rows.append(("left as they are", f"{len(contents.unopened):,} that the key does not open: {named}{more}"))
    return rows


def _shown(told: tuple[int, int]) -> tuple[int | None, str]:
    done, total = told
    return (round(100 * done / total) if total else None), f"{done:,} of {total:,} secrets"
