"""Amazon S3 and what speaks its protocol, through s3fs. Each request is signed with the key as it is stored at that moment."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from urllib.parse import SplitResult

from flowfile_nb.connections.buckets import Buckets
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.object_storage import Place
from flowfile_nb.connections.storage_parts import Credentials, Grammar, Parts, Restore, all_or_none, digest, one_of
from flowfile_nb.connections.timeouts import limit_s
from flowfile_nb.errors import ConnectionSpecError

_ROLE_SESSION = "flowfile_nb"
_ALIASES = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "aws_region": "region",
    "region_name": "region",
    "endpoint": "endpoint_url",
    "aws_endpoint_url": "endpoint_url",
    # As s3fs and MinIO's client have it.
    "key": "access_key_id",
    "access_key": "access_key_id",
    "secret": "secret_access_key",
    "secret_key": "secret_access_key",
    "token": "session_token",
}


def _from_url(url: SplitResult, text: Restore) -> Parts:
    user_info, _, bucket = url.netloc.rpartition("@")
    parts: Parts = {"bucket": text(bucket), "prefix": text(url.path).strip("/")}
    if user_info:
        parts |= {"access_key_id": text(url.username), "secret_access_key": text(url.password)}
    return {key: item for key, item in parts.items() if item}


class S3(Buckets):
    """`s3://bucket/prefix`: an `s3fs.S3FileSystem`."""

    library = "s3fs"
    grammar = Grammar(
        "s3",
        (
            Key("bucket", example="sales"),
            Key("prefix", example="2026/q1"),
            Key("region", example="eu-central-1"),
            Key("endpoint_url", "Endpoint, if it is not Amazon's", example="https://minio.example.com"),
            Key("access_key_id", "Access key ID", example="AKIA…"),
            Key("secret_access_key", secret=True),
            Key("session_token", secret=True),
            Key("profile", "Profile, instead of a key", example="analytics"),
            Key("role_arn", "Role", example="arn:aws:iam::123456789012:role/reader"),
            Key("addressing_style", choices=("path", "virtual")),
            *(Key(name, in_form=False) for name in ("anonymous", "verify", "options")),
        ),
        {"access_key_id", "secret_access_key", "session_token"},
        _from_url,
        'type = "s3"   bucket = "sales"   access_key_id = "AKIA…"   secret_access_key = %secret NAME',
        _ALIASES,
    )

    def require(self, parts: Parts) -> None:
        """Let parts pass that are one way to log in."""
        all_or_none(parts, "access_key_id", "secret_access_key")
        one_of(parts, "access_key_id", "profile", "anonymous")
        one_of(parts, "role_arn", "anonymous")
        if parts.get("addressing_style", "path") not in {"path", "virtual"}:
            raise ConnectionSpecError("addressing_style is one of two", hint='addressing_style = "path"   or  "virtual"')
        if "session_token" in parts and "access_key_id" not in parts:
            raise ConnectionSpecError("there is a session_token, and no key", hint=self.grammar.example)
        if "prefix" in parts and "bucket" not in parts:
            raise ConnectionSpecError("there is a prefix, and no bucket", hint=self.grammar.example)

    def place(self, parts: Parts) -> Place:
        """Return bucket and prefix; without a bucket the endpoint or region tells where that is."""
        bucket, prefix, endpoint = parts.get("bucket", ""), parts.get("prefix", ""), parts.get("endpoint_url", "")
        where = f"at {endpoint}" if endpoint else parts.get("region", "") if not bucket else ""
        text = "s3://" + "/".join(filter(None, [bucket, prefix])) + (f" {where}" if where else "")
        return Place(bucket, prefix, endpoint, text)

    def arguments(self, parts: Parts, credentials: Credentials) -> tuple[type, dict[str, Any]]:
        """Return s3fs's class, and a session that knows how to sign."""
        region, endpoint = parts.get("region"), parts.get("endpoint_url")
        client: dict[str, Any] = {"region_name": region} if region else {}
        if parts.get("verify", True) is not True:
            client["verify"] = parts["verify"]
        # Tried again once by the client, as in Flowfile, and then by s3fs: a server that is not there is said within seconds.
        config: dict[str, Any] = {
            "connect_timeout": limit_s(credentials.access),
            "retries": {"mode": "standard", "max_attempts": 2},
        }
        if endpoint:
            # Services that are not Amazon's seldom have a host for each bucket.
            config["s3"] = {"addressing_style": parts.get("addressing_style", "path")}
        return import_module(self.library).S3FileSystem, {
            "anon": bool(parts.get("anonymous")),
            "session": _session(parts, credentials),
            "endpoint_url": endpoint,
            "client_kwargs": client,
            "config_kwargs": config,
        }

    async def first(self, filesystem: Any, root: str, prefix: str) -> str | None:
        """Ask for one name."""
        found = await filesystem._call_s3("list_objects_v2", Bucket=root, Prefix=prefix, MaxKeys=1)  # noqa: SLF001 - as s3fs itself
        return next((str(item["Key"]) for item in found.get("Contents", [])), None)


