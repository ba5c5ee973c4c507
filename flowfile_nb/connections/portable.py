"""Sending a connection to another process: its description goes there, with references, and is opened from that one's store."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.spec import Spec, UrlSpec
from flowfile_nb.core.references import fill_all, reference
from flowfile_nb.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine


class _Reduce:
    """
    What pickle asks a connection how it is made anew.

    Set on the object itself, where pickle, cloudpickle and joblib look for it, so that no other object of its class changes.
    """

    def __init__(self, spec: Spec, access: Access, only_here: str) -> None:
        self._spec = spec
        self._access = access
        self._only_here = only_here

    def __call__(self, protocol: int = 0) -> tuple[Any, ...]:
        if self._only_here:
            raise UsageError(f"{self._only_here}; it was not sent elsewhere", hint="keep the data in a file or on a server")
        spec, described = self._spec, self._access.description
        if described is None:
            described = spec.marked.restore(spec.marked.text) if isinstance(spec, UrlSpec) else spec.parts
            described = fill_all(described, lambda name: reference(self._access.present(name)))
        return self._access.reopen, (described, self._access.timeout_s)

    def __repr__(self) -> str:
        return "<opens the connection anew>"


def make_portable(native: Any, spec: Spec, access: Access, *, only_here: str = "") -> None:
    """
    Let *native* be pickled as its description; where it is loaded, `access.reopen` makes it from that.

    Args:
        native: The opened connection.
        spec: What it was made of.
        access: Knows what reopens it; without that nothing changes.
        only_here: Why it cannot be anywhere else; pickling raises UsageError then.
    """
    if access.reopen is not None:
        native.__reduce_ex__ = _Reduce(spec, access, only_here)


class _Refusal:
    """What pickle asks, of an object that stays here."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __call__(self, protocol: int = 0) -> tuple[Any, ...]:
        raise UsageError(
            f"{self._what} is open in the process that opened it; it was not sent elsewhere",
            hint="send the connection without --as, which opens anew there, or open it there by its name:  %connect NAME",
        )


def keep_here(native: Any, what: str) -> None:
    """
    Refuse to pickle *native*: where it is loaded it would be a connection to nowhere.

    Args:
        native: An open connection of a library that keeps it.
        what: What it is: `an Ibis backend`.
    """
    native.__reduce_ex__ = _Refusal(what)


def make_variants_portable(engine: Engine, origin: Engine | None = None) -> None:
    """
    Let what `engine.execution_options(…)` returns be pickled, too: as the engine, with those options.

    Not by SQLAlchemy's event for it: an engine with such a listener takes a tenth longer for each statement.

    Args:
        engine: The engine, or such a variant of it.
        origin: The engine, where *engine* is a variant.
    """
    original = engine.execution_options

    def execution_options(**options: Any) -> Any:
        def reduce(protocol: Any) -> tuple[Any, ...]:
            return methodcaller("execution_options", **variant.get_execution_options()), (origin or engine,)

        variant: Any = original(**options)
        variant.__reduce_ex__ = reduce
        make_variants_portable(variant, origin or engine)
        return variant

    engine.execution_options = execution_options  # type: ignore[method-assign]


def only_in_this_process(url: URL) -> str:
    """Return why a database cannot be reached from another process; empty if it can."""
    in_memory = url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory"
    if url.get_backend_name() in {"sqlite", "duckdb"} and in_memory:
        return "a database in memory is in the process that opened it, and nowhere else"
    return ""
