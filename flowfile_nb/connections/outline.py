"""What can be told of a description without opening anything: its kind, where it leads, which secrets it needs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from flowfile_nb.connections.spec import Spec, UrlSpec, read_spec, scheme_of, secrets_in
from flowfile_nb.errors import ConnectionSpecError, FlowfileNbError, LiteralPasswordError

# What says where a connection leads; the first that is there counts.
_URLS = ("url", "base_url")
PLACES = (
    *_URLS,
    "host",
    "server",
    "account",
    "endpoint_url",
    "endpoint",
    "bucket",
    "bootstrap_servers",
    "bootstrap.servers",
)


class Outline:
    """
    What can be told of a definition without opening anything.

    Args:
        kind: A URL's scheme, or the `type` of a description.
        target: Where it leads, without password and options.
        secrets: The names of those it needs.
        problem: Why it cannot be used; empty if it can.
        remedy: What to do about that, if it is to be said of a definition in a file, too.
    """

    __slots__ = ("kind", "problem", "remedy", "secrets", "target")

    def __init__(self, kind: str, target: str, secrets: tuple[str, ...], problem: str = "", remedy: str = "") -> None:
        self.kind = kind
        self.target = target
        self.secrets = secrets
        self.problem = problem
        self.remedy = remedy


def outline_of(description: str | Mapping[str, Any]) -> Outline:
    """Return what can be told of a description."""
    return _of_text(description) if isinstance(description, str) else _of_any(description)


def shown(text: str) -> str:
    """Return *text* as `toml_text.printable` does."""
    if text.isprintable():
        return text
    # Imported here: nearly every text is.
    from flowfile_nb.connections.toml_text import printable

    return printable(text)


# The list shows every saved definition each time.
@lru_cache(maxsize=4096)
def _of_text(body: str) -> Outline:
    return _of_any(body)


def _of_any(description: str | Mapping[str, Any]) -> Outline:
    try:
        spec = read_spec(description)
        return Outline(shown(scheme_of(spec)), shown(_target(spec)), tuple(secrets_in(spec)))
    except LiteralPasswordError as error:
        # What to do about one is said of a cell.
        return Outline("", "", (), error.message)
    except ConnectionSpecError as error:
        return Outline("", "", (), error.message, error.hint)
    except (FlowfileNbError, TypeError, ValueError, AttributeError):
        return Outline("", "", (), "the definition cannot be understood")


def place_in(parts: Mapping[str, Any]) -> str | None:
    """Return the key of a description that says where it leads."""
    return next((key for key in PLACES if key in parts), None)


def _without_password(url: str) -> str:
    """Return a URL without password and options; it may be one that no library takes, and is told all the same."""
    after = url.partition(":")[2].lstrip("/")
    scheme = url.removesuffix(after)
    login, at, place = after.partition("@")
    user = login.partition(":")[0]
    if not at or "/" in user:
        user, place = "", after
    place = place.partition("?")[0].partition("#")[0]
    return f"{scheme}{user}@{place}" if user else f"{scheme}{place}"


def _target(spec: Spec) -> str:
    """Return where a description leads, without password and options."""
    if isinstance(spec, UrlSpec):
        return spec.marked.restore(_without_password(spec.marked.text))
    parts, place = spec.parts, place_in(spec.parts)
    bucket = parts.get("bucket", parts.get("container"))
    if bucket is not None and "url" not in parts:
        at = " at ".join(str(parts[key]) for key in ("account", "endpoint_url", "endpoint") if key in parts)
        prefix = f"/{parts['prefix']}" if "prefix" in parts else ""
        return f"{parts['type']}://{bucket}{prefix}" + (f" at {at}" if at else "")
    if place in _URLS:
        return _target(read_spec(parts[place]))
    login = parts.get("username", parts.get("user"))
    port = f":{parts['port']}" if "port" in parts else ""
    database = f"/{parts['database']}" if "database" in parts else ""
    return f"{parts['type']}://{f'{login}@' if login else ''}{parts[place] if place else ''}{port}{database}"
