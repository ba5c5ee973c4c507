"""Azure Data Lake and Blob Storage, through adlfs. Each request is signed with the key as it is stored at that moment."""

from __future__ import annotations

import re
import time
from base64 import b64decode
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult

from flowfile_nb.connections.buckets import Buckets
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.object_storage import Place
from flowfile_nb.connections.storage_parts import Credentials, Grammar, Parts, Restore, all_or_none, digest, one_of
from flowfile_nb.connections.timeouts import limit_s
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, FlowfileNbError

_MARGIN_S = 60  # a token this close to its end might end on the way
_PUBLIC = "core.windows.net"
_HOST = re.compile(r"(?P<account>[a-z0-9]{3,24})\.(?:dfs|blob)\.(?P<cloud>[a-z0-9.-]+)")
_ALIASES = {"account_name": "account", "storage_account": "account", "container_name": "container"}


def _from_url(url: SplitResult, text: Restore) -> Parts:
    container, at, host = url.netloc.rpartition("@")
    parts: Parts = {"container": text(container if at else host), "prefix": text(url.path).strip("/")}
    if at:
        found = _HOST.fullmatch(text(host))
        if found is None:
            raise ConnectionSpecError("the host of the URL is not an account's", hint=Azure.grammar.example)
        parts["account"] = found["account"]
        if found["cloud"] != _PUBLIC:
            parts["endpoint_url"] = f"https://{found['account']}.blob.{found['cloud']}"
    return {key: item for key, item in parts.items() if item}


class Azure(Buckets):
    """`abfs://container@account.dfs.core.windows.net/path`: an `adlfs.AzureBlobFileSystem`."""

    library = "adlfs"
    grammar = Grammar(
        "abfs",
        (
            Key("account", required=True, example="salesdata"),
            Key("container", example="reports"),
            Key("prefix", example="2026/q1"),
            Key("account_key", secret=True),
            Key("sas_token", "SAS token, instead of a key", secret=True),
            Key("tenant_id", "Tenant, of a service principal", example="00000000-0000-0000-0000-000000000000"),
            Key("client_id", "Client ID", example="00000000-0000-0000-0000-000000000000"),
            Key("client_secret", secret=True),
            Key("endpoint_url", "Endpoint, if it is not Microsoft's", example="https://salesdata.blob.example.com"),
            *(Key(name, in_form=False) for name in ("connection_string", "anonymous", "verify", "options")),
        ),
        {"account_key", "client_id", "client_secret", "connection_string", "sas_token", "tenant_id"},
        _from_url,
        "abfs://container@account.dfs.core.windows.net/path?account_key=%secret NAME",
        _ALIASES,
    )

    def require(self, parts: Parts) -> None:
        """Let parts pass that name an account and are one way to log in."""
        if "account" not in parts:
            raise ConnectionSpecError("this connection says no account", hint='account = "…"   or  ' + self.grammar.example)
        if "prefix" in parts and "container" not in parts:
            raise ConnectionSpecError("there is a prefix, and no container", hint=self.grammar.example)
        all_or_none(parts, "tenant_id", "client_id", "client_secret")
        one_of(parts, "account_key", "sas_token", "client_secret", "connection_string", "anonymous")

    def place(self, parts: Parts) -> Place:
        """Return account, container and prefix."""
        container, prefix, account = parts.get("container", ""), parts.get("prefix", ""), parts["account"]
        text = f"abfs://{container}@{account}" + (f"/{prefix}" if prefix else "") if container else f"abfs:// {account}"
        at = f" at {parts['endpoint_url']}" if "endpoint_url" in parts else ""
        return Place(container, prefix, account_url(parts), text + at)

    def arguments(self, parts: Parts, credentials: Credentials) -> tuple[type, dict[str, Any]]:
        """Return adlfs's class at the place that is described, and a credential that knows how to sign."""
        url, credential = account_url(parts), _credential(parts, credentials)
        # To connect, and not to answer: what is read may be large.
        options = {"connection_verify": parts.get("verify", True), "connection_timeout": limit_s(credentials.access)}

        class Filesystem(import_module(self.library).AzureBlobFileSystem):  # type: ignore[misc]
            """adlfs, at the endpoint that the connection says."""

            def do_connect(self) -> None:
                # Whatever variables of the environment say, the connection is the one that was described.
                from azure.storage.blob.aio import BlobServiceClient

                self.connection_string = self.account_key = self.sas_token = None
                self.account_url = url
                self.service_client = BlobServiceClient(url, credential=self.credential, **options)

        Filesystem.__name__ = "AzureBlobFileSystem"
        return Filesystem, {"account_name": parts["account"], "credential": credential, "anon": bool(parts.get("anonymous"))}

    async def first(self, filesystem: Any, root: str, prefix: str) -> str | None:
        """Ask for one name."""
        container = filesystem.service_client.get_container_client(root)
        async for name in container.list_blob_names(name_starts_with=prefix or None, results_per_page=1):
            return str(name)
        return None


def account_url(parts: Parts) -> str:
    """Return the URL of a described account."""
    endpoint, account = parts.get("endpoint_url"), parts["account"]
    if endpoint is None:
        return f"https://{account}.blob.{_PUBLIC}"
    # Over http it is an emulator's, which has the account in the path.
    return f"{endpoint.rstrip('/')}/{account}" if endpoint.startswith("http:") else str(endpoint)


