"""What owner and member are told of a share, at a real broker: what it allows, whom a deletion takes it from, whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from psycopg import sql

import flowfile_nb as fnb
from flowfile_nb.errors import BindingError, NoSuchGroupError, NoSuchSecretError, NotAllowedError, UsageError
from tests.support.panel import FrontEnd
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


@pytest.mark.parametrize("line", ["%secret share prod_pw --group {}s", "%connect warehouse --share {}s"])
def test_a_mistyped_group(two: Two, shell: Shell, line: str) -> None:
    """The nearest of one's own is named."""
    shell.run(line.format(two.group))

    assert isinstance(shell.error, NoSuchGroupError)
    assert shell.error.hint == f"did you mean {two.group!r}?  List yours:  %secret groups"


def test_a_strangers_mistyped_group(two: Two, shell: Shell) -> None:
    """Who is not in it is not told that there is one."""
    two.be(f"stranger-to-{two.owner}")
    shell.run("%secret set own --generate")

    shell.run(f"%secret share own --group {two.group}s")

    assert isinstance(shell.error, NoSuchGroupError)
    assert shell.error.hint == "list yours:  %secret groups"


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


_READS = "reads, at postgresql: one statement in a read-only transaction, rolled back after it"
_WRITES = "reads and writes, at postgresql: a statement may do all that the login may"


def test_the_list_of_secrets_tells_what_is_promised(two: Two, shell: Shell) -> None:
    """Who may what stands beside the group; what that means, below the table, once: for the owner and for the member."""
    shell.run("%secret list")
    owners = repr(shell.result)
    two.be(two.member)
    shell.run("%secret list")
    members = repr(shell.result)
    about = shell.run("pw = %secret prod_pw")
    two.be(two.owner)
    shell.run(f"%secret share prod_pw --group {two.group} --write --yes")
    shell.run("%secret list")
    of_writing = repr(shell.result)

    assert f"{two.group} (reads) " in owners
    assert f"{two.group} (reads) " in members
    assert owners.count(_READS) == members.count(_READS) == about.count(_READS) == 1
    assert max(map(len, owners.split("\n")[:3])) < 120
    assert f"{two.group} (reads and writes)" in of_writing
    assert _WRITES in of_writing
    assert "is not promised" in of_writing
    assert _READS not in of_writing


def test_nothing_is_promised_of_what_is_not_shared(two: Two, shell: Shell) -> None:
    """A list of one's own secrets is a table alone."""
    shell.run(f"%secret unshare prod_pw --group {two.group}")

    shell.run("%secret list")

    assert "reads" not in repr(shell.result)


@pytest.mark.parametrize("name", ["warehouse", "second"])
def test_a_new_target_of_a_shared_secret_asks_for_it_again(two: Two, shell: Shell, name: str) -> None:
    """Who saves it is told that others cannot use it yet, and what to type; the tables tell both until it is done."""
    other = two.body.rpartition("/")[0] + "/template1"
    told = shell.run(f"%%connect {name} --save --no-test\n{other}")
    shell.run(f"%connect -x {name}")
    shell.run(f"%connect {name} --share {two.group}")
    shell.run("%connect")
    owners = repr(shell.result)
    two.be(two.member)
    shell.run("%connect")
    members = repr(shell.result)
    two.be(two.owner)
    shell.run("%secret set prod_pw --replace --env VALUE")
    shell.run(f"%connect {name} --share {two.group}")
    shell.run("%connect")
    after = repr(shell.result)
    two.be(two.member)
    shell.run("%connect")

    assert "You can open it; others cannot yet" in told
    assert "%secret set prod_pw --replace" in told
    assert "not for others yet" in owners
    assert "    %secret set prod_pw --replace" in owners
    if name == "warehouse":
        assert "not usable yet" in members
        assert f"warehouse cannot be used yet: its owner {two.owner} has to enter prod_pw again." in members
    assert "yet" not in after + repr(shell.result)


