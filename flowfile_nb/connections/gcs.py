"""Google Cloud Storage, through gcsfs. The service account's key is read each time that an access token is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flowfile_nb.errors import ConnectionSpecError

_SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
_KEY = "gcs_service_account_key_id"


def arguments(
    gcsfs: Any, parts: Mapping[str, Any], secrets: set[str], reveal: Callable[[str], str]
) -> tuple[type, dict[str, Any]]:
    """Return the class of filesystem for a connection, and its arguments; no value is among them."""
    project, endpoint = parts.get("gcs_project_id"), parts.get("endpoint_url")
    token: Any = "google_default"  # noqa: S105 - gcsfs's name for the machine's own login
    if parts.get("auth_method") == "service_account" and _KEY in secrets:
        token = _service_account(lambda: reveal(_KEY))
    elif endpoint:
        # An emulator, as Flowfile takes it.
        token = "anon"  # noqa: S105 - gcsfs's name for nobody
    return gcsfs.core.GCSFileSystem, {
        "token": token,
        **({"project": project} if project else {}),
        **({"endpoint_url": endpoint} if endpoint else {}),
    }


def _service_account(read: Callable[[], str]) -> Any:
    from google.auth.credentials import Credentials
    from google.oauth2 import service_account

    class ServiceAccount(Credentials):
        """A service account, with its key as it is stored at the moment an access token is asked for; that lasts an hour."""

        def refresh(self, request: Any) -> None:
            try:
                account = service_account.Credentials.from_service_account_info(json.loads(read()), scopes=[_SCOPE])
            except ValueError:
                # Google's own error can quote the key.
                raise ConnectionSpecError(
                    "the secret of this connection is not a service account's key",
                    hint="edit the connection in Flowfile: it takes the whole JSON file that Google gives",
                ) from None
            account.refresh(request)
            self.token, self.expiry = account.token, account.expiry

    return ServiceAccount()
