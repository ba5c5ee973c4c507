"""What the body of `%%connect` says, as data: a URL or a table of keys, with references where values will be."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from string import ascii_letters, digits
from typing import Any

from flowfile_nb.connections.literals import is_credential, misplaced, refuse_literals, refuse_literals_in_url
from flowfile_nb.core.expression import expression
from flowfile_nb.core.references import StandIns, names_in, reference
from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import ConnectionSpecError

BOTH_FORMS = 'write a URL:  postgresql://app:%secret NAME@host/database   or TOML lines:  type = "postgresql"'
_IN_SCHEME = frozenset(f"{ascii_letters}{digits}+.-")
_TOML_STRING = expression(
    # One that is never closed is read to the end at once, and not tried again from each of its characters.
    r"""\"{3}(?:\\.|[^\\])*?(?:\"{3}|\Z) | '{3}[\s\S]*?(?:'{3}|\Z) | "(?:\\.|[^"\\\n])*" | '[^'\n]*' | \#.*""",
    re.VERBOSE,
)
_OPTION = expression(r"\s--[a-z][a-z-]*")
_KEY_LINE = expression(r"^[ \t]*(?:\[(?P<table>[\w.-]+)\]|(?P<key>[\w.-]+)[ \t]*=)", re.MULTILINE)

__all__ = ["Spec", "TableSpec", "UrlSpec", "is_credential", "read_spec", "read_toml", "scheme_of", "secrets_in"]


# No named tuples: to make one takes as long as importing a module, and whoever opens a connection waits for it.
class UrlSpec:
    """
    A connection given as one URL.

    Args:
        marked: The URL with a harmless word in place of each reference: safe to parse.
    """

    __slots__ = ("marked",)

    def __init__(self, marked: StandIns) -> None:
        self.marked = marked


class TableSpec:
    """
    A connection given by its parts.

    Args:
        parts: Strings hold references in the spelling of `core.references.reference`.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: dict[str, Any]) -> None:
        self.parts = parts


Spec = UrlSpec | TableSpec


def read_spec(description: str | Mapping[str, Any]) -> Spec:
    """
    Understand a description without opening anything.

    Args:
        description: The body of a cell, or the parts as a mapping; a `Secret` in it means a reference to it.

    Raises:
        ConnectionSpecError: If it is neither a URL nor TOML, or nothing of the kind. The message never quotes it: it might hold
            a password.
        ReferenceSyntaxError: If a reference in it cannot be read.
        LiteralPasswordError: If it holds a password in clear.
    """
    if not isinstance(description, str):
        if not isinstance(description, Mapping):
            raise ConnectionSpecError(
                f"a description is a text, or a mapping of its parts, and not of type {type(description).__name__!r}",
                hint='connect("postgresql://app:${secret:NAME}@host/database")',
            )
        parts = {key: _plain(item) for key, item in description.items()}
        refuse_literals(parts)
        return _table(parts)
    try:
        description.encode()
    except UnicodeEncodeError:
        raise ConnectionSpecError(
            "the description is not valid Unicode (it has half of a surrogate pair)", hint=BOTH_FORMS
        ) from None
    # Not `splitlines`: a name can hold U+2028, which is a line's end for it and for nobody else here.
    lines = [line for line in description.replace("\r", "\n").split("\n") if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise ConnectionSpecError("the description of the connection is empty", hint=BOTH_FORMS)
    if _is_url(lines[0].strip()):
        if len(lines) > 1:
            # Imported here, as below: nearly every description is understood.
            from flowfile_nb.connections.remedies import beside_a_url

            raise ConnectionSpecError("a URL stands alone; there is another line after it", hint=beside_a_url(lines[1:]))
        return _of_url(lines[0].strip())
    if _is_url(StandIns(lines[0].strip()).text):
        raise misplaced("the kind of connection")
    parts = read_toml(description)
    refuse_literals(parts)
    return _table(parts)


# What opens one reads it twice; a text that is refused is not kept.
@lru_cache(maxsize=64)
def _of_url(url: str) -> UrlSpec:
    marked = _without_comment(StandIns(url))
    refuse_literals_in_url(marked)
    _refuse_behind(marked.text)
    return UrlSpec(marked)


def _refuse_behind(url: str) -> None:
    """Refuse what people write behind a URL, and what would be a part of its last word."""
    if found := _OPTION.search(url):
        raise ConnectionSpecError(
            f"behind the URL stands {found[0].strip()}, which would be a part of it",
            hint="options stand in the first line of the cell:  %%connect warehouse --save",
        )
    # In a query an ODBC string may end so.
    if url[-1] in ";," and "?" not in url:
        raise ConnectionSpecError(f"a URL does not end with a {url[-1]!r}", hint="leave it out")


def scheme_of(spec: Spec) -> str:
    """Return a URL's scheme, or the `type` of a table: `postgresql`, `mysql+pymysql`, `s3`."""
    return spec.marked.text.partition(":")[0] if isinstance(spec, UrlSpec) else str(spec.parts["type"])


