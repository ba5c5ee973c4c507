"""What `%secret` and `%%connect` do: parse, call, print. No SQL and no cryptography here."""

from __future__ import annotations

import keyword
import os
import re
import secrets as randomness
import string
from argparse import Namespace
from collections.abc import Container
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.connections import describe, flowfile_target
from flowfile_nb.core.encodings import MIN_CHARACTERS
from flowfile_nb.core.names import quoted, require_name
from flowfile_nb.core.references import reference
from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import InvalidValueError, MasterKeyError, NoPromptError, SecretExistsError, UsageError
from flowfile_nb.notebook.arguments import VERBS, connect_parser, refuse_value, secret_parsers, split
from flowfile_nb.notebook.guard import guard_findings
from flowfile_nb.notebook.prompt import ask_value, confirm
from flowfile_nb.notebook.setup import SETUP
from flowfile_nb.notebook.table import Table, secrets_table

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_ALPHABET = string.ascii_letters + string.digits + "-._~"
_LENGTHS = range(8, 1025)


def secret(shell: InteractiveShell, line: str) -> Any:
    """Run one line of `%secret`; its help page is in `extension.secret`."""
    words = split(line)
    if not words:
        return _panel(shell)
    if len(words) == 1 and words[0] in session.secrets:
        # Also a name that is a verb or has a `=`: what is stored under the very word comes first only if it is no verb.
        return session.secrets[words[0]] if words[0] not in VERBS else _run(shell, words)
    refuse_value(words)
    if len(words) == 1 and words[0] not in VERBS:
        return session.secrets[words[0]]
    if words[0] not in VERBS:
        raise UsageError(f"%secret has no verb {words[0]!r}", hint=f"verbs are {', '.join(VERBS)};  %secret?  is the help page")
    return _run(shell, words)


def connect(shell: InteractiveShell, line: str, cell: str | None) -> Any:
    """Run `%connect` or `%%connect`; the help page is in `extension.connect`."""
    args = connect_parser().parse_args(split(line))
    if args.name is None:
        if cell is not None or args.save or args.close:
            raise UsageError("a connection needs a name", hint="%%connect warehouse   in the first line of the cell")
        return _connections()
    if args.close:
        session.close(args.name)
        shell.user_ns.pop(args.name, None)
        print(f"Closed {args.name}.")
        return None
    _open(shell, args, cell)
    return None


def _run(shell: InteractiveShell, words: list[str]) -> Any:
    verb, *rest = words
    return _VERBS[verb](shell, secret_parsers()[verb].parse_args(rest))


def _panel(shell: InteractiveShell) -> Any:
    if getattr(shell, "kernel", None) is None:
        if session.backend().awaits_key():
            return Table((), (), SETUP)
        return secrets_table(session.backend().describe())
    from flowfile_nb.notebook.panel import panel

    return panel()


def _get(shell: InteractiveShell, args: Namespace) -> Secret:
    return session.secrets[args.name]


def _set(shell: InteractiveShell, args: Namespace) -> None:
    name = require_name(args.name)
    if not args.replace and name in session.backend().names():
        raise SecretExistsError(
            f"there is already a secret named {name!r}; it was not changed",
            hint=f"%secret set {quoted(name)} --replace   keeps its shares and connections",
        )
    if session.backend().awaits_key():
        # Before somebody has typed it for nothing.
        what, how = SETUP.split("\n", 1)
        raise MasterKeyError(what, hint=how.strip())
    value = _value(args)
    replaced = session.store(name, value, replace=args.replace)
    print(f"{'Replaced' if replaced else 'Stored'} {name}. Use it in a connection as  {reference(name)}")
    if len(value) < MIN_CHARACTERS:
        print(f"It has under {MIN_CHARACTERS} characters: outputs are not masked for it, or every other word would be.")


def _value(args: Namespace) -> str:
    if args.file is not None:
        return _from_file(args.file)
    if args.env is not None:
        value = os.environ.get(args.env)
        if value is None:
            raise UsageError(f"there is no environment variable {args.env!r}", hint="set it before the kernel starts")
        return value
    if args.generate is not None:
        if args.generate not in _LENGTHS:
            raise UsageError(f"a generated value has {_LENGTHS[0]} to {_LENGTHS[-1]} characters", hint="--generate 32")
        return "".join(randomness.choice(_ALPHABET) for _ in range(args.generate))
    return ask_value(args.name)


