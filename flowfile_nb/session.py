"""The one file with state: the backend of this process, the connections it has opened, and the values to mask in outputs."""

from __future__ import annotations

import copyreg
import os
import sys
from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn

from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import InvalidNameError, NoSuchAttributeError, UnsupportedPlatformError, UsageError
from flowfile_nb.loading import uncollected

if TYPE_CHECKING:
    from flowfile_nb.backend import SecretBackend
    from flowfile_nb.connections import Opened
    from flowfile_nb.core.redaction import Redactor
    from flowfile_nb.team.backend import TeamBackend
    from flowfile_nb.vault import Vault

_backend: SecretBackend | None = None
_redactor: Redactor | None = None
opened: dict[str, Opened] = {}
"""The connections that `%%connect` bound, by variable name."""


def require_platform() -> None:
    """Let pass where credentials can be kept. Raises UnsupportedPlatformError in browser-only Python (Pyodide, JupyterLite)."""
    if sys.platform == "emscripten":
        raise UnsupportedPlatformError(
            "flowfile_nb does not run in browser-only Python: credentials are not stored in a browser",
            hint="open the notebook in JupyterLab, Notebook 7 or VS Code with a Python kernel",
        )


def backend() -> SecretBackend:
    """Return the backend in use: what `use_backend` chose, else a team's broker if the environment names one, else a vault."""
    global _backend  # noqa: PLW0603 - this file is where the state is
    if _backend is None:
        require_platform()
        with uncollected():
            from flowfile_nb.vault import open_vault

        if "FLOWFILE_NB_TEAM" in os.environ:
            from flowfile_nb.team import open_team

            _backend = open_team(os.environ, open_vault, learn)
            return _backend
        _backend = vault = open_vault()
        if "IPython" in sys.modules and (key := vault.key.given()):
            # It stands in the environment, where one `%env` shows it.
            learn("FLOWFILE_MASTER_KEY", key)
    return _backend


def use_backend(chosen: SecretBackend | None) -> None:
    """Use another backend from now on; None goes back to what the environment now says."""
    global _backend  # noqa: PLW0603 - this file is where the state is
    _backend = chosen


def vault() -> Vault:
    """Return the vault on this machine, for what cares for key and files. Raises UsageError if secrets come from elsewhere."""
    from flowfile_nb.vault import Vault

    in_use = backend()
    if not isinstance(in_use, Vault):
        raise UsageError("the secrets in use are not in files of this machine", hint="ask whoever runs the team's broker")
    return in_use


def team() -> TeamBackend:
    """Return the team's broker in use. Raises UsageError if secrets come from elsewhere."""
    if (in_use := team_in_use()) is None:
        raise UsageError(
            "this needs a team's broker, and the secrets in use are in files of this machine",
            hint="whoever runs a broker says where it is, for the variable FLOWFILE_NB_TEAM",
        )
    return in_use


def team_in_use() -> TeamBackend | None:
    """Return the team's broker, if one is in use."""
    in_use = backend()
    # Where its module is not loaded, it is not in use; and nobody without a team waits for that.
    module = sys.modules.get("flowfile_nb.team.backend")
    return in_use if module is not None and isinstance(in_use, module.TeamBackend) else None


def store(name: str, value: str, *, replace: bool) -> bool:
    """Store a value as `SecretBackend.set` does; from then on it is masked in what this kernel shows."""
    replaced = backend().set(name, value, replace=replace)
    learn(name, value)
    return replaced


def reveal(name: str) -> str:
    """Return a plaintext as `SecretBackend.reveal` does; it is masked in what this kernel shows before the caller gets it."""
    # `backend` written out, here and in `Secrets`: a call is a fortieth of a warm read.
    value = (backend() if _backend is None else _backend).reveal(name)
    learn(name, value)
    return value


def learn(name: str, value: str) -> None:
    """Mask a value from now on, and as long as this process lives: a replaced or deleted one is still somebody's password."""
    global _redactor  # noqa: PLW0603 - this file is where the state is
    if _redactor is not None:
        _redactor.learn(name, value)
    elif "IPython" in sys.modules:
        # Without IPython nobody masks, so nothing is kept.
        from flowfile_nb.core.redaction import Redactor

        _redactor = Redactor()
        _redactor.learn(name, value)
        # Imported now, and not when the extension was loaded, which has to be quick; nor where there is no IPython.
        from flowfile_nb.extension import guard_outputs

        guard_outputs(_redactor)


