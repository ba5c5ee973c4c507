"""What `%secret` does: parse, call, print. No SQL and no cryptography here; `%connect` is in `connect_verb`."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from IPython.core.oinspect import getdoc

from flowfile_nb import session
from flowfile_nb.core.names import environment_variable, quoted
from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import NoSuchSecretError, UsageError
from flowfile_nb.notebook.arguments import HELP, split
from flowfile_nb.notebook.meant import for_group, in_quotes, meant, or_verb, require_no_value
from flowfile_nb.notebook.overriding import require_in_store, tell_of_override
from flowfile_nb.notebook.prompt import confirm
from flowfile_nb.notebook.secret_arguments import ELSEWHERE, VERBS, secret_parser
from flowfile_nb.notebook.setup import SETUP

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from flowfile_nb.notebook.table import Table


def secret(shell: InteractiveShell, line: str) -> Any:
    """Run one line of `%secret`; its help page is in `extension.secret`."""
    words = split(line)
    if not words:
        return _panel(shell)
    # A verb comes first: the store is not asked, which `doctor` may have to do without. Then what is stored, also with a `=`.
    if len(words) == 1 and words[0] not in VERBS and words[0] in session.secrets:
        return _named(words[0])
    require_no_value(words, shell.user_ns)
    if "$" in line or "{" in line:
        # Imported here: few lines have one.
        from flowfile_nb.notebook.line_variables import require_written_out

        require_written_out(line, words, shell.user_ns)
    if words[0] == "export":
        raise UsageError(
            "secrets leave this store encrypted only: there is no export",
            hint="%secret backup ~/secrets.backup   keeps all of them, under a passphrase",
        )
    if (words[0] in HELP and {*words[1:]} <= {*VERBS}) or (words[0] in VERBS and words[-1] in {"-h", "--help"}):
        return show_help(shell, "secret")
    if len(words) == 1 and words[0] not in {*VERBS, *ELSEWHERE}:
        try:
            return _named(words[0])
        except NoSuchSecretError as error:
            raise or_verb(error, words[0]) from None
    if words[0] not in VERBS:
        raise UsageError(f"%secret has no verb {words[0]!r}", hint=meant(words))
    return _run(shell, words)


def show_help(shell: InteractiveShell, magic: str) -> None:
    """Print the help page of a line magic."""
    print(getdoc(shell.magics_manager.magics["line"][magic]))


def _run(shell: InteractiveShell, words: list[str]) -> Any:
    verb, *rest = words
    try:
        args = secret_parser(verb).parse_args(rest)
    except UsageError as error:
        if line := in_quotes(words) or for_group(words):
            raise UsageError(error.message, hint=line) from None
        raise
    return _VERBS[verb](shell, args)


def _panel(shell: InteractiveShell) -> Any:
    if getattr(shell, "kernel", None) is None:
        # Tables are imported where one is shown: opening a connection shows none.
        from flowfile_nb.notebook.table import Table, secrets_table

        if session.backend().awaits_key():
            return Table((), (), SETUP)
        return secrets_table(session.backend().describe())
    from flowfile_nb.notebook.panel import panel

    return panel()


def _get(shell: InteractiveShell, args: Namespace) -> Secret:
    return _named(args.name)


def _named(name: str) -> Secret:
    found = session.secrets[name]
    # It is a reference all the same, and can be used as one.
    backend = session.backend()
    for why in backend.brokered([name]).values():
        print(why)
        for promised in filter(None, backend.describe(names=[name]).promises):
            print(promised)
    return found


def _set(shell: InteractiveShell, args: Namespace) -> None:
    from flowfile_nb.notebook.set_verb import set_

    set_(shell, args)


def _undo(shell: InteractiveShell, args: Namespace) -> None:
    backend = session.backend()
    require_in_store([args.name])
    # Raises where there is none, before anything is asked.
    backend.replaced_at(args.name)
    question = f"Put back the previous value of {args.name}? The newer one is not kept."
    if args.yes or confirm(question, otherwise=f"%secret undo {quoted(args.name)} --yes"):
        backend.undo(args.name)
        print(f"{args.name} has its previous value again. The one that had replaced it is gone.")
        tell_of_override(args.name)
    else:
        print(f"Kept {args.name} as it is.")


def _list(shell: InteractiveShell, args: Namespace) -> Table:
    from flowfile_nb.notebook.table import secrets_table

    return secrets_table(session.backend().describe())


def _rename(shell: InteractiveShell, args: Namespace) -> None:
    from flowfile_nb.notebook.rename_verb import rename

    rename(args)


def _delete(shell: InteractiveShell, args: Namespace) -> None:
    from flowfile_nb.notebook.delete_verb import delete

    delete(args)


def _env(shell: InteractiveShell, args: Namespace) -> None:
    variable = args.variable or args.name
    if args.variable is None and not (args.name.isascii() and args.name.isidentifier()):
        likely = environment_variable(args.name).removeprefix("FLOWFILE_SECRET_")
        session.backend().require(args.name)
        raise UsageError(
            f"{args.name!r} cannot be the name of an environment variable; nothing was set",
            hint=f"%secret env {quoted(args.name)} {likely}",
        )
    if not variable or "=" in variable or "\0" in variable:
        raise UsageError("an environment variable's name cannot hold '='", hint=f"%secret env {quoted(args.name)} VARIABLE")
    value = session.secrets[args.name].get_secret_value()
    replaced = ", in place of another value" if os.environ.get(variable, value) != value else ""
    os.environ[variable] = value
    session.record("env", args.name)
    print(f"Set {variable} in this kernel{replaced}. Everything that it starts can read it.")


def _doctor(shell: InteractiveShell, args: Namespace) -> Table:
    # Imported here: nothing else needs it.
    from flowfile_nb.notebook.doctor_verb import doctor

    return doctor(shell, args)


def _log(shell: InteractiveShell, args: Namespace) -> Any:
    # Imported here: nothing else needs it.
    from flowfile_nb.notebook.log_verb import log

    return log(args)


def _share(shell: InteractiveShell, args: Namespace) -> Any:
    from flowfile_nb.notebook.share_verbs import share_secret

    return share_secret(args)


def _unshare(shell: InteractiveShell, args: Namespace) -> None:
    from flowfile_nb.notebook.share_verbs import unshare

    unshare("secret", args.name, args.group)


def _groups(shell: InteractiveShell, args: Namespace) -> Any:
    from flowfile_nb.notebook.groups_verb import groups

    return groups(args)


def _scan(shell: InteractiveShell, args: Namespace) -> Any:
    # Imported here: nothing else needs it.
    from flowfile_nb.notebook.scan_verb import scan

    return scan(shell, args)


def _import(shell: InteractiveShell, args: Namespace) -> None:
    # Imported here: nothing else needs it.
    from flowfile_nb.notebook.import_verb import import_

    import_(args)


def _rotate_key(shell: InteractiveShell, args: Namespace) -> Table:
    from flowfile_nb.notebook.rotate_verb import rotate_key

    return rotate_key(shell, args)


def _backup(shell: InteractiveShell, args: Namespace) -> None:
    from flowfile_nb.notebook.backup_verbs import backup

    backup(args)


def _restore(shell: InteractiveShell, args: Namespace) -> None:
    from flowfile_nb.notebook.backup_verbs import restore

    restore(args)


_VERBS = {
    "get": _get,
    "set": _set,
    "undo": _undo,
    "list": _list,
    "rename": _rename,
    "delete": _delete,
    "env": _env,
    "import": _import,
    "doctor": _doctor,
    "log": _log,
    "scan": _scan,
    "rotate-key": _rotate_key,
    "backup": _backup,
    "restore": _restore,
    "share": _share,
    "unshare": _unshare,
    "groups": _groups,
}