def _credential(parts: Parts, credentials: Credentials) -> Any:
    if "account_key" in parts:
        return _account_key(parts["account"], lambda: credentials.read(parts["account_key"]), credentials)
    if "connection_string" in parts:
        return _account_key(parts["account"], lambda: _key_in(parts, credentials), credentials)
    if "sas_token" in parts:
        return _shared_access_signature(lambda: credentials.read(parts["sas_token"]))
    if "client_secret" in parts:
        return _ServicePrincipal(parts, credentials)
    if parts.get("anonymous"):
        return None
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()


def login_of(parts: Parts, credentials: Credentials, scope: str) -> Callable[[], dict[str, str]] | None:
    """
    Return what tells a described login as it is at this moment, for who signs requests by himself; None for the machine's own.

    Args:
        parts: The description's.
        credentials: Those in it.
        scope: What an application's access token is asked for.
    """
    if "account_key" in parts:
        return lambda: {"account_key": _checked(credentials.read(parts["account_key"]), credentials)}
    if "connection_string" in parts:
        return lambda: {"account_key": _checked(_key_in(parts, credentials), credentials)}
    if "sas_token" in parts:
        return lambda: {"sas_token": credentials.read(parts["sas_token"]).lstrip("?")}
    if "client_secret" in parts:
        from fsspec.asyn import get_loop, sync

        principal = _ServicePrincipal(parts, credentials)
        # In fsspec's own loop: in a notebook another one runs in this thread.
        return lambda: {"bearer_token": sync(get_loop(), principal.get_token, scope).token}
    return None


def _key_in(parts: Parts, credentials: Credentials) -> str:
    """Return the account's key in a connection string; where it leads is said by the description."""
    key = _piece(credentials.read(parts["connection_string"]), parts["account"])
    if not key:
        raise ConnectionSpecError(
            f"the stored connection string has no AccountKey of the account {parts['account']!r}",
            hint="store another, or describe it by account_key or sas_token",
        )
    return key


def _piece(connection_string: str, account: str) -> str:
    pairs = dict(piece.split("=", 1) for piece in connection_string.split(";") if "=" in piece)
    return pairs.get("AccountKey", "") if pairs.get("AccountName", account) == account else ""


def _checked(key: str, credentials: Credentials) -> str:
    try:
        b64decode(key, validate=True)
    except ValueError:
        raise _no_key(credentials) from None
    return key


def _no_key(credentials: Credentials) -> ConnectionFailedError:
    name, access = credentials.names[0], credentials.access
    return ConnectionFailedError(
        f"the account key in secret {access.label(name)} is none: it is not base64",
        hint=f"copy it from the account's page, Access keys, and store it:  %secret set {access.typed(name)} --replace",
    )


def _account_key(account: str, read: Callable[[], str], credentials: Credentials) -> Any:
    from azure.storage.blob._shared.authentication import AzureSigningError, SharedKeyCredentialPolicy

    class AccountKey(SharedKeyCredentialPolicy):
        """The policy that signs each request, with the account's key as it is stored at that moment."""

        def __init__(self) -> None:
            super().__init__(account, None)

        @property
        def account_key(self) -> str:
            return read()

        @account_key.setter
        def account_key(self, key: None) -> None:
            """Nothing is kept here; the class above would."""

        def on_request(self, request: Any) -> None:
            try:
                super().on_request(request)
            except AzureSigningError as error:
                if isinstance(error.__cause__, FlowfileNbError):
                    raise error.__cause__ from None
                raise _no_key(credentials) from None

        async def close(self) -> None:
            """Called by adlfs; there is nothing to close."""

    return AccountKey()


def _shared_access_signature(read: Callable[[], str]) -> Any:
    from azure.core.credentials import AzureSasCredential

    class Signature(AzureSasCredential):
        """The shared access signature, as it is stored at the moment of a request."""

        def __init__(self) -> None:
            super().__init__("")

        @property
        def signature(self) -> str:
            return read().lstrip("?")

        async def close(self) -> None:
            """Called by adlfs; there is nothing to close."""

    return Signature()


class _ServicePrincipal:
    """An application's login. Its secret is read at each request; a token that was got with another one is not used."""

    def __init__(self, parts: Parts, credentials: Credentials) -> None:
        self._texts = [parts[key] for key in ("tenant_id", "client_id", "client_secret")]
        self._credentials = credentials
        self._got_with = b""
        self._kept: Any = None

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """Return an access token that is over at once, for whom asks: so it asks for each request."""
        from azure.core.credentials import AccessToken
        from azure.identity.aio import ClientSecretCredential

        now = digest(*self._read(), *scopes)
        if self._got_with != now or self._kept is None or self._kept.expires_on < time.time() + _MARGIN_S:
            self._kept = None
            async with ClientSecretCredential(*self._read()) as login:
                try:
                    self._kept = await login.get_token(*scopes, **options)
                except Exception as error:  # noqa: BLE001 - whatever it is
                    # Without the frames in which the secret is a local variable.
                    raise error.with_traceback(None) from None
            self._got_with = now
            self._credentials.access.learn("access token", self._kept.token)
        return AccessToken(self._kept.token, 0)

    def _read(self) -> list[str]:
        return [self._credentials.read(text) for text in self._texts]

    def __repr__(self) -> str:
        return "<service principal>"

    async def close(self) -> None:
        """Called by adlfs; there is nothing to close."""
