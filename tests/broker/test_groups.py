"""Flowfile's sharing page, behaviour by behaviour (0.23.3: `routes/user_groups.py`, `routes/shares.py`, `auth/sharing.py`)."""

from __future__ import annotations

import pytest

from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.shown import GroupInfo, MemberInfo, ShareInfo
from flowfile_nb.broker.team import Team
from flowfile_nb.errors import (
    GroupError,
    InvalidNameError,
    NoSuchConnectionError,
    NoSuchGroupError,
    NoSuchSecretError,
    NotAllowedError,
    UsageError,
)
from tests.broker.conftest import ALICE, BOB, BODY, CAROL, ROOT, VALUE


def roles(team: Team, group: str = "analysts") -> dict[str, str]:
    """Return who is in a group, as an administrator sees it."""
    return {member.name: member.role for info in team.groups(ROOT, every=True) if info.name == group for member in info.members}


def test_only_an_administrator_creates_a_group_and_is_its_owner(analysts: Team) -> None:
    """Others are refused; the creator is its first owner."""
    with pytest.raises(NotAllowedError, match="administrator"):
        analysts.create_group(ALICE, "mine")

    analysts.create_group(ROOT, "ops")

    assert roles(analysts, "ops") == {"root": "owner"}


def test_a_group_name_is_there_once(analysts: Team) -> None:
    """A second group of the name is refused, also by renaming; so is a name that is too long."""
    analysts.create_group(ROOT, "ops")
    with pytest.raises(GroupError):
        analysts.create_group(ROOT, "ops")
    with pytest.raises(GroupError):
        analysts.change_group(ROOT, "ops", new_name="analysts")
    with pytest.raises(InvalidNameError):
        analysts.create_group(ROOT, "x" * 101)


def test_members_see_their_groups_and_everybody_in_them(analysts: Team) -> None:
    """Others see neither the group nor whether there is one of that name."""
    people = [MemberInfo("root", "owner"), MemberInfo("alice", "owner"), MemberInfo("bob", "member")]

    assert analysts.groups(BOB) == [GroupInfo("analysts", "the analysts", "member", people)]
    assert analysts.groups(CAROL) == []
    said = set()
    for name in ("analysts", "nowhere"):
        with pytest.raises(NoSuchGroupError) as refused:
            analysts.add_member(CAROL, name, "carol")
        said.add(str(refused.value).replace(name, "NAME"))
    assert len(said) == 1


def test_all_groups_are_for_administrators(analysts: Team) -> None:
    """Others list their own."""
    assert [info.name for info in analysts.groups(ROOT, every=True)] == ["analysts"]
    with pytest.raises(NotAllowedError):
        analysts.groups(ALICE, every=True)


def test_managers_run_members_and_only_owners_touch_owners(analysts: Team) -> None:
    """A manager adds, removes and promotes up to manager; owner is an owner's to give and take."""
    analysts.set_role(ALICE, "analysts", "bob", "manager")

    analysts.add_member(BOB, "analysts", "carol")
    analysts.set_role(BOB, "analysts", "carol", "manager")
    for change in (
        lambda: analysts.set_role(BOB, "analysts", "carol", "owner"),
        lambda: analysts.set_role(BOB, "analysts", "alice", "member"),
        lambda: analysts.remove_member(BOB, "analysts", "alice"),
        lambda: analysts.delete_group(BOB, "analysts"),
        lambda: analysts.change_group(BOB, "analysts", description="ours"),
    ):
        with pytest.raises(NotAllowedError, match="owner"):
            change()
    analysts.remove_member(BOB, "analysts", "carol")

    assert roles(analysts) == {"root": "owner", "alice": "owner", "bob": "manager"}


def test_a_manager_adds_no_owner(analysts: Team) -> None:
    """Adding somebody as owner is an owner's."""
    analysts.set_role(ALICE, "analysts", "bob", "manager")

    with pytest.raises(NotAllowedError):
        analysts.add_member(BOB, "analysts", "carol", "owner")


