"""The master key in a file that Flowfile writes, too, at the same moment and without a lock."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from flowfile_nb.storage import master_key, private_files
from flowfile_nb.storage.master_key import ENTRY, create_master_key, read_master_key, replace_entries
from flowfile_nb.storage.paths import Paths, find_paths
from flowfile_nb.storage.private_files import exchange_private, replace_private, stamp


@pytest.fixture
def paths(home: Path) -> Paths:
    """A home on which Flowfile has started."""
    (home / ".flowfile/database").mkdir(parents=True)
    return find_paths(os.environ)


def entries(paths: Paths) -> dict[str, Any]:
    """Return what is in the file, as Flowfile reads it."""
    if not os.path.exists(paths.key_store):
        return {}
    seal = Fernet(Path(paths.secret_key).read_bytes())
    return json.loads(seal.decrypt(Path(paths.key_store).read_bytes()))


def flowfile_writes(paths: Paths, found: dict[str, Any]) -> None:
    """Write the file anew, as Flowfile does after it has read it."""
    sealed = Fernet(Path(paths.secret_key).read_bytes()).encrypt(json.dumps(found).encode())
    temporary = Path(f"{paths.key_store}.flowfile")
    temporary.write_bytes(sealed)
    temporary.chmod(0o600)
    temporary.replace(paths.key_store)


def at_each_look(monkeypatch: pytest.MonkeyPatch, *happens: Callable[[], None]) -> list[float]:
    """Have something happen instead of each pause; return the pauses."""
    pauses: list[float] = []
    left = list(happens)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if left:
            left.pop(0)()

    monkeypatch.setattr(master_key.time, "sleep", sleep)
    return pauses


def test_a_key_that_flowfile_overwrites_is_added_again(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flowfile had read the file before the key was in it: its entry and our key are both there in the end."""
    at_each_look(monkeypatch, lambda: flowfile_writes(paths, {"jwt_secret": "j"}))

    key = create_master_key(paths, os.environ)

    assert entries(paths) == {"jwt_secret": "j", "master_key": key.decode()}
    assert read_master_key(paths, os.environ) == key


