"""
References to secrets in text: `%secret NAME`, `%secret "a name with spaces"`, and `${secret:NAME}`.

Text with references is never pasted together with values and parsed afterwards. It is parsed first, with a harmless stand-in
for each reference; then each *parsed* part that holds a reference gets its value. So no value can change the structure of a
URL or a TOML document, and what the driver receives is the value itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from flowfile_nb.core.expression import expression
from flowfile_nb.core.names import in_quotes, quoted
from flowfile_nb.errors import ReferenceSyntaxError

# Bare names end where a letter, digit, `_`, or a `.` or `-` between them, ends: in `%secret pw@db.example.com` it is `pw`.
_REFERENCE = expression(
    r"""
    %secret\s+ (?: "(?P<quoted>(?:[^"\\\n]|\\.)*)" | (?P<bare>\w+(?:[.-]\w+)*) )
    | \$\{secret: (?P<braced>[^}\n]*) \}
    """,
    re.VERBOSE,
)
_BROKEN = expression(r"%secret\b|\$\{secret:")
_Key = TypeVar("_Key")
_WORD = "fnbref"
_STAND_IN = expression(rf"{_WORD}([0-9]{{1,9}})x")


def reference(name: str) -> str:
    """
    Return the spelling of a reference to *name* that is safe in any place.

    >>> reference("prod_pw")
    '${secret:prod_pw}'
    """
    if "}" in name:
        return f"%secret {quoted(name)}"
    return f"${{secret:{name}}}"


def names_in(text: str) -> list[str]:
    """
    Return the names *text* refers to, in order, each once.

    Raises:
        ReferenceSyntaxError: If something begins like a reference and is none, or one stands inside another.
    """
    return list(dict.fromkeys(name for _, _, name in _find(text)))


def without_references(text: str) -> str:
    """
    Return what *text* says beside its references.

    Raises:
        ReferenceSyntaxError: As `names_in`.
    """
    return fill(text, lambda name: "")


def renamed(text: str, old: str, new: str) -> str:
    """
    Return *text* with each reference to *old* referring to *new*; whatever else it says stays as it is, to the byte.

    A reference keeps its spelling where that can say the new name, also inside of a TOML string: references are found before
    TOML is read, so only quotes and backslashes within their own quotes are escaped.

    Raises:
        ReferenceSyntaxError: As `names_in`; and if *text* refers to *old*, and no reference can say *new*.

    >>> renamed("postgresql://app:%secret pw@h/${secret:pw}", "pw", "sales pw")
    'postgresql://app:%secret "sales pw"@h/${secret:sales pw}'
    """
    done, end = [], 0
    for start, stop, name in _find(text):
        if name == old:
            done += [text[end:start], _spelled_as(text[start:stop], new)]
            end = stop
    if done and _BROKEN.search(new):
        raise ReferenceSyntaxError(
            f"no reference can say {new!r}, and connections refer to {old!r}",
            hint="choose a name that does not hold the beginning of a reference itself",
        )
    return "".join([*done, text[end:]])


def referring_in(texts: Mapping[_Key, str], name: str) -> list[_Key]:
    """Return the keys of those of *texts* that refer to *name*; one that cannot be understood refers to nothing."""
    found = []
    for key, text in texts.items():
        with suppress(ReferenceSyntaxError):
            found += [key] * (name in names_in(text))
    return found


def renamed_in(texts: Mapping[_Key, str], old: str, new: str) -> dict[_Key, str]:
    """Return those of *texts* that refer to *old*, each as `renamed`."""
    return {key: renamed(texts[key], old, new) for key in referring_in(texts, old)}


def fill(text: str, value_of: Callable[[str], str]) -> str:
    """
    Return *text* with each reference replaced by its value, in one pass: a value that looks like a reference stays as it is.

    Only for text that needs no encoding any more: a parsed part of a URL, a TOML string.

    >>> fill("Bearer ${secret:token}", {"token": "${secret:other}"}.__getitem__)
    'Bearer ${secret:other}'
    """
    if "secret" not in text:
        # As below; without an iterator, at each new connection.
        return text
    done, end = [], 0
    for start, stop, name in _find(text):
        done += [text[end:start], value_of(name)]
        end = stop
    return "".join([*done, text[end:]])


def fill_all(tree: Any, value_of: Callable[[str], str]) -> Any:
    """Return a copy of *tree* (mappings, lists, tuples, strings) in which every string went through `fill`."""
    if isinstance(tree, str):
        return fill(tree, value_of)
    if isinstance(tree, Mapping):
        return {key: fill_all(item, value_of) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(fill_all(item, value_of) for item in tree)
    return tree


class StandIns:
    """
    Text whose references are replaced by words of letters and digits, which mean nothing to any parser.

    Args:
        text: Text with references.

    Raises:
        ReferenceSyntaxError: As `names_in`.

    >>> marked = StandIns("sqlite:///%secret path?x=1")
    >>> marked.text
    'sqlite:///fnbref0x?x=1'
    >>> marked.restore("fnbref0x")
    '${secret:path}'
    """

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        done, end = [], 0
        taken = set(_STAND_IN.findall(text)) if _WORD in text else set()
        for start, stop, name in _find(text):
            # A `fnbref0x` that the user wrote is left out of the count, so that it stays what it was.
            while str(len(self.names)) in taken:
                self.names.append("")
            done += [text[end:start], f"{_WORD}{len(self.names)}x"]
            self.names.append(name)
            end = stop
        self.text = "".join([*done, text[end:]])

    def restore(self, part: str) -> str:
        """Return a parsed *part* with each stand-in turned into `reference(name)`."""
        if not self.names:
            return part

        def back(match: re.Match[str]) -> str:
            index = int(match[1])
            known = index < len(self.names) and self.names[index] and match[0] == f"{_WORD}{index}x"
            return reference(self.names[index]) if known else match[0]

        return _STAND_IN.sub(back, part) if _WORD in part else part

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield where the stand-ins are in `text`."""
        for match in _STAND_IN.finditer(self.text):
            if self.restore(match[0]) != match[0]:
                yield match.span()


def _spelled_as(written: str, name: str) -> str:
    """Return a reference to *name* in the spelling of one that was *written*."""
    head = re.match(r"%secret\s+", written)
    if head is None:
        return reference(name)
    # Quotes stay where the name needs none: a letter behind them would become a part of it.
    return head[0] + (in_quotes(name) if written.endswith('"') else quoted(name))


def _find(text: str) -> Iterator[tuple[int, int, str]]:
    # Most texts refer to nothing, and many are looked through.
    begun = _BROKEN.search(text) if "secret" in text else None
    while begun:
        match = _REFERENCE.match(text, begun.start())
        if match is None:
            # At once: to look on for one that is whole takes time with the square of a text's length.
            raise ReferenceSyntaxError(
                "a reference that does not end, or has no name",
                hint='write  %secret NAME,  %secret "a name with spaces"  or  ${secret:NAME}',
            )
        quoted = match["quoted"]
        name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match["bare"] or match["braced"] or ""
        if not name.strip():
            raise ReferenceSyntaxError("a reference without a name", hint="write  %secret NAME  or  ${secret:NAME}")
        if _BROKEN.search(name):
            raise ReferenceSyntaxError(
                "a reference stands inside another reference",
                hint="a secret's value is used as it is; write one  ${secret:NAME}  for each",
            )
        yield match.start(), match.end(), name
        begun = _BROKEN.search(text, match.end())
