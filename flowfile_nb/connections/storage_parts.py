"""What the description of a place for files says: its parts by one name each, checked, and the credentials among them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.keys import Key, names_of
from flowfile_nb.connections.literals import is_credential
from flowfile_nb.connections.spec import Spec, TableSpec, UrlSpec, read_spec, scheme_of
from flowfile_nb.core.references import StandIns, fill, names_in
from flowfile_nb.errors import ConnectionSpecError

Parts = dict[str, Any]
Restore = Callable[[str | None], str]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "anonymous": bool,
    "options": Mapping,
    "port": int,
    "verify": (bool, str),
}
_ROOTS = ("bucket", "container")
_BOOLEANS = {"true": True, "false": False}
# What other libraries call a key, with what it may be here; which of them depends on the kind.
_ELSEWHERE = {
    **dict.fromkeys(("credentials", "token"), ("service_account_key", "sas_token")),
    **dict.fromkeys(("directory", "folder", "path", "root"), ("prefix", "path")),
    **dict.fromkeys(("identity_file", "key_path"), ("key_file",)),
    **dict.fromkeys(("key", "pem", "pkey", "rsa_key"), ("private_key", "account_key")),
    "client_kwargs": ("endpoint_url",),
    "storage_options": ("options",),
}


class Grammar(NamedTuple):
    """What a kind of storage takes."""

    scheme: str
    keys: tuple[Key, ...]
    secret: Collection[str]
    """The keys whose values may hold a reference."""
    from_url: Callable[[SplitResult, Restore], Parts]
    """Returns the parts that a URL says before its `?`. Raises ConnectionSpecError."""
    example: str
    aliases: Mapping[str, str] = {}
    """Other names of keys, as people know them from elsewhere."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys."""
        return names_of(self.keys)


def parts_of(spec: Spec, grammar: Grammar) -> Parts:
    """
    Return the parts that a description says, by our names.

    Raises:
        ConnectionSpecError: If a key is unknown, said twice, of the wrong kind, or holds a reference and is no place for one.
        LiteralPasswordError: If a URL in it holds a credential in clear.
    """
    parts = _from_url(spec.marked, grammar) if isinstance(spec, UrlSpec) else _from_table(spec, grammar)
    _check(parts, grammar)
    return parts


def one_of(parts: Parts, *ways: str) -> None:
    """Let pass if at most one of these ways to log in is described. Raises ConnectionSpecError."""
    said = [way for way in ways if parts.get(way)]
    if len(said) > 1:
        raise ConnectionSpecError(f"{' and '.join(said)} are different ways to log in", hint="describe one of them")


def all_or_none(parts: Parts, *keys: str) -> None:
    """Let pass if all or none of these keys are described. Raises ConnectionSpecError."""
    missing = [key for key in keys if key not in parts]
    if missing and len(missing) < len(keys):
        there = ", ".join(key for key in keys if key in parts)
        example = " ".join(f"{key} = %secret NAME" if is_credential(key) else f'{key} = "…"' for key in missing)
        raise ConnectionSpecError(f"there is {there}, and no {', '.join(missing)}", hint=example)


class Credentials:
    """
    The parts of a description that hold references, read from the store each time that one is asked for.

    Args:
        parts: The description's.
        access: Returns the values.
    """

    def __init__(self, parts: Parts, access: Access) -> None:
        self._texts = {key: item for key, item in parts.items() if isinstance(item, str) and names_in(item)}
        self.access = access

    @property
    def names(self) -> list[str]:
        """The names of the secrets, each once; first those of passwords and keys."""
        ordered = sorted(self._texts, key=lambda key: not is_credential(key))
        return list(dict.fromkeys(name for key in ordered for name in names_in(self._texts[key])))

    def read(self, text: str) -> str:
        """Return the text of a part as it is at this moment. Raises NoSuchSecretError."""
        return fill(text, self.access)

    def state(self) -> list[object]:
        """Return what differs when a secret may have changed. Raises NoSuchSecretError."""
        fingerprint = self.access.fingerprint
        return [] if fingerprint is None else [fingerprint(name) for name in self.names]

    def __repr__(self) -> str:
        return f"<credentials: {', '.join(self._texts)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled")


def digest(*texts: str) -> bytes:
    """Return what differs when one of *texts* does, and tells nothing about them: what a token was bought with."""
    return hashlib.sha256(repr(texts).encode("utf-8", "surrogatepass")).digest()


def _from_url(marked: StandIns, grammar: Grammar) -> Parts:
    def text(part: str | None) -> str:
        return marked.restore(unquote(part or ""))

    try:
        url = urlsplit(marked.text)
        parts = grammar.from_url(url, text)
    except ValueError:
        raise ConnectionSpecError("this is not a URL that a filesystem can be made of", hint=grammar.example) from None
    for key, item in parse_qsl(url.query, keep_blank_values=True):
        named = grammar.aliases.get(key, key)
        said = marked.restore(item)
        _add(parts, named, _BOOLEANS.get(said, said) if bool in _kinds(named) else said)
    return parts


def _from_table(spec: TableSpec, grammar: Grammar) -> Parts:
    parts: Parts = {}
    if isinstance(url := spec.parts.get("url"), str):
        # As if it stood alone: a password in it is refused.
        inner = read_spec(url)
        if not isinstance(inner, UrlSpec) or scheme_of(inner) != scheme_of(spec):
            raise ConnectionSpecError(f"the url is not one of type {scheme_of(spec)!r}", hint=grammar.example)
        parts = _from_url(inner.marked, grammar)
    for key, item in spec.parts.items():
        if key not in {"type", "url"} or (key == "url" and not isinstance(item, str)):
            _add(parts, grammar.aliases.get(key, key), item)
    return parts


def _add(parts: Parts, key: str, item: Any) -> None:
    if key in parts:
        raise ConnectionSpecError(f"{key!r} is said twice in this description", hint="a URL says it, or a key does: not both")
    parts[key] = item


def _check(parts: Parts, grammar: Grammar) -> None:
    for key, item in parts.items():
        if key not in grammar.names:
            near = [other for other in _ELSEWHERE.get(key, ()) if other in grammar.names]
            near += get_close_matches(key, [*grammar.names, *grammar.aliases], 1)
            raise ConnectionSpecError(
                f"a connection of type {grammar.scheme!r} has no key {key!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"its keys are {', '.join(grammar.names)}",
            )
        if not isinstance(item, _kinds(key)) or (key == "port" and (item is True or item not in range(1, 65536))):
            raise ConnectionSpecError(f"the value of {key!r} is of the wrong kind", hint=grammar.example)
        if key in _ROOTS and "/" in str(item):
            raise ConnectionSpecError(f"a {key}'s name holds no slash", hint=f'{key} = "sales"   prefix = "2026"')
        if key == "endpoint_url" and not str(item).startswith(("http://", "https://")):
            raise ConnectionSpecError("the endpoint_url does not begin with  https://", hint='endpoint_url = "https://…"')
        if key not in grammar.secret and names_in(repr(item) if isinstance(item, Mapping) else str(item)):
            # Where a value goes is said by the description alone, and what fsspec keeps and shows holds none.
            raise ConnectionSpecError(f"a reference stands in {key!r}, which is no place for one", hint=f"write {key} in clear")


def _kinds(key: str) -> tuple[type, ...]:
    kinds = _TYPES.get(key, str)
    return kinds if isinstance(kinds, tuple) else (kinds,)
