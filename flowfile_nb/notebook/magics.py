"""What `%secret` and `%%connect` do: parse, call, print. No SQL and no cryptography here."""

from __future__ import annotations

import inspect
import keyword
import os
import secrets as randomness
import string
from argparse import Namespace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.core.encodings import MIN_CHARACTERS
from flowfile_nb.core.names import quoted, require_name
from flowfile_nb.core.references import reference
from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import InvalidValueError, NoPromptError, SecretExistsError, UsageError
from flowfile_nb.notebook.arguments import ELSEWHERE, HELP, VERBS, connect_parser, refuse_value, secret_parsers, split
from flowfile_nb.notebook.guard import guard_findings
from flowfile_nb.notebook.prompt import ask_value, confirm
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
    if len(words) == 1 and words[0] in HELP:
        return _help(shell, "secret")
    if len(words) == 1 and words[0] not in {*VERBS, *ELSEWHERE}:
        return session.secrets[words[0]]
    if words[0] not in VERBS:
        raise UsageError(f"%secret has no verb {words[0]!r}", hint=_meant(words))
    return _run(shell, words)


def connect(shell: InteractiveShell, line: str, cell: str | None) -> Any:
    """Run `%connect` or `%%connect`; the help page is in `extension.connect`."""
    words = split(line)
    if words[:1] and words[0] in HELP:
        return _help(shell, "connect")
    args = connect_parser().parse_args(words)
    if args.name is None:
        if cell is not None or args.save or args.close:
            raise UsageError("a connection needs a name", hint="%%connect warehouse   in the first line of the cell")
        return _connections()
    if args.close:
        session.close(args.name)
        shell.user_ns.pop(args.name, None)
        print(f"Closed {args.name}.")
        return None
    body = cell if cell is not None else _saved(args.name)
    _open(shell, args, body)
    return None


def _help(shell: InteractiveShell, magic: str) -> None:
    found: Any = shell.magics_manager.magics["line"][magic]
    print(inspect.cleandoc(found.__doc__))


def _meant(words: list[str]) -> str:
    if words[0] in ELSEWHERE:
        return " ".join(["%secret", ELSEWHERE[words[0]], *map(quoted, words[1:])])
    if (name := " ".join(words)) in session.secrets:
        return f"%secret {quoted(name)}   with quotes, because the name has spaces"
    return f"verbs are {', '.join(VERBS)}; a name with spaces needs quotes;  %secret?  is the help page"


def _run(shell: InteractiveShell, words: list[str]) -> Any:
    verb, *rest = words
    return _VERBS[verb](shell, secret_parsers()[verb].parse_args(rest))


def _panel(shell: InteractiveShell) -> Any:
    if getattr(shell, "kernel", None) is None:
        return secrets_table(session.backend().describe())
    from flowfile_nb.notebook.panel import panel

    return panel()


def _get(shell: InteractiveShell, args: Namespace) -> Secret:
    return session.secrets[args.name]


def _set(shell: InteractiveShell, args: Namespace) -> None:
    name = require_name(args.name)
    if not args.replace and name in session.backend().names():
        if args.if_missing:
            print(f"{name} is stored already.")
            return
        raise SecretExistsError(
            f"there is already a secret named {name!r}; it was not changed",
            hint=f"delete this line, or say what it should do:  %secret set {quoted(name)} --replace  or  --if-missing",
        )
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
    saved = session.backend().connection_bodies()
    rows = [(name, "open, saved" if name in saved else "open", here.target) for name, here in session.opened.items()]
    rows += [(name, "saved", f"%connect {name}   opens it") for name in saved if name not in session.opened]
    return Table(("name", "state", "target"), rows, "" if rows else "No connections yet:  %%connect?  shows how to open one")


def _saved(name: str) -> str:
    body = session.backend().connection_bodies().get(name)
    if body is None:
        raise UsageError(f"no saved connection is named {name!r}", hint=f"describe it in a cell:  %%connect {name} --save")
    return body


def _open(shell: InteractiveShell, args: Namespace, body: str) -> None:
    if not args.name.isidentifier() or keyword.iskeyword(args.name):
        raise UsageError(f"{args.name!r} cannot be the name of a variable", hint="%%connect warehouse")
    if isinstance(shell.user_ns.get(args.name), ModuleType):
        raise UsageError(f"{args.name} is an imported module here; nothing was connected", hint="choose another name")
    connection = session.open_connection(body, test=args.test, as_=args.as_)
    if args.name in session.opened:
        session.close(args.name)
    session.opened[args.name] = connection
    shell.user_ns[args.name] = connection.native
    print(f"{'Connected' if args.test else 'Bound (not tested)'}: {args.name} = {connection.target}")
    if connection.note:
        print(connection.note)
    if args.save:
        session.backend().save_connection(args.name, body.strip())
        print(f"Saved. In another notebook:  %connect {args.name}")
