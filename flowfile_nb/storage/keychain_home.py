"""
The OS keychain as the master key's home, through the library `keyring`: chosen by FLOWFILE_NB_KEY_HOME=keychain.

It holds one JSON object with the same entries as Flowfile's key file. A keychain cannot create an entry only if there is none:
callers hold the store's lock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowfile_nb.errors import MasterKeyError, MissingDriverError

SERVICE = "flowfile_nb"
_GO_BACK = "nothing was changed; unset FLOWFILE_NB_KEY_HOME to keep the master key in files"


def read_keychain(account: str) -> dict[str, Any] | None:
    """
    Return the entries of the key directory *account*, or None where there are none.

    Raises:
        MissingDriverError: If `keyring` is not installed.
        MasterKeyError: If there is no keychain, it is locked, or what it holds is not ours.
    """
    backend = _backend()
    try:
        text = backend.get_password(SERVICE, account)
    except Exception as error:  # noqa: BLE001 - a keychain raises whatever its own libraries raise
        raise _failed("read", error) from None
    if text is None:
        return None
    try:
        entries = json.loads(text)
    except ValueError:
        entries = None
    if not isinstance(entries, dict):
        raise MasterKeyError(
            f"the OS keychain's entry {SERVICE} of {account} is damaged: it holds no JSON object",
            hint="nothing was changed; put the entry back, or restore from a backup into another folder",
        )
    return entries


def write_keychain(account: str, entries: Mapping[str, Any]) -> None:
    """
    Replace the entries of the key directory *account*.

    Raises:
        MissingDriverError: If `keyring` is not installed.
        MasterKeyError: If there is no keychain, it is locked, or it does not keep what it is given.
    """
    backend = _backend()
    try:
        backend.set_password(SERVICE, account, json.dumps(entries))
    except Exception as error:  # noqa: BLE001 - a keychain raises whatever its own libraries raise
        raise _failed("write", error) from None
    if read_keychain(account) != entries:
        raise MasterKeyError("the OS keychain does not keep what it is given", hint=_GO_BACK)


def _backend() -> Any:
    try:
        import keyring
        import keyring.backends.fail
        import keyring.backends.null
    except ImportError:
        raise MissingDriverError(
            "the master key is in the OS keychain (FLOWFILE_NB_KEY_HOME), and the library that asks it is not installed",
            hint="pip install 'flowfile-nb[keyring]'",
        ) from None
    backend = keyring.get_keyring()
    if isinstance(backend, (keyring.backends.fail.Keyring, keyring.backends.null.Keyring)):
        raise MasterKeyError(
            "FLOWFILE_NB_KEY_HOME=keychain, and this machine has no OS keychain that can be used", hint=_GO_BACK
        )
    return backend


def _failed(action: str, error: Exception) -> MasterKeyError:
    # Its text may hold anything; its kind says enough.
    return MasterKeyError(
        f"cannot {action} the master key in the OS keychain ({type(error).__name__})",
        hint="unlock the keychain and try again; nothing was changed",
    )