def test_members_run_nothing(analysts: Team) -> None:
    """A plain member adds, removes and promotes nobody, not even himself."""
    for change in (
        lambda: analysts.add_member(BOB, "analysts", "carol"),
        lambda: analysts.set_role(BOB, "analysts", "bob", "owner"),
        lambda: analysts.remove_member(BOB, "analysts", "alice"),
    ):
        with pytest.raises(NotAllowedError):
            change()


def test_the_last_owner_stays(analysts: Team) -> None:
    """He is neither demoted nor removed, and does not leave, by himself or an administrator."""
    analysts.leave(ROOT, "analysts")
    for change in (
        lambda: analysts.leave(ALICE, "analysts"),
        lambda: analysts.set_role(ALICE, "analysts", "alice", "member"),
        lambda: analysts.remove_member(ROOT, "analysts", "alice"),
        lambda: analysts.set_role(ROOT, "analysts", "alice", "manager"),
    ):
        with pytest.raises(GroupError, match="owner"):
            change()

    analysts.set_role(ALICE, "analysts", "bob", "owner")
    analysts.leave(ALICE, "analysts")

    assert roles(analysts) == {"bob": "owner"}


def test_anyone_may_leave_and_access_ends(shared: Team) -> None:
    """Leaving needs no role, and what was shared with the group is out of reach at once, also where it was in use."""
    order = shared.order(BOB, connection="warehouse")

    shared.leave(BOB, "analysts")

    assert not shared.permitted(order)
    assert shared.secrets(BOB) == []
    with pytest.raises(NoSuchConnectionError):
        shared.order(BOB, connection="warehouse")


def test_nobody_is_in_a_group_twice(analysts: Team) -> None:
    """Adding again is refused; a role is changed by its own verb."""
    with pytest.raises(GroupError, match="in the group"):
        analysts.add_member(ALICE, "analysts", "bob", "manager")


def test_only_known_users_are_added_unless_by_an_administrator(analysts: Team) -> None:
    """A mistyped name makes no member."""
    with pytest.raises(GroupError, match="never seen"):
        analysts.add_member(ALICE, "analysts", "bbo")
    with pytest.raises(GroupError, match="not in the group"):
        analysts.set_role(ALICE, "analysts", "carol", "manager")
    with pytest.raises(GroupError, match="not in the group"):
        analysts.remove_member(ALICE, "analysts", "nobody")
    with pytest.raises(UsageError):
        analysts.add_member(ALICE, "analysts", "carol", "boss")  # type: ignore[arg-type]

    analysts.add_member(ROOT, "analysts", "dora")

    assert roles(analysts)["dora"] == "member"


def test_deleting_a_group_ends_its_shares(shared: Team) -> None:
    """A later group of the name has nothing of it, although it may get the same id."""
    shared.delete_group(ALICE, "analysts")
    shared.create_group(ROOT, "analysts")
    shared.add_member(ROOT, "analysts", "bob")

    assert shared.secrets(BOB) == []
    assert shared.connections(BOB) == []
    assert shared.shares(ALICE, "secret", "prod_pw") == []


def test_a_renamed_group_keeps_members_and_shares(shared: Team) -> None:
    """Only its name is another."""
    shared.change_group(ALICE, "analysts", new_name="science", description="of data")

    assert shared.groups(BOB)[0][:3] == ("science", "of data", "member")
    assert shared.secrets(BOB)[0].groups == ["science"]


def test_a_secret_is_shared_for_use_only(shared: Team) -> None:
    """Who managed a credential would be its owner."""
    with pytest.raises(NotAllowedError, match="use only"):
        shared.share(ALICE, "secret", "prod_pw", "analysts", permission="manage")


@pytest.mark.parametrize("caller", [BOB, ROOT], ids=lambda caller: caller.name)
def test_only_who_manages_sees_and_changes_shares(shared: Team, caller: Caller) -> None:
    """Who may use it is told whose it is, an administrator in the group, too."""
    for what, name in (("secret", "prod_pw"), ("connection", "warehouse")):
        for change in (
            lambda: shared.shares(caller, what, name),  # noqa: B023 - called at once
            lambda: shared.share(caller, what, name, "analysts"),  # noqa: B023
            lambda: shared.unshare(caller, what, name, "analysts"),  # noqa: B023
        ):
            with pytest.raises(NotAllowedError, match=f"'{name}' is alice's: only its owner shares it"):
                change()


