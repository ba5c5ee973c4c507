"""What `%secret doctor` says in a team: whether the broker answers, who the caller is, where values are."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from flowfile_nb.backend import Finding, SecretBackend
from flowfile_nb.errors import FlowfileNbError
from flowfile_nb.team import entries
from flowfile_nb.team.address import ADDRESS
from flowfile_nb.team.client import WIRE, Client
from flowfile_nb.team.entries import SecretEntry


def findings(client: Client, secrets: Callable[[], list[SecretEntry]], local: Callable[[], SecretBackend]) -> list[Finding]:
    """
    Return the findings; a broker that does not answer is one of them.

    Args:
        client: Speaks to the broker.
        secrets: Asks it which secrets there are.
        local: Returns what is kept on this machine without a team.
    """
    address = client.address
    token = f"token from {address.token_from}" if address.token_from else "no token: the kernel of this host says who you are"
    found = [Finding("mode", f"team ({ADDRESS}={address.shown}; {token})"), *_token_file(address.token_file)]
    try:
        found += [*_caller(client), _values(secrets())]
    except FlowfileNbError as error:
        found.append(Finding("broker", error.message, ok=False, remedy=error.hint))
    return [*found, *_left_behind(local)]


def _token_file(path: str) -> list[Finding]:
    """Say that others may read the token: who has it is taken for its user."""
    try:
        is_open = bool(path) and os.stat(path).st_mode & stat.S_IROTH and os.stat(os.path.dirname(path)).st_mode & stat.S_IXOTH
    except OSError:
        # What is wrong with it is said by asking the broker.
        return []
    if os.name != "posix" or not is_open:
        return []
    return [Finding("token", f"others of this host may read {path}", ok=False, remedy=f"chmod 600 '{path}'")]


def _caller(client: Client) -> list[Finding]:
    me = entries.me(client.get("api/me"))
    if me.wire != WIRE:
        return [
            Finding(
                "broker",
                f"answers in version {me.wire} of its language; this package speaks {WIRE}",
                ok=False,
                remedy="install the same version of flowfile-nb on both sides",
            )
        ]
    groups = f"groups: {', '.join(me.groups)}" if me.groups else "in no group"
    admin = "; an admin" if me.is_admin else ""
    return [Finding("broker", "answers"), Finding("you", f"{me.name} (vouched for by {me.vouched_by}); {groups}{admin}")]


def _values(secrets: list[SecretEntry]) -> Finding:
    own = sum(entry.own for entry in secrets)
    return Finding("secrets", f"{own:,} of your own, used in this kernel; {len(secrets) - own:,} shared with you, brokered")


def _left_behind(local: Callable[[], SecretBackend]) -> list[Finding]:
    """Say that secrets lie in files of this machine, which somebody might look for in vain."""
    try:
        count = local().count()
    except FlowfileNbError:
        # It is not in use: what is wrong with it is said where it is.
        return []
    if not count:
        return []
    return [Finding("this machine", f"{count:,} secrets in files here are not used in a team; without {ADDRESS} they are")]