def test_the_panel_says_so_too(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it saves, and in the row, until the secret was entered again."""
    panel = FrontEnd(fnb.panel(), monkeypatch)
    other = two.body.rpartition("/")[0] + "/template1"

    saved = panel.ask("save_connection", name="second", replace=False, text=other)
    rows = {row["name"]: row["pending"] for row in panel.ask("connections")["rows"]}

    assert saved["op"] == "done"
    assert "others cannot yet" in saved["text"]
    assert "%secret set prod_pw --replace" in saved["text"]
    assert rows == {"warehouse": "", "second": "not for others yet"}


def test_a_target_that_stays_asks_for_nothing(two: Two, shell: Shell) -> None:
    """Also of a secret that is shared."""
    told = shell.run(f"%%connect warehouse --save --no-test\n# The same.\n{two.body}")

    assert "Saved." in told
    assert "yet" not in told


def test_who_manages_anothers_connection_is_told_who_has_to_enter_the_secret(two: Two, shell: Shell) -> None:
    """It is not his to enter."""
    shell.run(f"%connect warehouse --share {two.group} --manage")
    two.be(two.member)

    told = shell.run(f"%%connect warehouse --save --no-test\n{two.body.rpartition('/')[0]}/template1")

    assert f"Nobody can use it before its owner {two.owner} has entered the secret again" in told


@pytest.mark.parametrize("line", ["%connect warehouse --share --write", "%connect --share"])
def test_an_access_needs_a_group(two: Two, shell: Shell, line: str) -> None:
    """An access without a group, or a list without a name, is no question that has an answer."""
    shell.run(line)

    assert isinstance(shell.error, UsageError)


def test_deleting_says_who_loses_it(two: Two, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question names the groups, for the secret and for the connection; so does what is said after it."""
    asked: list[str] = []
    monkeypatch.setattr("flowfile_nb.notebook.prompt._require_someone", lambda: None)
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or "y")

    connection = shell.run("%connect warehouse --delete")
    secret = shell.run("%secret delete prod_pw")

    assert "Delete the saved connection warehouse? Its secrets stay." in asked[0]
    assert f"It is shared with {two.group}, who lose it." in asked[0]
    assert f"It is shared with {two.group} (reads), who lose it." in asked[1]
    assert f"Deleted warehouse. It was shared with {two.group}, who lose it." in connection
    assert f"Deleted prod_pw. It was shared with {two.group} (reads), who lose it." in secret


