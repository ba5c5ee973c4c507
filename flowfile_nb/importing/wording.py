"""What an import says. Names, keys and lines; never a value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowfile_nb.core.names import quoted
from flowfile_nb.importing.credentials import is_reference
from flowfile_nb.importing.definitions import Definition
from flowfile_nb.importing.fields import Document
from flowfile_nb.importing.naming import base_name
from flowfile_nb.importing.plan import IMPORTED, Item, State
from flowfile_nb.importing.source import Source

if TYPE_CHECKING:
    from flowfile_nb.importing.flow import Request

_MAX_KEY = 60
_READERS = {
    "env": "What loads it (python-dotenv, Docker Compose, a shell) finds a reference there and no longer the value",
    "ini": "JupySQL's  %sql --section  finds a reference there and no longer the password",
    "toml": "Streamlit finds a reference there and no longer the value",
    "airflow": "`airflow connections import` finds a reference there and no longer the password",
}
_HISTORY = "Git's history may still hold what was there; copies in your folders:  %secret scan"


def rows(
    items: Sequence[Item], found: Sequence[Definition], fresh: Sequence[Definition], source: Source | None
) -> list[tuple[str, str, str]]:
    """Return the preview: the secret's name, the key and line it comes from, what becomes of it."""
    table = [(item.name if item.state is not State.PLAIN else "", _where(item, source), item.state.value) for item in items]
    to_save = {definition.name for definition in fresh}
    for definition in found:
        state = "connection: will be saved" if definition.name in to_save else "a connection of this name is saved: kept"
        table.append((f"%connect {definition.name}", _at(definition.line, _key(definition.path)), state))
    return table


def remarks(document: Document, items: Sequence[Item], prefix: str) -> str:
    """Return what to know about names and values that are not what they seem, and about what was not read."""
    told = [item for item in items if item.state is not State.PLAIN]
    lines = []
    if renamed := _names([item for item in told if item.name != prefix + base_name(item.field.path, item.piece.label)]):
        lines.append(f"Named with a number, because another value there has the name: {', '.join(renamed)}")
    if open_ended := _names([item for item in told if "${" in item.piece.secret]):
        lines.append(f"With ${{…}} in the value, which is taken as it stands: {', '.join(open_ended)}")
    if document.unread:
        numbers = ", ".join(map(str, document.unread[:10])) + (" …" if len(document.unread) > 10 else "")
        lines.append(f"Left alone: line {numbers}, where no setting is, or a key that may be a part of a value.")
        lines.append("A value of several lines needs quotes round it.")
    return "\n".join(lines)


def nothing(items: Sequence[Item], document: Document, request: Request) -> tuple[str, str]:
    """Return why nothing is imported, and what to do."""
    again = same_line(request.words, request)
    if any(is_reference(field.value) for field in document.fields) and all(item.state is State.PLAIN for item in items):
        return "all credentials there are references already; nothing was imported", "%secret list   shows what is stored"
    if any(item.state is State.KEPT for item in items):
        return (
            "other values are stored under these names; nothing was imported",
            f"{again} --replace   takes these;  {again} --prefix new_   keeps both",
        )
    if any(item.state is State.UNFIT for item in items):
        return "no secret can have these values; nothing was imported", "a secret is text without NUL, of 512 KiB at most"
    return (
        "no credential was found; nothing was imported",
        f"{again} --all   takes every setting; or name what you want behind it",
    )


def question(new: Sequence[Item], fresh: Sequence[Definition], cleaned_source: Source | None) -> str:
    """Return the question before anything is stored."""
    parts = [_count(len(_names(new)), "secret")] if new else []
    parts += [_count(len(fresh), "connection")] if fresh else []
    then = f", and put references in place of the values in {cleaned_source.path}" if cleaned_source else ""
    return f"Store {' and '.join(parts)}{then}?"


def stored(new: Sequence[Item], fresh: Sequence[Definition]) -> str:
    """Return what was stored."""
    lines = [f"Stored {', '.join(_names(new))}."] if new else ["The secrets were stored already."]
    if fresh:
        lines.append("Saved:  " + "   ".join(f"%connect {definition.name}" for definition in fresh))
    return "\n".join(lines)


