"""The broker's web application: paths, and the server that answers them."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from socket import socket
from typing import Any

from tornado.web import Application, RequestHandler

from flowfile_nb.broker.guests import Entrance, Guests
from flowfile_nb.broker.handlers import ApiHandler, Front, HealthHandler, NothingHandler
from flowfile_nb.broker.routes import TEAM_ROUTES, Route
from flowfile_nb.broker.schemas import MAX_BODY_BYTES
from flowfile_nb.broker.uses import USE_ROUTES

_log = logging.getLogger("flowfile_nb.broker")
_MAX_HEADER_BYTES = 32 * 1024
_IDLE_CONNECTION_S = 120
_BODY_WITHIN_S = 30


def make_application(front: Front, prefix: str = "/") -> Application:
    """
    Return the application.

    Args:
        front: What answers.
        prefix: What all its paths stand behind, such as the one that JupyterHub gives a service.
    """
    by_path: dict[str, dict[str, Route]] = {}
    for (method, path), route in {**TEAM_ROUTES, **USE_ROUTES}.items():
        by_path.setdefault(path, {})[method] = route
    base = base_of(prefix)
    rules: list[Any] = [(f"{base}api/health", HealthHandler)]
    rules += [(f"{base}api/{path}", ApiHandler, {"front": front, "methods": methods}) for path, methods in by_path.items()]
    return Application(
        rules, default_handler_class=NothingHandler, log_function=_log_request, compress_response=False, autoreload=False
    )


def base_of(prefix: str) -> str:
    """Return what all paths begin with: a slash, or the prefix between slashes."""
    return f"/{prefix.strip('/')}/" if prefix.strip("/") else "/"


def listen(application: Application, guests: Guests, sockets: Sequence[socket], tls: ssl.SSLContext | None = None) -> Entrance:
    """Answer on sockets that are listened on already, and return the server."""
    server = Entrance(
        application,
        ssl_options=tls,
        # Headers that a caller sends of himself say nothing of who he is.
        xheaders=False,
        max_header_size=_MAX_HEADER_BYTES,
        # A little more than is taken, so that a body which is too long is refused by name.
        max_body_size=16 * MAX_BODY_BYTES,
        max_buffer_size=2 * MAX_BODY_BYTES,
        idle_connection_timeout=_IDLE_CONNECTION_S,
        body_timeout=_BODY_WITHIN_S,
    )
    server.guests = guests
    server.add_sockets(sockets)
    return server


def _log_request(handler: RequestHandler) -> None:
    """Write a line for a request: no URL's query, no header, no body, and of a path only one that there is."""
    known = isinstance(handler, (ApiHandler, HealthHandler))
    caller = getattr(handler, "caller", None)
    _log.info(
        "%s %s %d %s %.1f ms",
        handler.request.method if known else "-",
        handler.request.path if known else "-",
        handler.get_status(),
        "-" if caller is None else ascii(caller.name),
        1000 * handler.request.request_time(),
    )
