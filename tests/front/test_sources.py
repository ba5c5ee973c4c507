"""Users of one name, of a Hub, an issuer, this host and the broker's own tokens: one person only if the operator says so."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from flowfile_nb.broker.identities.sources import Sources, sources_of
from flowfile_nb.broker.migrations import TABLE
from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.team import Team, open_team
from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.errors import NotAllowedError, UsageError
from tests.front.test_identities import BOB, hub
from tests.support.front import Front, Member
from tests.support.issuer import AUDIENCE, running_issuer
from tests.support.processes import until

ME = pwd.getpwuid(os.getuid()).pw_name


class Two(NamedTuple):
    """A broker for which a Hub vouches and this host does, and what somebody of this test's name is told by each way."""

    by_hub: Member
    by_host: Member
    team: Team
    front: Front


@contextmanager
def two_ways(*options: str, older: bool = False) -> Iterator[Two]:
    """Start a broker that takes both; an *older* one's store is from before the two were told apart."""
    home = Path(tempfile.mkdtemp(prefix="ffo_"))
    key = generate_master_key().decode()
    socket_path = home / "run" / "broker.sock"
    try:
        with hub() as (fake, url):
            fake.said = {**BOB, "name": ME}
            if older:
                with closing(open_team("sqlite", str(home / "broker"), {"FLOWFILE_MASTER_KEY": key})) as team:
                    team.issue_token(ME)
                as_before(home / "broker" / "team.db")
            more = ["--hub", f"{url}/hub/api", *options]
            front = Front(home / "broker", key, options=more, socket_path=socket_path)
            with closing(front), closing(open_team("sqlite", str(front.directory), {"FLOWFILE_MASTER_KEY": key})) as team:
                front.start()
                until(lambda: listens(socket_path))
                members = [Member("http://broker/", token, uds=str(socket_path)) for token in ("t0ken", "")]
                with closing(members[0].http), closing(members[1].http):
                    yield Two(*members, team, front)
    finally:
        shutil.rmtree(home)


def listens(path: Path) -> bool:
    """Return whether somebody listens on a unix socket."""
    with closing(socket.socket(socket.AF_UNIX)) as knock:
        return knock.connect_ex(str(path)) == 0


def as_before(path: Path) -> None:
    """Make a store what it was at the first step of its tables."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE nb_past_revocations")
        database.execute("DELETE FROM nb_facts WHERE name = 'same_users'")
        database.execute(f"UPDATE {TABLE} SET version_num = '0001'")


def test_a_user_of_the_host_is_not_the_hubs_of_that_name() -> None:
    """He sees nothing of hers, is called by where he is from, and what is shared goes to whom its owner named."""
    with two_ways() as two:
        two.by_hub.done("PUT", "secrets", {"name": "hers", "value": "the Hub user's own", "replace": False})

        assert two.by_hub.get("me").json()["name"] == ME
        assert two.by_host.get("me").json()["name"] == f"host:{ME}"
        assert two.by_host.get("secrets").json()["secrets"] == []
        assert two.by_host.post("secrets/reveal", {"name": "hers"}).status_code == 404


def test_a_token_is_for_whom_the_operator_named() -> None:
    """By the whole name, so that it can be for either."""
    with two_ways() as two:
        two.by_host.done("PUT", "secrets", {"name": "his", "value": "the host user's own", "replace": False})
        for name, seen in ((ME, []), (f"host:{ME}", ["his"])):
            with closing(Member("http://broker/", two.team.issue_token(name), uds=str(two.front.socket_path)).http) as http:
                assert [one["name"] for one in http.get("api/secrets").json()["secrets"]] == seen


def test_an_administrator_is_named_by_his_whole_name() -> None:
    """Who is of this name on the host may make groups, and nobody of the Hub for being called so."""
    with two_ways("--admin", f"host:{ME}") as two:
        assert two.by_host.get("me").json()["is_admin"] is True
        assert two.by_hub.get("me").json()["is_admin"] is False


def test_an_administrator_of_the_issuers_is_nobody_of_the_host() -> None:
    """Whoever makes accounts on the host would make himself an administrator by an account of that name."""
    home = Path(tempfile.mkdtemp(prefix="ffo_"))
    socket_path = home / "run" / "broker.sock"
    key = generate_master_key().decode()
    try:
        with running_issuer() as issuer:
            named = ["--oidc-user-claim", "preferred_username", "--admin", ME]
            options = ["--oidc-issuer", issuer.url, "--oidc-audience", AUDIENCE, *named]
            with closing(Front(home / "broker", key, options=options, socket_path=socket_path)) as front:
                front.start()
                until(lambda: listens(socket_path))
                theirs, hosts = (Member("http://broker/", token, uds=str(socket_path)) for token in (issuer.token(ME), ""))
                with closing(theirs.http), closing(hosts.http):
                    told = [one.get("me").json() for one in (theirs, hosts)]
                    assert [(one["name"], one["is_admin"]) for one in told] == [(ME, True), (f"host:{ME}", False)]
                    assert hosts.post("groups", {"name": "bobs"}).status_code == 403
    finally:
        shutil.rmtree(home)


def test_a_group_is_that_of_its_source() -> None:
    """What is shared with the Hub's analysts is not the issuer's analysts', unless the operator says that they are the same."""
    dora = Caller("dora", frozenset({"analysts"}), vouched_by="oidc")

    assert sources_of(["hub", "oidc", "host"], "none").named(dora).groups == {"oidc:analysts"}
    assert sources_of(["hub", "oidc", "host"], "hub,oidc").named(dora) == dora
    assert sources_of(["oidc", "host"], "none").named(dora) == dora