@pytest.mark.parametrize("caller", [CAROL, ROOT], ids=lambda caller: caller.name)
def test_for_who_may_not_use_it_there_are_no_shares(shared: Team, caller: Caller) -> None:
    """For strangers, and an administrator who is not in the group, it is as if it were not there."""
    shared.leave(ROOT, "analysts")
    for what, name, error in (("secret", "prod_pw", NoSuchSecretError), ("connection", "warehouse", NoSuchConnectionError)):
        for change in (
            lambda: shared.shares(caller, what, name),  # noqa: B023 - called at once
            lambda: shared.share(caller, what, name, "analysts"),  # noqa: B023
            lambda: shared.unshare(caller, what, name, "analysts"),  # noqa: B023
        ):
            with pytest.raises(error) as refused:
                change()
            with pytest.raises(error) as missing:
                shared.shares(caller, what, "nothing")  # type: ignore[arg-type]
            assert str(refused.value).replace(name, "NAME") == str(missing.value).replace("nothing", "NAME")


def test_a_target_that_is_not_safe_is_told_with_its_connection(analysts: Team) -> None:
    """A secret of several connections goes to all of them: the one that is in the way is named."""
    for name, options in (("warehouse", "?sslmode=verify-full"), ("odd", "")):
        analysts.save_connection(ALICE, name, f"postgresql://app:${{secret:prod_pw}}@db.example.com:5432/sales{options}")
    analysts.put_secret(ALICE, "prod_pw", VALUE, replace=False)

    with pytest.raises(NotAllowedError, match="saved connection 'odd': this connection is not encrypted for sure"):
        analysts.share(ALICE, "secret", "prod_pw", "analysts")


def test_sharing_again_changes_the_share(shared: Team) -> None:
    """There is one share of a thing with a group."""
    shared.share(ALICE, "connection", "warehouse", "analysts", permission="manage", access="write", confirmed=True)

    assert shared.shares(ALICE, "connection", "warehouse") == [ShareInfo("analysts", "manage", "write", "alice")]
    shared.share(ALICE, "connection", "warehouse", "analysts")
    assert shared.shares(ALICE, "connection", "warehouse") == [ShareInfo("analysts", "use", "read", "alice")]


def test_who_manages_shares_for_use_with_groups_of_his(shared: Team) -> None:
    """Neither `manage` nor writing is his to give, nor a group in which he is not."""
    shared.create_group(ROOT, "ops")
    shared.create_group(ROOT, "others")
    shared.add_member(ROOT, "ops", "bob")
    shared.share(ALICE, "connection", "warehouse", "analysts", permission="manage")

    shared.share(BOB, "connection", "warehouse", "ops")

    assert ShareInfo("ops", "use", "read", "bob") in shared.shares(ALICE, "connection", "warehouse")
    with pytest.raises(NotAllowedError, match="owner"):
        shared.share(BOB, "connection", "warehouse", "ops", permission="manage")
    with pytest.raises(NotAllowedError, match="owner"):
        shared.share(BOB, "connection", "warehouse", "ops", access="write", confirmed=True)
    with pytest.raises(NoSuchGroupError):
        shared.share(BOB, "connection", "warehouse", "others")
    shared.unshare(BOB, "connection", "warehouse", "ops")


def test_who_manages_edits_and_deletes(shared: Team) -> None:
    """And who may only use does neither: what he saves under the name is his own."""
    with pytest.raises(NotAllowedError, match="alice"):
        shared.delete_connection(BOB, "warehouse")
    shared.share(ALICE, "connection", "warehouse", "analysts", permission="manage")

    shared.save_connection(BOB, "warehouse", BODY.replace("%secret", "%secret "))
    assert shared.connection_body(ALICE, "warehouse") != BODY
    assert shared.order(BOB, connection="warehouse").value == VALUE
    shared.delete_connection(BOB, "warehouse")

    with pytest.raises(NoSuchConnectionError):
        shared.connection_body(ALICE, "warehouse")


