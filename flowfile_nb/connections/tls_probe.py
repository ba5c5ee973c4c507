"""Whether a port begins with TLS: asked where a connection that does not begin so has failed, to say why."""

from __future__ import annotations

import socket
import ssl

_PATIENCE_S = 1.0


def begins_with_tls(host: str, port: int) -> bool:
    """
    Return whether what listens there answers the greeting of TLS; False where nothing does within a second.

    Nothing but that greeting is sent, and no certificate is looked at: nothing that matters goes over this connection.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=_PATIENCE_S) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        # A refusal in TLS's own words is an answer, too: such a server asks for a certificate, or for another version.
        return "ALERT" in (error.reason or "")
    except (OSError, ValueError):
        return False