def test_an_administrator_that_nobody_can_be_is_refused() -> None:
    """Beside a Hub a name that stands alone is the Hub's, which says itself who is one."""
    with pytest.raises(UsageError, match="--admin anna names nobody") as caught:
        sources_of(["hub", "oidc", "host"], "none", ["anna"])
    assert caught.value.hint == "--admin oidc:anna  --admin host:anna"
    assert sources_of(["hub", "host"], "hub,host", ["anna"]).named(Caller("anna", vouched_by="peer")).is_admin
    assert not sources_of(["hub", "host"], "hub,host", ["anna"]).named(Caller("anna", vouched_by="hub")).is_admin


def test_an_operator_says_that_they_are_the_same() -> None:
    """Then a name is one person, whoever vouches."""
    with two_ways("--same-users", "hub,host") as two:
        assert two.by_hub.get("me").json()["name"] == two.by_host.get("me").json()["name"] == ME


def test_a_store_from_before_goes_on_and_its_operator_is_told() -> None:
    """Nobody loses what is his by an update; the log says what to do about it."""
    with two_ways(older=True) as two:
        assert two.by_host.get("me").json()["name"] == ME
        assert "--same-users none" in two.front.log.read_text()
    with two_ways("--same-users", "none", older=True) as two:
        assert two.by_host.get("me").json()["name"] == f"host:{ME}"


def test_an_issuer_does_not_take_over_a_store_from_before(tmp_path: Path) -> None:
    """Whoever the issuer calls by the name of a user that is there would be that user: the operator is asked first."""
    key = generate_master_key().decode()
    with closing(open_team("sqlite", str(tmp_path / "broker"), {"FLOWFILE_MASTER_KEY": key})) as team:
        team.issue_token("anna")
    as_before(tmp_path / "broker" / "team.db")
    issuer = ["--oidc-issuer", "https://login.example.com", "--oidc-audience", "flowfile-nb"]

    with closing(Front(tmp_path / "broker", key, options=issuer)) as front:
        front.start()
        assert front.process is not None
        assert front.process.wait(60) != 0

    assert "--same-users oidc,host" in front.log.read_text()


@pytest.mark.parametrize("name", ["host:anna", "hub:anna", "oidc:"])
def test_a_name_that_looks_like_another_sources_is_refused(name: str) -> None:
    """Or a user of the Hub could be somebody of this host by being called so."""
    sources = sources_of(["hub", "host"], "none")

    with pytest.raises(NotAllowedError, match="another source"):
        sources.named(Caller(name, vouched_by="hub"))
    assert sources.named(Caller(name, vouched_by="peer")).name == f"host:{name}"
    assert sources.named(Caller(name, vouched_by="token:1")).name == name


def test_which_names_stand_as_they_are() -> None:
    """The Hub's, without one an issuer's, without both this host's; and what an operator can say."""
    assert sources_of(["host"], "none") == Sources("host")
    assert sources_of(["oidc", "host"], "") == Sources("oidc")
    assert sources_of(["hub", "oidc", "host"], "hub, host") == Sources("hub", frozenset({"hub", "host"}))
    for wrong in ("everybody", "hub,anna"):
        with pytest.raises(UsageError, match="names of sources"):
            sources_of(["hub", "host"], wrong)
    with pytest.raises(UsageError, match="main source"):
        sources_of(["hub", "oidc", "host"], "oidc,host")