def test_saving_under_the_name_of_a_shared_connection_makes_an_own_one(shared: Team) -> None:
    """Own shadows shared; the shared one is as it was."""
    shared.save_connection(BOB, "warehouse", BODY.replace("db.", "bob."))

    assert shared.connections(BOB)[0].owner == "bob"
    assert shared.connection_body(ALICE, "warehouse") == BODY


def test_unsharing_ends_use_at_once(shared: Team) -> None:
    """Also of what runs, and only once."""
    order = shared.order(BOB, description=BODY)

    shared.unshare(ALICE, "secret", "prod_pw", "analysts")

    assert not shared.permitted(order)
    with pytest.raises(NoSuchConnectionError):
        shared.order(BOB, description=BODY)
    with pytest.raises(NoSuchGroupError):
        shared.unshare(ALICE, "secret", "prod_pw", "analysts")


def test_a_group_that_is_not_there_is_not_shared_with(shared: Team) -> None:
    """A mistyped group makes no share."""
    with pytest.raises(NoSuchGroupError):
        shared.share(ALICE, "secret", "prod_pw", "analyst")
    with pytest.raises(UsageError):
        shared.share(ALICE, "secret", "prod_pw", "analysts", permission="own")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        shared.share(ALICE, "flow", "prod_pw", "analysts")  # type: ignore[arg-type]


def test_a_second_group_keeps_what_the_first_one_loses(shared: Team) -> None:
    """Who is in two groups uses it until neither has it."""
    shared.create_group(ROOT, "ops")
    shared.add_member(ROOT, "ops", "bob")
    shared.share(ALICE, "connection", "warehouse", "ops")
    order = shared.order(BOB, connection="warehouse")

    shared.unshare(ALICE, "connection", "warehouse", "analysts")
    assert shared.permitted(order)
    shared.unshare(ALICE, "connection", "warehouse", "ops")
    assert not shared.permitted(order)


BOB_BY_HUB = BOB._replace(groups=frozenset({"analysts"}), vouched_by="hub")


@pytest.mark.parametrize("again", ["made", "shared with by its name", "renamed to that"])
def test_who_was_removed_stays_so_in_the_next_group_of_that_name(shared: Team, again: str) -> None:
    """The Hub still has him in its own: a group that is deleted and made anew does not let him in."""
    shared.remove_member(ROOT, "analysts", "bob")
    shared.delete_group(ROOT, "analysts")
    alice = ALICE._replace(groups=frozenset({"analysts"}), vouched_by="hub")

    if again == "made":
        shared.create_group(ROOT, "analysts")
    elif again == "renamed to that":
        shared.create_group(ROOT, "others")
        shared.change_group(ROOT, "others", new_name="analysts")
    shared.share(alice, "connection", "warehouse", "analysts")

    with pytest.raises(NoSuchConnectionError):
        shared.order(BOB_BY_HUB, connection="warehouse")
    assert shared.order(BOB_BY_HUB._replace(name="dora"), connection="warehouse").owner == "alice"
    shared.add_member(ROOT, "analysts", "bob")
    assert shared.order(BOB_BY_HUB, connection="warehouse").owner == "alice"


def test_who_was_removed_stays_so_when_the_group_gets_another_name(shared: Team) -> None:
    """In the one that has the Hub's name now as in the one that had it."""
    shared.remove_member(ROOT, "analysts", "bob")
    shared.change_group(ROOT, "analysts", new_name="formerly")
    shared.create_group(ROOT, "analysts")
    shared.share(ALICE, "connection", "warehouse", "analysts")

    for group in ("analysts", "formerly"):
        with pytest.raises(NoSuchConnectionError):
            shared.order(BOB._replace(groups=frozenset({group}), vouched_by="hub"), connection="warehouse")
