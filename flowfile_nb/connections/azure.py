"""Azure Data Lake and Blob Storage, through adlfs. Each request is signed with the key as it is stored at that moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowfile_nb.errors import ConnectionSpecError

_EMULATOR_ACCOUNT = "devstoreaccount1"


def arguments(
    adlfs: Any, parts: Mapping[str, Any], secrets: set[str], reveal: Callable[[str], str]
) -> tuple[type, dict[str, Any]]:
    """
    Return the class of filesystem for a connection, and its arguments; no value is among them.

    Raises:
        ConnectionSpecError: If the connection says no account, or has no secret.
    """
    endpoint = parts.get("endpoint_url")
    account = parts.get("azure_account_name") or (_EMULATOR_ACCOUNT if endpoint else None)
    if account is None:
        raise ConnectionSpecError("this connection says no account", hint="edit it in Flowfile and enter the account's name")
    credential = _credential(parts, secrets, reveal, account)
    verify = bool(parts.get("verify_ssl", True))

    class Filesystem(adlfs.AzureBlobFileSystem):  # type: ignore[misc]
        """adlfs, at the endpoint that the connection says."""

        def do_connect(self) -> None:
            # Whatever variables of the environment say, the connection is the one that was saved.
            self.connection_string = self.account_key = self.sas_token = None
            super().do_connect()
            if endpoint or not verify:
                from azure.storage.blob.aio import BlobServiceClient

                if endpoint:
                    self.account_url = f"{endpoint.rstrip('/')}/{account}" if endpoint.startswith("http:") else endpoint
                self.service_client = BlobServiceClient(self.account_url, credential=self.credential, connection_verify=verify)

    Filesystem.__name__ = adlfs.AzureBlobFileSystem.__name__
    return Filesystem, {"account_name": account, "credential": credential, "anon": False}


def _credential(parts: Mapping[str, Any], secrets: set[str], reveal: Callable[[str], str], account: str) -> Any:
    method = parts.get("auth_method")
    part = {
        "access_key": "azure_account_key_id",
        "sas_token": "azure_sas_token_id",
        "service_principal": "azure_client_secret_id",
    }.get(str(method))
    if part is None:
        from azure.identity.aio import DefaultAzureCredential

        return DefaultAzureCredential()
    if part not in secrets:
        raise ConnectionSpecError(f"this connection has no secret for {method!r}", hint="edit it in Flowfile and enter it")
    if method == "access_key":
        return _account_key(account, lambda: reveal(part))
    if method == "sas_token":
        return _shared_access_signature(lambda: reveal(part))
    return _ServicePrincipal(str(parts.get("azure_tenant_id")), str(parts.get("azure_client_id")), lambda: reveal(part))


def _account_key(account: str, read: Callable[[], str]) -> Any:
    from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy

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
    """An application's login. Its secret is read each time a token is asked for; the client keeps the token, about an hour."""

    def __init__(self, tenant: str, client: str, read: Callable[[], str]) -> None:
        self._tenant, self._client, self._read = tenant, client, read

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.identity.aio import ClientSecretCredential

        async with ClientSecretCredential(self._tenant, self._client, self._read()) as credential:
            return await credential.get_token(*scopes, **options)

    async def close(self) -> None:
        """Called by adlfs; there is nothing to close."""
