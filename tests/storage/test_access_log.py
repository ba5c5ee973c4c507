"""The record of uses: what is in it, what it survives, and that no entry is lost and no value is in it."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.errors import DamagedSecretError, FlowfileNbError, NoSuchSecretError, SecretExistsError, WrongKeyError
from flowfile_nb.storage import access_history, access_log, log_trimming
from flowfile_nb.storage.access_log import AccessLog
from flowfile_nb.vault import Vault

fork = multiprocessing.get_context("fork")
CANARY = "canary7Q4x@:/#?"


@pytest.fixture
def vault(home: Path) -> Vault:
    vault = Vault({})
    vault.set("a", CANARY, replace=False)
    return vault


@pytest.fixture
def file(key_directory: Path) -> Path:
    return key_directory / "flowfile_nb.log"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is trimmed at 4 KiB."""
    monkeypatch.setattr(access_log, "MAX_BYTES", 4096)
    monkeypatch.setattr(log_trimming, "MAX_BYTES", 4096)


def recorded(vault: Vault, name: str | None = None) -> list[tuple[str, str, str]]:
    """Return operation, name and outcome of each entry, the oldest first."""
    return [(entry.operation, entry.name, entry.outcome) for entry in vault.history().entries(name)]


# What is recorded


def test_changes_and_reads_are_recorded(vault: Vault, file: Path) -> None:
    """Each operation is an entry with its time, its place and its outcome, in a file of the owner's alone."""
    vault.reveal("a")
    vault.set("a", "new", replace=True)
    vault.rename("a", "b")
    vault.delete("b")

    assert recorded(vault) == [
        ("add", "a", "ok"),
        ("read", "a", "ok"),
        ("replace", "a", "ok"),
        ("rename", "a", "ok"),
        ("delete", "b", "ok"),
    ]
    assert file.stat().st_mode & 0o777 == 0o600
    assert all(1_700_000_000 < entry.at < 2**37 and entry.notebook for entry in vault.history().entries())


def test_refusals_are_recorded_by_the_class_of_the_error(vault: Vault, home: Path) -> None:
    """A taken name, a foreign key, a damaged row, a secret that is gone: each says why."""
    vault.set("gone", "x", replace=False)
    wrong = Vault({"FLOWFILE_MASTER_KEY": generate_master_key().decode()})
    actions: list[tuple[type[FlowfileNbError], Callable[[], object]]] = [
        (SecretExistsError, lambda: vault.set("a", "y", replace=False)),
        (SecretExistsError, lambda: vault.rename("gone", "a")),
        (WrongKeyError, lambda: wrong.reveal("a")),
        (WrongKeyError, lambda: wrong.set("a", "y", replace=True)),
    ]

    for kind, action in actions:
        with pytest.raises(kind):
            action()
    vault.delete("gone")
    with pytest.raises(NoSuchSecretError):
        vault.reveal("gone")
    with vault.store.active.writing() as db:
        db.execute("UPDATE secrets SET encrypted_value = 'gAAAAAdead'")
        db.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) SELECT 'ok', ?, '', 1", (good_token(vault),))
    with pytest.raises(DamagedSecretError):
        vault.reveal("a")

    assert recorded(vault)[2:] == [
        ("add", "a", "SecretExistsError"),
        ("rename", "gone", "SecretExistsError"),
        ("read", "a", "WrongKeyError"),
        ("replace", "a", "WrongKeyError"),
        ("delete", "gone", "ok"),
        ("read", "gone", "NoSuchSecretError"),
        ("read", "a", "DamagedSecretError"),
    ]


def good_token(vault: Vault) -> str:
    """Return a token that the vault's key opens."""
    return vault.key.keychain().encrypt_secret("x", 1)


def test_no_value_is_in_it_and_no_name_that_may_be_one(vault: Vault, file: Path) -> None:
    """Whatever fails, the file holds no value; a value typed where a name belongs is not written down either."""
    refused: list[Callable[[], object]] = [
        lambda: vault.set("a", CANARY, replace=False),
        lambda: vault.set("b", CANARY + "\0", replace=False),
        lambda: vault.require(CANARY),
        lambda: vault.delete(CANARY),
        lambda: vault.rename(CANARY, "b"),
    ]
    for action in refused:
        with pytest.raises(FlowfileNbError):
            action()
    vault.reveal("a")
    vault.peek("a")

    assert MARK_OF_CANARY.encode() not in file.read_bytes()
    assert recorded(vault) == [("add", "a", "ok"), ("add", "a", "SecretExistsError"), ("read", "a", "ok")]


