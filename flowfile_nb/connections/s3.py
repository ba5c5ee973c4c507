"""Amazon S3 and what speaks its protocol, through s3fs. Each request is signed with the key as it is stored at that moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowfile_nb.errors import ConnectionSpecError

_TIMEOUT_S = 10
_ROLE_SESSION = "flowfile_nb"


def arguments(
    s3fs: Any, parts: Mapping[str, Any], secrets: set[str], reveal: Callable[[str], str]
) -> tuple[type, dict[str, Any]]:
    """
    Return the class of filesystem for a connection, and its arguments; no value is among them.

    Raises:
        ConnectionSpecError: If the connection has no complete key.
    """
    region, endpoint = parts.get("aws_region"), parts.get("endpoint_url")
    client: dict[str, Any] = {"region_name": region} if region else {}
    if not parts.get("verify_ssl", True):
        client["verify"] = False
    # Tried again once by the client, as in Flowfile, and then by s3fs: a server that is not there is said within seconds.
    config: dict[str, Any] = {"connect_timeout": _TIMEOUT_S, "retries": {"mode": "standard", "max_attempts": 2}}
    if endpoint:
        # Services that are not Amazon's seldom have a host for each bucket.
        config["s3"] = {"addressing_style": "path"}
    session = _session(parts, secrets, reveal)
    return s3fs.S3FileSystem, {
        "session": session,
        "endpoint_url": endpoint,
        "client_kwargs": client,
        "config_kwargs": config,
    }


def _session(parts: Mapping[str, Any], secrets: set[str], reveal: Callable[[str], str]) -> Any:
    from aiobotocore.credentials import AioCredentials, AioDeferredRefreshableCredentials
    from aiobotocore.session import AioSession
    from botocore.credentials import ReadOnlyCredentials

    method = parts.get("auth_method")
    if method == "aws-cli":
        return AioSession(profile=parts.get("aws_profile"))
    if method == "iam_role":

        async def assume_role() -> dict[str, Any]:
            async with AioSession().create_client("sts", region_name=parts.get("aws_region")) as sts:
                answer = await sts.assume_role(RoleArn=parts.get("aws_role_arn"), RoleSessionName=_ROLE_SESSION)
            given = answer["Credentials"]
            return {
                "access_key": given["AccessKeyId"],
                "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat(),
            }

        return _with_credentials(AioSession(), AioDeferredRefreshableCredentials(assume_role, "sts-assume-role"))
    if method != "access_key":
        return AioSession()
    key_id = parts.get("aws_access_key_id")
    if not key_id or "aws_secret_access_key_id" not in secrets:
        raise ConnectionSpecError(
            "this connection has no access key, or no secret access key",
            hint="edit it in Flowfile and enter both",
        )

    class LateCredentials(AioCredentials):  # type: ignore[misc]
        """The key id, and the secret key as it is stored at the moment a request is signed."""

        def __init__(self) -> None:
            super().__init__(key_id, None)

        async def get_frozen_credentials(self) -> ReadOnlyCredentials:
            token = reveal("aws_session_token_id") if "aws_session_token_id" in secrets else None
            return ReadOnlyCredentials(key_id, reveal("aws_secret_access_key_id"), token or None, None)

    return _with_credentials(AioSession(), LateCredentials())


def _with_credentials(session: Any, credentials: Any) -> Any:
    # What the session would find by itself (variables, files, the machine's role) is somebody else.
    session._credentials = credentials  # noqa: SLF001 - aiobotocore has no public way to give a session its credentials
    return session