def test_who_may_only_use_a_connection_is_not_asked_whether_to_delete_it(
    two: Two, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused at once, with whose it is; who may manage it is asked."""
    asked: list[str] = []
    monkeypatch.setattr("flowfile_nb.notebook.prompt._require_someone", lambda: None)
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or "n")
    two.be(two.member)

    shell.run("%connect warehouse --delete")

    assert isinstance(shell.error, NotAllowedError)
    assert f"'warehouse' is {two.owner}'s, and shared with you to be used" in shell.error.message
    assert asked == []
    two.be(two.owner)
    shell.run(f"%connect warehouse --share {two.group} --manage")
    two.be(two.member)
    assert "Kept warehouse." in shell.run("%connect warehouse --delete")
    assert len(asked) == 1


def test_nobody_loses_what_is_not_shared(two: Two, shell: Shell) -> None:
    """Then nothing is said of groups; and headless the refusal names them."""
    shell.run("%secret delete prod_pw")
    refused = shell.shown
    shell.run(f"%secret unshare prod_pw --group {two.group}")

    shown = shell.run("%secret delete prod_pw --yes")

    assert f"prod_pw is shared with {two.group}" in refused
    assert "shared" not in shown


def test_a_secret_whose_last_connection_is_deleted(two: Two, shell: Shell) -> None:
    """It stays shared and can be used nowhere: the owner hears that when he deletes, the member when he uses it."""
    shown = shell.run("%connect warehouse --delete --yes")
    two.be(two.member)
    shell.run(f"%%connect mine\n{two.body}")

    line = f"%secret unshare prod_pw --group {two.group}"
    assert f"prod_pw stays shared with {two.group}, who can use it nowhere now. To end that:  {line}" in shown
    assert isinstance(shell.error, BindingError)
    assert "its owner has no saved connection with it any more" in str(shell.error)
    assert "has fixed other targets" not in shell.shown


def test_another_target_is_another_answer(two: Two, shell: Shell) -> None:
    """Where a connection is saved with it, a member's own description has to lead there."""
    two.be(two.member)

    shell.run(f"%%connect mine\n{two.body}_2")

    assert isinstance(shell.error, BindingError)
    assert "has fixed other targets" in str(shell.error)


def test_what_is_used_elsewhere_is_no_use_of_ones_own(two: Two, shell: Shell) -> None:
    """A member's own secret of the same name is not what an open connection of the owner's uses."""
    two.be(two.member)
    shell.run("%connect warehouse")
    shell.run("%secret set prod_pw --replace --env VALUE")

    shown = shell.run("%secret delete prod_pw --yes")

    assert shown == "Deleted prod_pw.\n"


def test_a_member_sees_his_own_uses(two: Two, shell: Shell) -> None:
    """Under the connection's name: nothing yet, then his use, its words told to the owner alone; never another's."""
    shell.run("import pandas as pd")
    two.be(two.member)
    shell.run("%secret log warehouse")
    before, error = repr(shell.result), shell.error
    shell.run("%connect warehouse")
    shell.run("pd.read_sql('select 41 + 1', warehouse)")
    shell.run("%secret log warehouse")

    after = repr(shell.result)

    assert error is None
    assert "Nothing of yours is recorded under this name." in before
    assert "(told to its owner)" in after
    assert "select 41 + 1" not in after
    assert all(line.split()[2] == two.member for line in after.split("\n")[2:] if line.startswith("20"))


def test_the_log_of_a_stranger(two: Two, shell: Shell, broker: RealBroker) -> None:
    """Nothing says that there is a connection of that name."""
    two.be(broker.somebody())

    shell.run("%secret log warehouse")

    assert isinstance(shell.error, NoSuchSecretError)


@pytest.mark.parametrize(
    ("line", "does"),
    [
        ("%connect warehouse --share {}", "shares"),
        ("%connect warehouse --share", "shares"),
        ("%secret share prod_pw --group {}", "shares"),
        ("%connect warehouse --export", "exports"),
    ],
)
def test_what_only_its_owner_does(two: Two, shell: Shell, line: str, does: str) -> None:
    """A member is told whose it is, and not that there is none of that name."""
    two.be(two.member)
    name = "prod_pw" if "prod_pw" in line else "warehouse"

    shell.run(line.format(two.group))

    assert f"{name!r} is {two.owner}'s: only its owner {does} it" in str(shell.error)


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ('dbname = "sales"', ("the broker does not take 'dbname'", 'database = "…"')),
        ('database = "no_such"', ("the server has no such database or login", "try again")),
    ],
)
def test_a_connection_that_stands_in_the_way_is_named(
    two: Two, login: Postgres, shell: Shell, odd: str, told: tuple[str, str]
) -> None:
    """A secret of several connections is shared with all of them: the one that is in the way is told by its name."""
    body = f'type = "postgresql"\nhost = "{login.host}"\nport = {login.port}\nusername = "{login.user}"\n{odd}'
    shell.run(f'%%connect odd --save --no-test\n{body}\npassword = "${{secret:prod_pw}}"')
    shell.run("%secret set prod_pw --env VALUE --replace")

    shell.run(f"%secret share prod_pw --group {two.group}")

    assert f"saved connection 'odd': {told[0]}" in shell.shown
    assert told[1] in shell.shown


def test_two_statements_are_one_too_many(two: Two, shell: Shell) -> None:
    """The server says it in its own words; the hint says what to do."""
    two.be(two.member)
    shell.run("%connect warehouse")
    shell.run("import pandas as pd")

    shown = shell.run("pd.read_sql('select 1; select 2', warehouse)")

    assert "hint: one statement at a time" in shown
