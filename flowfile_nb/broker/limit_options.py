"""The options of `serve` that set limits, and what they say."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, NamedTuple

from flowfile_nb.broker.limits import MIB, Limits, Quotas
from flowfile_nb.errors import UsageError


class _Option(NamedTuple):
    """An option: the field that it sets, how many of the field's units one of the option's is, and what it means."""

    name: str
    field: str
    units: int
    what: str


_LIMITS = (
    _Option("query-seconds", "query_s", 1, "how long a statement may take (3600)"),
    _Option("memory-mib", "memory_bytes", MIB, "how much memory a session may take (1024)"),
    _Option("result-mib", "result_bytes", MIB, "how large a result may be (65536)"),
    _Option("sessions-per-caller", "sessions_per_caller", 1, "how many statements of one caller run at once (8)"),
    _Option("sessions", "sessions", 1, "how many of all (200)"),
    _Option("connections", "connections", 1, "how many connections there may be to the broker (4000)"),
    _Option("connections-per-caller", "connections_per_caller", 1, "how many of one caller (256)"),
    _Option("silent-connections", "silent_per_place", 1, "how many of one address or user that have said nothing yet (256)"),
    _Option("silent-seconds", "stranger_s", 1, "how long a connection is kept on which nobody has said who calls (10)"),
)
_QUOTAS = (
    _Option("secrets-per-user", "secrets_per_user", 1, "how many secrets one user keeps (1000)"),
    _Option("saved-per-user", "connections_per_user", 1, "how many connections one user saves (1000)"),
    _Option("shares-per-user", "shares_per_user", 1, "how many shares one user makes (5000)"),
    _Option("groups-per-user", "groups_per_user", 1, "how many groups one administrator makes (1000)"),
    _Option("members-per-group", "members_per_group", 1, "how many members a group has (5000)"),
    _Option("secret-kib", "secret_bytes", 1024, "how long the value of a secret is (512)"),
)


def add_limit_options(serve: argparse.ArgumentParser) -> None:
    """Add them to the command."""
    for option in (*_LIMITS, *_QUOTAS):
        serve.add_argument(f"--{option.name}", type=int, metavar="N", help=option.what)


def limits_of(args: argparse.Namespace) -> Limits:
    """Return what one use may take. Raises UsageError for what is no limit."""
    return replace(Limits(), **_given(args, _LIMITS))


def quotas_of(args: argparse.Namespace) -> Quotas:
    """Return what one user may keep. Raises UsageError for what is no limit."""
    return replace(Quotas(), **_given(args, _QUOTAS))


def _given(args: argparse.Namespace, options: tuple[_Option, ...]) -> dict[str, Any]:
    said = {option: getattr(args, option.name.replace("-", "_")) for option in options}
    if any(number is not None and number <= 0 for number in said.values()):
        raise UsageError("a limit is a number above zero", hint="--query-seconds 600")
    return {option.field: number * option.units for option, number in said.items() if number is not None}
