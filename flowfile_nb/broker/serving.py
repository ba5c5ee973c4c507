"""The broker's process, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import MutableMapping, Sequence
from typing import NamedTuple

from flowfile_nb.broker.app import base_of, listen, make_application
from flowfile_nb.broker.guests import Guests
from flowfile_nb.broker.handlers import Front
from flowfile_nb.broker.identities.hub import GRACE_S, HubIdentity
from flowfile_nb.broker.identities.oidc import OidcIdentity
from flowfile_nb.broker.identities.own_token import TokenIdentity
from flowfile_nb.broker.identities.peer import PeerIdentity
from flowfile_nb.broker.identities.sources import HOST, HUB, ISSUER, SOURCES, Sources, sources_of
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Identity
from flowfile_nb.broker.running import Running
from flowfile_nb.broker.sessions import Sessions
from flowfile_nb.broker.sockets import address_of
from flowfile_nb.broker.team import Team
from flowfile_nb.broker.threads import in_thread
from flowfile_nb.broker.tokens_desk import PREFIX
from flowfile_nb.broker.turns import Turns
from flowfile_nb.errors import BrokerError, UsageError

_PR_SET_DUMPABLE = 4
_LAST_ANSWERS_S = 5.0
_HIDDEN = ("JUPYTERHUB_API_TOKEN", "FLOWFILE_MASTER_KEY", "FLOWFILE_NB_STORE")
"""Variables that hold what no child and no library needs to see."""


class Served(NamedTuple):
    """How a broker serves."""

    sockets: Sequence[socket.socket]
    prefix: str = "/"
    tls: ssl.SSLContext | None = None
    hub_api: str = ""
    """Of the JupyterHub that vouches; empty without one."""
    service: str = "flowfile-secrets"
    hub_token: str = ""
    hub_grace_s: float | None = None
    """For how long what runs goes on while the Hub says nothing; `identities.hub.GRACE_S` if not given."""
    oidc: OidcIdentity | None = None
    same_users: str | None = None
    """Which sources speak of the same users, as `sources_of` takes it; None for what the store says."""
    admins: Sequence[str] = ()
    """Users of this host, or of the issuer, who may make groups, by the names that they have here."""
    limits: Limits = Limits()


def close_up(environ: MutableMapping[str, str]) -> dict[str, str]:
    """
    Let nobody else look into this process, and take what is secret out of its environment.

    Returns:
        The environment as it was.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Each caller's connection and each session's pipes are descriptors; the usual 1,024 are few.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        os.umask(0o077)
    before = dict(environ)
    for name in _HIDDEN:
        environ.pop(name, None)
    return before


def identities_of(team: Team, served: Served) -> tuple[list[Identity], HubIdentity | None]:
    """Return the ways of knowing who calls, and the Hub's among them."""
    hub = None
    if served.hub_api:
        grace_s = GRACE_S if served.hub_grace_s is None else served.hub_grace_s
        hub = HubIdentity(served.hub_api, served.service, served.hub_token, grace_s)
    known: list[Identity] = [TokenIdentity(team.caller_of_token, PREFIX)]
    if served.oidc is not None:
        # Before the Hub, which takes any token and need not see this one.
        known.append(served.oidc)
    if hub is not None:
        known.append(hub)
    known.append(PeerIdentity())
    return known, hub


async def serve(team: Team, served: Served) -> None:
    """Answer until a signal says to stop; then end what runs, with an error that says so."""
    log = logging.getLogger("flowfile_nb.broker")
    sources = _sources(team, served)
    sessions = Sessions(served.limits)
    identities, hub = identities_of(team, served)
    running = Running(team, sessions, hub if hub is not None and hub.watches else None)
    if count := await in_thread(team.begin_serving, served.limits.query_s):
        log.warning("%d uses were interrupted when the broker's process ended before; the audit says which", count)
    running.start()
    guests = Guests(served.limits)
    turns = Turns(served.limits.large_requests_per_caller)
    front = Front(team, sessions, identities, running, guests, sources, turns, answers=set())
    application = make_application(front, served.prefix)
    server = listen(application, guests, served.sockets, served.tls)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Windows has no such handlers: there Ctrl+C ends the loop.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    log.info("the broker answers at %s", ", ".join(_reached_at(one, served) for one in served.sockets))
    try:
        if served.oidc is not None:
            await _look_for_issuer(served.oidc)
        await stop.wait()
    finally:
        server.stop()
        await running.stop()
        await sessions.close()
        if front.answers:
            # To their last byte: some proxies let a reader wait for ever where an answer breaks off.
            await asyncio.wait(front.answers, timeout=_LAST_ANSWERS_S)
        await server.close_all_connections()


def _reached_at(listening: socket.socket, served: Served) -> str:
    """Return where its paths are reached, as a kernel is told it."""
    address, prefix = address_of(listening, tls=served.tls is not None), base_of(served.prefix).rstrip("/")
    return address + (prefix if address.startswith("http") or not prefix else f" behind {prefix}")


def _sources(team: Team, served: Served) -> Sources:
    """Return whose names are the same person's, and tell the operator where that is so since the store is older."""
    here = {HUB: bool(served.hub_api), ISSUER: served.oidc is not None, HOST: True}
    there = [source for source in SOURCES if here[source]]
    if served.same_users is None and team.same_users() != "none" and there[0] == ISSUER:
        raise UsageError(
            "this store has users from before an issuer vouched for any: are the issuer's of the same names the same people?",
            hint="--same-users oidc,host  if they are;  --same-users none  if not: a user of this host is called host:NAME",
        )
    said = team.same_users() if served.same_users is None else served.same_users
    found = sources_of(there, said, served.admins)
    if served.same_users is None and len(found.same & set(there)) > 1:
        logging.getLogger("flowfile_nb.broker").warning(
            "this store takes users of one name for one user, whichever of %s vouches;  --same-users none  ends that,"
            "  --same-users %s  says that it is meant",
            *(" and ".join(there), ",".join(there)),
        )
    return found


async def _look_for_issuer(oidc: OidcIdentity) -> None:
    """Tell the operator whether the issuer can be asked. Not an end: it may come later, and is asked again."""
    log = logging.getLogger("flowfile_nb.broker")
    try:
        log.info("the issuer answers, with %d keys", await oidc.ask_issuer())
    except BrokerError as error:
        log.warning("%s", error.message)
