"""Whoever can write in the store, but has no key: what he copies or alters is not used. And whoever guesses learns nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import select, update

from flowfile_nb.broker import tables
from flowfile_nb.broker.keeping import canonical
from flowfile_nb.broker.model import Target
from flowfile_nb.broker.team import Team
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import (
    BindingError,
    BrokerError,
    DamagedSecretError,
    FlowfileNbError,
    GroupError,
    NoSuchConnectionError,
    NotAllowedError,
    RevokedError,
)
from tests.broker.conftest import ALICE, BOB, BODY, CAROL, KEY, VALUE

EVIL = Target("postgresql", "evil.example.com", 5432, "sales", "app", "verify-full", {})


@contextmanager
def altering(team: Team) -> Iterator[sqlalchemy.Connection]:
    """Give what somebody has who can write in the store."""
    with team._store.writing() as connection:
        yield connection


def secret_row(connection: sqlalchemy.Connection, name: str) -> Any:
    return connection.execute(select(tables.secrets).where(tables.secrets.c.name == name)).one()


def test_a_row_copied_to_another_user_is_not_opened(shared: Team) -> None:
    """A token says under whose key it is; taken at its word, bob's copy of alice's row would be opened for bob."""
    with altering(shared) as connection:
        token = secret_row(connection, "prod_pw").encrypted_value
        bob = connection.execute(select(tables.users.c.id).where(tables.users.c.username == "bob")).scalar()
        connection.execute(tables.secrets.insert().values(name="stolen", encrypted_value=token, iv="", user_id=bob))

    with pytest.raises(DamagedSecretError, match="another user"):
        shared.reveal_own(BOB, "stolen")


def test_a_row_that_names_no_user_is_opened_under_its_owners_key_alone(shared: Team) -> None:
    """Not under the master key, as Flowfile does with its oldest rows: such a row would be anybody's."""
    from cryptography.fernet import Fernet

    with altering(shared) as connection:
        bob = connection.execute(select(tables.users.c.id).where(tables.users.c.username == "bob")).scalar()
        bare = Fernet(KEY).encrypt(b"under the master key").decode()
        connection.execute(tables.secrets.insert().values(name="stolen", encrypted_value=bare, iv="", user_id=bob))

    with pytest.raises(DamagedSecretError):
        shared.reveal_own(BOB, "stolen")


def test_a_row_given_to_another_user_is_not_used(shared: Team) -> None:
    """Alice's secret and connection become bob's by a change of owner: neither is opened."""
    with altering(shared) as connection:
        bob = connection.execute(select(tables.users.c.id).where(tables.users.c.username == "bob")).scalar()
        connection.execute(update(tables.secrets).values(user_id=bob))
        connection.execute(update(tables.connections).values(owner_id=bob))

    with pytest.raises(DamagedSecretError):
        shared.reveal_own(BOB, "prod_pw")
    with pytest.raises(BindingError):
        shared.order(BOB, connection="warehouse")


@pytest.mark.parametrize("by", ["target", "target and body"])
def test_an_altered_target_is_refused(shared: Team, by: str) -> None:
    """The proof beside the row does not fit it any more, whether the description was altered too or not."""
    evil = BODY.replace("db.example.com", "evil.example.com")
    with altering(shared) as connection:
        connection.execute(update(tables.bindings).values(target=canonical(EVIL)))
        if by == "target and body":
            connection.execute(update(tables.connections).values(body=evil))

    with pytest.raises(BindingError):
        shared.order(BOB, connection="warehouse")
    with pytest.raises(BindingError):
        shared.order(BOB, description=evil)


def test_an_altered_description_gets_no_credential_when_one_is_entered(shared: Team) -> None:
    """Somebody leads alice's connection elsewhere in the store, as if she had, and waits until she rotates the password."""
    with altering(shared) as connection:
        connection.execute(update(tables.connections).values(body=BODY.replace("db.example.com", "evil.example.com")))

    shared.put_secret(ALICE, "prod_pw", "rotated", replace=True)

    with pytest.raises(BindingError):
        shared.order(BOB, connection="warehouse")


def test_another_secret_of_the_owner_in_the_shared_row_is_refused(shared: Team) -> None:
    """Both are alice's and open under her key; the proof covers which of them was meant."""
    shared.put_secret(ALICE, "private", "mine alone", replace=False)
    with altering(shared) as connection:
        private = secret_row(connection, "private").encrypted_value
        change = update(tables.secrets).where(tables.secrets.c.name == "prod_pw")
        connection.execute(change.values(encrypted_value=private))

    with pytest.raises(BindingError):
        shared.order(BOB, connection="warehouse")


