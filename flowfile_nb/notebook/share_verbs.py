"""`%secret share` and `unshare`, and the same for a connection: who may use what is one's own, and for what."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection

from flowfile_nb import session
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import NoPromptError, WriteShareError
from flowfile_nb.notebook.arguments import ConnectArguments
from flowfile_nb.notebook.prompt import confirm
from flowfile_nb.notebook.table import Table
from flowfile_nb.team.entries import Offer, Share, What


def share_secret(args: Namespace) -> Table | None:
    """Share a secret with a group, or without one return with whom it is shared."""
    if args.group is None:
        return _shares_table("secret", args.name)
    offer = Offer("secret", args.name, args.group, access="write" if args.write else "read")
    again = f"%secret share {quoted(args.name)} --group {quoted(args.group)} --write --yes"
    if share(offer, agreed=args.yes, again=again):
        places = [place for entry in session.team().entries() if entry.name == args.name for place in entry.targets]
        print("Nobody but you can read it." + (f" It goes to  {', '.join(places)}  and nowhere else." if places else ""))
    return None


def share_connection(args: ConnectArguments) -> Table | None:
    """Share a connection with a group, or without one return with whom it is shared."""
    if not args.share:
        return _shares_table("connection", args.name)
    offer = Offer("connection", args.name, args.share, "manage" if args.manage else "use", "write" if args.write else "read")
    options = "--manage --write --yes" if args.manage else "--write --yes"
    share(offer, agreed=args.yes, again=f"%connect {quoted(args.name)} --share {quoted(args.share)} {options}")
    return None


def share(offer: Offer, *, agreed: bool, again: str) -> bool:
    """
    Share something, and ask where it may write: what cannot be promised then is said first.

    Args:
        offer: What, with whom, for what.
        agreed: Whether the question was answered on the line.
        again: The line that answers it, for a headless run.

    Returns:
        Whether it is shared now.
    """
    sharing = session.team().sharing
    try:
        warnings = sharing.share(offer, confirmed=agreed)
    except WriteShareError as error:
        question = f"{error.message}. Let {offer.group} write with {offer.name} all the same?"
        try:
            agreed = confirm(question, otherwise=again)
        except NoPromptError:
            raise WriteShareError(error.message, hint=again) from None
        if not agreed:
            print(f"Nothing was changed: {_present(offer)}.")
            return False
        warnings = sharing.share(offer, confirmed=True)
    print(f"{_shared(offer)}.")
    for warning in warnings:
        print(f"Note: {warning}.")
    return True


def _shared(offer: Offer) -> str:
    may = "read and write" if offer.access == "write" else "read"
    more = ", and to change and delete it" if offer.permission == "manage" else ""
    return f"{offer.name} is shared with {offer.group}, to {may} with it{more}"


def _present(offer: Offer) -> str:
    """Return how the group of an offer has it now, whatever was offered."""
    for one in session.team().sharing.shares(offer.what, offer.name):
        if one.group == offer.group:
            return _shared(offer._replace(permission=one.permission, access=one.access))
    return f"{offer.name} is not shared with {offer.group}"


def unshare(what: What, name: str, group: str) -> None:
    """End a share."""
    team = session.team()
    team.sharing.unshare(what, name, group)
    print(f"{name} is not shared with {group} any more; what ran by that was ended.")
    if what == "connection":
        return
    lent = [one.name for one in team.team_connections() if one.own and name in one.secrets and group in one.groups]
    for connection in lent:
        again = f"%connect {quoted(connection)} --unshare {quoted(group)}"
        print(f"{group} can use it still, through {connection}. To end that:  {again}")


def not_for_others_yet(name: str) -> str:
    """
    Return who has to enter which secret again before others can use a connection that was just saved; empty if nobody has to.

    A credential that is shared goes to no new place because somebody has written another one down.
    """
    team = session.team()
    saved = next((one for one in team.team_connections() if one.name == name), None)
    if saved is None or not saved.unfixed or (saved.own and team.missing([saved.unfixed])):
        return ""
    command = f"%secret set {quoted(saved.unfixed)} --replace"
    if not saved.own:
        return f"Nobody can use it before its owner {saved.owner} has entered the secret again:  {command}"
    return (
        f"You can open it; others cannot yet: a secret that is shared goes to a new place only after you have entered it"
        f" again:  {command}"
    )


def tell_of_useless(names: Collection[str]) -> None:
    """Say of each secret that stays shared where no saved connection says any more where it may go."""
    for entry in session.team().entries():
        if entry.name in names and entry.own and entry.groups and not entry.targets:
            ends = "   ".join(f"%secret unshare {quoted(entry.name)} --group {quoted(group)}" for group in entry.groups)
            groups = ", ".join(entry.groups)
            print(f"{entry.name} stays shared with {groups}, who can use it nowhere now. To end that:  {ends}")


def _shares_table(what: What, name: str) -> Table:
    rows = [(one.group, _may(one), one.granted_by) for one in session.team().sharing.shares(what, name)]
    line = f"%secret share {quoted(name)} --group GROUP" if what == "secret" else f"%connect {quoted(name)} --share GROUP"
    return Table(("group", "may", "shared by"), rows, "" if rows else f"{name} is shared with nobody:  {line}")


def _may(share: Share) -> str:
    return f"{share.access}, manage" if share.permission == "manage" else share.access
