"""Google Cloud Storage, through gcsfs. A service account's key is read at each request, and buys a token for an hour."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult

from flowfile_nb.connections.buckets import Buckets
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.object_storage import Place
from flowfile_nb.connections.storage_parts import Credentials, Grammar, Parts, Restore, digest, one_of
from flowfile_nb.connections.timeouts import limit_s
from flowfile_nb.errors import ConnectionSpecError

_SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
_SERVER = "https://storage.googleapis.com"


def _from_url(url: SplitResult, text: Restore) -> Parts:
    parts: Parts = {"bucket": text(url.netloc), "prefix": text(url.path).strip("/")}
    return {key: item for key, item in parts.items() if item}


class GoogleStorage(Buckets):
    """`gs://bucket/prefix`: a `gcsfs.GCSFileSystem`."""

    library = "gcsfs"
    grammar = Grammar(
        "gs",
        (
            Key("bucket", example="sales"),
            Key("prefix", example="2026/q1"),
            Key("project", example="my-project"),
            Key("service_account_key", "Service account's key (JSON)", secret=True),
            *(Key(name, in_form=False) for name in ("anonymous", "endpoint_url", "options")),
        ),
        {"service_account_key"},
        _from_url,
        "gs://bucket/prefix?service_account_key=%secret NAME",
        {"project_id": "project", "service_account": "service_account_key", "service_account_json": "service_account_key"},
    )

    def require(self, parts: Parts) -> None:
        """Let parts pass that are one way to log in."""
        one_of(parts, "service_account_key", "anonymous")
        if "prefix" in parts and "bucket" not in parts:
            raise ConnectionSpecError("there is a prefix, and no bucket", hint=self.grammar.example)

    def place(self, parts: Parts) -> Place:
        """Return bucket and prefix; without a bucket the endpoint or the project tells where that is."""
        bucket, prefix, endpoint = parts.get("bucket", ""), parts.get("prefix", ""), parts.get("endpoint_url", "")
        where = f"at {endpoint}" if endpoint else parts.get("project", "") if not bucket else ""
        text = "gs://" + "/".join(filter(None, [bucket, prefix])) + (f" {where}" if where else "")
        return Place(bucket, prefix, endpoint or _SERVER, text)

    def arguments(self, parts: Parts, credentials: Credentials) -> tuple[type, dict[str, Any]]:
        """Return gcsfs's class, and credentials that know how to get a token."""
        token: Any = "google_default"  # noqa: S105 - gcsfs's name for the machine's own login
        if "service_account_key" in parts:
            token = service_account(parts["service_account_key"], credentials)
        elif parts.get("anonymous"):
            token = "anon"  # noqa: S105 - gcsfs's name for nobody
        places = {"project": parts.get("project"), "endpoint_url": parts.get("endpoint_url")}
        # The plain class: the one that gcsfs exports asks for the kind of each bucket, over another way in.
        return import_module(f"{self.library}.core").GCSFileSystem, {
            "token": token,
            **{key: item for key, item in places.items() if item},
        }

    async def first(self, filesystem: Any, root: str, prefix: str) -> str | None:
        """Ask for one name."""
        page = await _once(filesystem, "b/{}/o", root, **({"prefix": prefix} if prefix else {}))
        return next((str(item["name"]) for item in page.get("items", [])), None)

    async def roots(self, filesystem: Any) -> None:
        """Ask for one bucket of the project; without one there is nothing to ask."""
        if filesystem.project:
            await _once(filesystem, "b", project=filesystem.project)


async def _once(filesystem: Any, path: str, *names: str, **arguments: str) -> Any:
    """Return what Google answers. Gcsfs would try for a minute where the key is refused, and log each time."""
    ask = type(filesystem)._request.__wrapped__  # noqa: SLF001 - what gcsfs tries again
    *_, contents = await ask(filesystem, "GET", path, *names, maxResults=1, **arguments)
    return json.loads(contents)


def access_token(account: Any) -> str:
    """Return the token of a `service_account` that is good now, and was bought with what is stored now."""
    if not account.valid:
        from google.auth.transport.requests import Request

        account.refresh(Request())
    return str(account.token)


def service_account(text: str, credentials: Credentials) -> Any:
    """Return Google's credentials of a service account, whose key is what *text* refers to."""
    from google.auth.credentials import Credentials as GoogleCredentials
    from google.oauth2 import service_account

    class ServiceAccount(GoogleCredentials):
        """A service account, with its key as it is stored at the moment of a request; another key buys another token."""

        _bought_with = b""

        @property
        def valid(self) -> bool:
            """Whether the token is good, and was bought with what is stored now."""
            return bool(super().valid) and self._bought_with == digest(credentials.read(text))

        def refresh(self, request: Any) -> None:
            bought_with = digest(credentials.read(text))
            account = self._account()
            if account is None:
                name, access = credentials.names[0], credentials.access
                store = f"%secret set {access.typed(name)} --file key.json --replace"
                raise ConnectionSpecError(
                    f"the secret {access.label(name)} is not a service account's key",
                    hint=f"store the whole JSON file that Google gives:  {store}",
                )
            try:
                # Google's own limit is two minutes, in which nothing else of fsspec's moves.
                account.refresh(partial(request, timeout=limit_s(credentials.access)))
            except Exception as error:  # noqa: BLE001 - whatever it is
                # Without the frames in which what was signed is a local variable.
                raise error.with_traceback(None) from None
            self.token, self.expiry, self._bought_with = account.token, account.expiry, bought_with
            credentials.access.learn("access token", account.token)

        def _account(self) -> Any:
            # Google's own error can quote the key, and so can the frames below it.
            with suppress(ValueError, TypeError, AttributeError):
                info = json.loads(credentials.read(text))
                return service_account.Credentials.from_service_account_info(info, scopes=[_SCOPE])
            return None

    return ServiceAccount()
