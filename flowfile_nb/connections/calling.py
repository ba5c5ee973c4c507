"""What `flowfile_nb.connect` is called with beside a description: what is wrong with it, and what was meant."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

from flowfile_nb.core.names import nearest
from flowfile_nb.errors import UsageError

_MAX_TIMEOUT_S = 86_400
_OPTIONS = {"as_": 'as_="duckdb"', "file": 'file="connections.toml"', "save": 'save="warehouse"', "test": "test=False"}
_OPTIONS |= {"timeout": "timeout=30", "trust": "trust=True"}
_ELSEWHERE = {
    **dict.fromkeys(("as_form", "engine", "form", "format", "kind", "output", "to"), "as_"),
    **dict.fromkeys(("check", "no_test", "ping", "verify"), "test"),
    **dict.fromkeys(("alias", "name", "save_as"), "save"),
    **dict.fromkeys(("connect_timeout", "seconds", "timeout_s", "timeout_seconds", "wait"), "timeout"),
    **dict.fromkeys(("config", "path", "project_file"), "file"),
    **dict.fromkeys(("agree", "yes"), "trust"),
}
_OF_A_LINE = {"debug": "--debug", "edit": "--edit", "export": "--export", "delete": "--delete", "replace": "--replace"}


def require_sense(beside: Mapping[str, Any], save: object, timeout: object, *, named: bool) -> None:
    """
    Let pass what `connect` was called with beside its target; said before anything is opened.

    Args:
        beside: What stands beside a text, and is none of the arguments that always may.
        save: As `connect` takes it.
        timeout: As `connect` takes it.
        named: Whether the target is a connection's name, and no description.

    Raises:
        UsageError: Otherwise. Of *beside* only the names are told.
    """
    others = [key for key in beside if key != "file" or not named]
    if others:
        raise _refused(others[0], named=named)
    if save:
        _require_savable(save, is_saved=named)
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= _MAX_TIMEOUT_S
    ):
        raise UsageError("a timeout is a number of seconds, up to a day", hint="timeout=30")


def _refused(key: str, *, named: bool) -> UsageError:
    """Return what is said of an argument that means nothing beside a text."""
    if key == "file":
        return UsageError(
            "a file is looked in for a name, and a description was given",
            hint='connect("warehouse", file="connections.toml")   or leave  file=  out',
        )
    near = _ELSEWHERE.get(key.lower()) or nearest(key.lower(), _OPTIONS, 0.7)
    if near is not None:
        return UsageError(f"connect() takes no {key!r} beside a text", hint=f"did you mean  {_OPTIONS[near]}?")
    if key in _OF_A_LINE:
        return UsageError(f"connect() takes no {key!r}", hint=f"leave it out;  in a notebook:  %connect NAME {_OF_A_LINE[key]}")
    if named:
        return UsageError(
            f"a saved connection opens as it is saved, and {key!r} is none of connect's own arguments",
            hint="leave it out, or change what is saved:  %connect NAME --edit  puts it into a cell",
        )
    return UsageError(
        "a connection is described by a text or by its parts, not by both",
        hint='all in a URL:  connect("postgresql://app:${secret:NAME}@host/database?sslmode=require")   or all as parts:'
        '  connect(type="https", url="https://api.example.com/v1", token=fnb.secrets["NAME"])',
    )


def _require_savable(save: object, *, is_saved: bool) -> None:
    """Let a name pass under which a description can be kept; said before anything is opened. Raises UsageError."""
    if is_saved:
        raise UsageError("a saved connection is opened by its name, and not saved again", hint="leave  save=  out")
    if not isinstance(save, str) or not save.isidentifier() or iskeyword(save):
        raise UsageError(
            f"{save!r} is no name for a connection: %connect binds it to a variable",
            hint='for example  save="warehouse"',
        )
