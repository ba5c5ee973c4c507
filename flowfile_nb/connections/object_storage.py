"""
Cloud storage, as an fsspec filesystem with late binding.

What fsspec keeps of a filesystem's arguments, shows and pickles, never holds a value: the libraries are given an object that
reads it when a request is signed. The options are those of Flowfile 0.23.3 (`shared/cloud_storage/storage_options.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from flowfile_nb.backend import FlowfileConnection
from flowfile_nb.connections.access import access_of
from flowfile_nb.connections.drivers import missing
from flowfile_nb.connections.failures import explain
from flowfile_nb.connections.flowfile import require_literals
from flowfile_nb.errors import ConnectionSpecError, FlowfileNbError

Reveal = Callable[[str], str]


class _Family(NamedTuple):
    """A kind of cloud storage: the library's module, and ours that makes its filesystem."""

    library: str
    ours: str
    scheme: str
    place: str
    """Flowfile's name of the part that says where it is."""


_FAMILIES = {
    "s3": _Family("s3fs", "s3", "s3", "aws_region"),
    "adls": _Family("adlfs", "azure", "abfs", "azure_account_name"),
    "gcs": _Family("gcsfs", "gcs", "gs", "gcs_project_id"),
}

# What a service says to somebody it knows, who may not list everything: the key is right.
_KNOWN = ("accessdenied", "access denied", "authorizationpermissionmismatch", "authorizationfailure", "does not have")


def open_filesystem(connection: FlowfileConnection, reveal: Reveal, remedy: str) -> Any:
    """
    Return the filesystem of a cloud connection; nothing is opened yet.

    Args:
        connection: As Flowfile has it.
        reveal: Returns the value of a secret part; called when a request is signed, never earlier.
        remedy: What to do when a secret is refused.

    Raises:
        ConnectionSpecError: If the entry cannot be used here.
        MissingDriverError: If the library is not installed.
    """
    require_literals(connection)
    kind = str(connection.parts.get("storage_type"))
    family = _FAMILIES.get(kind)
    if family is None:
        raise ConnectionSpecError(
            f"the connection {connection.name!r} is of type {kind!r}, which is not known here",
            hint=f"known are {', '.join(_FAMILIES)}",
        )
    try:
        library = import_module(family.library)
    except ModuleNotFoundError as error:
        raise missing(error.name or family.library, family.scheme) from None
    ours = import_module(f"flowfile_nb.connections.{family.ours}")
    try:
        plain, arguments = ours.arguments(library, connection.parts, set(connection.secrets), reveal)
        filesystem = _guarded(plain, connection.name)(**arguments, skip_instance_cache=True)
    except FlowfileNbError:
        raise
    except Exception as error:  # noqa: BLE001 - the libraries raise what they like
        raise explain(error, _target(connection), [], access_of(reveal), remedy) from None
    filesystem.flowfile_nb_target = _target(connection)
    filesystem.flowfile_nb_access = access_of(reveal)
    filesystem.flowfile_nb_remedy = remedy
    return filesystem


def check(filesystem: Any) -> None:
    """
    Ask the service once, so that what is wrong is said now.

    Raises:
        ConnectionFailedError: If it does not answer, or does not know the key. A key that may not list everything is fine.
    """
    try:
        filesystem.ls("", refresh=True)
    except FlowfileNbError:
        close(filesystem)
        raise
    except Exception as error:  # noqa: BLE001 - as above
        if _is_known(error):
            return
        close(filesystem)
        raise explain(
            _first(error), filesystem.flowfile_nb_target, [], filesystem.flowfile_nb_access, filesystem.flowfile_nb_remedy
        ) from None


def target(filesystem: Any) -> str:
    """Return where a filesystem leads, such as `s3:// eu-central-1`."""
    found: str = filesystem.flowfile_nb_target
    return found


def close(filesystem: Any) -> None:
    """Forget what was listed; the library closes its sockets when the last reference to the filesystem goes."""
    filesystem.invalidate_cache()


def _target(connection: FlowfileConnection) -> str:
    family = _FAMILIES[connection.parts["storage_type"]]
    place = connection.parts.get("endpoint_url") or connection.parts.get(family.place)
    return (
        f"{family.scheme}:// {'at ' if connection.parts.get('endpoint_url') else ''}{place}" if place else f"{family.scheme}://"
    )


def _guarded(plain: type, name: str) -> type:
    """Return the library's class without what would carry a filesystem elsewhere: the value would have to go along."""

    def refuse(self: object, *args: object, **options: object) -> Any:
        raise TypeError(f"this connection is not pickled, nor written as JSON: open it where it is used:  %connect {name}")

    refused = dict.fromkeys(("__reduce__", "__reduce_ex__", "to_json", "to_dict"), refuse)
    return type(plain.__name__, (plain,), {**refused, "__module__": plain.__module__, "__doc__": plain.__doc__})


def _chain(error: BaseException | None) -> list[BaseException]:
    """Return an error and what led to it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _first(error: Exception) -> BaseException:
    """Return the service's own error where the library has put another round it, whose text says less."""
    return next((one for one in reversed(_chain(error)) if hasattr(one, "response") or hasattr(one, "error_code")), error)


def _is_known(error: Exception) -> bool:
    text = " ".join(f"{getattr(one, 'error_code', '')} {one}" for one in _chain(error)).lower()
    return any(word in text for word in _KNOWN)
