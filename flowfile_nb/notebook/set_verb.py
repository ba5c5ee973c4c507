"""`%secret set`: where the value comes from, and what is said when it is stored."""

from __future__ import annotations

import os
import secrets as randomness
import string
from argparse import Namespace
from collections.abc import Container
from typing import TYPE_CHECKING

from flowfile_nb import session
from flowfile_nb.core.encodings import MIN_CHARACTERS
from flowfile_nb.core.names import UNDO_DAYS, quoted, require_name, suggest
from flowfile_nb.core.references import reference
from flowfile_nb.errors import InvalidValueError, MasterKeyError, SecretExistsError, UsageError
from flowfile_nb.notebook.line_variables import from_environment, name_in, stored_in_python
from flowfile_nb.notebook.overriding import tell_of_override
from flowfile_nb.notebook.prompt import ask_value
from flowfile_nb.notebook.setup import SETUP
from flowfile_nb.notebook.typed_before import tell_of_cells

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_ALPHABET = string.ascii_letters + string.digits + "-._~"
_LENGTHS = range(8, 1025)


def set_(shell: InteractiveShell, args: Namespace) -> None:
    """Store a value under a name that is free, or has its value replaced; then say how it is used, and what is left to do."""
    name = require_name(args.name)
    if not args.replace and name in session.backend().names():
        if args.if_missing:
            print(f"{name} is stored already.")
            return
        if session.backend().brokered([name]):
            raise SecretExistsError(
                f"{name!r} is shared with you, and only its owner can change it; nothing was stored",
                hint=f"choose another name, or make one of your own that hides it:  %secret set {quoted(name)} --replace",
            )
        raise SecretExistsError(
            f"there is already a secret named {name!r}; it was not changed",
            hint=f"delete this line, or say what it should do:  %secret set {quoted(name)} --replace  or  --if-missing",
        )
    if session.backend().awaits_key():
        # Before somebody has typed it for nothing.
        what, how = SETUP.split("\n", 1)
        raise MasterKeyError(what, hint=how.strip())
    value = _value(args, shell.user_ns)
    replaced = session.store(name, value, replace=args.replace)
    print(f"{'Replaced' if replaced else 'Stored'} {name}. Use it in a connection as  {reference(name)}")
    if replaced and session.backend().keeps_previous:
        print(f"Its previous value is kept for {UNDO_DAYS} days:  %secret undo {quoted(name)}   puts it back, once.")
    tell_of_override(name)
    if value != value.strip() and "\n" not in value:
        print(
            f"It begins or ends with a blank, which is a part of it. If that is a slip:  %secret set {quoted(name)} --replace"
        )
    tell_of_cells(shell, name, value)
    if len(value) < MIN_CHARACTERS:
        print(f"It has under {MIN_CHARACTERS} characters: outputs are not masked for it, or every other word would be.")


def _value(args: Namespace, namespace: Container[str]) -> str:
    if args.file is not None:
        return _from_file(args.file)
    if args.env is not None:
        variable = name_in(args.env)
        if args.env not in os.environ and variable not in os.environ and variable in namespace:
            raise UsageError(
                "--env takes a variable of the environment, and that is one of Python; nothing was stored",
                hint=stored_in_python(repr(args.name), variable),
            )
        return from_environment(args.env, "nothing was stored")
    if args.generate is not None:
        if args.generate not in _LENGTHS:
            raise UsageError(f"a generated value has {_LENGTHS[0]} to {_LENGTHS[-1]} characters", hint="--generate 32")
        return "".join(randomness.choice(_ALPHABET) for _ in range(args.generate))
    return ask_value(args.name)


def _from_file(path: str) -> str:
    # The path is not repeated: somebody may have typed the value in its place.
    file = os.path.abspath(os.path.expanduser(path))
    try:
        with open(file, encoding="utf-8", newline="") as opened:
            value = opened.read()
    except UnicodeDecodeError:
        raise InvalidValueError("the file is not UTF-8 text; nothing was stored", hint="base64 makes text of it") from None
    except FileNotFoundError:
        raise UsageError("--file: there is no such file; nothing was stored", hint=_nearest_file(file)) from None
    except IsADirectoryError:
        raise UsageError("--file: that is a folder; nothing was stored", hint="name the file in it") from None
    except OSError as error:
        raise UsageError(
            f"--file: {error.strerror}; nothing was stored", hint="--file PATH  takes a file you can read"
        ) from None
    # What `echo secret > file` leaves behind is one line break; text of several lines (a PEM key) stays as it is.
    line = value.removesuffix("\n").removesuffix("\r")
    value = line if "\n" not in line else value
    if not value:
        raise InvalidValueError("the file is empty; nothing was stored", hint="save the value into it, or leave out  --file")
    return value


def _nearest_file(file: str) -> str:
    folder, name = os.path.split(file)
    if not os.path.isdir(folder):
        return "the folder of that path does not exist, either"
    near = suggest(name, os.listdir(folder))
    return f"did you mean {quoted(near)}?" if near else f"it was looked for in {folder}"
