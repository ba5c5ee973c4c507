"""`%secret` and `%connect` in a team, as their users type them: sharing, groups, and why there is no value to see."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flowfile_nb import session
from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import (
    BindingError,
    NoPromptError,
    NoSuchGroupError,
    NotAllowedError,
    SecretExistsError,
    SharedSecretError,
    UsageError,
    WriteShareError,
)
from flowfile_nb.notebook.team_completion import group_names
from flowfile_nb.team.backend import TeamBackend
from tests.support.shell import Shell
from tests.support.team_double import Double

VALUE = "hunter2-of-alice"
BODY = "postgresql://app:${secret:prod_pw}@db.example.com:5432/sales"
Be = Callable[[str], TeamBackend]


@pytest.fixture
def shared(broker: Double, be: Be, shell: Shell) -> Double:
    """Alice shares prod_pw and her connection warehouse with analysts."""
    be("alice").set("prod_pw", VALUE, replace=False)
    shell.run(f"%%connect warehouse --save --no-test\n{BODY}")
    shell.run("%secret share prod_pw --group analysts")
    shell.run("%connect warehouse --share analysts")
    assert shell.error is None
    return broker


def test_sharing_says_what_it_means(broker: Double, be: Be, shell: Shell) -> None:
    """Who may use it, for what, where it goes; and who can read it."""
    be("alice").set("prod_pw", VALUE, replace=False)
    shell.run(f"%%connect warehouse --save --no-test\n{BODY}")

    shown = shell.run("%secret share prod_pw --group analysts")

    assert "prod_pw is shared with analysts, to read with it." in shown
    assert "postgresql://app@db.example.com:5432/sales  and nowhere else" in shown
    assert broker.shares["secret", "alice", "prod_pw", "analysts"] == {"permission": "use", "access": "read"}


def test_a_secret_without_a_target_is_not_shared(broker: Double, be: Be, shell: Shell) -> None:
    """Nothing says where it may go; the hint says how to save that."""
    be("alice").set("prod_pw", VALUE, replace=False)

    shell.run("%secret share prod_pw --group analysts")

    assert isinstance(shell.error, BindingError)
    assert broker.shares == {}


def test_a_share_that_may_write_is_asked_about(broker: Double, be: Be, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be promised is in the question; only a yes shares it, and headless the line has to say it."""
    be("alice").set("prod_pw", VALUE, replace=False)
    shell.run(f"%%connect warehouse --save --no-test\n{BODY}")
    asked, answers = [], iter("ny")

    shell.run("%secret share prod_pw --group analysts --write")
    assert isinstance(shell.error, WriteShareError)
    assert shell.error.hint == "%secret share prod_pw --group analysts --write --yes"
    monkeypatch.setattr("flowfile_nb.notebook.prompt._require_someone", lambda: None)
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or next(answers))
    assert "Nothing was changed: prod_pw is not shared with analysts." in shell.run(
        "%secret share prod_pw --group analysts --write"
    )
    assert broker.shares == {}
    assert "to read and write with it" in shell.run("%secret share prod_pw --group analysts --write")
    shell.run("%connect warehouse --share analysts --write --manage --yes")

    assert shell.error is None
    assert all("may change the password of the login itself. Let analysts write" in prompt for prompt in asked)
    assert len(asked) == 2
    assert broker.shares["connection", "alice", "warehouse", "analysts"] == {"permission": "manage", "access": "write"}


def test_with_whom_it_is_shared(shared: Double, be: Be, shell: Shell) -> None:
    """Without a group the line tells; after the share has ended there is nobody."""
    shell.run("%secret share prod_pw")
    assert repr(shell.result).split("\n")[2].split() == ["analysts", "read", "alice"]

    shown = shell.run("%secret unshare prod_pw --group analysts")

    assert "not shared with analysts any more" in shown
    assert "analysts can use it still, through warehouse. To end that:  %connect warehouse --unshare analysts" in shown
    shell.run("%secret share prod_pw")
    assert "shared with nobody" in repr(shell.result)
    shell.run("%connect warehouse --unshare analysts")
    assert shared.shares == {}


def test_the_list_says_who_owns_and_how_it_is_used(shared: Double, be: Be, shell: Shell) -> None:
    """Owner, shared by, with whom, and where the value is; for the owner and for the member."""
    shell.run("%secret list")
    owners = repr(shell.result)
    be("bob").set("mine", "bobs-value", replace=False)
    shell.run("%secret list")
    members = repr(shell.result)

    assert owners.split("\n")[0].split("  ")[0] == "name"
    assert owners.split("\n")[2].split()[:5] == ["prod_pw", "alice", "analysts", "(reads)", "in"]
    assert members.split("\n")[2].split()[:5] == ["mine", "bob", "in", "this", "kernel"]
    assert members.split("\n")[3].split()[:6] == ["prod_pw", "alice", "alice", "analysts", "(reads)", "brokered"]


