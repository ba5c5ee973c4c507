"""Opening a connection: check the secrets it needs, find its family, hand over to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flowfile_nb.attended import is_attended
from flowfile_nb.connections.access import Access, access_of
from flowfile_nb.connections.families import Reveal, family_of, form_of
from flowfile_nb.connections.file_paths import located
from flowfile_nb.connections.spec import read_spec, scheme_of, secrets_in
from flowfile_nb.core.names import environment_variable, quoted
from flowfile_nb.errors import NoSuchSecretError, ReferenceSyntaxError
from flowfile_nb.loading import uncollected

if TYPE_CHECKING:
    from flowfile_nb.backend import FlowfileConnection, Part
    from flowfile_nb.connections.definition import Definition
    from flowfile_nb.connections.family import Kind

Require = Callable[[str], None]


class Opened:
    """
    An opened connection, and what can be told of it.

    Args:
        native: The object of the ecosystem: a SQLAlchemy `Engine` for a database.
        kind: What made it, and can close it.
        secrets: The names of the secrets it uses.
        scheme: Its kind, as a URL's scheme or a description's `type`.
    """

    def __init__(self, native: Any, kind: Kind, secrets: list[str], scheme: str) -> None:
        self.native = native
        self.kind = kind
        self.secrets = secrets
        self.scheme = scheme
        self.described: tuple[Definition, str] | None = None
        """What it was opened by, and the folder where its relative paths began; None where nothing but a text said it."""

    @property
    def target(self) -> str:
        """Where it leads, such as `postgresql://app@db.example.com:5432/sales`, without values."""
        return self.kind.target(self.native)

    @property
    def note(self) -> str:
        """What its user should know beside, or nothing; `{variable}` in it stands for what it is bound to."""
        return str(getattr(self.kind, "note", ""))

    @property
    def shared_as(self) -> str:
        """The name under which somebody else shares it; empty for one's own, and for what was described here."""
        return getattr(self.kind, "shared_as", None) or ""

    @property
    def is_brokered(self) -> bool:
        """Whether a team's broker opens it, with somebody else's secret."""
        return hasattr(self.kind, "shared_as")

    @property
    def untried(self) -> tuple[str, str] | None:
        """What a check did in a word, and what it could not try, such as the key of an API; None where it has tried all."""
        said: Callable[[Any], tuple[str, str] | None] | None = getattr(self.kind, "untried", None)
        return said(self.native) if said is not None else None

    def follow(self, old: str, new: str) -> None:
        """Be told by the name that a secret has got; what it was opened by says that, too, unless that is a project's file."""
        self.secrets = [new if name == old else name for name in self.secrets]
        if self.described is None or self.described[0].origin or not isinstance(body := self.described[0].description, str):
            return
        # Imported here, as below: few secrets are renamed while something is open.
        from flowfile_nb.connections.definition import Definition
        from flowfile_nb.core.references import renamed

        with suppress(ReferenceSyntaxError):
            self.described = Definition(self.described[0].name, renamed(body, old, new)), self.described[1]

    def close(self) -> None:
        """Close it and what it keeps open."""
        self.kind.close(self.native)


def open_connection(
    description: str | Mapping[str, Any],
    require: Require,
    reveal: Reveal,
    *,
    test: bool = True,
    as_: str | None = None,
) -> Opened:
    """
    Return the native object for a description, with its family.

    Args:
        description: A URL, TOML text or its parts, with references.
        require: Raises unless a secret of that name can be used.
        reveal: Returns the value of a secret; called at each new connection, never earlier. An `Access` can also tell more.
        test: Whether to open it once now.
        as_: Another native form than the family's own: `duckdb`, `polars`, `adbc`, `ibis`, `uri`.

    Raises:
        ConnectionSpecError, NoSuchSecretError, MissingDriverError, ConnectionFailedError: As `flowfile_nb.connect`.
    """
    spec = located(read_spec(description))
    require_all(secrets_in(spec), require)
    with uncollected():
        family = family_of(spec) if as_ is None else form_of(as_)
        native = family.make(spec, access_of(reveal))
    if test:
        family.check(native)
    return Opened(native, family, secrets_in(spec), scheme_of(spec))


def open_flowfile_connection(
    connection: FlowfileConnection, part_of: Callable[[str], Part], access: Access, *, test: bool = True
) -> Opened:
    """
    Return the native object for a connection that was saved in Flowfile: an `Engine`, or an fsspec filesystem.

    Args:
        connection: As Flowfile has it.
        part_of: Returns a secret part as it is saved now; called at each new database connection or request, never earlier.
        access: Whatever else may be asked of the session.
        test: Whether to open it once now.

    Raises:
        ConnectionSpecError, MissingDriverError, ConnectionFailedError: As `flowfile_nb.connect`.
    """
    from flowfile_nb.connections import flowfile

    spec = flowfile.spec_of(connection)
    with uncollected():
        family = family_of(spec)
        native = family.make(spec, flowfile.access_to(connection, part_of, access))
    if test:
        family.check(native)
    return Opened(native, family, [name for name in connection.secrets.values() if name], flowfile.scheme_of(connection))


def require_all(names: Sequence[str], require: Require) -> None:
    """
    Let pass if all can be used.

    Raises:
        NoSuchSecretError: Otherwise; it names all that cannot at once, with the commands that add them.
    """
    errors = []
    for name in names:
        try:
            require(name)
        except NoSuchSecretError as error:
            errors.append((name, error))
    if len(errors) == 1:
        raise errors[0][1]
    if errors:
        raise NoSuchSecretError(
            f"this connection needs secrets that are not there: {', '.join(repr(name) for name, _ in errors)}",
            hint="add them:  " + "   ".join(f"%secret set {quoted(name)}" for name, _ in errors)
            if is_attended()
            else "in a headless run they are given by " + ", ".join(environment_variable(name) for name, _ in errors),
        )