def not_taken_away(kind: str) -> str:
    """Return where the values still are, if they came from no file."""
    if kind == "environment":
        return "The variables stay set, and still override the store: take them out of what sets them."
    return "The entry stays in the keychain."


def clean_question(source: Source, to_replace: Sequence[Item]) -> str:
    """Return the question before the file is rewritten."""
    return f"Replace {_count(len({id(item.field) for item in to_replace}), 'value')} in {source.path} by references?"


def delete_question(source: Source, items: Sequence[Item]) -> str:
    """Return the question before the file is deleted."""
    others = len([item for item in items if item.state is State.PLAIN])
    return f"Delete {source.path}?" + (f" {_count(others, 'other setting')} in it will be gone, too." if others else "")


def still_there(source: Source, request: Request) -> str:
    """Return that the file was not touched."""
    return f"{source.path} still holds the values.  {same_line(request.words, request)} --clean  or  --delete"


def cleaned(kind: str, source: Source, items: Sequence[Item], left: Sequence[tuple[str, int]]) -> str:
    """Return what became of the file, and where values still are in it."""
    lines = [f"Rewritten: {source.path} holds references now.", f"{_READERS[kind]}."]
    numbers = _names([item for item in items if item.state in IMPORTED and item.field.place is None])
    if numbers:
        lines.append(f"Not replaced, take them out by hand: {', '.join(numbers)}")
    lines += [f"The value of {name} still stands in line {line}: take it out by hand." for name, line in left]
    return "\n".join(lines)


def deleted(source: Source, items: Sequence[Item]) -> str:
    """Return that the file is gone, and what with it."""
    gone = len([item for item in items if item.state is State.PLAIN])
    return f"Deleted {source.path}." + (f" {_count(gone, 'other setting')} went with it." if gone else "")


def afterwards(items: Sequence[Item], found: Sequence[Definition], others: int) -> str:
    """Return how what read the file gets the values now, and where else they may be."""
    return "\n".join([*_instead(items, found), *_other_names(others), _HISTORY])


def same_line(words: Sequence[str], request: Request) -> str:
    """Return the line that was typed, without the options that say what to do with the file and with questions."""
    options = [f"--as {request.kind}"] if request.kind else []
    options += ["--env"] if request.environment else []
    options += ["--keyring " + " ".join(map(quoted, request.keychain))] if request.keychain else []
    options += ["--all"] if request.everything else []
    options += ["--replace"] if request.replace else []
    options += [f"--prefix {request.prefix}"] if request.prefix else []
    options += ["--clean"] if request.clean else []
    options += ["--delete"] if request.delete else []
    typed = [word if re.fullmatch(r"[\w./~-]+", word) else quoted(word) for word in words]
    return " ".join(["%secret import", *typed, *options])


def _instead(items: Sequence[Item], found: Sequence[Definition]) -> list[str]:
    first = next(item for item in items if item.state in IMPORTED)
    variable = re.sub(r"\W+", "_", first.name).upper()
    lines = [f"To get a value:  %secret env {quoted(first.name)} {variable}   puts it into this kernel's environment"]
    if found:
        lines.append(f"To connect:  %connect {found[0].name}")
    return lines


def _other_names(others: int) -> list[str]:
    return [f"The file has {_count(others, 'other name')} (hard links), which still hold the values."] if others > 0 else []


def _where(item: Item, source: Source | None) -> str:
    label = f" ({_shown(item.piece.label)})" if item.piece.label else ""
    return _at(item.field.line if source else 0, _key(item.field.path)) + label


def _at(line: int, key: str) -> str:
    return f"line {line}: {key}" if line else key


def _key(path: Sequence[str]) -> str:
    return ".".join(map(_shown, path))


def _shown(key: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in key[:_MAX_KEY]) + ("…" if len(key) > _MAX_KEY else "")


def _names(items: Sequence[Item]) -> list[str]:
    return _names_of([item.name for item in items])


def _names_of(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
