"""Whether there is room for one more: nobody fills the store for all."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, select

from flowfile_nb.errors import InvalidNameError, LimitError

MAX_BODY = 64 * 1024


def require_room(connection: Connection, mine: ColumnElement[bool], most: int, what: str, hint: str) -> None:
    """
    Let one more be kept of something.

    Args:
        connection: The transaction that keeps it.
        mine: Which rows are counted.
        most: How many there may be.
        what: What they are, to be read: `secrets of yours`.
        hint: What he can do.

    Raises:
        LimitError: If there is no room.
    """
    there = connection.execute(select(func.count()).where(mine)).scalar_one()
    if there >= most:
        raise LimitError(f"there are {there:,} {what} already; there may be {most:,}", hint=hint)


def require_small(value: str, most: int) -> None:
    """Let a value be kept. Raises LimitError if it has more than *most* bytes."""
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > most:
        raise LimitError(
            f"a value of {size:,} bytes was not stored: this broker takes {most:,}",
            hint="a secret is a credential; keep the data elsewhere, encrypted, and store its key here",
        )


def require_short(body: str) -> None:
    """Let a description be kept. Raises InvalidNameError if it has more than `MAX_BODY` bytes."""
    if len(body.encode(errors="surrogatepass")) > MAX_BODY:
        raise InvalidNameError("the description is too long", hint=f"up to {MAX_BODY // 1024} KiB")
