"""Sources that are no files: variables of the environment, and the keychain of the system."""

from __future__ import annotations

from collections.abc import Mapping

from flowfile_nb.errors import ImportSourceError, MissingDriverError
from flowfile_nb.importing.fields import Field

_PREFIX = "FLOWFILE_SECRET_"


def environment_fields(environ: Mapping[str, str]) -> list[Field]:
    """
    Return the variables that override secrets.

    Raises:
        ImportSourceError: If there are none.
    """
    found = [Field((key,), value, 0, None) for key, value in environ.items() if key.startswith(_PREFIX) and value]
    if not found:
        raise ImportSourceError(f"no variable {_PREFIX}… is set", hint="they have to be set before the kernel starts")
    return found


def keychain_field(service: str, username: str) -> Field:
    """
    Return one entry of the system's keychain. The system may ask the user to allow it.

    Raises:
        MissingDriverError: If `keyring` is not installed.
        ImportSourceError: If there is no such entry, or no keychain.
    """
    try:
        import keyring
        import keyring.errors
    except ModuleNotFoundError:
        raise MissingDriverError(
            "reading the keychain needs the library 'keyring', which is not installed",
            hint="pip install 'flowfile-nb[keyring]'   and run the line again",
        ) from None
    try:
        value = keyring.get_password(service, username)
    except keyring.errors.KeyringError as error:
        raise ImportSourceError(
            f"the keychain did not answer ({type(error).__name__})", hint="python -m keyring diagnose   says which one is used"
        ) from None
    if not value:
        raise ImportSourceError(
            f"the keychain has no entry of service {service!r} and user {username!r}",
            hint="both are as in  keyring.get_password(SERVICE, USERNAME)",
        )
    return Field((service, username), value, 0, None)
