"""Opening a connection at the broker: an engine, a filesystem or a client here, the connection and the credential there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowfile_nb.backend import TeamConnection
from flowfile_nb.connections import Opened
from flowfile_nb.connections.definition import Definition
from flowfile_nb.connections.spec import TableSpec, read_spec, scheme_of, secrets_in
from flowfile_nb.core.names import quoted, suggest
from flowfile_nb.errors import NoSuchConnectionError, UsageError
from flowfile_nb.team.backend import TeamBackend
from flowfile_nb.team.client import Client
from flowfile_nb.team.links import STORAGE, require_libraries

_CHECK_S = 30.0
_APIS = {"http", "https"}


class Brokered:
    """
    What can be done with a connection that the broker opens (`connections.family.Kind`).

    Args:
        client: Speaks to the broker.
        order: What is asked of it: `{"connection": name}`, or `{"description": text}`.
        place: Where it leads, to be read.
        note: What its user should know beside.
        timeout_s: How long a check may take.
    """

    def __init__(self, client: Client, order: Mapping[str, str], place: str, note: str, timeout_s: float | None) -> None:
        self.note = note
        self.shared_as = order.get("connection")
        self._client = client
        self._order = order
        self._place = place
        self._timeout_s = timeout_s or _CHECK_S
        self._untried = ""

    def make(self, scheme: str) -> Any:
        """Return an engine whose statements go to the broker; for a storage a filesystem, for an API a client."""
        if scheme.lower() in _APIS:
            from flowfile_nb.team.api_client import make_client

            return make_client(self._client, self._order, self._place)
        if scheme.lower() in STORAGE:
            require_libraries()
            from flowfile_nb.team.files import make_filesystem

            return make_filesystem(self._client, scheme.lower(), self._order)
        from flowfile_nb.team.dialect import make_engine

        return make_engine(self._client, scheme, self._order)

    def check(self, connection: Any) -> None:
        """Have the broker open it once. Raises what it says, such as BindingError or ConnectionFailedError."""
        answer = self._client.post("api/check", self._order, timeout_s=self._timeout_s)
        self._untried = str(answer.get("untried") or "")
        if tell := getattr(getattr(connection, "dialect", None), "tell", None):
            tell(answer.get("first_asked") or {})

    def untried(self, connection: Any) -> tuple[str, str] | None:
        """Return what a check did, and what it has not tried; None if it has tried all."""
        return ("Reached", self._untried) if self._untried else None

    def target(self, connection: Any) -> str:
        """Return where it leads, without values."""
        return self._place

    def close(self, connection: Any) -> None:
        """Close what the engine, or the filesystem, keeps open."""
        if hasattr(connection, "dispose"):
            connection.dispose()
        else:
            connection.close()


def open_described(
    team: TeamBackend, description: str | Mapping[str, Any], *, test: bool, as_: str | None, timeout_s: float | None
) -> Opened | None:
    """
    Open what a description says, at the broker if it needs a secret that is never seen here; None where it needs none.

    Args:
        team: The team's secrets.
        description: A URL, TOML text or its parts.
        test: Whether to open it once now.
        as_: Another native form than the engine; it is refused, since it needs the value here.
        timeout_s: How long the check may take.

    Raises:
        BindingError: If the shared secret's owner has not fixed this target for it.
        UsageError, ConnectionSpecError, ConnectionFailedError, BrokerError: As `flowfile_nb.connect`.
    """
    spec = read_spec(description)
    # A Secret among the parts is a reference by now.
    definition = Definition("", spec.parts if isinstance(spec, TableSpec) else description)
    names = secrets_in(spec)
    if not names or not (brokered := team.brokered(names)):
        return None
    shared = next(iter(brokered))
    _refuse_form(as_, f"the value of {shared!r}")
    note = f"The broker uses {shared!r}; its value is not in this kernel."
    place = definition.outline.target
    if isinstance(spec, TableSpec) and scheme_of(spec).lower() in _APIS:
        place = str(spec.parts.get("url", spec.parts.get("base_url", "")))
    kind = Brokered(team.client, {"description": definition.text}, place, note, timeout_s)
    return _opened(kind, scheme_of(spec), names, test=test)


def open_named(team: TeamBackend, name: str, *, test: bool, as_: str | None, timeout_s: float | None) -> Opened:
    """
    Open a connection that somebody shares, by its name. Arguments and errors as `open_described`.

    Raises:
        NoSuchConnectionError: If there is none of that name, or it is not shared with the caller.
    """
    known = team.team_connections()
    found = next((one for one in known if one.name == name), None)
    if found is None:
        close = suggest(name, [one.name for one in known])
        meant = f"did you mean {close!r}?  " if close else ""
        raise NoSuchConnectionError(f"no connection named {name!r} is shared with you", hint=f"{meant}List them:  %connect")
    _refuse_form(as_, f"the credential of {name!r}")
    kind = Brokered(team.client, {"connection": name}, found.target, _note(found), timeout_s)
    return _opened(kind, found.kind, list(found.secrets), test=test)


def _note(found: TeamConnection) -> str:
    through = f" with {', '.join(found.groups)}" if found.groups else ""
    if found.kind in _APIS:
        may = "takes the requests that its owner allows" if found.access == "write" else "takes GET and HEAD only"
    else:
        may = "reads and writes" if found.access == "write" else "reads only"
    promised = f" Through it: {found.guarantee}." if found.guarantee else ""
    if found.kind.lower() in STORAGE:
        # Behind the host, to which a user's name and a port may belong.
        where = found.target.partition("://")[2].partition("/")[2]
        variable = found.name if found.name.isidentifier() else "NAME"
        promised += f' It is a filesystem, and its paths begin with the bucket:  {variable}.ls("{where}")'
    return f"{found.owner}'s, shared{through}: it {may}; the credential stays at the broker.{promised}"


def _refuse_form(as_: str | None, what: str) -> None:
    if as_ is not None:
        raise UsageError(
            f"--as {quoted(as_)} needs {what} in this kernel, where it never comes",
            hint="leave it out:  df = pd.read_sql(query, NAME)  and  duckdb.sql('… FROM df');  pd.read_csv(NAME.open(path))",
        )


def _opened(kind: Brokered, scheme: str, secrets: list[str], *, test: bool) -> Opened:
    native = kind.make(scheme)
    try:
        if test:
            kind.check(native)
    except BaseException:
        kind.close(native)
        raise
    return Opened(native, kind, secrets, scheme)
