"""
What a refused description may have meant: a reference that is spelt otherwise, or a secret's name without its spelling.

Nothing is guessed that would not help: a description is taken for one only if it can be understood with the reference in place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from flowfile_nb.connections.mistyped import mistakes_in
from flowfile_nb.connections.spec import read_spec
from flowfile_nb.core.expression import expression
from flowfile_nb.core.names import quoted
from flowfile_nb.core.references import names_in, reference
from flowfile_nb.errors import ConnectionSpecError

# `%sercet pw`, `% secret pw`, `${secrets:pw}`, `$secret.pw`, `{{secret pw}}`, `secret://pw`, `fnb.secrets["pw"]`, `%secret:pw`.
_LIKE_A_REFERENCE = expression(
    r"""
    (?<![\w.]) [%$<({\[]* [ \t]* (?:(?:fnb|flowfile_nb)\.)? (?P<word>[sSeE][A-Za-z]{3,8})
    (?P<between> :// | [ \t]*[:.({\[]+[ \t]* | [ \t]+ | _ ) (?P<quote>["'])?
    (?P<name>\w+(?:[.-]\w+)*) (?(quote)(?P=quote)) [ \t]* [>)}\]]*
    """,
    re.VERBOSE,
)
# What stands round a name that something else fills in: `{pw}`, `${pw}`, `$pw`, `%pw`, `{{ pw }}`, `%(pw)s`, `{pw:url}`.
_AROUND = r"(?:[%$]?[({{<]+[ \t]*|[%$])?{name}(?:[ \t]*(?:![rsa])?(?::\w+)?[ \t]*[)}}>]+s?)?"
_MOST = 200


def respelt(description: str | Mapping[str, Any], names: Iterable[str]) -> tuple[str, str] | None:
    """
    Return what is said of a description and what to do, if a reference in it is only spelt wrongly; None if that is not it.

    Args:
        description: As for `read_spec`.
        names: The names of the secrets that can be used.

    A text is repeated only if a secret of that name is stored: another might be a password.

    >>> respelt("postgresql://app:{{secret pw}}@h/x", ["pw"])[1]
    'in place of what stands for it write  %secret pw'
    """
    if _is_understood(description):
        return None
    known = {name for name in names if name in _texts(description)}
    found: list[str] = []

    def as_reference(match: re.Match[str]) -> str:
        far = mistakes_in(match["word"].lower().removesuffix("s"), "secret") > 2
        if far or (match["between"] == "_" and match["name"] not in known) or _is_one(match[0]):
            return match[0]
        found.append(match["name"])
        return reference(match["name"])

    if _is_understood(_changed(description, lambda text: _LIKE_A_REFERENCE.sub(as_reference, text))):
        what = "a reference to a secret is spelt otherwise; nothing was opened"
        if found[0] in known:
            return what, f"in place of what stands for it write  %secret {quoted(found[0])}"
        return what, "write  %secret NAME  in its place;  list yours:  %secret list   Add one:  %secret set NAME"
    for name in sorted(known, key=len, reverse=True)[:_MOST]:
        if _is_understood(_changed(description, partial(_with_reference, name=name))):
            return f"{name!r} is a secret's name, and stands here as a text; nothing was opened", (
                f"in its place write  %secret {quoted(name)}"
            )
    return None


def _is_one(text: str) -> bool:
    """Return whether a reference stands in *text* that is spelt as it should be; then something else is wrong."""
    try:
        return bool(names_in(text))
    except ConnectionSpecError:
        return False


def _with_reference(text: str, *, name: str) -> str:
    """Return *text* with a reference in the places where *name* stands for a value, and not for a key."""
    pattern = rf"(?<![\w.-])(?<!\[[\"']){_AROUND.format(name=re.escape(name))}(?![\w.-]|[\"']?[ \t]*=)"
    return re.sub(pattern, lambda _: reference(name), text)


def _is_understood(description: str | Mapping[str, Any]) -> bool:
    try:
        read_spec(description)
    except ConnectionSpecError:
        return False
    return True


def _texts(tree: Any) -> str:
    if isinstance(tree, Mapping):
        return "\n".join(map(_texts, tree.values()))
    if isinstance(tree, (list, tuple)):
        return "\n".join(map(_texts, tree))
    return tree if isinstance(tree, str) else ""


def _changed(tree: Any, change: Callable[[str], str]) -> Any:
    if isinstance(tree, Mapping):
        return {key: _changed(item, change) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_changed(item, change) for item in tree]
    return change(tree) if isinstance(tree, str) else tree
