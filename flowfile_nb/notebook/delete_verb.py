"""`%secret delete`: what uses a secret, and who loses it, is said before it is gone."""

from __future__ import annotations

from argparse import Namespace

from flowfile_nb import session
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import NoPromptError
from flowfile_nb.notebook.meant import require_stored
from flowfile_nb.notebook.overriding import require_in_store, tell_of_rest
from flowfile_nb.notebook.prompt import confirm


def delete(args: Namespace) -> None:
    """Delete secrets, each after saying what uses it and who else loses it."""
    backend = session.backend()
    require_stored(args.names, ["delete", *args.names])
    require_in_store(args.names)
    for name in args.names:
        users = session.used_by(name)
        groups = shared_with(name)
        facts = [f"used by {', '.join(users)}"] if users else []
        facts += [f"shared with {groups}, who lose it"] if groups else []
        try:
            question = f"Delete {name} for good?" + "".join(f" It is {fact}." for fact in facts)
            agreed = args.yes or confirm(question, otherwise=f"%secret delete {quoted(name)} --yes")
        except NoPromptError as error:
            told = "".join(f"; {name} is {fact}" for fact in facts)
            raise NoPromptError(error.message + (f"{told}." if told else ""), hint=error.hint) from None
        if agreed:
            backend.delete(name)
        told = "".join(f" It was {fact}." for fact in facts)
        print(f"Deleted {name}.{told}" if agreed else f"Kept {name}.")
        if agreed:
            tell_of_rest(name)


def shared_with(name: str) -> str:
    """Return the groups that an own secret is shared with, in one text."""
    listing = session.backend().describe(names=[name])
    # Somebody else's is not the caller's to delete, which the backend says.
    own = listing.sharers[:1] == [""]
    return listing.shared_with[0] if own and listing.shared_with else ""