@pytest.mark.parametrize("column", ["secret_id", "connection_id"])
def test_a_proof_copied_to_another_row_is_refused(shared: Team, column: str) -> None:
    """What fixes one credential to one target says nothing about another, of the same owner either."""
    shared.put_secret(ALICE, "private", "mine alone", replace=False)
    shared.save_connection(ALICE, "other", BODY.replace("prod_pw", "private"))
    shared.share(ALICE, "connection", "other", "analysts")
    with altering(shared) as connection:
        bound = {row.id: row for row in connection.execute(select(tables.bindings).order_by(tables.bindings.c.id))}
        first, second = bound.values()
        connection.execute(tables.bindings.delete().where(tables.bindings.c.id == second.id))
        if column == "secret_id":
            change = {"secret_id": second.secret_id, "connection_id": second.connection_id}
        else:
            change = {"connection_id": second.connection_id}
            connection.execute(update(tables.connections).where(tables.connections.c.name == "other").values(body=BODY))
        connection.execute(update(tables.bindings).where(tables.bindings.c.id == first.id).values(change))

    with pytest.raises(BindingError):
        shared.order(BOB, connection="other")


def test_a_renamed_row_is_refused(shared: Team) -> None:
    """A name is part of the proof: a row that takes another's name in the store is not used by it."""
    with altering(shared) as connection:
        connection.execute(update(tables.secrets).where(tables.secrets.c.name == "prod_pw").values(name="other_pw"))

    with pytest.raises(BindingError):
        shared.order(BOB, description=BODY.replace("prod_pw", "other_pw"))


def test_an_altered_connection_gets_no_proof_by_a_rename(shared: Team) -> None:
    """What was written into the store past the broker stays without a proof, and so without the next value."""
    with altering(shared) as connection:
        connection.execute(update(tables.connections).values(body=BODY.replace("sales", "elsewhere")))

    assert shared.rename_secret(ALICE, "prod_pw", "new_pw") == []
    shared.put_secret(ALICE, "new_pw", "rotated", replace=True)

    for asked in ({"connection": "warehouse"}, {"description": BODY.replace("prod_pw", "new_pw")}):
        with pytest.raises(BindingError):
            shared.order(BOB, **asked)


class Work:
    """Counts what a call does: questions to the store, decryptions, proofs."""

    def __init__(self, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        sqlalchemy.event.listen(team._store._engine, "before_cursor_execute", lambda *of: self.done.append(of[2]))
        for name in ("decrypt_secret", "bind"):
            monkeypatch.setattr(Keychain, name, self._counted(name, getattr(Keychain, name)))

    def _counted(self, name: str, method: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            self.done.append(name)
            return method(*arguments)

        return counted

    def of(self, team: Team, **asked: str) -> list[str]:
        """Return the work of a refused order."""
        self.done.clear()
        with pytest.raises(NoSuchConnectionError):
            team.order(CAROL, **asked)
        return list(self.done)


def test_unknown_and_forbidden_take_the_same_work(shared: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same questions to the store in the same order, one decryption, one proof: nothing to time."""
    work = Work(shared, monkeypatch)
    work.of(shared, connection="warm")

    assert work.of(shared, connection="warehouse") == work.of(shared, connection="no_house")
    assert work.of(shared, description=BODY) == work.of(shared, description=BODY.replace("prod_pw", "no_pw"))
    assert work.done.count("decrypt_secret") == work.done.count("bind") == 1


def test_a_permitted_use_takes_no_other_kind_of_work(shared: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """One decryption and one proof, as for a refused one."""
    work = Work(shared, monkeypatch)

    shared.order(BOB, connection="warehouse")

    assert work.done.count("decrypt_secret") == work.done.count("bind") == 1


@pytest.mark.parametrize("name", ["\x00", "ware\x00house", "\ud800", "%", "ware_house", "' OR 1=1 --", "x" * 100_000])
def test_a_name_that_no_column_holds_is_one_that_is_not_there(shared: Team, name: str) -> None:
    """Text that PostgreSQL or UTF-8 cannot hold finds nothing, and is written down like any other."""
    calls = [
        lambda: shared.order(BOB, connection=name),
        lambda: shared.connection_body(BOB, name),
        lambda: shared.reveal_own(BOB, name),
        lambda: shared.unshare(ALICE, "connection", "warehouse", name),
        lambda: shared.add_member(BOB, name, "carol"),
        lambda: shared.set_role(ALICE, "analysts", name, "member"),
    ]

    for call in calls:
        with pytest.raises((KeyError, GroupError)):
            call()
    assert shared.order(BOB._replace(groups=frozenset({name})), connection="warehouse").value == VALUE
    shared.begin_use(BOB, shared.order(BOB, connection="warehouse"), name, name)


def test_no_error_of_the_store_shows_what_is_in_it(shared: Team) -> None:
    """A store that fails says so without a row, a value or its own address."""
    with altering(shared) as connection:
        connection.execute(sqlalchemy.text("DROP TABLE nb_bindings"))

    with pytest.raises(BrokerError) as failed:
        shared.put_secret(ALICE, "prod_pw", "n3w-value", replace=True)

    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
    assert "n3w-value" not in str(failed.value)
    assert shared.reveal_own(ALICE, "prod_pw") == VALUE
    # Made again, for the tests that follow on this database.
    with altering(shared) as connection:
        tables.bindings.create(connection)


def test_the_refusals_are_of_the_families_that_a_client_tells_apart() -> None:
    """A refused policy is no damaged store and no silent broker."""
    assert issubclass(BindingError, NotAllowedError)
    assert issubclass(RevokedError, NotAllowedError)
    assert not issubclass(BrokerError, NotAllowedError)
    assert issubclass(NoSuchConnectionError, FlowfileNbError)