def key_of(parts: Parts, credentials: Credentials) -> dict[str, str]:
    """Return the key of a description as it is at this moment, by botocore's names; empty where it has none."""
    return {
        key: credentials.read(parts[key]) for key in ("access_key_id", "secret_access_key", "session_token") if key in parts
    }


def _session(parts: Parts, credentials: Credentials) -> Any:
    from aiobotocore.session import AioSession

    session = AioSession(profile=parts["profile"]) if "profile" in parts else AioSession()
    if "access_key_id" in parts:
        session = _with_credentials(session, _late_key(parts, credentials))
    if "role_arn" in parts:
        session = _with_credentials(AioSession(), _assumed_role(session, parts, credentials))
    return session


def _late_key(parts: Parts, credentials: Credentials) -> Any:
    from aiobotocore.credentials import AioCredentials
    from botocore.credentials import ReadOnlyCredentials

    class LateCredentials(AioCredentials):  # type: ignore[misc]
        """The key as it is stored at the moment a request is signed."""

        def __init__(self) -> None:
            super().__init__("late", None)

        async def get_frozen_credentials(self) -> ReadOnlyCredentials:
            key = key_of(parts, credentials)
            return ReadOnlyCredentials(key["access_key_id"], key["secret_access_key"], key.get("session_token") or None, None)

    return LateCredentials()


def _assumed_role(session: Any, parts: Parts, credentials: Credentials) -> Any:
    """Return a role's short-lived key, got with the session's own login; with another key of that a new one is got."""
    from aiobotocore.credentials import AioDeferredRefreshableCredentials

    async def assume_role() -> dict[str, Any]:
        async with session.create_client("sts", region_name=parts.get("region")) as sts:
            answer = await sts.assume_role(RoleArn=parts["role_arn"], RoleSessionName=_ROLE_SESSION)
        given = answer["Credentials"]
        for key in ("SecretAccessKey", "SessionToken"):
            credentials.access.learn("key of a role", given[key])
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    class Role(AioDeferredRefreshableCredentials):  # type: ignore[misc]
        """The role's key; got anew where the key that it was got with is another by now."""

        async def get_frozen_credentials(self) -> Any:
            now = digest(*key_of(parts, credentials).values())
            if getattr(self, "_got_with", now) != now:
                self._frozen_credentials = self._expiry_time = None
            self._got_with = now
            return await super().get_frozen_credentials()

    return Role(assume_role, "sts-assume-role")


def _with_credentials(session: Any, credentials: Any) -> Any:
    # What the session would find by itself (variables, files, the machine's role) is somebody else.
    session._credentials = credentials  # noqa: SLF001 - aiobotocore has no public way to give a session its credentials
    return session
