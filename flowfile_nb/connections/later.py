"""
Errors that a filesystem or an API's client of ours has in a later cell: which connection it was is found out when one is shown.

What is raised is the library's own exception, with its traceback and all that led to it: nothing is wrapped round a request.
That traceback went through the object that was bound, whose class has a method `explain_later`. Where compiled code raises it,
as Polars' and DuckDB's does, it went through none: then each `Teller` is asked whether the error is of its connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from sysconfig import get_path
from time import monotonic
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

from flowfile_nb.connections.causes import chain
from flowfile_nb.connections.told import Told
from flowfile_nb.errors import FlowfileNbError

EXPLAIN = "explain_later"
"""The method of a bound object's class: it gets the error, and returns what happened and what to do, or None."""
BOUND = "bound_later"
"""An attribute of such a class, where its objects are not what is bound: a weak reference to that."""
# How the libraries call the object that they ask.
_NAMES = ("self", "obj", "fs", "filesystem")
_INSTALLED = {"dist-packages", "site-packages"}
_STANDARD = get_path("stdlib")
# Whose exceptions are about a connection, beside the operating system's; a wrong argument is shown as ever.
_LIBRARIES = {
    *("_duckdb", "adbc_driver_manager", "aiobotocore", "aiohttp", "azure", "botocore", "duckdb", "fsspec", "gcsfs", "google"),
    *("httpcore", "httpx", "pandas", "paramiko", "polars", "psycopg", "requests", "s3fs"),
}
_asked: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

ALL = ("", "")


class Teller:
    """
    What knows an error of one connection by its text.

    Args:
        bound: What the user has of the connection. It is not kept alive by this, and this by nobody but its owner.
        explain: Gets an error, and returns what happened and what to do; None of one that is another's, `ALL` of one whose
            traceback is to be shown.
        lasts_s: How long what was used is not used again, in seconds. Then an error is another's where this was not used
            since the cell began, or that long before. None where it may be used without a word.
    """

    def __init__(
        self, bound: Any, explain: Callable[[BaseException], tuple[str, str] | None], lasts_s: float | None = None
    ) -> None:
        self.bound, self.explain, self._lasts_s = ref(bound), explain, lasts_s
        self.used_at = monotonic()
        """When it was used last, on the monotonic clock, in seconds."""
        _tellers.add(self)

    def used(self) -> None:
        """Have it asked before others: two connections may lead to one place."""
        self.used_at = monotonic()

    def may_be_meant(self) -> bool:
        """Return whether an error of this cell may be of the connection."""
        return self._lasts_s is None or self.used_at >= _cell_began_at - self._lasts_s

    @staticmethod
    def told_of(error: BaseException) -> Told | None:
        """Return what the connection that was used last can tell of an error; None if none knows it."""
        for teller in sorted(_tellers, key=lambda one: one.used_at, reverse=True):
            if teller.may_be_meant() and (explained := teller.explain(error)) is not None:
                return None if explained is ALL else Told(explained[0], "", explained[1], teller.bound)
        return None


_tellers: WeakSet[Teller] = WeakSet()
_cell_began_at = 0.0


def begin_cell() -> None:
    """Remember that a cell begins now: what its errors are of was used in it."""
    global _cell_began_at  # noqa: PLW0603 - there is one at a time
    _cell_began_at = monotonic()


def answered(response: Any, client: Any) -> None:
    """Remember which client an answer is one's of: what is raised for its status goes through no client."""
    _asked[response] = client


def told_of(error: BaseException | None) -> Told | None:
    """Return what can be told of an exception that went through an object of ours; None of everybody else's."""
    if error is None or not _is_of_library(error):
        return None
    bound = next(_bound_to(error), None)
    if bound is None:
        return Teller.told_of(error)
    explained: tuple[str, str] | None = getattr(bound, EXPLAIN)(error)
    return None if explained is None else Told(explained[0], "", explained[1], getattr(bound, BOUND, ref(bound)))


def _is_of_library(error: BaseException) -> bool:
    """Return whether an exception is a library's or the operating system's, and not one that says by itself how it is shown."""
    if isinstance(error, FlowfileNbError):
        return False
    return isinstance(error, (OSError, EOFError)) or type(error).__module__.partition(".")[0] in _LIBRARIES


def _bound_to(error: BaseException) -> Iterator[Any]:
    response = getattr(error, "response", None)
    try:
        client = None if response is None else _asked.get(response)
    except TypeError:
        # A response of botocore's is a dictionary.
        client = None
    if client is not None:
        yield client
    # pandas puts one of its own round a driver's.
    errors = chain(error) if type(error).__module__.partition(".")[0] == "pandas" else [error]
    for one in errors:
        yield from _went_through(one.__traceback__)


def named_by_user(error: BaseException) -> list[Any]:
    """
    Return what the innermost frame of the user's own code names: the values of its variables, and modules.

    Of an error that compiled code raises it tells what was asked: nothing else does.
    """
    innermost, traceback = None, error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        is_librarys = code.co_filename.startswith(("<frozen", _STANDARD)) or code.co_filename.endswith((".pxi", ".pyx"))
        if not is_librarys and not _INSTALLED & set(Path(code.co_filename).parts):
            innermost = traceback.tb_frame
        traceback = traceback.tb_next
    if innermost is None:
        return []
    code = innermost.f_code
    known = {**innermost.f_globals, **innermost.f_locals}
    return [known[name] for name in {*code.co_names, *code.co_varnames, *code.co_freevars} if name in known]


def _went_through(traceback: TracebackType | None) -> Iterator[Any]:
    while traceback is not None:
        frame = traceback.tb_frame
        # In a user's own function a variable of such a name says nothing.
        if _INSTALLED & set(Path(frame.f_code.co_filename).parts):
            for name in _NAMES:
                value = frame.f_locals.get(name)
                if type(value).__module__ == "pyarrow._fs":
                    # PyArrow puts its own round a filesystem.
                    value = getattr(getattr(value, "handler", None), "fs", None)
                if EXPLAIN in vars(type(value)):
                    yield value
        traceback = traceback.tb_next
