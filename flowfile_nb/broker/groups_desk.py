"""
Groups and their members, by Flowfile's rules.

Only an administrator makes a group, and is its first owner; owners and managers run it, and only owners (and administrators)
touch owners; the last owner stays; anyone may leave. Who was removed here stays removed, whatever the Hub says of its own group
of that name.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select, update

from flowfile_nb.broker.desk import Desk
from flowfile_nb.broker.directory import Who, group_named, make_user, owners, user_named
from flowfile_nb.broker.grants import remove_group
from flowfile_nb.broker.model import Caller, Role
from flowfile_nb.broker.quotas import require_room
from flowfile_nb.broker.removals import keep_removals, let_in_again, remove_for_good, take_removals_over
from flowfile_nb.broker.shown import GroupInfo, MemberInfo
from flowfile_nb.broker.tables import groups, memberships, users
from flowfile_nb.core.names import require_name
from flowfile_nb.errors import GroupError, InvalidNameError, NoSuchGroupError, NotAllowedError, UsageError

MAX_NAME = 100
_ROLES = ("owner", "manager", "member")


class GroupsDesk(Desk):
    """The part of `Team` that keeps groups."""

    def groups(self, caller: Caller, *, every: bool = False) -> list[GroupInfo]:
        """
        Return the groups in which a caller is, with their members.

        Args:
            caller: Who asks.
            every: All groups there are; for administrators.

        Raises:
            NotAllowedError: If *every* is asked for by somebody else.
        """
        with self._looking(caller) as (connection, who):
            if every and not who.is_admin:
                raise NotAllowedError("only an administrator lists all groups", hint="%secret groups  lists yours")
            query = select(groups).order_by(groups.c.name)
            rows = connection.execute(query if every else query.where(groups.c.id.in_(sorted(who.groups)))).all()
            joined = (
                select(memberships.c.group_id, memberships.c.role, users.c.username)
                .join(users, users.c.id == memberships.c.user_id)
                .where(memberships.c.group_id.in_([row.id for row in rows]))
                .order_by(memberships.c.id)
            )
            members: dict[int, list[MemberInfo]] = {}
            for row in connection.execute(joined):
                members.setdefault(row.group_id, []).append(MemberInfo(row.username, row.role))
        for group_id, role in who.groups.items():
            there = members.setdefault(group_id, [])
            if all(member.name != who.name for member in there):
                # In it by the Hub's word: the others whom the Hub has in it are not known here.
                there.append(MemberInfo(who.name, role))
        return [GroupInfo(row.name, row.description or "", who.groups.get(row.id), members.get(row.id, [])) for row in rows]

    def create_group(self, caller: Caller, name: str, description: str = "") -> None:
        """Make a group, whose first owner the caller is. Raises NotAllowedError, GroupError, InvalidNameError."""
        _require_group_name(name)
        with self._changing(caller) as (connection, who):
            if not who.is_admin:
                raise NotAllowedError("only an administrator makes groups", hint="ask the administrator of the team's broker")
            if group_named(connection, name) is not None:
                raise GroupError(f"there is a group {name!r}", hint="%secret groups  lists yours")
            most, hint = self._quotas.groups_per_user, "delete those that nobody needs:  %secret groups"
            require_room(connection, groups.c.created_by == who.id, most, "groups that you have made", hint)
            made = groups.insert().values(name=name, description=description, created_by=who.id).returning(groups.c.id)
            group_id = connection.execute(made).scalar_one()
            take_removals_over(connection, group_id, name)
            connection.execute(memberships.insert().values(group_id=group_id, user_id=who.id, role="owner"))
            self._note(connection, who, "create group", name)

    def change_group(self, caller: Caller, name: str, *, new_name: str | None = None, description: str | None = None) -> None:
        """Rename a group or describe it; for its owners and administrators. Raises as `create_group`, and NoSuchGroupError."""
        with self._changing(caller) as (connection, who):
            group = self._led(connection, who, name, owner_only=True)
            if new_name is not None and new_name != name:
                _require_group_name(new_name)
                if group_named(connection, new_name) is not None:
                    raise GroupError(f"there is a group {new_name!r}", hint="choose another name")
                keep_removals(connection, group.id, name)
                take_removals_over(connection, group.id, new_name)
            change = {"name": new_name, "description": description}
            change = {key: item for key, item in change.items() if item is not None}
            if change:
                connection.execute(update(groups).where(groups.c.id == group.id).values(change))
            self._note(connection, who, "change group", name, detail=new_name or "")

    def delete_group(self, caller: Caller, name: str) -> None:
        """Delete a group, and with it all that was shared with it. Raises NoSuchGroupError, NotAllowedError."""
        with self._changing(caller, first=True) as (connection, who):
            group = self._led(connection, who, name, owner_only=True)
            remove_group(connection, group.id)
            self._note(connection, who, "delete group", name)

    def add_member(self, caller: Caller, group: str, user: str, role: Role = "member") -> bool:
        """
        Take a user into a group; also one who was removed from it before.

        Returns:
            Whether he was ever here: a name that is mistyped is nobody's, until somebody comes by it.

        Raises:
            NoSuchGroupError, NotAllowedError: If the caller is not in it, or does not run it.
            GroupError: If the user is in it, or was never here (an administrator may add him before he comes).
        """
        _require_role(role)
        with self._changing(caller) as (connection, who):
            known = self._led(connection, who, group, owner_only=role == "owner")
            there = user_named(connection, user)
            if there is None and not who.is_admin:
                raise GroupError(f"the broker has never seen a user {user!r}", hint="they come once:  %secret list  in theirs")
            user_id = make_user(connection, user) if there is None else there.id
            if _role_of(connection, known.id, user_id) is not None:
                raise GroupError(f"{user!r} is in the group {group!r}", hint="%secret groups role  changes a role")
            most, hint = self._quotas.members_per_group, "make another group, or let the Hub's or the issuer's groups count"
            require_room(connection, memberships.c.group_id == known.id, most, f"members of {group!r}", hint)
            connection.execute(memberships.insert().values(group_id=known.id, user_id=user_id, role=role))
            let_in_again(connection, known.id, user_id)
            self._note(connection, who, "add member", group, detail=f"{user}: {role}")
        return there is not None

    def set_role(self, caller: Caller, group: str, user: str, role: Role) -> None:
        """Change a member's role. Raises as `add_member`, and GroupError for the last owner."""
        _require_role(role)
        with self._changing(caller) as (connection, who):
            known = self._seen(connection, who, group)
            there = user_named(connection, user)
            before = None if there is None else _role_of(connection, known.id, there.id)
            self._require_lead(who, known, owner_only="owner" in (before, role))
            if before is None:
                raise GroupError(f"{user!r} is not in the group {group!r}", hint="%secret groups add  takes them in")
            if before == "owner" and role != "owner" and owners(connection, known.id) <= 1:
                raise _last_owner(group)
            which = (memberships.c.group_id == known.id, memberships.c.user_id == there.id)
            connection.execute(update(memberships).where(*which).values(role=role))
            self._note(connection, who, "set role", group, detail=f"{user}: {role}")

    def remove_member(self, caller: Caller, group: str, user: str) -> None:
        """
        Take a user out of a group: at once, also out of what runs, and also if the Hub has him in a group of that name.

        Raises:
            NoSuchGroupError, NotAllowedError: As `add_member`. To leave oneself needs no role.
            GroupError: If he is not in it, or is its last owner.
        """
        with self._changing(caller, first=True) as (connection, who):
            known = self._seen(connection, who, group)
            there = user_named(connection, user)
            role = None if there is None else _role_of(connection, known.id, there.id)
            if user != who.name:
                self._require_lead(who, known, owner_only=role == "owner")
            if there is None:
                raise GroupError(f"{user!r} is not in the group {group!r}", hint="%secret groups  shows who is")
            if role == "owner" and owners(connection, known.id) <= 1:
                raise _last_owner(group)
            which = (memberships.c.group_id == known.id, memberships.c.user_id == there.id)
            connection.execute(delete(memberships).where(*which))
            # Whether the Hub has him in it, it does not tell here; if so, or from tomorrow, he stays out.
            remove_for_good(connection, known.id, there.id, int(self._now()))
            self._note(connection, who, "remove member", group, detail=user)

    def leave(self, caller: Caller, group: str) -> None:
        """Leave a group, and with it all that was shared with it. Raises NoSuchGroupError, GroupError."""
        self.remove_member(caller, group, caller.name)

    def _seen(self, connection: Connection, who: Who, name: str) -> Any:
        """Return a group's row, if the caller may know that it is there."""
        group = group_named(connection, name)
        if group is None or not (who.is_admin or group.id in who.groups):
            raise NoSuchGroupError(f"there is no group {name!r} in which you are", hint="%secret groups  lists yours")
        return group

    def _led(self, connection: Connection, who: Who, name: str, *, owner_only: bool) -> Any:
        group = self._seen(connection, who, name)
        self._require_lead(who, group, owner_only=owner_only)
        return group

    @staticmethod
    def _require_lead(who: Who, group: Any, *, owner_only: bool) -> None:
        allowed = {"owner"} if owner_only else {"owner", "manager"}
        if not who.is_admin and who.groups.get(group.id) not in allowed:
            needed = "an owner" if owner_only else "an owner or a manager"
            raise NotAllowedError(
                f"only {needed} of the group {group.name!r} may do that", hint="%secret groups  shows who that is"
            )


def _role_of(connection: Connection, group_id: int, user_id: int) -> Role | None:
    query = select(memberships.c.role).where(memberships.c.group_id == group_id, memberships.c.user_id == user_id)
    role: Role | None = connection.execute(query).scalar()
    return role


def _require_role(role: str) -> None:
    if role not in _ROLES:
        raise UsageError(f"a role is one of {', '.join(_ROLES)}", hint="%secret groups role GROUP USER manager")


def _require_group_name(name: str) -> None:
    require_name(name)
    if len(name) > MAX_NAME:
        raise InvalidNameError("a group's name is too long", hint=f"up to {MAX_NAME} characters")


def _last_owner(group: str) -> GroupError:
    return GroupError(f"the group {group!r} would be left without an owner", hint="make somebody else its owner first")
