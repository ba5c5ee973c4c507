"""What owner and member are told of a share, at a real broker: what it allows, whom a deletion takes it from, whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from psycopg import sql

from flowfile_nb.errors import UsageError
from tests.support.postgres import Postgres
from tests.support.real_broker import RealBroker, running_real_broker
from tests.support.shell import Shell


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    """A broker in a process of its own, on a unix socket."""
    with running_real_broker() as running:
        yield running


@pytest.fixture(scope="module")
def login(postgres: Postgres) -> Postgres:
    """The login of a role that may be shared: no superuser."""
    with postgres.admin() as connection:
        connection.execute(sql.SQL("CREATE ROLE told LOGIN PASSWORD {}").format(sql.Literal(postgres.password)))
    return postgres._replace(user="told")


class Two:
    """An owner and a member of one group; each line is typed by whoever one is at the moment."""

    def __init__(self, broker: RealBroker, login: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
        self.body = f"postgresql://{login.user}:${{secret:prod_pw}}@{login.host}:{login.port}/{login.database}"
        self.owner, self.member = broker.somebody(), broker.somebody()
        self.group = f"of-{self.owner}"
        self._broker, self._monkeypatch = broker, monkeypatch
        sharing = broker.be(f"root-of-{self.owner}", monkeypatch, admin=True).sharing
        sharing.create(self.group)
        sharing.set_member(self.group, self.owner, "owner")
        sharing.set_member(self.group, self.member, "member")

    def be(self, user: str) -> None:
        """Let this be *user*'s kernel from now on."""
        self._broker.be(user, self._monkeypatch)


@pytest.fixture
def two(broker: RealBroker, login: Postgres, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Two:
    """The owner has the secret `prod_pw` and the connection `warehouse`, and shares both for reading."""
    two = Two(broker, login, monkeypatch)
    two.be(two.owner)
    monkeypatch.setenv("VALUE", login.password)
    shell.run("%secret set prod_pw --env VALUE")
    shell.run(f"%%connect warehouse --save --no-test\n{two.body}")
    shell.run("%connect -x warehouse")
    for line in (f"%secret share prod_pw --group {two.group}", f"%connect warehouse --share {two.group}"):
        shell.run(line)
        assert shell.error is None
    return two


@pytest.mark.parametrize("line", ["%secret share prod_pw --group {} --write", "%connect warehouse --share {} --write"])
def test_a_refused_question_leaves_the_share(two: Two, shell: Shell, typed: Callable[[str], None], line: str) -> None:
    """What is shared for reading already stays so, and that is said."""
    name = line.split()[1 if "%connect" in line else 2]
    typed("n")

    shown = shell.run(line.format(two.group))

    assert f"Nothing was changed: {name} is shared with {two.group}, to read with it." in shown


def test_a_refused_question_where_nothing_is_shared(two: Two, shell: Shell, typed: Callable[[str], None]) -> None:
    """Nothing is shared by a no."""
    shell.run(f"%secret unshare prod_pw --group {two.group}")
    typed("n")

    shown = shell.run(f"%secret share prod_pw --group {two.group} --write")

    assert f"Nothing was changed: prod_pw is not shared with {two.group}." in shown


def test_the_table_tells_what_a_group_may(two: Two, shell: Shell) -> None:
    """The owner sees who reads and who writes with it, without asking for each."""
    shell.run("%connect")
    before = repr(shell.result)
    shell.run(f"%connect warehouse --share {two.group} --write --yes")

    shell.run("%connect")

    assert f"saved; shared with {two.group} (reads)" in before
    assert f"saved; shared with {two.group} (reads and writes)" in repr(shell.result)


def test_a_connection_tells_with_whom_it_is_shared(two: Two, shell: Shell) -> None:
    """As a secret does: without a group the line lists who may what, and by whom it was shared."""
    shell.run(f"%connect warehouse --share {two.group} --write --manage --yes")

    shell.run("%connect warehouse --share")
    listed = repr(shell.result)
    shell.run(f"%connect warehouse --unshare {two.group}")
    shell.run("%connect warehouse --share")

    assert listed.split("\n")[2].split() == [two.group, "write,", "manage", two.owner]
    assert "warehouse is shared with nobody:  %connect warehouse --share GROUP" in repr(shell.result)


@pytest.mark.parametrize("line", ["%connect warehouse --share --write", "%connect --share"])
def test_an_access_needs_a_group(two: Two, shell: Shell, line: str) -> None:
    """An access without a group, or a list without a name, is no question that has an answer."""
    shell.run(line)

    assert isinstance(shell.error, UsageError)
