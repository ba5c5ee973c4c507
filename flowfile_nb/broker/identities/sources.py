"""
Whose names are the same person's.

A JupyterHub, an issuer and this host each have users of their own, and `anna` of the one need not be `anna` of the other: on a
host, who makes accounts is not who makes them at the Hub. So the names of one of them, the main source, stand as they are, and
a user of another is called by it too, `host:anna`, unless the operator says that they are the same; so is a group of his. Whom
a token of the broker's own is for, and who is an administrator, was said by the operator, by the whole name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from flowfile_nb.broker.model import Caller
from flowfile_nb.errors import NotAllowedError, UsageError

HUB, ISSUER, HOST = SOURCES = ("hub", "oidc", "host")
"""In the order in which one is the main source."""
_OF = {"hub": HUB, "oidc": ISSUER, "peer": HOST}
_NOBODY = "none"


class Sources(NamedTuple):
    """Which names stand as they are."""

    main: str
    same: frozenset[str] = frozenset()
    """Further sources whose users are the main source's of the same name."""
    admins: frozenset[str] = frozenset()
    """Administrators among the issuer's and this host's users, by the names that they have here."""

    def named(self, caller: Caller) -> Caller:
        """
        Return a caller by the name that he has here.

        Raises:
            NotAllowedError: If his own name looks like that of a user of another source.
        """
        source = _OF.get(caller.vouched_by)
        if source is None:
            return caller
        if source != self.main and source not in self.same:
            groups = frozenset(f"{source}:{group}" for group in caller.groups)
            return self._ranked(source, caller._replace(name=f"{source}:{caller.name}", groups=groups))
        if caller.name.partition(":")[0] in SOURCES and ":" in caller.name:
            raise NotAllowedError(
                f"a user of the source {source!r} whose name begins like another source's is not let in",
                hint="the administrator of the users gives this one another name",
            )
        return self._ranked(source, caller)

    def _ranked(self, source: str, caller: Caller) -> Caller:
        """Return a caller, an administrator if the operator has named him. Of its own users the Hub itself says it."""
        return caller if source == HUB else caller._replace(is_admin=caller.name in self.admins)


def sources_of(there: Collection[str], said: str, admins: Collection[str] = ()) -> Sources:
    """
    Return which names stand as they are.

    Args:
        there: The sources that vouch for this broker.
        said: Those that are the same, by comma; `none` or nothing for none.
        admins: Who may make groups, of the issuer's and of this host's users.

    Raises:
        UsageError: If a source is none, the main source is not among those said, or nobody can be one of the administrators.
    """
    same = {one.strip() for one in said.split(",")} - {"", _NOBODY}
    if not same <= set(SOURCES):
        raise UsageError("--same-users takes names of sources, or none", hint=f"--same-users {','.join(SOURCES)}")
    main = next(one for one in SOURCES if one in there)
    if same and main not in same:
        raise UsageError(
            f"--same-users names sources whose users are those of the main source, which is {main!r} here",
            hint=f"--same-users {','.join([main, *sorted(same)])}",
        )
    found = Sources(main, frozenset(same), frozenset(admins))
    others = [source for source in there if source != main and source not in same]
    for name in admins:
        # Without a prefix it means a user of the main source, or of one that is the same. The Hub names its own.
        if main == HUB and not same & {ISSUER, HOST} and not name.startswith(tuple(f"{source}:" for source in others)):
            raise UsageError(
                f"--admin {name} names nobody: beside a Hub, a user of another source is called by that source, too",
                hint="  ".join(f"--admin {source}:{name}" for source in others),
            )
    return found
