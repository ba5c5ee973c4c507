"""The record: everything in it, no value, bounded, and nothing done that is not written down."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from flowfile_nb.broker.audit import KEPT_FILES, MAX_STATEMENT, Audit, without
from flowfile_nb.broker.database import open_store
from flowfile_nb.broker.model import Outcome
from flowfile_nb.broker.shown import LogEntry
from flowfile_nb.broker.team import Team
from flowfile_nb.broker.uses_desk import TOLD_TO_OWNER
from flowfile_nb.errors import BrokerError, NoSuchConnectionError
from tests.broker.conftest import ALICE, BOB, BODY, CAROL, VALUE, Clock

ENTRY = LogEntry(1.0, "bob", "token", "use", "alice", "warehouse", "prod_pw")


def lines(tmp_path: Path) -> list[dict[str, object]]:
    """Return what operators read."""
    return [json.loads(line) for line in (tmp_path / "broker" / "audit.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_use_is_written_down_before_and_after(shared: Team, tmp_path: Path) -> None:
    """Who, when, which connection, statement, rows, bytes and outcome; for the owner, who used it, and operators."""
    order = shared.order(BOB, connection="warehouse")

    shared.begin_use(BOB, order, "q1", "select 1")
    shared.end_use(BOB, order, "q1", Outcome("complete", 3, 99, 0.5))

    begun, ended = [entry for entry in shared.log(ALICE, "warehouse") if entry.query_id == "q1"]
    assert (begun.caller, begun.owner, begun.statement, begun.state) == ("bob", "alice", "select 1", "started")
    assert (ended.state, ended.rows, ended.bytes, ended.duration_s) == ("complete", 3, 99, 0.5)
    assert lines(tmp_path)[-1] == {key: item for key, item in ended._asdict().items() if item != ""}
    assert shared.secrets(ALICE)[0].used_at == int(begun.at)
    assert shared.log(BOB, "warehouse") == [begun._replace(statement=TOLD_TO_OWNER), ended]
    assert shared.log(CAROL, "warehouse") == []


def test_a_use_by_description_is_in_the_log_of_its_secret(shared: Team) -> None:
    """Its owner finds it by the secret's name."""
    order = shared.order(BOB, description=BODY)
    shared.begin_use(BOB, order, "q2", "select 2")

    assert [entry.query_id for entry in shared.log(ALICE, "prod_pw")][-1] == "q2"
    assert shared.secrets(ALICE)[0].used_at is not None


def test_a_use_of_a_connection_is_in_the_log_of_its_secret(shared: Team) -> None:
    """Whoever asks what a secret was used for is told of what was done by a saved connection, too."""
    order = shared.order(BOB, connection="warehouse")
    shared.begin_use(BOB, order, "q3", "select 3")
    shared.end_use(BOB, order, "q3", Outcome("complete", 1, 1, 0.1))

    uses = [entry for entry in shared.log(ALICE, "prod_pw") if entry.action == "use"]

    assert [(entry.caller, entry.name, entry.state) for entry in uses] == [
        ("bob", "warehouse", "started"),
        ("bob", "warehouse", "complete"),
    ]


def test_changes_readings_and_refusals_are_written_down(shared: Team, tmp_path: Path) -> None:
    """Also who was refused what."""
    shared.reveal_own(ALICE, "prod_pw")
    with pytest.raises(NoSuchConnectionError):
        shared.order(CAROL, connection="warehouse")
    shared.unshare(ALICE, "connection", "warehouse", "analysts")

    assert [entry.action for entry in shared.log(ALICE, "prod_pw")] == ["set", "share", "read"]
    assert [line["action"] for line in lines(tmp_path)][-3:] == ["read", "refused", "unshare"]


def test_no_value_is_in_the_record(shared: Team, tmp_path: Path) -> None:
    """Not in a statement either, in any usual form."""
    import base64

    order = shared.order(BOB, connection="warehouse")
    shared.begin_use(BOB, order, "q3", f"alter role app password '{VALUE}' -- {base64.b64encode(VALUE.encode()).decode()}")
    shared.end_use(BOB, order, "q3", Outcome("failed", 0, 0, 0.1, f"said {VALUE}"))

    text = (tmp_path / "broker" / "audit.jsonl").read_text(encoding="utf-8")
    for record in (text, repr(shared.log(ALICE, "warehouse"))):
        assert "[secret]" in record
        assert VALUE not in record
        assert "aHVudGVyMi" not in record