def secrets_in(spec: Spec) -> list[str]:
    """Return the names of the secrets a connection needs, each once."""
    if isinstance(spec, UrlSpec):
        return [name for name in dict.fromkeys(spec.marked.names) if name]
    return list(dict.fromkeys(name for text in _strings(spec.parts) for name in names_in(text)))


def _is_url(text: str) -> bool:
    """Return whether text begins as a URL does: a scheme, a colon, and behind that a slash, a question mark or nothing."""
    scheme, colon, rest = text.partition(":")
    return bool(colon) and rest[:1] in {"", "/", "?"} and scheme[:1].isalpha() and _IN_SCHEME.issuperset(scheme)


def _without_comment(marked: StandIns) -> StandIns:
    """Return a URL without the comment behind it: in a URL no blank stands before a `#`."""
    if "#" not in marked.text:
        return marked
    url = re.split(r"\s#", marked.text, maxsplit=1)[0].rstrip()
    return marked if url == marked.text else StandIns(marked.restore(url))


def _plain(item: Any) -> Any:
    if isinstance(item, Secret):
        return reference(item.name)
    if isinstance(item, Mapping):
        return {key: _plain(inner) for key, inner in item.items()}
    return item


def _table(parts: dict[str, Any]) -> Spec:
    url = parts.get("url")
    if parts.keys() == {"url"} and isinstance(url, str) and _is_url(url):
        # As it stands in a connections.toml.
        return read_spec(url)
    if not isinstance(parts.get("type"), str):
        # Imported here, as below: nearly every description says one.
        from flowfile_nb.connections.untyped import untyped

        raise untyped(parts)
    if names_in(parts["type"]):
        raise misplaced("the type")
    return TableSpec(parts)


def read_toml(text: str) -> dict[str, Any]:
    """
    Return what TOML text says; a reference may stand bare in the place of a value.

    Raises:
        ConnectionSpecError: If it is not TOML. The message says where, and never quotes it.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    marked = StandIns(text)
    try:
        parsed = tomllib.loads(_quote_bare(marked))
    except (ValueError, RecursionError) as error:
        if twice := _twice(text) if "Cannot" in str(error) else "":
            raise ConnectionSpecError(f"the key {twice!r} stands twice", hint="leave one of the two lines out") from None
        # Imported here: nearly every description is understood.
        from flowfile_nb.connections.remedies import remedy

        # Not all of them are TOMLDecodeError: a number of 5,000 digits and brackets a thousand deep are Python's own.
        # Only the place is taken from the parser's message: the rest can quote the text.
        place = re.search(r"\(at [^)]*\)", str(error))
        raise ConnectionSpecError(
            f"the description is neither a URL nor TOML {place[0] if place else ''}".rstrip(), hint=remedy(text)
        ) from None
    restored: dict[str, Any] = _restore(marked, parsed)
    return restored


def _twice(text: str) -> str:
    """Return the first key that stands twice in a table, or table that does, of text that the parser refused; empty if none."""
    seen, table = set(), ""
    for line in _KEY_LINE.finditer(_TOML_STRING.sub("", text)):
        if line["table"] is not None:
            table = name = line["table"]
        else:
            name = f"{table}.{line['key']}" if table else line["key"]
        if name in seen:
            return name
        seen.add(name)
    return ""


def _quote_bare(marked: StandIns) -> str:
    """Put quotes round each stand-in that is a TOML value of its own, so that `password = %secret pw` is TOML."""
    strings = [match.span() for match in _TOML_STRING.finditer(marked.text)]
    done, end = [], 0
    for start, stop in marked.spans():
        inside = any(first <= start < last for first, last in strings)
        word = marked.text[start:stop]
        done += [marked.text[end:start], word if inside else f'"{word}"']
        end = stop
    return "".join([*done, marked.text[end:]])


def _restore(marked: StandIns, item: Any) -> Any:
    if isinstance(item, str):
        return marked.restore(item)
    if isinstance(item, list):
        return [_restore(marked, inner) for inner in item]
    if isinstance(item, dict):
        return {marked.restore(key): _restore(marked, inner) for key, inner in item.items()}
    return item


def _strings(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for item in tree.values():
            yield from _strings(item)
    elif isinstance(tree, (list, tuple)):
        for item in tree:
            yield from _strings(item)