def record(operation: str, name: str) -> None:
    """Record what was done with a secret, beside what the vault records by itself; a service has a record of its own."""
    from flowfile_nb.vault import Vault

    in_use = backend()
    if isinstance(in_use, Vault):
        in_use.log.record(operation, name)


def used_by(name: str) -> list[str]:
    """Return what refers to a secret: saved connections by name, and what is open in this kernel; each says if it is open."""
    # A brokered one uses its owner's secret of that name.
    is_open = [variable for variable, one in opened.items() if name in one.secrets and not one.is_brokered]
    saved = backend().used_by(name)
    told = [f"{connection} (saved and open)" if connection in is_open else connection for connection in saved]
    return [*told, *(f"{variable} (open)" for variable in is_open if variable not in saved)]


def redactor() -> Redactor | None:
    """Return the values that this process has read or stored, or None if there are none yet."""
    return _redactor


def mask(text: str) -> str:
    """Return *text* with each value that this process has read or stored replaced by `[secret:NAME]`."""
    return text if _redactor is None else _redactor.mask(text)


_WRITTEN = {
    **dict.fromkeys(("add", "set", "store"), 'secrets["prod_pw"] = value'),
    **dict.fromkeys(("delete", "remove"), 'del secrets["prod_pw"]'),
    **dict.fromkeys(("list", "names"), "list(secrets)"),
    "rename": "%secret rename OLD NEW",
}


class Secrets(MutableMapping[str, Secret]):
    """
    The user's secrets as a mapping from name to `Secret`.

    `secrets[name] = value` stores durably and replaces in place; `secrets[name]` is a `Secret`, which shows no value.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> Secret:
        if not isinstance(name, str):
            raise _no_name(name)
        (backend() if _backend is None else _backend).require(name)
        return Secret(name, reveal)

    def __setitem__(self, name: str, value: str | Secret) -> None:
        if not isinstance(name, str):
            raise _no_name(name)
        plain = value.get_secret_value() if isinstance(value, Secret) else value
        store(name, plain, replace=True)

    def __delitem__(self, name: str) -> None:
        if not isinstance(name, str):
            raise _no_name(name)
        backend().delete(name)

    def __iter__(self) -> Iterator[str]:
        return iter(backend().names())

    def __len__(self) -> int:
        return backend().count()

    def __repr__(self) -> str:
        count = len(self)
        return f"<Secrets: {count:,} {'name' if count == 1 else 'names'}>"

    def setdefault(self, name: str, default: Any = None, /) -> Secret:
        """Store *default* where there is none of that name; the `Secret` either way, never the text that was given."""
        if name not in self:
            self[name] = default
        return self[name]

    def clear(self) -> NoReturn:
        """Refused: it would delete every credential, Flowfile's too."""
        raise UsageError("all secrets are not deleted at once", hint="name them:  %secret delete NAME NAME")

    if not TYPE_CHECKING:  # pragma: no branch
        # A type checker knows by itself what there is.

        def __getattr__(self, name: str) -> NoReturn:
            what = f"secrets has no attribute {name!r}"
            if name.startswith("_"):
                raise AttributeError(what)
            raise NoSuchAttributeError(what, hint=_WRITTEN.get(name, f"a secret is  secrets[{name!r}]"))

        def __setattr__(self, name: str, value: object) -> NoReturn:
            raise NoSuchAttributeError(
                f"secrets has no attribute {name!r}; nothing was stored",
                hint=f"secrets[{name!r}] = value   and no value in the cell:  %secret set {name}   asks for it",
            )

    def _ipython_key_completions_(self) -> list[str]:
        return backend().names()


secrets = Secrets()


def _no_name(name: object) -> InvalidNameError:
    return InvalidNameError(f"a secret's name is text, not {type(name).__name__}", hint='secrets["prod_pw"]')


def close(name: str) -> None:
    """
    Close a connection that `%%connect` opened under *name*, and its pooled database connections.

    Raises:
        UsageError: If none of that name is open.
    """
    if name not in opened:
        raise UsageError(f"no open connection is named {name!r}", hint="list them:  %connect")
    opened.pop(name).close()


def _reduce_secret(secret: Secret) -> tuple[Callable[[str], Secret], tuple[str]]:
    """Pickle a Secret as its name; where it is loaded, that process's own store is asked."""
    return secrets.__getitem__, (secret.name,)


copyreg.pickle(Secret, _reduce_secret)
