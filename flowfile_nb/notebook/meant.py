"""What a line of `%secret` may have meant that names no verb, or no secret that is stored."""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress

from flowfile_nb import session
from flowfile_nb.attended import is_attended
from flowfile_nb.core.names import nearest, no_such_secret, quoted, suggest
from flowfile_nb.errors import FlowfileNbError, NoSuchSecretError, UsageError, ValueOnLineError
from flowfile_nb.notebook.line_variables import of_variable
from flowfile_nb.notebook.secret_arguments import ELSEWHERE, SHOWING, VERBS, refuse_value

_PAGE = "a name with spaces needs quotes;  %secret?  is the help page"
_NAMELESS = {"list", "doctor"}
_WITH_QUOTES = "with quotes, because the name has spaces"
# Those whose words are names of what is stored: for another, the store need not be asked.
_NAMING = {"get", "set", "undo", "rename", "delete", "env", "log", "share", "unshare"}
# Names of secrets often begin as a verb does: `get_pw` is not a mistyped `get`.
_CLOSE = 0.7


def meant(words: list[str]) -> str:
    """Return the hint for a line whose first word is no verb. Others than the verb's are not repeated: one might be a value."""
    if words[0] in SHOWING and len(words) > 1:
        return f"pw = %secret {' '.join(map(quoted, words[1:]))}   a value is never shown"
    if (verb := ELSEWHERE.get(words[0])) is not None:
        verb, _, option = verb.partition(" ")
        return " ".join(["%secret", verb, *map(quoted, [] if verb in _NAMELESS else words[1:]), *filter(None, [option])])
    if (name := " ".join(words)) in session.secrets:
        return f"%secret {quoted(name)}   {_WITH_QUOTES}"
    near = _near_verb(words[0])
    if near is None and len(words) == 2:
        replace = " --replace" if words[0] in session.secrets else ""
        return f"to store it:  %secret set {quoted(words[0])}{replace}   asks for the value, hidden;  {_PAGE}"
    told = f"did you mean  %secret {near}?  Verbs" if near else "verbs"
    return f"{told} are {', '.join(VERBS)}; {_PAGE}"


def or_verb(error: NoSuchSecretError, name: str) -> NoSuchSecretError:
    """Return what is said of a name that nobody has, where it stood alone: a verb comes first, if no secret is nearer."""
    stored, point, _ = name.partition(".")
    if point and stored in session.secrets:
        # `prod_pw.get_secret_value()`: a line of a magic is no Python.
        return NoSuchSecretError(
            error.message, hint=f"x = %secret {quoted(stored)}   and in the next line  x.get_secret_value()"
        )
    near = _near_verb(name)
    if near is None or suggest(name, [*session.backend().names(), near]) != near:
        return error
    return NoSuchSecretError(
        error.message, hint=f"did you mean  %secret {near}?  {no_such_secret(name, (), attended=is_attended()).hint}"
    )


def in_quotes(words: list[str]) -> str:
    """Return the line with quotes round those words that together are a stored name; empty if none are."""
    if words[0] not in _NAMING:
        return ""
    known = set(session.backend().names())
    if words[0] == "rename" and len(words) > 3 and words[1] in known:
        return f"%secret rename {quoted(words[1])} {quoted(' '.join(words[2:]))}   {_WITH_QUOTES}"
    for count in range(len(words) - 1, 1, -1):
        for start in range(1, len(words) - count + 1):
            end = start + count
            if (name := " ".join(words[start:end])) in known:
                line = [*words[:start], name, *words[end:]]
                line += ["NEW"] if line == ["rename", name] else []
                if line[0] == "rename":
                    # The new name may have spaces, too.
                    line = [*line[:2], " ".join(line[2:])]
                return f"%secret {' '.join(word if word.startswith('--') else quoted(word) for word in line)}   {_WITH_QUOTES}"
    return ""


def for_group(words: list[str]) -> str:
    """Return the line that shares with a group, where the group stands without its option; empty for another line."""
    if words[0] not in {"share", "unshare"} or len(words) != 3 or any(word.startswith("-") for word in words):
        return ""
    return f"%secret {words[0]} {quoted(words[1])} --group {quoted(words[2])}"


def require_no_value(words: list[str], namespace: Container[str]) -> None:
    """
    Let a line of `%secret` pass that holds no value.

    Args:
        words: Its words.
        namespace: The variables that there are: one may stand in the place of the value.

    Raises:
        UsageError: If more words than one stand for the name, and together are one that is stored: they are no value then.
        ValueOnLineError: If there is, or may be, a value.
    """
    try:
        refuse_value(words)
    except ValueOnLineError as error:
        if hint := of_variable(words, namespace):
            raise ValueOnLineError(error.message, hint=hint) from None
        line = ""
        # Of a store that cannot be read other lines tell: a value is refused first.
        with suppress(FlowfileNbError):
            line = in_quotes(words)
        if line:
            raise UsageError("%secret set  takes one name, and there are more words; nothing was stored", hint=line) from None
        raise


def require_stored(names: list[str], words: list[str]) -> None:
    """
    Let pass if all *names* are there; *words* are the line on which they stand.

    Raises:
        NoSuchSecretError: Of the first that is not: what it may have meant, and not how to add it.
    """
    backend = session.backend()
    for name in names:
        try:
            backend.require(name)
        except NoSuchSecretError as error:
            if line := in_quotes(words):
                raise NoSuchSecretError(error.message, hint=line) from None
            raise no_such_secret(name, backend.names(), instead="") from None


def _near_verb(word: str) -> str | None:
    return nearest(word.casefold(), VERBS, _CLOSE)
