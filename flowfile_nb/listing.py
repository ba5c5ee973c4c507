"""What may be shown of secrets: names, owners, ages and uses, in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowfile_nb.core.names import environment_variable

if TYPE_CHECKING:
    from flowfile_nb.backend import Listing


def described(
    columns: Sequence[Sequence[Any]], users: Mapping[int, str], used: Mapping[str, int], user_id: int, limit: int | None
) -> Listing:
    """
    Return what may be shown of stored secrets, by name in any case.

    Args:
        columns: The names, the heads of the tokens, and the owners' ids.
        users: The users' names by id.
        used: When each secret was last used, by name.
        user_id: Who looks.
        limit: With it, the first so many.
    """
    # Imported here: who looks for values in a cell asks for fingerprints alone.
    from flowfile_nb.backend import Listing
    from flowfile_nb.core.crypto import token_times

    folded = list(map(str.casefold, columns[0]))
    order = sorted(range(len(folded)), key=folded.__getitem__)[:limit]
    names, tokens, owner_ids = ([column[number] for number in order] for column in columns)
    owner = {owner_id: users.get(owner_id) or f"user {owner_id}" for owner_id in set(owner_ids)}
    sharer = {**owner, user_id: ""}
    return Listing(
        names,
        list(map(owner.__getitem__, owner_ids)),
        list(map(sharer.__getitem__, owner_ids)),
        token_times(tokens),
        list(map(used.get, names)),
    )


def overridden(listing: Listing, environ: Mapping[str, str]) -> Listing:
    """Return a listing that says `environment` where a variable gives the value instead of the store."""
    # Most environments override nothing; then no name has to be spelled as a variable.
    if any(variable.startswith("FLOWFILE_SECRET_") for variable in environ):
        for number, name in enumerate(listing.names):
            if environment_variable(name) in environ:
                listing.owners[number], listing.sharers[number], listing.updated_at[number] = "environment", "", None
    return listing


def fingerprints(columns: Sequence[Sequence[Any]], environ: Mapping[str, str]) -> dict[str, object]:
    """Return for each name something that differs when its value may have changed since, and tells nothing about it."""
    names, heads, _ = columns
    found: dict[str, object] = dict(zip(names, heads, strict=True))
    if any(variable.startswith("FLOWFILE_SECRET_") for variable in environ):
        for name in names:
            if (variable := environment_variable(name)) in environ:
                found[name] = hash(environ[variable])
    return found