def test_a_shared_secret_has_no_value_to_see(shared: Double, be: Be, shell: Shell) -> None:
    """It is a reference all the same; why there is no value is said, with the line that opens the connection."""
    be("bob")

    shown = shell.run("pw = %secret prod_pw")

    assert "'prod_pw' is alice's and shared with analysts to be used, not seen" in shown
    assert "open a connection that uses it:  %connect warehouse" in shown
    assert isinstance(shell.real.user_ns["pw"], Secret)
    for cell in ("pw.get_secret_value()", 'f"{pw:url}"', "%secret env prod_pw"):
        shell.run(cell)
        assert isinstance(shell.error, SharedSecretError), cell
        assert "%connect warehouse" in shell.error.hint
    assert VALUE not in shell.shown


def test_an_own_secret_is_used_in_this_kernel(broker: Double, be: Be, shell: Shell, tmp_path: object) -> None:
    """Its value comes when it is asked for, and is masked from then on; a connection that needs no other opens here."""
    be("alice").set("prod_pw", VALUE, replace=False)

    shown = shell.run("pw = %secret prod_pw\nprint(pw.get_secret_value())")
    shell.run("%%connect lake\nsqlite:///:memory:")

    assert shown == "[secret:prod_pw]\n"
    assert session.opened["lake"].native.dialect.name == "sqlite"
    assert broker.checked == []


def test_storing_under_a_shared_name_says_whose_it_is(shared: Double, be: Be, shell: Shell) -> None:
    """Nobody is told to replace what he cannot change."""
    be("bob")

    shown = shell.run("%secret set prod_pw")

    assert isinstance(shell.error, SecretExistsError)
    assert "only its owner can change it" in shown
    assert "of your own that hides it" in shown


def test_a_name_that_nobody_shares(shared: Double, be: Be, shell: Shell) -> None:
    """Neither a secret nor a connection of a stranger's is different from one that is not there."""
    # In carol's own kernel nothing of alice's is open.
    shell.run("%connect -x warehouse")
    be("carol")

    shell.run("%secret get prod_pw")
    secret = str(shell.error)
    shell.run("%connect warehouse")
    connection = str(shell.error)
    shell.run("%secret get nothing")
    no_secret = str(shell.error)
    shell.run("%connect nothing")

    assert secret.replace("prod_pw", "nothing") == no_secret
    assert connection.replace("warehouse", "nothing") == str(shell.error)


def test_the_table_of_connections(shared: Double, be: Be, shell: Shell) -> None:
    """A member sees whose it is and what it may; nobody is told to add its owner's secret."""
    shell.run("%connect")
    owners = repr(shell.result)
    shell.run("%secret unshare prod_pw --group analysts")
    be("bob")
    shell.run("%connect")
    members = repr(shell.result)

    assert "saved; shared with analysts (reads)" in owners
    assert "shared by alice with analysts; brokered, reads only" in members
    assert "postgresql://app@db.example.com:5432/sales" in members
    assert "missing" not in members


def test_a_definition_that_may_only_be_used(shared: Double, be: Be, shell: Shell) -> None:
    """It is neither read, nor deleted, nor shared on by a member."""
    be("bob")

    shell.run("%connect warehouse --edit")
    assert isinstance(shell.error, NotAllowedError)
    shell.run("%connect warehouse --delete --yes")
    assert isinstance(shell.error, NotAllowedError)
    shell.run("%connect warehouse --share analysts")
    assert isinstance(shell.error, NotAllowedError)
    assert ("alice", "warehouse") in shared.bodies