MARK_OF_CANARY = "canary7Q4x"


def test_looking_for_values_in_files_is_no_use(vault: Vault) -> None:
    """What a scan or the watch over cells decrypts is not recorded."""
    vault.peek("a")

    assert recorded(vault) == [("add", "a", "ok")]


def test_reads_within_a_minute_are_one_entry(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred reads are one entry; a minute later there is a second, and a failure is always told from a success."""
    now = [1000.0]
    monkeypatch.setattr("flowfile_nb.storage.access_log.monotonic", lambda: now[0])
    monkeypatch.setattr("flowfile_nb.vault.monotonic", lambda: now[0])
    for _ in range(100):
        vault.reveal("a")
    assert recorded(vault, "a").count(("read", "a", "ok")) == 1

    now[0] += 61
    vault.reveal("a")
    assert recorded(vault, "a").count(("read", "a", "ok")) == 2

    vault.delete("a")
    for _ in range(2):
        with pytest.raises(NoSuchSecretError):
            vault.reveal("a")
    assert recorded(vault)[-2:] == [("delete", "a", "ok"), ("read", "a", "NoSuchSecretError")]


def test_a_forked_process_is_another_user(vault: Vault) -> None:
    """A child reads on its own account, however short a while ago its parent read."""
    vault.reveal("a")

    child = fork.Process(target=lambda: vault.reveal("a"))
    child.start()
    child.join()

    lines = [json.loads(line) for line in Path(vault.paths.access_log).read_text().splitlines()]
    readers = [line["process"] for line in lines if line["operation"] == "read"]
    assert readers == [os.getpid(), child.pid]


def test_values_of_the_environment_are_recorded_too(home: Path, file: Path) -> None:
    """Where a store is; where none is, nothing is made for it."""
    given = {"FLOWFILE_SECRET_TOKEN": CANARY}
    assert Vault(given).reveal("token") == CANARY
    assert not file.exists()

    vault = Vault(given)
    vault.set("a", "x", replace=False)
    vault.reveal("token")

    assert recorded(vault) == [("add", "a", "ok"), ("read", "token", "ok")]


@pytest.mark.parametrize("off", ["off", "OFF", "0", "no", "false"])
def test_it_is_off_where_the_environment_says_so(home: Path, file: Path, off: str) -> None:
    """Nothing is written, and what an earlier record says is not shown as the last use."""
    Vault({}).set("a", "x", replace=False)
    Vault({}).reveal("a")
    before = file.read_bytes()

    silent = Vault({"FLOWFILE_NB_LOG": off})
    silent.reveal("a")
    silent.set("a", "y", replace=True)

    assert file.read_bytes() == before
    assert silent.describe().used_at == [None]
    assert Vault({}).describe().used_at != [None]


def _in_one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the log's clock, in a later second than the fixture's entry."""
    later = access_log.monotonic() + 10
    monkeypatch.setattr(access_log, "monotonic", lambda: later)


def test_a_loop_over_many_names_is_written_by_the_second(vault: Vault, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reads of a second are in the file at once; the others when somebody asks, or something is changed."""
    _in_one_second(monkeypatch)
    monkeypatch.setattr(access_log, "start_new_thread", lambda *_: None)
    names = [f"name_{number:02}" for number in range(50)]
    for name in names:
        vault.log.used(name)
    assert len(file.read_text().splitlines()) == 1 + access_log.AT_ONCE

    assert [name for _, name, _ in recorded(vault)[1:]] == names

    for name in names:
        vault.log.refused(name, NoSuchSecretError("gone"))
    vault.delete("a")
    assert [operation for operation, _, _ in recorded(vault)[51:]] == ["read"] * 50 + ["delete"]


def test_a_loop_that_stores_many_is_written_by_the_second(vault: Vault, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that reads many: each value is on disk when its `set` returns, and its entry within a second."""
    _in_one_second(monkeypatch)
    monkeypatch.setattr(access_log, "start_new_thread", lambda *_: None)
    names = [f"name_{number:02}" for number in range(50)]
    for name in names:
        vault.set(name, "x", replace=False)
    vault.set(names[0], "y", replace=True)
    assert len(file.read_text().splitlines()) == 1 + access_log.AT_ONCE

    assert [(operation, name) for operation, name, _ in recorded(vault)[1:]] == [
        *(("add", name) for name in names),
        ("replace", names[0]),
    ]


def test_what_waits_is_written_after_a_second(vault: Vault, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a thread, which is started once, and again for the next ones; it does not wait in a test."""
    started: list[Callable[[], None]] = []
    monkeypatch.setattr(access_log, "start_new_thread", lambda run, _: started.append(run))
    monkeypatch.setattr(access_log, "sleep", lambda seconds: None)
    for number in range(access_log.AT_ONCE + 5):
        vault.log.used(f"name_{number}")
    (write_later,) = started

    write_later()
    assert file.read_text().count('"read"') == access_log.AT_ONCE + 5

    vault.log.used("another")
    assert len(started) == 2
    monkeypatch.setattr("flowfile_nb.storage.access_log._place", lambda environ: 1 / 0)
    vault.log._environ = {"FLOWFILE_NB_LOG": "off"}
    started[1]()
    assert file.read_text().count('"read"') == access_log.AT_ONCE + 5


def test_a_process_that_ends_writes_what_waits(vault: Vault, home: Path) -> None:
    """Fifty names read at once by a script that is over in no time: fifty entries."""
    program = "from flowfile_nb.vault import open_vault\nlog = open_vault().log\nfor n in range(50): log.used(f'name_{n}')"
    surroundings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    subprocess.run([sys.executable, "-c", program], env=surroundings, check=True)

    assert len(recorded(vault)) == 51


# Where it happened


@pytest.mark.parametrize(
    ("main", "kernel", "environ", "expected"),
    [
        ({}, True, {"JPY_SESSION_NAME": "/home/me/analysis.ipynb"}, "/home/me/analysis.ipynb"),
        ({}, True, {}, "a notebook without a name"),
        ({"__vsc_ipynb_file__": "/home/me/code.ipynb"}, True, {"JPY_SESSION_NAME": "x"}, "/home/me/code.ipynb"),
        ({"PAPERMILL_OUTPUT_PATH": "out.ipynb"}, True, {}, "out.ipynb"),
        ({"__file__": "/usr/lib/python3/IPython/__main__.py"}, False, {}, "IPython in a terminal"),
        ({"__file__": "/usr/bin/ipython3"}, False, {}, "IPython in a terminal"),
        ({"__file__": "/home/me/etl.py"}, False, {"JPY_SESSION_NAME": "the notebook that started it"}, "/home/me/etl.py"),
        ({}, False, {}, "interactive"),
    ],
)
def test_the_place_is_the_notebook_or_the_script(  # noqa: PLR0917 - fixtures are arguments
    vault: Vault, monkeypatch: pytest.MonkeyPatch, main: dict[str, str], kernel: bool, environ: dict[str, str], expected: str
) -> None:
    """VS Code and papermill tell by a variable, the Jupyter server by the environment; else it is the script, or nothing."""
    module = ModuleType("__main__")
    vars(module).update(main)
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setattr(sys, "argv", ["-c"])
    if kernel:
        monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    else:
        monkeypatch.delitem(sys.modules, "ipykernel", raising=False)

    AccessLog(vault.paths.access_log, environ).record("read", "a")

    assert vault.history().entries()[-1].notebook == expected


@pytest.mark.parametrize(("started", "expected"), [(["etl.py"], "{0}/etl.py"), (["-c", "from etl import *"], "interactive")])
def test_the_place_of_a_real_script(vault: Vault, tmp_path: Path, started: list[str], expected: str) -> None:
    """Its whole path; code on the command line is nowhere."""
    (tmp_path / "etl.py").write_text("from flowfile_nb.vault import open_vault\nopen_vault().reveal('a')\n")
    surroundings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "JPY_SESSION_NAME": "x.ipynb"}

    subprocess.run([sys.executable, *started], env=surroundings, cwd=tmp_path, check=True)

    assert vault.history().entries()[-1].notebook == expected.format(tmp_path)


# When each was last used


def test_last_use_follows_a_rename_and_ends_with_the_secret(vault: Vault) -> None:
    """The time stays with the secret, not with its name; one that was never read has none."""
    vault.set("b", "x", replace=False)
    vault.reveal("a")
    (at,) = [used for used in vault.describe().used_at if used]
    vault.rename("a", "c")
    vault.rename("b", "a")

    assert dict(zip(vault.describe().names, vault.describe().used_at, strict=True)) == {"a": None, "c": at}
    assert recorded(vault, "c") == [("add", "a", "ok"), ("read", "a", "ok"), ("rename", "a", "ok")]

    vault.delete("c")
    vault.set("c", "another", replace=False)
    assert vault.describe().used_at == [None, None]


def test_a_rename_over_a_name_that_was_used_takes_its_own_time_along(vault: Vault) -> None:
    """A name that another secret had before tells nothing about the one that has it now."""
    vault.log.record("read", "b")
    vault.rename("a", "b")

    assert vault.describe().used_at == [None]


def test_a_refused_use_is_no_use(vault: Vault) -> None:
    """Nor does a refused change take the last use away."""
    vault.log.refused("a", NoSuchSecretError("gone"))
    assert vault.describe().used_at == [None]

    vault.reveal("a")
    vault.log.record("delete", "a", "StoreError")

    assert vault.describe().used_at != [None]


def test_what_is_appended_is_read_without_reading_all_again(vault: Vault, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged file is not opened; a longer one is read from where it was left."""
    vault.reveal("a")
    vault.describe()
    read: list[int] = []
    real = access_history._read

    def watched(path: str, start: int = 0) -> bytes:
        read.append(start)
        return real(path, start)

    monkeypatch.setattr(access_history, "_read", watched)

    vault.describe()
    before = file.stat().st_size
    vault.log.record("read", "a")
    vault.describe()

    assert read == [before]


def test_names_are_listed_in_one_order_whatever_their_case(vault: Vault) -> None:
    """By name, case-folded; a limit takes the first of that order."""
    for name in ("Zebra", "b", "Ärmel", "A", "B2"):
        vault.set(name, "x", replace=False)

    assert vault.describe().names == ["a", "A", "b", "B2", "Zebra", "Ärmel"]
    assert vault.describe(3).names == ["a", "A", "b"]


# What it survives


def test_foreign_and_torn_lines_are_passed_over(vault: Vault, file: Path) -> None:
    """Half a line, other bytes, other JSON, nonsense in the fields: the entries before and after it count."""
    torn = file.read_bytes()[:40]
    junk = [
        b"\xff\xfe\x00 no text\n",
        b"[1, 2]\n",
        b'{"at": 1}x\n',
        b'{"at": "yesterday", "operation": "read", "name": "a", "outcome": "ok", "notebook": ""}\n',
        b'{"at": NaN, "operation": "read", "name": "a", "outcome": "ok", "notebook": ""}\n',
        b'{"at": 1, "operation": ["read"], "name": "a", "outcome": "ok", "notebook": ""}\n',
        b'{"at":' + b"[" * 100_000 + b"\n",
        b"\n\n",
        torn,
    ]
    with file.open("ab") as out:
        out.writelines(junk)

    vault.reveal("a")

    assert recorded(vault) == [("add", "a", "ok"), ("read", "a", "ok")]
    assert vault.describe().used_at[0] is not None


def test_a_line_that_is_just_being_written_counts_when_it_is_whole(vault: Vault, file: Path) -> None:
    """A reader that comes in between neither fails nor loses it."""
    vault.reveal("a")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    assert vault.describe().used_at == [None]

    file.write_bytes(whole)

    assert vault.describe().used_at != [None]


def test_a_clock_that_was_set_back(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last use is the last that was written, though an earlier one seems later."""
    vault.log.record("read", "a")
    monkeypatch.setattr("flowfile_nb.storage.access_log.time", lambda: 1_000_000_000.0)
    vault.log.record("read", "a")

    assert vault.describe().used_at == [1_000_000_000]


def test_a_record_that_cannot_be_written_fails_nothing(vault: Vault, file: Path) -> None:
    """The read works; why there is no entry is known to doctor."""
    file.unlink()
    file.mkdir()

    assert vault.reveal("a") == CANARY
    vault.set("b", "x", replace=False)

    assert vault.log.problem == os.strerror(errno.EISDIR)
    assert vault.describe().used_at == [None, None]
    assert recorded(vault) == []
    file.rmdir()
    vault.log.record("read", "a")
    assert vault.log.problem == ""


def test_a_full_disk_fails_nothing(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a part of an entry fits, the read works, and the entry after that one is whole."""
    real = os.write
    monkeypatch.setattr("flowfile_nb.storage.access_log.os.write", lambda fd, line: real(fd, line[:30]))
    assert vault.reveal("a") == CANARY
    assert vault.log.problem == os.strerror(errno.ENOSPC)
    monkeypatch.setattr("flowfile_nb.storage.access_log.os.write", real)

    vault.set("b", "x", replace=False)

    assert recorded(vault) == [("add", "a", "ok"), ("add", "b", "ok")]


def test_names_with_any_characters(vault: Vault) -> None:
    """A name is a name, whatever is in it."""
    names = ['{"at": 1, "name": "a"}', "密🔑", 'quote" \\ back', "x" * 5000]
    for name in names:
        vault.set(name, "x", replace=False)
        vault.reveal(name)

    assert [name for operation, name, _ in recorded(vault) if operation == "read"] == names
    assert sum(used is not None for used in vault.describe().used_at) == len(names)


def test_clearing_forgets(vault: Vault, file: Path) -> None:
    """The file is gone, and the next use is the first entry; clearing nothing is no error."""
    vault.reveal("a")
    vault.log.clear()
    vault.log.clear()
    assert not file.exists()
    assert vault.describe().used_at == [None]

    vault.reveal("a")

    assert recorded(vault) == [("read", "a", "ok")]


def test_a_record_that_is_deleted_at_that_very_moment(vault: Vault, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is the first one of the next record."""
    real = os.write

    def delete(descriptor: int, line: bytes) -> int:
        monkeypatch.setattr("flowfile_nb.storage.access_log.os.write", real)
        file.unlink()
        return real(descriptor, line)

    monkeypatch.setattr("flowfile_nb.storage.access_log.os.write", delete)
    vault.reveal("a")

    assert recorded(vault) == [("read", "a", "ok")]


# Trimming


def test_it_stays_small_and_forgets_no_last_use(small: None, vault: Vault, file: Path) -> None:
    """After thousands of entries the file is near its bound, the newest are in it, and each secret's last use is known."""
    names = [f"name_{number}" for number in range(50)]
    for name in names:
        vault.log.record("read", name)
    vault.log.record("rename", "name_0", to="moved")
    first = vault.history().last_used().copy()
    for number in range(3_000):
        vault.log.record("replace", f"busy_{number % 7}")

    assert file.stat().st_size < 2 * 4096
    assert recorded(vault)[-1] == ("replace", f"busy_{2_999 % 7}", "ok")
    assert Vault({}).history().last_used() == first
    assert "moved" in first
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(file.parent.glob("*.tmp"))


def test_entries_longer_than_the_bound_are_trimmed_too(small: None, vault: Vault, file: Path) -> None:
    """One entry that is too long alone goes, its use is kept."""
    vault.log.record("read", "x" * 6_000)

    assert "x" * 6_000 in Vault({}).history().last_used()
    vault.log.record("read", "a")
    assert recorded(vault)[-1] == ("read", "a", "ok")


def test_a_foreign_first_line_is_no_summary(vault: Vault, file: Path) -> None:
    """Whatever stands where the last uses would, nothing is made of it."""
    entries = file.read_bytes()
    foreign = [
        b'{"bytes":  nonsense\n',
        b'{"bytes":          20, "last_used": [1]}\n',
        b'{"bytes":1, "last_used": {"a": "x"}}\n',
    ]
    for line in foreign:
        file.write_bytes(line + entries)

        assert Vault({}).history().last_used() == {}
        assert log_trimming._summary_bytes(line[:21]) in {0, 20}


def test_trimming_loses_nothing_that_others_append(small: None, vault: Vault) -> None:
    """Four processes append while the file is trimmed all the time: each one's last reads are all known."""
    readers = [fork.Process(target=append_reads, args=(vault.log, worker, 300)) for worker in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    used = Vault({}).history().last_used()
    assert {name for name in used if name.startswith("worker")} == {f"worker_{w}_{n}" for w in range(4) for n in range(300)}
    assert [reader.exitcode for reader in readers] == [0, 0, 0, 0]


def append_reads(log: AccessLog, worker: int, count: int) -> None:
    """Record reads of *count* names, each once."""
    for number in range(count):
        log.record("read", f"worker_{worker}_{number}")
        if log.problem:
            raise AssertionError(log.problem)


def test_what_comes_between_reading_and_exchanging_is_taken_over(
    small: None, vault: Vault, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that another process puts into the old file at the last moment is in the new one."""
    real = log_trimming.replace_private
    late = AccessLog(str(file), {})

    def exchange(path: str, content: bytes) -> None:
        monkeypatch.setattr(log_trimming, "replace_private", real)
        late.record("read", "late")
        real(path, content)

    monkeypatch.setattr(log_trimming, "replace_private", exchange)
    for number in range(40):
        vault.log.record("read", f"name_{number}")

    assert late.problem == ""
    assert [name for _, name, _ in recorded(vault)].count("late") == 1


def test_what_goes_into_the_old_file_after_the_exchange_is_written_again(
    vault: Vault, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who appends notices that the file was exchanged; the entry is in the new one, once."""
    real = os.write

    def exchange(descriptor: int, line: bytes) -> int:
        monkeypatch.setattr("flowfile_nb.storage.access_log.os.write", real)
        content = file.read_bytes()
        file.rename(file.with_suffix(".old"))
        file.write_bytes(content)
        return real(descriptor, line)

    monkeypatch.setattr("flowfile_nb.storage.access_log.os.write", exchange)
    vault.log.record("read", "a")

    assert recorded(vault) == [("add", "a", "ok"), ("read", "a", "ok")]


def test_an_entry_that_was_taken_over_and_written_again_is_one(
    vault: Vault, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file is exchanged right after the write, the line is in the new one twice, and counts once."""
    real = os.write

    def exchange(descriptor: int, line: bytes) -> int:
        monkeypatch.setattr("flowfile_nb.storage.access_log.os.write", real)
        written = real(descriptor, line)
        content = file.read_bytes()
        file.rename(file.with_suffix(".old"))
        file.write_bytes(content)
        return written

    monkeypatch.setattr("flowfile_nb.storage.access_log.os.write", exchange)
    vault.log.record("read", "a")

    assert len(file.read_bytes().splitlines()) == 3
    assert recorded(vault) == [("add", "a", "ok"), ("read", "a", "ok")]


def test_two_that_want_to_trim_do_it_once(small: None, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited for the other finds nothing to do; a folder that cannot be written leaves the file as it is."""
    trimmed: list[str] = []
    monkeypatch.setattr(log_trimming, "_replace", trimmed.append)
    due = iter([True, False, True, True])
    monkeypatch.setattr(log_trimming, "_is_due", lambda path: next(due))

    log_trimming.trim(vault.paths.access_log)
    assert trimmed == []
    log_trimming.trim("/no/such/folder/flowfile_nb.log")
    assert trimmed == []


# Killed, and several at once

_WRITER = """
import sys
from flowfile_nb.vault import open_vault
log = open_vault().log
for number in range(1_000_000):
    log.record("read", f"{sys.argv[1]}_{number}")
    print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_whole_lines(vault: Vault, file: Path) -> None:
    """Killed at a random moment, eight times: what it said it had recorded is recorded, and nothing is torn."""
    surroundings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    chance = random.Random(4)
    for run in range(8):
        with subprocess.Popen([sys.executable, "-c", _WRITER, f"run{run}"], env=surroundings, stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            for _ in range(chance.randrange(1, 60)):
                said = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)

        names = {entry.name for entry in vault.history().entries()}
        assert {f"run{run}_{number}" for number in range(said + 1)} <= names
    lines = file.read_bytes().splitlines()
    assert len(lines) == len(vault.history().entries())


def test_an_entry_is_one_write_at_the_end(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so can two processes write at once, and a killed one leave nothing half."""
    real, written = os.write, []

    def write(descriptor: int, line: bytes) -> int:
        written.append(line)
        return real(descriptor, line)

    monkeypatch.setattr("flowfile_nb.storage.access_log.os.write", write)
    vault.log.record("read", "a")

    assert [line[-1:] for line in written] == [b"\n"]
    assert Path(vault.paths.access_log).read_bytes().endswith(written[0])


def test_writers_at_once_lose_no_line(vault: Vault, file: Path) -> None:
    """Four processes write 250 entries each: 1,000 whole lines."""
    writers = [fork.Process(target=append_reads, args=(vault.log, worker, 250)) for worker in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert len({entry.name for entry in vault.history().entries()} - {"a"}) == 1_000
    assert len(file.read_bytes().splitlines()) == 1_001
