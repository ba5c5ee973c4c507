"""Where the broker is, and what proves to it who calls: the kernel's environment says so."""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from flowfile_nb.errors import BrokerError, UsageError

ADDRESS = "FLOWFILE_NB_TEAM"
TOKEN = "FLOWFILE_NB_TEAM_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE = "FLOWFILE_NB_TEAM_TOKEN_FILE"  # noqa: S105 - the name of a variable
HUBS_TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105 - the name of a variable
_MAX_TOKEN = 16 * 1024
_FORMS = f"{ADDRESS}=unix:/run/flowfile-nb/broker.sock   or   https://hub.example.com/services/flowfile-secrets"


class Address(NamedTuple):
    """Where the broker is, and who calls."""

    url: str
    """What every path of its API stands behind; a unix socket's has a host of no meaning."""
    socket: str = ""
    """The path of a unix socket; empty where the URL is all."""
    token: str = ""
    """Sent with each request; empty on a unix socket, where the kernel of this host vouches."""
    token_from: str = ""
    """The variable that the token is from."""
    token_file: str = ""
    """The file that has the token, in the place of `token`: one that is renewed while the kernel runs."""

    @property
    def shown(self) -> str:
        """The address to be read, as the variable has it."""
        return f"unix:{self.socket}" if self.socket else self.url

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def current_token(self) -> str:
        """
        Return the token to be sent now; empty without one. A file is read at each call.

        Raises:
            BrokerError: If the file cannot be read, is not one token alone, or somebody else may have written it.
        """
        if not self.token_file:
            return self.token
        try:
            with open(self.token_file, encoding="ascii") as file:
                _require_ours(os.fstat(file.fileno()))
                text = file.read(_MAX_TOKEN + 1).strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text of a token"
            raise BrokerError(
                f"the file that {TOKEN_FILE} names cannot be read: {why}", hint="whatever renews the token writes it there"
            ) from None
        if not text or len(text) > _MAX_TOKEN or any(character.isspace() for character in text):
            raise BrokerError(
                f"the file that {TOKEN_FILE} names does not hold a token alone", hint="one line: the token, nothing else"
            )
        return text


def _require_ours(file: os.stat_result) -> None:
    """Raise BrokerError if another user may have written a file: with his token, what is stored here would be his."""
    if os.name != "posix":
        return
    if file.st_uid not in {0, os.geteuid()} or file.st_mode & stat.S_IWOTH:
        raise BrokerError(
            f"the file that {TOKEN_FILE} names could be another user's: who writes it says whose your secrets are",
            hint="a file of your own, or root's, that nobody else writes:  chmod 600",
        )


def address_of(environ: Mapping[str, str]) -> Address:
    """
    Return where the broker is.

    A token of `FLOWFILE_NB_TEAM_TOKEN`, or of the file that `FLOWFILE_NB_TEAM_TOKEN_FILE` names, is always sent, the Hub's only
    by http(s): on a unix socket the kernel of the host says who calls.

    Raises:
        UsageError: If the address is of no known form, or would carry token and values in clear to another machine; or if it is
            not clear which token is meant.
    """
    text = environ.get(ADDRESS, "").strip()
    own, file = environ.get(TOKEN, ""), environ.get(TOKEN_FILE, "")
    if own and file:
        raise UsageError(f"{TOKEN} and {TOKEN_FILE} are both set: which counts?", hint="unset one of them")
    if file and not os.path.isabs(file):
        raise UsageError(f"{TOKEN_FILE} names no file by its whole path", hint=f"{TOKEN_FILE}=/run/user/1000/team_token")
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise UsageError(f"{ADDRESS} names no socket by its whole path", hint=_FORMS)
        return Address("http://broker/", path, own, TOKEN if own else TOKEN_FILE if file else "", file)
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment or parts.username is not None:
        # Not quoted: somebody may have put a token in it.
        raise UsageError(f"{ADDRESS} is not the address of a broker", hint=_FORMS)
    if parts.scheme == "http" and not _is_near(host, environ):
        raise UsageError(
            f"{ADDRESS} leads to another machine without encryption: nothing was sent there",
            hint="use https://…,  or a unix socket where the broker is on this machine",
        )
    if file:
        return Address(text.rstrip("/") + "/", "", "", TOKEN_FILE, file)
    variable = TOKEN if own else HUBS_TOKEN if environ.get(HUBS_TOKEN) else ""
    return Address(text.rstrip("/") + "/", "", environ.get(variable, ""), variable)


def _is_near(host: str, environ: Mapping[str, str]) -> bool:
    """Return whether a host may be spoken to in clear: this machine, or the Hub, which gets the same token in clear already."""
    try:
        on_this_machine = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        on_this_machine = False
    hub = urlsplit(environ.get("JUPYTERHUB_API_URL", ""))
    return on_this_machine or (hub.scheme == "http" and hub.hostname == host)
