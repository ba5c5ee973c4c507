"""Shares and groups: what `%secret share`, `%secret groups`, `%connect --share` and the panel ask of the broker."""

from __future__ import annotations

from flowfile_nb.core.spelling import spelled
from flowfile_nb.team import entries
from flowfile_nb.team.client import Client
from flowfile_nb.team.entries import Group, Offer, Share, What


class Sharing:
    """
    The broker's shares and groups, as one caller may see and change them. The broker decides what the caller may.

    Args:
        client: Speaks to the broker.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def share(self, offer: Offer, *, confirmed: bool = False) -> list[str]:
        """
        Let a group use something of the caller's.

        Args:
            offer: What, with whom, for what.
            confirmed: Whether the caller has read what cannot be promised of a share that may write.

        Returns:
            What is promised of such a share, and what the owner should know of the account behind it.

        Raises:
            WriteShareError: If it may write and that was not confirmed. The message says what cannot be promised.
            NotAllowedError, NoSuchSecretError, NoSuchConnectionError, NoSuchGroupError, BindingError: As the broker says.
        """
        answer = self._client.put("api/shares", {**offer._asdict(), "confirmed": confirmed})
        return [spelled(str(note)) for key in ("guarantees", "warnings") for note in answer.get(key) or ()]

    def unshare(self, what: What, name: str, group: str) -> None:
        """End a share; whatever runs by it is cut. Raises as `share`."""
        self._client.post("api/shares/delete", {"what": what, "name": name, "group": group})

    def shares(self, what: What, name: str) -> list[Share]:
        """Return with which groups something of the caller's is shared. Raises as `share`."""
        return entries.shares(self._client.get("api/shares", what=what, name=name))

    def groups(self) -> list[Group]:
        """Return the groups that the caller is in, and for an admin all."""
        return entries.groups(self._client.get("api/groups"))

    def create(self, group: str, description: str = "") -> None:
        """Create a group; an admin may. Raises NotAllowedError, GroupError."""
        self._client.post("api/groups", {"name": group, "description": description})

    def delete(self, group: str) -> None:
        """Delete a group and all shares with it. Raises NoSuchGroupError, NotAllowedError."""
        self._client.post("api/groups/delete", {"name": group})

    def leave(self, group: str) -> None:
        """Leave a group. Raises NoSuchGroupError, and GroupError for its last owner."""
        self._client.post("api/groups/leave", {"name": group})

    def set_member(self, group: str, user: str, role: str) -> bool:
        """
        Put somebody into a group, or give a member another role. Raises NoSuchGroupError, NotAllowedError, GroupError.

        Returns:
            Whether the broker has ever seen them.
        """
        return self._client.put("api/groups/members", {"group": group, "user": user, "role": role}).get("seen") is not False

    def remove_member(self, group: str, user: str) -> None:
        """Put somebody out of a group; what they run by its shares is cut. Raises as `set_member`."""
        self._client.post("api/groups/members/delete", {"group": group, "user": user})