def test_a_key_that_flowfile_makes_meanwhile_is_the_one(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flowfile would go on with its own; so do we."""
    theirs = Fernet.generate_key().decode()
    at_each_look(monkeypatch, lambda: None, lambda: flowfile_writes(paths, {"master_key": theirs}))

    assert create_master_key(paths, os.environ) == theirs.encode()
    assert entries(paths) == {"master_key": theirs}


def test_it_has_to_stay(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that it is overwritten, the looks begin anew."""
    theirs = [Fernet.generate_key().decode() for _ in range(2)]
    change = [lambda key=key: flowfile_writes(paths, {"master_key": key}) for key in theirs]
    pauses = at_each_look(monkeypatch, lambda: None, change[0], lambda: None, change[1])

    assert create_master_key(paths, os.environ) == theirs[1].encode()
    assert len(pauses) == 4 + master_key._LOOKS


def test_without_flowfile_nobody_waits(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first secret on a home where Flowfile never was costs no pause."""
    pauses = at_each_look(monkeypatch)

    create_master_key(find_paths(os.environ), os.environ)

    assert pauses == []


@pytest.mark.parametrize("names_can_be_exchanged", [True, False])
def test_an_entry_that_comes_while_ours_is_written_is_kept(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, names_can_be_exchanged: bool
) -> None:
    """Between reading the file and replacing it Flowfile adds an entry: the file is read again."""
    at_each_look(monkeypatch)
    if not names_can_be_exchanged:
        monkeypatch.setattr(private_files, "_exchange", lambda one, other: False)
    os.makedirs(paths.directory, mode=0o700)
    Path(paths.secret_key).write_bytes(Fernet.generate_key())
    os.chmod(paths.secret_key, 0o600)
    flowfile_writes(paths, {"jwt_secret": "j"})
    seal, meanwhile = master_key._seal, [lambda: flowfile_writes(paths, {"jwt_secret": "j", "internal_token": "t"})]

    def seal_slowly(*arguments: Any) -> Fernet:
        # It is asked for once to open the file, and once to seal it anew.
        calls.append(1)
        if len(calls) == 3 and meanwhile:
            meanwhile.pop()()
        return seal(*arguments)

    calls: list[int] = []
    monkeypatch.setattr(master_key, "_seal", seal_slowly)

    key = create_master_key(paths, os.environ)

    assert meanwhile == []
    assert entries(paths) == {"jwt_secret": "j", "internal_token": "t", "master_key": key.decode()}


def test_what_flowfile_writes_at_the_last_moment_is_added_again(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the file was read and before it is replaced: the exchange of the two names hands it over."""
    at_each_look(monkeypatch)
    os.makedirs(paths.directory, mode=0o700)
    Path(paths.secret_key).write_bytes(Fernet.generate_key())
    os.chmod(paths.secret_key, 0o600)
    flowfile_writes(paths, {"jwt_secret": "j"})
    theirs, exchange = Fernet.generate_key().decode(), private_files._exchange
    writes = [{"jwt_secret": "j", "internal_token": "t"}, {"jwt_secret": "j2", "master_key": theirs}]

    def written_meanwhile(one: str, other: str) -> bool:
        if writes:
            flowfile_writes(paths, writes.pop(0))
        return exchange(one, other)

    monkeypatch.setattr(private_files, "_exchange", written_meanwhile)

    key = create_master_key(paths, os.environ)

    assert writes == []
    assert entries(paths) == {"jwt_secret": "j2", "internal_token": "t", "master_key": theirs}
    assert key.decode() == theirs


@pytest.mark.parametrize("is_written", [False, True])
def test_where_names_cannot_be_exchanged_the_stamp_has_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    """On other systems, and file systems that cannot, a file that was written anew is left alone."""
    monkeypatch.setattr(private_files, "_exchange", lambda one, other: False)
    path = tmp_path / "file"
    path.write_bytes(b"old")
    before = stamp(str(path))
    if is_written:
        (tmp_path / "new").write_bytes(b"newer")
        (tmp_path / "new").replace(path)

    replaced = exchange_private(str(path), b"ours", before)

    assert (replaced, path.read_bytes()) == ((None, b"newer") if is_written else (b"old", b"ours"))
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["file"]
    assert stamp(str(tmp_path / "none")) is None


def test_an_empty_key_is_none_and_an_empty_entry_is_kept(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Flowfile takes them."""
    at_each_look(monkeypatch)
    os.makedirs(paths.directory, mode=0o700)
    Path(paths.secret_key).write_bytes(Fernet.generate_key())
    os.chmod(paths.secret_key, 0o600)
    flowfile_writes(paths, {"master_key": "", "note": ""})

    key = create_master_key(paths, os.environ)

    assert entries(paths) == {"master_key": key.decode(), "note": ""}


def test_a_replaced_file_is_whole_and_private(tmp_path: Path) -> None:
    """As it was, or as it is, with nothing left behind."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    replace_private(str(path), b"new")

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["file"]


def test_an_exchange_hands_over_what_was_there(tmp_path: Path) -> None:
    """In one step, with nothing left behind, and readable by its owner alone."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    assert exchange_private(str(path), b"ours", None) == b"old"
    assert path.read_bytes() == b"ours"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["file"]


def test_a_rotation_keeps_what_flowfile_writes_at_that_moment(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our reading and our replacing of the file Flowfile adds an entry, and changes one: both stay, as the key does."""
    create_master_key(paths, {})
    flowfile_writes(paths, {**entries(paths), "jwt_secret": "old"})
    exchange = private_files._exchange
    writes = [lambda: flowfile_writes(paths, {**entries(paths), "jwt_secret": "new", "internal_token": "added"})]

    def beside(one: str, other: str) -> bool:
        if writes:
            writes.pop()()
        return exchange(one, other)

    monkeypatch.setattr(private_files, "_exchange", beside)
    replace_entries(paths, {}, {**entries(paths), ENTRY: "the next key"})

    assert entries(paths) == {ENTRY: "the next key", "jwt_secret": "new", "internal_token": "added"}


def test_a_rotation_without_exchanging_names(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems a file that Flowfile has written meanwhile is left alone, read again, and then replaced."""
    create_master_key(paths, {})
    writes = [lambda: flowfile_writes(paths, {**entries(paths), "jwt_secret": "new"})]

    def cannot(one: str, other: str) -> bool:
        if writes:
            writes.pop()()
        return False

    monkeypatch.setattr(private_files, "_exchange", cannot)
    replace_entries(paths, {}, {ENTRY: "the next key"})

    assert entries(paths) == {ENTRY: "the next key", "jwt_secret": "new"}