def test_groups(broker: Double, be: Be, shell: Shell, typed: Callable[[str], None]) -> None:
    """An admin creates one, owners change it, members leave it; each line says what is so now."""
    be("root")
    assert "Created etl" in shell.run('%secret groups create etl --description "night jobs"')
    assert "bob is in etl." in shell.run("%secret groups add etl bob carol")
    assert "dave is in etl, as manager." in shell.run("%secret groups add etl dave --role manager")
    assert "bob is manager of etl now." in shell.run("%secret groups role etl bob manager")
    assert "carol is not in etl any more" in shell.run("%secret groups remove etl carol")
    assert broker.groups["etl"] == {"root": "owner", "bob": "manager", "dave": "manager"}
    be("bob")
    shell.run("%secret groups")
    row = next(line for line in repr(shell.result).split("\n") if line.startswith("etl"))
    assert row.split() == ["etl", "manager", "root", "(owner),", "bob", "(manager),", "dave", "(manager)", "night", "jobs"]
    typed("n")
    assert "You are in etl still." in shell.run("%secret groups leave etl")
    typed("y")
    assert "You have left etl." in shell.run("%secret groups leave etl")
    be("root")
    shell.run("%secret groups delete etl --yes")
    assert "etl" not in broker.groups


def test_groups_need_somebody_to_ask(broker: Double, be: Be, shell: Shell) -> None:
    """Headless, what cannot be taken back needs its yes on the line."""
    be("bob")

    shell.run("%secret groups leave analysts")

    assert isinstance(shell.error, NoPromptError)
    assert shell.error.hint == "%secret groups leave analysts --yes"


@pytest.mark.parametrize(
    "line",
    ["groups remove analysts", "groups role analysts bob", "groups role analysts bob king", "groups ban bob", "groups create"],
)
def test_a_groups_line_that_is_not_understood(broker: Double, be: Be, shell: Shell, line: str) -> None:
    """It is answered with the right form, and changes nothing."""
    be("alice")

    shell.run(f"%secret {line}")

    assert isinstance(shell.error, UsageError)
    assert broker.groups["analysts"] == {"alice": "owner", "bob": "member"}


def test_no_such_group(broker: Double, be: Be, shell: Shell) -> None:
    """One that is not there is said to be not there."""
    be("carol")

    shell.run("%secret groups leave analysts --yes")

    assert isinstance(shell.error, NoSuchGroupError)


@pytest.mark.parametrize("line", ["share x --group g", "unshare x --group g", "groups"])
def test_without_a_team(shell: Shell, line: str) -> None:
    """What only a team has says what it needs."""
    shell.run(f"%secret {line}")

    assert isinstance(shell.error, UsageError)
    assert "FLOWFILE_NB_TEAM" in shell.error.hint


@pytest.mark.parametrize("line", ["backup x", "rotate-key"])
def test_what_cares_for_files_is_the_brokers(broker: Double, be: Be, shell: Shell, line: str) -> None:
    """Nothing here works on a store that is elsewhere."""
    be("alice")

    shell.run(f"%secret {line}")

    assert isinstance(shell.error, UsageError)


