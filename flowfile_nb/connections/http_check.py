"""
What opening an API tries, and what it then tells.

It has no effect on the other side: without a `test_path` it goes as far as the TLS handshake, and as fetching an OAuth token.
"""

from __future__ import annotations

import re
import socket
from urllib.parse import unquote

import httpx

from flowfile_nb.connections.failures import explain, of_use, with_secrets
from flowfile_nb.connections.http_description import EXAMPLE
from flowfile_nb.connections.http_transport import ApiClient, origin, proxy_of
from flowfile_nb.connections.tls_probe import begins_with_tls
from flowfile_nb.errors import ConnectionFailedError


def check(client: ApiClient) -> None:
    """
    Ask for the test path if there is one; else fetch the OAuth token if there is one, and set up TCP and TLS.

    Raises:
        ConnectionFailedError: If that fails. The client is closed.
    """
    try:
        if client.test_path is not None:
            _ask(client, client.test_path)
        else:
            client.late_binding.token()
            _shake_hands(client)
    except (httpx.TransportError, httpx.InvalidURL, OSError) as error:
        client.close()
        raise _explained(error, client) from None
    except BaseException:
        client.close()
        raise


def untried(client: ApiClient) -> tuple[str, str] | None:
    """Return what `check` has done, and what it has not tried; None if it asked for the test path."""
    if client.test_path is not None:
        return None
    wanted = client.late_binding.attachments
    key = "the token was given, and not tried" if wanted.oauth else "the key was not tried" if wanted.names() else ""
    reached = "only the proxy was reached" if proxy_of(client.base_url) else ""
    said = ", and ".join(filter(None, [reached, key]))
    return "Reached", f"no test_path: {said}" if said else "no test_path"


def target(client: ApiClient) -> str:
    """Return where a client leads: `https://api.example.com/v1`."""
    return unquote(str(client.base_url)).rstrip("/")


def explained_later(client: ApiClient, error: BaseException) -> tuple[str, str] | None:
    """
    Return what happened with a request of a later cell, in one line, and what to do; None where all of it is to be shown.

    Args:
        client: The one that has sent it.
        error: httpx's: a status that `raise_for_status` does not let pass, or that there was no answer.
    """
    binding = client.late_binding
    if binding.access.debug:
        return None
    if isinstance(error, httpx.HTTPStatusError):
        return _of_status(client, error.response)
    if isinstance(error, (httpx.PoolTimeout, httpx.ReadTimeout, httpx.WriteTimeout)):
        # httpx's names of how long it waits for what.
        waited_s = error.request.extensions.get("timeout", {}).get(type(error).__name__.removesuffix("Timeout").lower())
        within = "in time" if waited_s is None else f"within {waited_s:g} s"
        hint = "to wait longer:  NAME.get(path, timeout=60),  or  timeout = 60  in its description"
        return f"{target(client)} did not answer {within}", hint
    if isinstance(error, (httpx.TransportError, OSError)):
        return of_use(_explained(error, client))
    return None


def _of_status(client: ApiClient, response: httpx.Response) -> tuple[str, str]:
    status, request = response.status_code, response.request
    asked = f"{request.method} {unquote(request.url.path)}"
    if origin(request.url) != origin(client.base_url):
        # A redirect has led there, without what is attached.
        return f"{request.url.host} answered {status} to {asked}, and was not shown the credential", "check where it is to lead"
    if status in {401, 403}:
        names = client.late_binding.attachments.names()
        used = with_secrets(names, client.late_binding.access)
        another = (
            f"store another:  %secret set {client.late_binding.access.typed(names[0])} --replace"
            if names
            else f"describe one:  {EXAMPLE}"
        )
        allowed = "whoever runs it can allow it; or " if status == 403 else ""
        return f"{target(client)} refused the credential{used}: it answered {status} to {asked}", allowed + another
    said = f"{target(client)} answered {status} to {asked}"
    if status == 429:
        wait = response.headers.get("Retry-After", "")
        return said, "it takes fewer requests at a time: " + (f"wait {wait} s" if wait.isdigit() else "wait, and ask again")
    if response.is_server_error:
        return said, "the server has a problem; try again later"
    return said, "check the path, and what is sent"


def _ask(client: ApiClient, path: str) -> None:
    # Whatever the limit of later requests is, this one is part of opening.
    response = client.get(path, follow_redirects=True, timeout=client.timeout.connect)
    names = client.late_binding.attachments.names()
    if response.status_code in {401, 403}:
        used = with_secrets(names, client.late_binding.access)
        raise ConnectionFailedError(
            f"{target(client)} refused the credential{used}: it answered {response.status_code} to {path}",
            hint=f"store another:  %secret set {client.late_binding.access.typed(names[0])} --replace"
            if names
            else f"describe one:  {EXAMPLE}",
        )
    server = _unencrypted(client) if response.status_code == 400 else None
    if server is not None and begins_with_tls(*server):
        # What a server says on its port for TLS to whom does not begin with that.
        raise ConnectionFailedError(
            f"could not open {target(client)}: that port begins with TLS, and this connection does not",
            hint="write the url with  https://",
        )
    if response.is_error:
        raise ConnectionFailedError(
            f"{target(client)} answered {response.status_code} to {path}",
            hint="check url and test_path" if response.is_client_error else "the server has a problem; try again later",
        )


def _shake_hands(client: ApiClient) -> None:
    """Set up a connection as far as TLS. Where a proxy stands between, only that is reached."""
    url = client.base_url
    proxy = proxy_of(url)
    scheme, host, port = origin(httpx.URL(proxy)) if proxy else origin(url)
    with socket.create_connection((host, port or 1080), timeout=client.timeout.connect) as connection:
        if scheme == "https":
            with client.late_binding.verify.wrap_socket(connection, server_hostname=host):
                pass


def _explained(error: Exception, client: ApiClient) -> ConnectionFailedError:
    binding = client.late_binding
    found = explain(error, target(client), binding.attachments.names(), binding.access, _unencrypted(client))
    if re.search("signed by an authority|could not be set up", found.message):
        # What the description of an API has for it.
        found.hint = 'an authority of your own:  verify = "/path/to/ca.pem"   a certificate of yours:  cert = "/path/to/me.pem"'
    return found


def _unencrypted(client: ApiClient) -> tuple[str, int] | None:
    """Return host and port of an API that is asked without TLS, and through no proxy."""
    scheme, host, port = origin(client.base_url)
    return (host, port) if scheme == "http" and port and not proxy_of(client.base_url) else None