def _from_file(path: str) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8", newline="") as file:
            value = file.read()
    except UnicodeDecodeError:
        raise InvalidValueError(f"{path} is not UTF-8 text; nothing was stored", hint="base64 makes text of it") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="check the path; nothing was stored") from None
    # What `echo secret > file` leaves behind is one line break; text of several lines (a PEM key) stays as it is.
    line = value.removesuffix("\n").removesuffix("\r")
    return line if "\n" not in line else value


def _list(shell: InteractiveShell, args: Namespace) -> Table:
    return secrets_table(session.backend().describe())


def _rename(shell: InteractiveShell, args: Namespace) -> None:
    users = session.backend().used_by(args.old)
    session.backend().rename(args.old, args.new)
    print(f"Renamed {args.old} to {args.new}.")
    if users:
        print(f"These refer to it by the old name: {', '.join(users)}")


def _delete(shell: InteractiveShell, args: Namespace) -> None:
    backend = session.backend()
    for name in args.names:
        backend.require(name)
    for name in args.names:
        users = backend.used_by(name)
        used = f" It is used by {', '.join(users)}." if users else ""
        try:
            agreed = args.yes or confirm(f"Delete {name}?{used}", otherwise=f"%secret delete {quoted(name)} --yes")
        except NoPromptError as error:
            raise NoPromptError(error.message + used.replace(" It is", f"; {name} is"), hint=error.hint) from None
        if agreed:
            backend.delete(name)
        print(f"Deleted {name}.{used.replace(' is ', ' was ')}" if agreed else f"Kept {name}.")


def _env(shell: InteractiveShell, args: Namespace) -> None:
    variable = args.variable or args.name
    if not variable or "=" in variable or "\0" in variable:
        raise UsageError("an environment variable's name cannot hold '='", hint="%secret env NAME VARIABLE")
    os.environ[variable] = session.secrets[args.name].get_secret_value()
    print(f"Set {variable} in this kernel. Everything that it starts can read it.")


def _doctor(shell: InteractiveShell, args: Namespace) -> Table:
    findings = [*session.backend().findings(), *guard_findings(shell)]
    rows = [("ok" if finding.ok else "mend", finding.topic, finding.state, finding.remedy) for finding in findings]
    return Table(("", "what", "state", "remedy"), rows)


def _scan(shell: InteractiveShell, args: Namespace) -> Any:
    # Imported here: nothing else needs it.
    from flowfile_nb.notebook.scan_verb import scan

    return scan(shell, args)


_VERBS = {
    "get": _get,
    "set": _set,
    "list": _list,
    "rename": _rename,
    "delete": _delete,
    "env": _env,
    "doctor": _doctor,
    "scan": _scan,
}


def _connections() -> Table:
    backend = session.backend()
    saved, flowfiles = backend.connection_bodies(), backend.flowfile_connections()
    rows = [(name, "open", describe(session.opened[name])) for name in session.opened]
    rows += [(name, "saved", f"%connect {quoted(name)}   opens it") for name in saved if name not in session.opened]
    rows += [
        (name, "saved in Flowfile", f"{flowfile_target(found)}   %connect {quoted(name)}   opens it")
        for name, found in flowfiles.items()
        # Ours of the same name comes first.
        if name not in saved and _variable(name, flowfiles) not in session.opened
    ]
    return Table(("name", "state", "target"), rows, "" if rows else "No connections yet:  %%connect?  shows how to open one")


def _variable(name: str, flowfiles: Container[str]) -> str:
    """Return the variable for a connection; Flowfile's names are free text, ours are variables already."""
    found = re.sub(r"\W+", "_", name).strip("_") if name in flowfiles else name
    if not found.isidentifier() or keyword.iskeyword(found):
        found = f"connection_{found}" if name in flowfiles else found
    if not found.isidentifier() or keyword.iskeyword(found):
        raise UsageError(f"{name!r} cannot be the name of a variable", hint="%%connect warehouse")
    return found


def _open(shell: InteractiveShell, args: Namespace, body: str | None) -> None:
    flowfiles = {} if body is not None else session.backend().flowfile_connections()
    variable = _variable(args.name, flowfiles)
    connection = session.connect_saved(args.name, test=args.test) if body is None else session.connect(body, test=args.test)
    if variable in session.opened:
        session.close(variable)
    session.opened[variable] = shell.user_ns[variable] = connection
    print(f"{'Connected' if args.test else 'Bound (not tested)'}: {variable} = {describe(connection)}")
    if args.save and body is not None:
        session.backend().save_connection(args.name, body.strip())
        print(f"Saved. In another notebook:  %connect {args.name}")