def test_replacing_promises_no_undo(broker: Double, be: Be, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker keeps the present value alone, so that nobody is told of an undo."""
    be("alice").set("prod_pw", VALUE, replace=False)
    monkeypatch.setenv("NEW", "another-value")

    shown = shell.run("%secret set prod_pw --replace --env NEW")

    assert "Replaced prod_pw" in shown
    assert "undo" not in shown


def test_the_doctor_says_the_mode(shared: Double, be: Be, shell: Shell) -> None:
    """Whether the broker answers, who the caller is, how many are brokered."""
    be("bob")

    shell.run("%secret doctor")
    said = repr(shell.result)

    assert f"team (FLOWFILE_NB_TEAM=unix:{shared.socket}; token from FLOWFILE_NB_TEAM_TOKEN)" in said
    assert "bob (vouched for by token); groups: analysts" in said
    assert "0 of your own, used in this kernel; 1 shared with you, brokered" in said


def test_the_doctor_says_that_others_may_read_the_token(
    shared: Double, be: Be, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who reads it is taken for its user; in a folder that nobody else enters it is no finding."""
    be("bob")
    file = tmp_path / "token"
    file.write_text(os.environ["FLOWFILE_NB_TEAM_TOKEN"])
    monkeypatch.delenv("FLOWFILE_NB_TEAM_TOKEN")
    monkeypatch.setenv("FLOWFILE_NB_TEAM_TOKEN_FILE", str(file))
    session.use_backend(None)
    said = []
    with closing(session.team().client):
        for file_mode, folder_mode in ((0o644, 0o755), (0o600, 0o755), (0o644, 0o700)):
            file.chmod(file_mode)
            tmp_path.chmod(folder_mode)
            shell.run("%secret doctor")
            said.append(repr(shell.result))

    assert [f"others of this host may read {file}" in one for one in said] == [True, False, False]
    assert f"chmod 600 '{file}'" in said[0]


def test_the_doctor_and_a_broker_that_is_gone(be: Be, shell: Shell, monkeypatch: pytest.MonkeyPatch, broker: Double) -> None:
    """It is a finding, with its remedy, and no traceback; a magic says it in two lines."""
    broker.socket += ".gone"
    be("bob")

    shell.run("%secret doctor")
    assert "cannot be reached" in repr(shell.result)
    shown = shell.run("%secret list")
    assert shown.count("\n") <= 3
    assert "BrokerError: the team's broker at" in shown


def test_the_token_is_masked(broker: Double, be: Be, shell: Shell) -> None:
    """It stands in the environment, where one line shows it."""
    be("alice")

    assert "[secret:FLOWFILE_NB_TEAM_TOKEN]" in shell.run("import os; print(os.environ['FLOWFILE_NB_TEAM_TOKEN'])")


def test_completion(shared: Double, be: Be, shell: Shell) -> None:
    """Tab knows verbs, groups, members, roles and what is shared."""
    be("bob")

    assert shell.complete("%secret share prod_pw --group a") == ["analysts"]
    assert "leave" in shell.complete("%secret groups ")
    assert shell.complete("%secret groups leave ") == ["analysts"]
    assert shell.complete("%secret groups remove analysts a") == ["alice"]
    assert shell.complete("%secret groups role analysts alice o") == ["owner"]
    assert shell.complete("%secret groups add analysts x --role o") == ["owner"]
    assert shell.complete("%connect w") == ["warehouse"]
    assert shell.complete("%connect warehouse --share a") == ["analysts"]
    assert "--unshare" in shell.complete("%connect warehouse --")


def test_completion_without_a_team(shell: Shell) -> None:
    """There are no groups then, and nothing fails."""
    assert group_names() == []
    assert "leave" in shell.complete("%secret groups ")


def test_cells_are_not_looked_up_at_the_broker(broker: Double, be: Be, shell: Shell) -> None:
    """A cell that has nothing to do with secrets asks nothing; a value that this kernel has seen is found in one."""
    be("alice").set("prod_pw", VALUE, replace=False)
    shell.run("1 + 1")
    broker.asked.clear()

    shell.run("1 + 1")
    assert broker.asked == []
    shell.run("session = __import__('flowfile_nb').secrets['prod_pw'].get_secret_value()")
    assert "this cell holds the value of secret 'prod_pw'" in shell.run(f"x = '{VALUE}'")


def test_one_request_for_one_read(broker: Double, be: Be) -> None:
    """Reading a value asks once; what is told of names is asked once in a moment."""
    alice = be("alice")
    alice.set("prod_pw", VALUE, replace=False)
    broker.asked.clear()

    alice.reveal("prod_pw")

    assert broker.asked == ["POST /api/secrets/reveal"]


def test_a_scan_goes_on_past_what_is_shared(shared: Double, be: Be, shell: Shell, tmp_path: Path) -> None:
    """Own values are looked for; a shared one is not known here, and that is said."""
    be("bob").set("mine", "bobs-own-value", replace=False)
    notes = tmp_path / "notes.txt"
    notes.write_text("x = 'bobs-own-value'")

    shell.run(f"%secret scan {notes}")

    assert "mine" in repr(shell.result)
    assert "not known in this kernel: prod_pw" in repr(shell.result)


def test_the_log_is_the_brokers(broker: Double, be: Be, shell: Shell) -> None:
    """Who did what, with which statement and outcome; of one name, and not to be deleted."""
    be("alice").set("prod_pw", VALUE, replace=False)
    session.backend().reveal("prod_pw")
    use = {
        "at": 1_764_000_001.0,
        "caller": "bob",
        "action": "use",
        "owner": "alice",
        "name": "prod_pw",
        "query_id": "q1",
        "rows": 0,
    }
    broker.log.append({**use, "statement": "select *\n  from orders", "state": "started"})
    broker.log.append({**use, "rows": 1234, "state": "complete", "detail": ""})

    shell.run("%secret log prod_pw")
    lines = repr(shell.result).split("\n")
    shell.run("%secret log prod_pw --last 1")
    last = repr(shell.result)

    assert lines[2].split()[2:] == ["bob", "use", "alice", "prod_pw", "select", "*", "from", "orders", "1,234", "complete"]
    assert lines[3].split()[2:4] == ["alice", "reveal"]
    assert "1 of 2 entries" in last
    assert VALUE not in last + repr(lines)
    shell.run("%secret log")
    assert "2 of" not in repr(shell.result)
    assert repr(shell.result).count("prod_pw") == 2
    for line in ("%secret log --clear", "%secret log prod_pw --last 0"):
        shell.run(line)
        assert isinstance(shell.error, UsageError), line
    shell.run("%secret log nothing")
    assert "no secret named 'nothing'" in str(shell.error)


def test_an_id_that_another_chose_too_changes_nothing_in_the_log(broker: Double, be: Be, shell: Shell) -> None:
    """Callers choose the ids of their statements: each end is that of its own caller's, in their order."""
    be("alice").set("prod_pw", VALUE, replace=False)
    use = {"at": 1_764_000_001.0, "action": "use", "name": "prod_pw", "query_id": "q1", "rows": 0, "detail": ""}
    for caller, statement in (("bob", "select secrets"), ("carol", "select hers"), ("bob", "select 1")):
        broker.log.append({**use, "caller": caller, "statement": statement, "state": "started"})
    for caller, rows in (("bob", 1_000_000), ("carol", 2), ("bob", 1)):
        broker.log.append({**use, "caller": caller, "rows": rows, "state": "complete"})

    shell.run("%secret log prod_pw")

    assert [line.split()[2:3] + line.split()[-2:] for line in repr(shell.result).split("\n")[2:5]] == [
        ["bob", "1", "complete"],
        ["carol", "2", "complete"],
        ["bob", "1,000,000", "complete"],
    ]


def test_an_own_secret_hides_a_shared_one(shared: Double, be: Be, shell: Shell) -> None:
    """One row, the own one; its value is read here."""
    bob = be("bob")
    bob.set("prod_pw", "value-of-bob", replace=False)

    told = bob.describe()

    assert (told.names, told.owners, told.modes) == (["prod_pw"], ["bob"], ["in this kernel"])
    assert (bob.reveal("prod_pw"), bob.brokered(["prod_pw"])) == ("value-of-bob", {})


def test_a_value_that_was_replaced_elsewhere_is_looked_for(broker: Double, be: Be, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this kernel has seen counts only as long as it is the present value."""
    monkeypatch.setattr("flowfile_nb.team.backend._SAME_MOMENT_S", 0.0)
    alice = be("alice")
    alice.set("prod_pw", VALUE, replace=False)
    alice.reveal("prod_pw")
    assert alice.peek("prod_pw") == VALUE
    before = alice.version()

    broker.secrets["alice", "prod_pw"] = "newer-value", broker.secrets["alice", "prod_pw"][1] + 5

    assert alice.peek("prod_pw") == "newer-value"
    assert alice.version() != before


def test_another_broker_version(broker: Double, be: Be, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor says that the two sides do not speak the same language."""
    monkeypatch.setattr("flowfile_nb.team.diagnosis.WIRE", "2")
    be("bob")

    shell.run("%secret doctor")

    assert "answers in version 1 of its language; this package speaks 2" in repr(shell.result)


def test_secrets_that_were_kept_without_a_team(broker: Double, be: Be, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not used here, and are not lost: the doctor says where they are."""
    session.vault().set("mine", "kept-on-this-machine", replace=False)
    be("bob")

    shell.run("%secret doctor")
    assert "1 secrets in files here are not used in a team" in repr(shell.result)
    monkeypatch.delenv("FLOWFILE_NB_TEAM")
    session.use_backend(None)

    assert session.backend().reveal("mine") == "kept-on-this-machine"


@pytest.mark.usefixtures("shared")
def test_who_may_only_use_it_cannot_change_it(be: Be, shell: Shell) -> None:
    """The name is there, and is not said to be another's typo: who its owner is, and what to do."""
    be("bob")

    for line in ("%secret delete prod_pw --yes", "%secret rename prod_pw x", "%secret undo prod_pw --yes"):
        shell.run(line)
        assert type(shell.error) is NotAllowedError, shell.shown
        assert "'prod_pw' is alice's, and shared with you to be used; nothing was changed" in shell.shown
        assert shell.error.hint == "ask alice"
    be("alice")
    shell.run("%secret undo prod_pw --yes")
    assert shell.error.hint == "%secret set prod_pw --replace   stores the right one"


@pytest.mark.usefixtures("shared")
def test_a_group_without_its_option(shell: Shell) -> None:
    """The hint is the line, and works."""
    for verb, done in (("unshare", "is not shared with analysts any more"), ("share", "is shared with analysts")):
        shell.run(f"%secret {verb} prod_pw analysts")
        assert shell.error.hint == f"%secret {verb} prod_pw --group analysts"
        assert done in shell.run(shell.error.hint)
