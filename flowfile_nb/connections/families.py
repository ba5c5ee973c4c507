"""
Which family of connections a URL scheme or a `type` belongs to, found without importing the others.

Other packages add families by an entry point in the group `flowfile_nb.connectors`: its name is the scheme, and it leads to an
object with the functions of `family.Family`. Other native forms come from the group `flowfile_nb.forms`: the name is what
`--as` takes, and it leads to a class with those functions.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from flowfile_nb.connections.drivers import DIALECTS
from flowfile_nb.connections.spec import scheme_of
from flowfile_nb.core.names import nearest
from flowfile_nb.errors import ConnectionSpecError, MissingDriverError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from flowfile_nb.connections.family import Family
    from flowfile_nb.connections.keys import Key
    from flowfile_nb.connections.spec import Spec

ENTRY_POINTS = "flowfile_nb.connectors"
FORM_ENTRY_POINTS = "flowfile_nb.forms"
Reveal = Callable[[str], str]

# Schemes of our own families that are no databases; whatever is in neither list, SQLAlchemy may have a dialect for.
_MODULES: dict[str, str] = {
    "http": "flowfile_nb.connections.http_api",
    "https": "flowfile_nb.connections.http_api",
    "kafka": "flowfile_nb.connections.kafka",
}
_DATABASE = "flowfile_nb.connections.database"

# Places for files: the module and the class in it. One object is made for each connection.
_STORAGE = {
    "s3": ("flowfile_nb.connections.s3", "S3"),
    "gs": ("flowfile_nb.connections.gcs", "GoogleStorage"),
    "gcs": ("flowfile_nb.connections.gcs", "GoogleStorage"),
    "abfs": ("flowfile_nb.connections.azure", "Azure"),
    "abfss": ("flowfile_nb.connections.azure", "Azure"),
    "az": ("flowfile_nb.connections.azure", "Azure"),
    "sftp": ("flowfile_nb.connections.sftp", "Sftp"),
    "ssh": ("flowfile_nb.connections.sftp", "Sftp"),
}

# Other native forms, for `--as`: the module and the class in it.
_FORMS = {
    "adbc": ("flowfile_nb.connections.forms.adbc", "Adbc"),
    "duckdb": ("flowfile_nb.connections.forms.duckdb", "DuckDB"),
    "ibis": ("flowfile_nb.connections.forms.ibis", "Ibis"),
    "polars": ("flowfile_nb.connections.forms.polars", "Polars"),
    "uri": ("flowfile_nb.connections.forms.uri", "Uri"),
}

_WITHOUT_A_FORM = {"dataframe", "engine", "native", "pandas", "sqlalchemy"}


def kinds() -> list[str]:
    """Return the kinds that are known here, for `type = "…"` and as schemes; SQLAlchemy may know more."""
    from importlib.metadata import entry_points

    return sorted({*DIALECTS, *_MODULES, *_STORAGE, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def is_storage(kind: str) -> bool:
    """Return whether a kind is a place for files."""
    return kind in _STORAGE


def keys_of(kind: str) -> tuple[str, ...]:
    """Return the names of `declared_keys`."""
    return tuple(key.name for key in declared_keys(kind))


def declared_keys(kind: str) -> tuple[Key, ...]:
    """
    Return the keys that a description of *kind* usually has, as its family declares them.

    Nothing is imported that is not ours or asked for by its kind.

    Raises:
        MissingDriverError: If a package brings that kind, and does not load.
    """
    # Imported here: only Tab and forms ask.
    from flowfile_nb.connections.keys import declared

    family = _family(kind)
    of_kind = getattr(family, "keys_of", None)
    return declared(of_kind(kind) if of_kind is not None else getattr(family, "KEYS", ()))


def require_described(spec: Spec) -> None:
    """
    Let a description pass if its family can make something of it, as far as that can be told without a server.

    Raises:
        ConnectionSpecError: If it cannot: a key is unknown, or of the wrong kind.
        MissingDriverError: If a library is needed to tell.
    """
    described = getattr(family_of(spec), "described", None)
    if described is not None:
        described(spec)


def unknown_keys(spec: Spec) -> dict[str, str]:
    """
    Return the keys that a description hands to a driver without anybody here knowing them, each with the nearest known one.

    Raises:
        ConnectionSpecError, MissingDriverError: As `require_described`.
    """
    unknown = getattr(family_of(spec), "unknown_keys", None)
    found: dict[str, str] = {} if unknown is None else unknown(spec)
    return found


def family_of(spec: Spec) -> Family:
    """Return the family that opens *spec*: one of ours, else an installed package's, else databases."""
    return _family(scheme_of(spec).lower())


def _family(scheme: str) -> Family:
    if scheme in _STORAGE:
        module, class_name = _STORAGE[scheme]
        return cast("Family", getattr(import_module(module), class_name)())
    base = scheme.partition("+")[0]
    module_name = _MODULES.get(scheme) or _MODULES.get(base) or (_DATABASE if base in DIALECTS else None)
    if module_name is None:
        # Imported here: looking through what is installed takes a few milliseconds.
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINTS, name=scheme):
            return cast("Family", _loaded(point))
    return cast("Family", import_module(module_name or _DATABASE))


def forms() -> list[str]:
    """Return the native forms that are known here, for `--as`."""
    from importlib.metadata import entry_points

    return sorted({*_FORMS, *(point.name for point in entry_points(group=FORM_ENTRY_POINTS))})


def form_of(name: str) -> Family:
    """
    Return what opens a connection as the native form *name*: `duckdb`, `polars`, `adbc` …, or an installed package's.

    Raises:
        ConnectionSpecError: If there is none of that name.
    """
    if name in _FORMS:
        module, class_name = _FORMS[name]
        return cast("Family", getattr(import_module(module), class_name)())
    from importlib.metadata import entry_points

    for point in entry_points(group=FORM_ENTRY_POINTS, name=name):
        return cast("Family", _loaded(point)())
    if name.lower() in _WITHOUT_A_FORM:
        raise ConnectionSpecError(
            "the engine is no other native form: a database is bound to it without --as",
            hint='leave out  --as ;  pandas takes the engine:  pandas.read_sql("select 1", warehouse)',
        )
    near = nearest(name.lower(), _FORMS)
    raise ConnectionSpecError(
        "there is no native form of the name after --as",
        hint=f"did you mean {near}?" if near else f"there are {', '.join(sorted(_FORMS))}",
    )


def _loaded(point: EntryPoint) -> Any:
    """Return what another package brings. Its own error says why it does not load, and holds nothing of a connection."""
    try:
        return point.load()
    except Exception as error:  # noqa: BLE001 - a package that is broken raises what it likes
        package = point.dist.name if point.dist else point.value
        raise MissingDriverError(
            f"the package {package!r} brings connections of type {point.name!r}, and does not load: {type(error).__name__}",
            hint=f"see why:  import {point.value.partition(':')[0]}   then mend or remove the package",
        ) from None
