"""What the body of `%%connect` says, as data: a URL or a table of keys, with references where values will be."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from flowfile_nb.core.references import StandIns, names_in, reference
from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import ConnectionSpecError, LiteralPasswordError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[A-Za-z][A-Za-z0-9+.-]*:(?=[/?]|$)")
# The last word of a key that holds a credential: `password`, `aws_secret_access_key`, `sas_token` …
_CREDENTIAL = re.compile(
    r"(?:^|[_\W])(?:password|passwd|passphrase|pwd|secret|token|apikey|api_?key|access_?key|secret_?key|account_?key|private_?key"
    r"|credentials?|connection_?string|sig|signature)$",
    re.IGNORECASE,
)
# In ODBC's and Azure's connection strings, and in the query of a signed URL.
_EMBEDDED = re.compile(
    r"(?:^|[;&?\s])(?:password|passwd|pwd|accountkey|sharedaccesssignature|sig)\s*=\s*[^;&\s]", re.IGNORECASE
)
# From the first `:` to the last `@`, so that a password with an unescaped `@`, `/` or `?` is seen whole; a port is none.
_USER_INFO = re.compile(r"[^:]+://[^:/@?]*:(?!\d+(?:[/?]|$))(?P<password>.+)@", re.DOTALL)
# Not of an address in brackets; of several hosts the first.
_PORT = re.compile(r"[^:]+://[^:/@?\[]*:(?P<port>[^@/?,]+)(?:[/?,]|$)")
_TOML_STRING = re.compile(
    r"""\"{3}(?:\\.|[^\\])*?\"{3} | '{3}[\s\S]*?'{3} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' | \#.*""", re.VERBOSE
)
_BOTH_FORMS = 'write a URL:  postgresql://app:%secret NAME@host/database   or TOML lines:  type = "postgresql"'


class UrlSpec(NamedTuple):
    """A connection given as one URL."""

    marked: StandIns
    """The URL with a harmless word in place of each reference: safe to parse."""


class TableSpec(NamedTuple):
    """A connection given by its parts."""

    parts: dict[str, Any]
    """Strings hold references in the spelling of `core.references.reference`."""


Spec = UrlSpec | TableSpec


def read_spec(description: str | Mapping[str, Any]) -> Spec:
    """
    Understand a description without opening anything.

    Args:
        description: The body of a cell, or the parts as a mapping; a `Secret` in it means a reference to it.

    Raises:
        ConnectionSpecError: If it is neither a URL nor TOML. The message never quotes it: it might hold a password.
        ReferenceSyntaxError: If a reference in it cannot be read.
        LiteralPasswordError: If it holds a password in clear.
    """
    if not isinstance(description, str):
        parts = {key: _plain(item) for key, item in description.items()}
        _refuse_literals(parts)
        return _table(parts)
    if re.search("[\ud800-\udfff]", description):
        raise ConnectionSpecError("the description is not valid Unicode (it has half of a surrogate pair)", hint=_BOTH_FORMS)
    # Not `splitlines`: a name can hold U+2028, which is a line's end for it and for nobody else here.
    lines = [line for line in re.split("[\r\n]", description) if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise ConnectionSpecError("the description of the connection is empty", hint=_BOTH_FORMS)
    if _URL.match(lines[0].strip()):
        if len(lines) > 1:
            raise ConnectionSpecError("a URL stands alone; there is another line after it", hint=_BOTH_FORMS)
        marked = StandIns(lines[0].strip())
        _refuse_literal_in_url(marked)
        return UrlSpec(marked)
    parts = read_toml(description)
    _refuse_literals(parts)
    return _table(parts)


def scheme_of(spec: Spec) -> str:
    """Return a URL's scheme, or the `type` of a table: `postgresql`, `mysql+pymysql`, `s3`."""
    return spec.marked.text.partition(":")[0] if isinstance(spec, UrlSpec) else str(spec.parts["type"])


def is_credential(key: str) -> bool:
    """Return whether what stands under a key is a password, by the key's last word."""
    return _CREDENTIAL.search(key) is not None


def secrets_in(spec: Spec) -> list[str]:
    """Return the names of the secrets a connection needs, each once."""
    if isinstance(spec, UrlSpec):
        return [name for name in dict.fromkeys(spec.marked.names) if name]
    return list(dict.fromkeys(name for text in _strings(spec.parts) for name in names_in(text)))


def _refuse_literals(parts: Mapping[str, Any], path: str = "") -> None:
    for key, item in parts.items():
        if isinstance(item, Mapping):
            _refuse_literals(item, f"{path}{key}.")
        elif isinstance(item, str) and item and not names_in(item) and (is_credential(key) or _EMBEDDED.search(item)):
            raise _literal_password(f"{path}{key}")


def _refuse_literal_in_url(marked: StandIns) -> None:
    user_info = _USER_INFO.match(marked.text)
    password = marked.restore(user_info["password"]) if user_info else ""
    if password and not names_in(password):
        raise _literal_password("in the part before the @")
    port = _PORT.match(marked.text)
    if port and not port["port"].isdigit() and marked.restore(port["port"]) == port["port"]:
        # A password may stand there, too, where the host was forgotten.
        raise ConnectionSpecError(
            "this is not a URL that a connection can be made of: what stands behind the host's `:` is no port",
            hint=f"{_example_of(marked.text)}   (the port is a number)",
        )
    query = parse_qsl(marked.text.partition("?")[2])
    _refuse_literals({key: marked.restore(item) for key, item in query}, "?")


def _example_of(url: str) -> str:
    scheme = url.partition(":")[0].lower()
    if scheme in {"http", "https"}:
        return f"{scheme}://api.example.com:8443/v1"
    place = "host:22/path" if scheme in {"sftp", "ssh"} else "host:5432/database"
    return f"{scheme}://user:%secret NAME@{place}"


def _literal_password(place: str) -> LiteralPasswordError:
    return LiteralPasswordError(
        f"a password stands in clear in this connection ({place}); nothing was opened",
        hint="store it:  %secret set my_pw   and delete it from the cell, with  %secret my_pw  in its place",
    )


def _plain(item: Any) -> Any:
    if isinstance(item, Secret):
        return reference(item.name)
    if isinstance(item, Mapping):
        return {key: _plain(inner) for key, inner in item.items()}
    return item


def _table(parts: dict[str, Any]) -> TableSpec:
    if not isinstance(parts.get("type"), str):
        raise ConnectionSpecError("the description says no type", hint='type = "postgresql"   (or mysql, sqlite, duckdb …)')
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
        # Not all of them are TOMLDecodeError: a number of 5,000 digits and brackets a thousand deep are Python's own.
        # Only the place is taken from the parser's message: the rest can quote the text.
        place = re.search(r"\(at [^)]*\)", str(error))
        raise ConnectionSpecError(
            f"the description is neither a URL nor TOML {place[0] if place else ''}".rstrip(), hint=_BOTH_FORMS
        ) from None
    return {key: _restore(marked, item) for key, item in parsed.items()}


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
        return {key: _restore(marked, inner) for key, inner in item.items()}
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
