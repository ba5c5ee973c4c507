"""Opening connections with this process's secrets: described, saved under a name, or sent here by another process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.core.expression import expression
from flowfile_nb.core.names import environment_variable, quoted
from flowfile_nb.errors import ConnectionSpecError, FlowfileNbError, NoSuchSecretError, StoreError, UsageError

# What describes a connection is imported where one is opened: who looks whether a cell calls `connect` needs none of it.
if TYPE_CHECKING:
    from flowfile_nb.backend import FlowfileConnection
    from flowfile_nb.connections import Opened
    from flowfile_nb.connections.access import Access
    from flowfile_nb.connections.definition import Definition

# Neither a URL nor TOML.
_NAME = expression(r"[\w .-]*\w[\w .-]*")


def connect(  # noqa: PLR0913 - each is an option of the line, too
    target: str | Mapping[str, Any] | None = None,
    *,
    test: bool = True,
    as_: str | None = None,
    trust: bool = False,
    save: str = "",
    timeout: float | None = None,
    file: str | os.PathLike[str] | None = None,
    **parts: Any,
) -> Any:
    """
    Open a connection and return the native object of its kind.

    A SQLAlchemy `Engine` for a database, an fsspec filesystem for `s3://`, `gs://`, `abfs://` and `sftp://`, an `httpx.Client`
    for an API.

    Args:
        target: A URL, the text of a TOML description, or its keys as a mapping, with references instead of values; or the name
            of a saved connection, as `%connect NAME` takes it.
        test: Whether to open the connection once now and report what is wrong.
        as_: Another native form: `"duckdb"`, `"adbc"`, `"ibis"`, `"polars"` for files, or `"uri"`, a text that holds the value.
        trust: Open what a project's `connections.toml` says without having looked at it here, as `%connect NAME --trust` does.
        save: A name to keep the description under once it has opened, as `%%connect NAME --save` does: then `connect(NAME)` and
            `%connect NAME` open it. One of that name is replaced, which is printed. It holds references, and no value.
        timeout: How many seconds opening may take, as `--timeout` says. Beside the keys of a description it is one of them:
            what drivers and APIs call so.
        file: Another file than the project's `connections.toml` to look in for the name, as `--file` says.
        parts: The description's keys as arguments. A `Secret` is taken as a reference to itself.

    Raises:
        ConnectionSpecError: If the description cannot be understood, or holds a password in clear.
        UsageError: If no connection is saved under that name, or it is a project's and nobody has agreed to it; if *save* is no
            name for one; if an argument has no meaning beside a text.
        NoSuchSecretError: If it refers to a secret that does not exist.
        MissingDriverError: If a library is needed; the hint installs it.
        ConnectionFailedError: If the other side cannot be reached or refuses.

    >>> connect("duckdb:///:memory:").dialect.name
    'duckdb'
    """
    if not isinstance(target, str):
        given = {"timeout": timeout, "file": file}
        parts |= {key: item for key, item in given.items() if item is not None}
        timeout = file = None
    description = {**target, **parts} if isinstance(target, Mapping) else parts if target is None else target
    named = isinstance(target, str) and is_name(target)
    beside = {**parts, **({} if file is None else {"file": file})} if isinstance(target, str) else {}
    if beside or save or timeout is not None:
        # Imported here: most calls have nothing beside.
        from flowfile_nb.connections.calling import require_sense

        require_sense(beside, save, timeout, named=named)
    if isinstance(target, str) and named:
        return _open_saved(target, test=test, as_=as_, trust=trust, timeout_s=timeout, file=file).native
    opened = open_connection(description, test=test, as_=as_, timeout_s=timeout)
    if save:
        try:
            _save(save, description)
        except BaseException:
            opened.close()
            raise
    return opened.native


def is_name(target: str) -> bool:
    """Return whether `connect` takes a text for the name of a saved connection, and not for a description."""
    return _NAME.fullmatch(target) is not None


def open_connection(
    description: str | Mapping[str, Any],
    *,
    test: bool = True,
    as_: str | None = None,
    timeout_s: float | None = None,
    debug: bool = False,
) -> Opened:
    """
    Open a connection as `connect` does; return it with what can be told of it.

    Args:
        description: As in `connect`.
        test: As in `connect`.
        as_: As in `connect`.
        timeout_s: How long opening may take; None is what the description says, else `connections.access.TIMEOUT_S`.
        debug: Whether an error also shows the driver's own, with known values masked.
    """
    try:
        return _open_described(description, test=test, as_=as_, timeout_s=timeout_s, debug=debug)
    except ConnectionSpecError as error:
        # Imported here: nearly every description is understood.
        from flowfile_nb.connections.respelt import respelt

        names: list[str] = []
        # What is wrong with the store is told where it is needed.
        with suppress(FlowfileNbError):
            names = session.backend().names()
        if (told := respelt(description, names)) is None:
            raise
        raise type(error)(told[0], hint=told[1]) from None


def _open_described(
    description: str | Mapping[str, Any], *, test: bool, as_: str | None, timeout_s: float | None, debug: bool
) -> Opened:
    session.require_platform()
    from flowfile_nb import connections

    if (in_team := session.team_in_use()) is not None:
        from flowfile_nb.team.opening import open_described

        if (brokered := open_described(in_team, description, test=test, as_=as_, timeout_s=timeout_s)) is not None:
            return brokered
    return connections.open_connection(description, _require, _access(timeout_s=timeout_s, debug=debug), test=test, as_=as_)


def open_definition(
    definition: Definition,
    *,
    test: bool = True,
    as_: str | None = None,
    timeout_s: float | None = None,
    debug: bool = False,
) -> Opened:
    """Open what is saved or shared under a name, or what Flowfile has saved; the rest is as in `open_connection`."""
    if definition.shared:
        # Imported here: nobody without a team needs it.
        from flowfile_nb.team.opening import open_named

        return open_named(session.team(), definition.name, test=test, as_=as_, timeout_s=timeout_s)
    if definition.flowfiles is None:
        return open_connection(definition.located.description, test=test, as_=as_, timeout_s=timeout_s, debug=debug)
    if as_ is not None:
        raise UsageError(
            f"{definition.name} is saved in Flowfile: --as is for what is described here", hint="describe it:  %%connect?"
        )
    return open_flowfiles(definition.name, test=test, timeout_s=timeout_s, debug=debug)


def _open_saved(  # noqa: PLR0913 - as `connect` takes them
    name: str,
    *,
    test: bool,
    as_: str | None,
    trust: bool,
    timeout_s: float | None,
    file: str | os.PathLike[str] | None,
) -> Opened:
    from flowfile_nb.connections import saved

    backend = session.backend()
    path = None if file is None else Path(file).expanduser()
    definition = saved.find(backend, name, Path.cwd(), path, in_team=session.team_in_use() is not None)
    saved.require_understood(definition)
    if not trust and not saved.is_agreed(backend, definition):
        option, said = ("", "") if file is None else (f" --file {quoted(str(file))}", f", file={str(file)!r}")
        raise UsageError(
            f"{name} is described in {definition.origin}, and was not used here as it is now; nothing was opened",
            hint=f"%connect {quoted(name)}{option}  shows it and asks;"
            f"  in a script, after reading it:  connect({name!r}{said}, trust=True)",
        )
    opened = open_definition(definition, test=test, as_=as_, timeout_s=timeout_s)
    # A store that cannot be written, as in a container, does not stand in the way: nothing depends on it.
    with suppress(StoreError):
        saved.opened(backend, definition)
    return opened


def _save(name: str, description: str | Mapping[str, Any]) -> None:
    from flowfile_nb.connections import saved
    from flowfile_nb.connections.definition import Definition
    from flowfile_nb.connections.spec import UrlSpec, read_spec
    from flowfile_nb.connections.toml_text import toml_text

    backend = session.backend()
    if isinstance(description, str):
        body = description.strip()
    else:
        # As a cell would say it: a `Secret` among the parts is a reference.
        spec = read_spec(description)
        body = spec.marked.restore(spec.marked.text) if isinstance(spec, UrlSpec) else toml_text(spec.parts).rstrip("\n")
    folder, definition, before = Path.cwd(), Definition(name, body), backend.connection_bodies().get(name)
    saved.keep(backend, name, body, folder)
    if before is not None and (replaced := saved.in_place_of(Definition(name, before), definition, folder)):
        print(f"Saved {name}{replaced}.")
    # As below.
    with suppress(StoreError):
        saved.opened(backend, definition)


def reopen(description: str | Mapping[str, Any], timeout_s: float | None) -> Any:
    """
    Make a connection that another process sent here; the values come from this process's store, at each new connection.

    Nothing is asked of the store yet, since a pool of workers hangs where an argument cannot be loaded. Using the connection
    raises NoSuchSecretError where this process has not all of its secrets.
    """
    session.require_platform()
    from flowfile_nb import connections

    access = _access(timeout_s=timeout_s)
    access = access.replaced(reveal=partial(_here, session.reveal), fingerprint=partial(_here, _fingerprint))
    return connections.open_connection(description, lambda name: None, access, test=False).native


def _access(*, timeout_s: float | None, debug: bool = False) -> Access:
    from flowfile_nb.connections.access import Access
    from flowfile_nb.connections.present_names import PresentNames

    present = PresentNames().of
    return Access(
        lambda name: session.reveal(present(name)),
        fingerprint=lambda name: _fingerprint(present(name)),
        updated_at=lambda name: session.backend().updated_at(present(name)),
        mask=session.mask,
        learn=session.learn,
        reopen=reopen,
        timeout_s=timeout_s,
        debug=debug,
        label=lambda name: repr(present(name)),
        present=present,
    )


def _here(ask: Callable[[str], Any], name: str) -> Any:
    """Ask about a secret on behalf of a connection that was sent to this process."""
    try:
        return ask(name)
    except NoSuchSecretError:
        raise NoSuchSecretError(
            f"this process was sent a connection that needs the secret {name!r}, and has none of that name",
            hint=f"run it with the store that has it, or with the variable {environment_variable(name)}",
        ) from None


def open_flowfiles(name: str, *, test: bool = True, timeout_s: float | None = None, debug: bool = False) -> Opened:
    """
    Open a connection that was saved in Flowfile's own interface, by its name there; the rest is as in `open_connection`.

    Raises:
        UsageError: If none of that name is saved; else as `connect`.
    """
    saved = session.backend().flowfile_connections().get(name)
    if saved is None:
        raise UsageError(f"no connection is saved in Flowfile as {name!r}", hint="list those that are:  %connect")
    return _open_flowfiles(saved, _access(timeout_s=timeout_s, debug=debug), test=test)


def reopen_flowfiles(saved: FlowfileConnection, timeout_s: float | None) -> Any:
    """
    Make a connection of Flowfile's that another process sent here; the values come from this process's store.

    As `reopen`, nothing is asked yet. Where this store has no such connection, or one that leads elsewhere, using it raises.
    """
    session.require_platform()
    return _open_flowfiles(saved, _access(timeout_s=timeout_s), test=False).native


def _open_flowfiles(saved: FlowfileConnection, access: Access, *, test: bool) -> Opened:
    from flowfile_nb.connections import open_flowfile_connection

    access = access.replaced(reopen=reopen_flowfiles)
    return open_flowfile_connection(saved, lambda part: session.backend().part_of(saved, part), access, test=test)


def _require(name: str) -> None:
    session.backend().require(name)


def _fingerprint(name: str) -> object:
    return session.backend().fingerprint(name)