@pytest.mark.parametrize("name", ["warehouse", ""])
def test_what_a_member_has_guessed_is_not_repeated_to_him(shared: Team, name: str) -> None:
    """Or he would see by the mask which of many guesses in one statement is the value."""
    order = shared.order(BOB, connection="warehouse")
    shared.begin_use(BOB, order, "q4", f"select 'wrong', '{VALUE}'")
    shared.refuse_use(BOB, order, f"GET /v1/{VALUE}", "NotAllowedError")

    assert {entry.statement for entry in shared.log(BOB, name) if entry.owner == "alice"} <= {TOLD_TO_OWNER, ""}


def test_a_statement_is_cut() -> None:
    """After it was masked: half a value at the end would not be found."""
    cut = without("x" * (MAX_STATEMENT - 3) + VALUE + "y" * 100, VALUE)

    assert len(cut) < MAX_STATEMENT + 50
    assert VALUE[:3] not in cut
    assert without("short abc", "abc") == "short [secret]"


def test_nothing_is_done_that_cannot_be_written_down(shared: Team, tmp_path: Path) -> None:
    """A value is not shown, a share not made, a use not begun, when the record's file cannot be written."""
    order = shared.order(BOB, connection="warehouse")
    path = tmp_path / "broker" / "audit.jsonl"
    path.unlink()
    path.mkdir()

    for call in (
        lambda: shared.reveal_own(ALICE, "prod_pw"),
        lambda: shared.put_secret(ALICE, "prod_pw", "new", replace=True),
        lambda: shared.unshare(ALICE, "secret", "prod_pw", "analysts"),
        lambda: shared.begin_use(BOB, order, "q", "select 1"),
        lambda: shared.order(CAROL, connection="warehouse"),
        shared.require_audit,
    ):
        with pytest.raises(BrokerError, match="audit"):
            call()

    path.rmdir()
    shared.require_audit()
    assert shared.reveal_own(ALICE, "prod_pw") == VALUE
    assert shared.secrets(ALICE)[0].groups == ["analysts"]


def test_a_line_that_is_written_in_part_is_taken_back(shared: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle of a line leaves no half of it."""
    path = tmp_path / "broker" / "audit.jsonl"
    before = path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))

    with pytest.raises(BrokerError):
        shared.reveal_own(ALICE, "prod_pw")

    assert path.read_bytes() == before


def test_the_record_is_bounded(tmp_path: Path) -> None:
    """The table keeps its newest entries, and files are begun anew; none of them can be read by others."""
    store = open_store("sqlite", str(tmp_path / "broker"))
    audit = Audit(store, max_rows=100, max_file_bytes=2_000)

    with store.writing() as connection:
        for number in range(1_000):
            audit.record(ENTRY._replace(query_id=str(number)), connection)

    kept = [int(entry.query_id) for entry in audit.of("alice", "warehouse")]
    assert kept == list(range(1_000 - len(kept), 1_000))
    assert len(kept) <= 100
    files = sorted((tmp_path / "broker").glob("audit.jsonl*"))
    assert len(files) <= KEPT_FILES + 1
    assert all(path.stat().st_size < 2_400 and stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    store.close()


def test_a_long_name_does_not_push_out_all_else(shared: Team, tmp_path: Path) -> None:
    """What is refused is written down cut to a length: a caller chooses the names in it."""
    with pytest.raises(NoSuchConnectionError):
        shared.order(CAROL, connection="x" * 100_000)

    assert max(map(len, (tmp_path / "broker" / "audit.jsonl").read_text(encoding="utf-8").splitlines())) < 5_000


def test_what_a_broker_elsewhere_began_is_interrupted_when_nothing_may_run_so_long(shared: Team, clock: Clock) -> None:
    """A replica on another machine leaves no trace here when it is gone; until then its uses may run."""
    order = shared.order(BOB, connection="warehouse")
    shared.begin_use(BOB, order, "q7", "select 7")
    clock.time += 3_600
    assert shared.begin_serving(3_600) == 0

    clock.time += 61

    assert shared.begin_serving(3_600) == 1
    assert [(one.query_id, one.state) for one in shared.log(ALICE, "warehouse")][-1] == ("q7", "interrupted")
    assert shared.begin_serving(3_600) == 0


def test_an_id_that_is_used_again_is_another_use(shared: Team, clock: Clock) -> None:
    """Callers choose ids: another's, or an older one of the same, ends nothing."""
    for caller in (BOB, ALICE):
        order = shared.order(caller, connection="warehouse")
        shared.begin_use(caller, order, "same", "select 1")
        shared.begin_use(caller, order, "same", "select 2")
    shared.end_use(ALICE, order, "same", Outcome("complete", 1, 1, 0.1))
    clock.time += 10_000

    assert shared.begin_serving(60) == 3
