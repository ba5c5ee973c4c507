"""The team's side of a kernel: what a broker keeps, over HTTP. The other side is `python -m flowfile_nb serve`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowfile_nb.backend import SecretBackend
    from flowfile_nb.team.backend import TeamBackend


def open_team(environ: Mapping[str, str], local: Callable[[], SecretBackend], learn: Callable[[str, str], None]) -> TeamBackend:
    """
    Return the secrets of this process's user at the broker that the environment names; nothing is asked of it yet.

    Args:
        environ: The environment.
        local: Returns what is kept on this machine.
        learn: Has the token masked in outputs: it stands in the environment, where one `%env` shows it.

    Raises:
        UsageError: If the address is not one.
    """
    from flowfile_nb.team.address import address_of
    from flowfile_nb.team.backend import TeamBackend
    from flowfile_nb.team.client import Client

    address = address_of(environ)
    if address.token:
        learn(address.token_from, address.token)
    return TeamBackend(Client(address, learn), environ, local)
