"""A bucket that is shared: owner, member, a broker in a process of its own, and a storage that checks each link."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pandas as pd
import polars as pl
import pytest

from flowfile_nb import session
from flowfile_nb.errors import (
    BindingError,
    NoSuchConnectionError,
    NoSuchObjectError,
    ObjectRefusedError,
    StorageError,
    UsageError,
    WriteShareError,
)
from flowfile_nb.team.backend import TeamBackend
from flowfile_nb.team.entries import Offer
from flowfile_nb.team.opening import open_named
from tests.support.real_broker import RealBroker, running_real_broker
from tests.support.s3_links import Gate, fill, running_gate
from tests.support.shell import Shell
from tests.team.test_whole_path import memory_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the practice broker listens on a unix socket")
ROOT = "sales/data"
MEMBER = """
import sys
from flowfile_nb import session
from flowfile_nb.team.opening import open_named

lake = open_named(session.team(), "lake", test=True, as_=None, timeout_s=None).native
print(lake.cat("sales/data/a.csv").decode().split()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    """A broker in a process of its own, on a unix socket."""
    with running_real_broker() as running:
        yield running


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """A storage that takes links."""
    with running_gate() as running:
        yield running


class Team:
    """An owner and a member, each of whom this process can be."""

    def __init__(self, broker: RealBroker, gate: Gate, patch: pytest.MonkeyPatch) -> None:
        self._broker, self._patch = broker, patch
        self.owner, self.member = broker.somebody(), broker.somebody()
        self.group = f"of-{self.owner}"
        sharing = broker.be(f"admin-of-{self.owner}", patch, admin=True).sharing
        sharing.create(self.group)
        for user, role in ((self.owner, "owner"), (self.member, "member")):
            sharing.set_member(self.group, user, role)
        owner = self.be_owner()
        owner.set("lake_key", gate.key, replace=False)
        owner.save_connection("lake", gate.body(ROOT))

    def be_owner(self) -> TeamBackend:
        return self._broker.be(self.owner, self._patch)

    def be_member(self) -> TeamBackend:
        return self._broker.be(self.member, self._patch)

    def share(self, access: str = "read", *, confirmed: bool = False) -> None:
        self.be_owner().sharing.share(Offer("connection", "lake", self.group, access=access), confirmed=confirmed)

    def unshare(self) -> None:
        self.be_owner().sharing.unshare("connection", "lake", self.group)

    def lake(self) -> Any:
        """Return the member's filesystem."""
        return open_named(self.be_member(), "lake", test=True, as_=None, timeout_s=None).native


@pytest.fixture
def team(broker: RealBroker, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A team whose member may read."""
    fill(gate)
    gate.asked.clear()
    gate.later_s, gate.refuse_next, gate.answers = 0, 0, True
    team = Team(broker, gate, monkeypatch)
    team.share()
    return team


@pytest.fixture
def lake(team: Team) -> Iterator[Any]:
    """What the member's kernel has."""
    lake = team.lake()
    yield lake
    lake.close()


@pytest.fixture
def writing(team: Team) -> Iterator[Any]:
    """The same, where the member may write."""
    team.share("write", confirmed=True)
    lake = team.lake()
    yield lake
    lake.close()


def text_of(key: str) -> bytes:
    return f"key\n{key}\n".encode()


# Reading


def test_connect_binds_a_filesystem(team: Team, gate: Gate, shell: Shell) -> None:
    """`%connect lake` says whose it is and where it leads; pandas and open work on it; the key is nowhere."""
    team.be_member()

    shown = shell.run("%connect lake")
    shell.run("import pandas as pd\npd.read_csv(lake.open('sales/data/a.csv'))['key'].tolist()")

    assert shell.result == ["data/a.csv"]
    assert f"@127.0.0.1:{gate.url.rpartition(':')[2]}/sales/data" in shown
    assert f"{team.owner}'s, shared with {team.group}: it reads only; the credential stays at the broker." in shown
    assert "Through it: links to single objects below the prefix" in shown
    assert 'its paths begin with the bucket:  lake.ls("sales/data")' in shown
    assert gate.key not in shown + repr(vars(session.opened["lake"].native))
    assert "Closed" in shell.run("%connect -x lake")


def test_what_is_there(lake: Any) -> None:
    """Lists, what is known of one, walks and patterns, as of any filesystem; a folder is no object."""
    assert lake.ls("sales/data") == ["sales/data/2026", "sales/data/a.csv"]
    assert [one["type"] for one in lake.ls("sales/data", detail=True)] == ["directory", "file"]
    assert lake.ls("s3://sales/data/a.csv", detail=False) == ["sales/data/a.csv"]
    assert lake.glob("sales/data/**/*.csv") == [
        *("sales/data/2026/b.csv", "sales/data/2026/c d+ü%2F#?.csv", "sales/data/a.csv"),
    ]
    assert lake.find("sales/data/2026") == ["sales/data/2026/b.csv", "sales/data/2026/c d+ü%2F#?.csv"]
    assert lake.find("sales/data/nothing") == []
    found = lake.info("sales/data/a.csv")
    assert (found["type"], found["size"], found["modified"].tzinfo is not None) == ("file", len(text_of("data/a.csv")), True)
    assert (lake.info("sales/data/2026")["type"], lake.info("sales/data")["type"]) == ("directory", "directory")
    assert [lake.isdir("sales/data/2026"), lake.isfile("sales/data/2026"), lake.exists("sales/data/20")] == [True, False, False]
    assert lake.modified("sales/data/a.csv") == lake.created("sales/data/a.csv")
    assert lake.ukey("sales/data/a.csv") != lake.ukey("sales/data/2026/b.csv")
    for path in ("sales/data/nothing", "sales/data/2026/b"):
        with pytest.raises(FileNotFoundError, match="there is nothing at"):
            lake.ls(path)
        with pytest.raises(NoSuchObjectError):
            lake.info(path)


def test_a_long_list_comes_whole(lake: Any, gate: Gate) -> None:
    """More than a page of the storage's."""
    admin = gate.admin()
    for number in range(7):
        admin.put_object(Bucket="sales", Key=f"data/many/{number}", Body=b"")

    assert len(lake.ls("sales/data/many", detail=False)) == 7
    assert len(lake.find("sales/data/many")) == 7
    assert any("continuation-token" in one.path for one in gate.asked)


@pytest.mark.parametrize("key", ["data/a.csv", "data/2026/c d+ü%2F#?.csv"])
def test_bytes(lake: Any, gate: Gate, key: str) -> None:
    """Whole, in parts, from the end; by one link while it is good; whatever the name."""
    path, text = f"sales/{key}", text_of(key)

    assert lake.cat(path) == text
    assert lake.cat_file(path, 4, 9) == text[4:9]
    assert lake.cat_file(path, -3) == text[-3:]
    assert lake.cat_file(path, 1, -1) == text[1:-1]
    assert lake.cat_file(path, 5, 5) == b""
    assert lake.cat_file(path, 1000) == b""
    with lake.open(path, block_size=4, cache_type="none") as file:
        file.seek(4)
        assert file.read(5) == text[4:9]
        assert file.read() == text[9:]
    assert len({one.path for one in gate.by_link}) == 1
    assert {one.method for one in gate.by_link} == {"GET"}
    assert "bytes=4-8" in [one.headers.get("range") for one in gate.by_link]


def test_the_usual_libraries(lake: Any, gate: Gate) -> None:
    """Pandas and PyArrow by `filesystem=`, Polars by an open file, DuckDB as a filesystem of its own; folders, too."""
    frame = pd.DataFrame({"x": [1, 2, 3], "y": ["a", "b", "c"]})
    for part in ("p=1", "p=2"):
        gate.admin().put_object(Bucket="sales", Key=f"data/t/{part}/f.parquet", Body=frame.to_parquet())

    by_pandas = pd.read_parquet("sales/data/t/p=1/f.parquet", filesystem=lake)
    folder = pd.read_parquet("sales/data/t", filesystem=lake)
    with lake.open("sales/data/t/p=2/f.parquet") as file:
        by_polars = pl.read_parquet(file)
    connection = duckdb.connect()
    connection.register_filesystem(lake)
    by_duckdb = connection.sql("SELECT sum(x), count(*) FROM read_parquet('s3://sales/data/t/*/*.parquet')").fetchall()

    assert by_pandas["x"].tolist() == [1, 2, 3]
    assert (len(folder), sorted(set(folder["p"].astype(int)))) == (6, [1, 2])
    assert by_polars["y"].to_list() == ["a", "b", "c"]
    assert by_duckdb == [(12, 6)]


def test_a_link_that_is_over_is_signed_anew(lake: Any, gate: Gate) -> None:
    """Where the storage says so, once; what it refuses again is refused."""
    gate.refuse_next = 1
    assert lake.cat("sales/data/a.csv") == text_of("data/a.csv")
    gate.refuse_next = 2
    with pytest.raises(ObjectRefusedError, match="AccessDenied"):
        lake.cat("sales/data/a.csv")

    assert [one.status for one in gate.by_link] == [403, 200, 403, 403]


def test_an_object_that_is_replaced_while_it_is_read(lake: Any, gate: Gate) -> None:
    """Is no mixture of both."""
    with lake.open("sales/data/a.csv", block_size=4, cache_type="none") as file:
        file.read(4)
        gate.admin().put_object(Bucket="sales", Key="data/a.csv", Body=b"something else")
        with pytest.raises(StorageError, match="was replaced while it was read"):
            file.read(4)


# Nothing leaks


def test_links_and_key_are_in_nothing_that_is_shown_or_kept(lake: Any, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """Neither repr, nor a pickle, nor a log, nor an error's text or frames."""
    caplog.set_level(logging.DEBUG)
    lake.cat("sales/data/a.csv")
    kept = repr([lake, vars(lake), lake.storage_args, lake.storage_options, vars(lake._links)])
    kept += pickle.dumps(lake, protocol=0).decode()
    with pytest.raises(TypeError):
        lake.to_json()
    gate.answers = False
    with pytest.raises(StorageError, match="does not answer") as failed:
        lake.cat("sales/data/2026/b.csv")
    kept += str(failed.value)

    # The storage's own library runs in this process, too.
    kept += "".join(record.getMessage() for record in caplog.records if not record.name.startswith("botocore"))
    assert "send_request_headers" in kept
    for text in ("Signature", "X-Amz", gate.key):
        assert text not in kept
    assert (failed.value.__cause__, failed.value.__suppress_context__) == (None, True)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="another process's memory is read by Linux's /proc")
def test_the_key_is_not_in_a_members_process(team: Team, gate: Gate) -> None:
    """While an object is read by a link, which is there, the key is nowhere in the process's memory."""
    team.be_member()
    process = subprocess.Popen([sys.executable, "-c", MEMBER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    assert process.stdout is not None
    answer = process.stdout.readline().strip()
    memory = memory_of(process.pid)
    process.communicate()

    assert answer == "data/a.csv"
    assert (b"X-Amz-Signature=" in memory, gate.key.encode() in memory) == (True, False)


def test_a_worker_opens_it_by_its_own_identity(lake: Any) -> None:
    """What is pickled is the name; another process of the member's asks the broker itself."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(cat, (lake,)) == text_of("data/a.csv")
        pool.close()
        pool.join()


def cat(lake: Any) -> bytes:
    return bytes(lake.cat("sales/data/a.csv"))


def test_the_owner_sees_what_was_asked(team: Team, lake: Any, shell: Shell) -> None:
    """Which object, for what, and never the link; what was read by it is the storage's to know, and that is said."""
    lake.cat("sales/data/a.csv")
    lake.ls("sales/data")
    team.be_owner()

    shell.run("%secret log lake")

    rows = {row[5]: row for row in shell.result.rows}
    assert {"SIGN GET sales/data/a.csv", "LIST sales/data"} <= rows.keys()
    assert (rows["LIST sales/data"][6], rows["SIGN GET sales/data/a.csv"][7]) == ("2", "complete")
    assert "what was read or written by it only the storage knows" in repr(shell.result)
    assert not re.search("Signature|X-Amz|http:", repr(shell.result))


# Writing


def test_a_share_for_reading_writes_nothing(lake: Any, gate: Gate) -> None:
    """Refused when it is opened, not after all is written; no link for it is signed."""
    for write in (
        lambda: lake.open("sales/data/new.csv", "wb"),
        lambda: lake.pipe_file("sales/data/new.csv", b"x"),
        lambda: lake.rm("sales/data/a.csv"),
    ):
        with pytest.raises(PermissionError, match="nothing is written or deleted") as refused:
            write()
        assert "--write" in str(refused.value)
    assert gate.by_link == []


def test_sharing_for_writing_says_what_it_means(team: Team) -> None:
    """Which objects may be lost, and not that a password might be changed."""
    with pytest.raises(WriteShareError, match=r"replace and delete every object below s3://sales/data") as refused:
        team.share("write")

    assert "password" not in str(refused.value)


def test_writing(writing: Any, gate: Gate) -> None:
    """By `open`, whole bytes, pandas, from a file, a copy; deleted one by one and by folders."""
    with writing.open("sales/data/new/a.txt", "wb") as file:
        file.write(b"one ")
        file.write(b"two")
    with writing.open("sales/data/new/t.csv", "w") as text:
        pd.DataFrame({"x": [1]}).to_csv(text, index=False)
    pd.DataFrame({"x": [1]}).to_parquet("sales/data/new/p.parquet", filesystem=writing)
    writing.pipe_file("sales/data/new/b.txt", b"whole")
    writing.copy("sales/data/new/b.txt", "sales/data/new/c.txt")
    writing.makedirs("sales/data/new/folder", exist_ok=True)

    assert writing.cat("sales/data/new/a.txt") == b"one two"
    assert writing.cat("sales/data/new/t.csv") == b"x\n1\n"
    assert pd.read_parquet("sales/data/new/p.parquet", filesystem=writing)["x"].tolist() == [1]
    assert writing.cat("sales/data/new/c.txt") == b"whole"
    writing.rm("sales/data/new/a.txt")
    assert not writing.exists("sales/data/new/a.txt")
    writing.rm("sales/data/new", recursive=True)
    assert writing.find("sales/data/new") == []
    assert gate.admin().list_objects_v2(Bucket="sales", Prefix="data/2026/")["KeyCount"] == 2


def test_what_was_not_finished_is_not_written(writing: Any) -> None:
    """An error within `with` leaves what was there; so does a mode that the storage has not."""
    with contextlib.suppress(ZeroDivisionError), writing.open("sales/data/a.csv", "wb") as file:
        file.write(b"half")
        raise ZeroDivisionError
    with pytest.raises(FileExistsError):
        writing.open("sales/data/a.csv", "xb")
    with pytest.raises(StorageError, match="written as a whole"):
        writing.open("sales/data/a.csv", "ab")

    assert writing.cat("sales/data/a.csv") == text_of("data/a.csv")


def test_an_object_that_is_too_large(writing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is refused before it is sent."""
    monkeypatch.setattr("flowfile_nb.team.files.MAX_UPLOAD_BYTES", 3)

    with pytest.raises(StorageError, match="4 bytes is not written by one link, which takes 3"):
        writing.pipe_file("sales/data/new.csv", b"four")


# Its end


@pytest.mark.parametrize("ask", [lambda lake: lake.ls("sales/data"), lambda lake: lake.cat("sales/data/2026/b.csv")])
def test_after_the_end_of_a_share_no_link_is_signed(team: Team, lake: Any, ask: Callable[[Any], Any]) -> None:
    """A filesystem that is bound already asks in vain, in the words of one that was never shared."""
    lake.cat("sales/data/a.csv")
    team.unshare()

    with pytest.raises(NoSuchConnectionError):
        ask(lake)


def test_a_link_is_good_for_a_minute(lake: Any, gate: Gate) -> None:
    """Whoever has it reads that object, and after a minute nothing; no longer one is to be had."""
    link = lake.sign("sales/data/a.csv")

    assert "X-Amz-Expires=60&" in link
    assert httpx.get(link).content == text_of("data/a.csv")
    gate.later_s = 61
    assert httpx.get(link).status_code == 403
    with pytest.raises(UsageError, match="the broker signs for 60 seconds"):
        lake.sign("sales/data/a.csv", expiration=3600)


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("GET", lambda link: link + "&acl"),
        ("GET", lambda link: link + "&versionId=1"),
        ("GET", lambda link: link + "&response-content-type=text/html"),
        ("GET", lambda link: link.replace("Expires=60", "Expires=604800")),
        ("GET", lambda link: link.replace("a.csv", "2026/b.csv")),
        ("GET", lambda link: link.replace("/data/", "/database/")),
        ("PUT", lambda link: link),
        ("DELETE", lambda link: link),
        ("HEAD", lambda link: link),
    ],
)
def test_a_link_is_for_one_object_and_one_method(lake: Any, method: str, change: Callable[[str], str]) -> None:
    """Whatever is changed or added to it, its signature is none any more."""
    link = lake.sign("sales/data/a.csv")

    assert httpx.get(link).status_code == 200
    assert httpx.request(method, change(link)).status_code == 403


def test_a_link_to_write_copies_nothing(writing: Any) -> None:
    """A header that would have the storage take another object in its place is not signed, and the storage refuses it."""
    url, _, headers = writing._sign("PUT", "sales/data/a.csv")

    copied = httpx.put(url, headers={**headers, "x-amz-copy-source": "/sales/database/secret.csv"})

    assert copied.status_code == 403
    assert writing.cat("sales/data/a.csv") == text_of("data/a.csv")


def test_a_shared_secret_in_an_own_description(team: Team, gate: Gate, shell: Shell) -> None:
    """Goes to the endpoint, bucket, prefix and key ID that its owner fixed, and nowhere else."""
    team.be_owner().sharing.share(Offer("secret", "lake_key", team.group))
    team.be_member()

    shell.run(f"%%connect mine\n{gate.body(ROOT)}")
    shell.run("mine.cat('sales/data/a.csv')")
    assert shell.result == text_of("data/a.csv")
    for body in (
        gate.body("payroll"),
        gate.body("sales"),
        gate.body("sales/database"),
        gate.body(ROOT).replace(gate.key_id, "AKIAOTHER"),
        gate.body(ROOT).replace("127.0.0.1", "localhost"),
    ):
        shell.run(f"%%connect other\n{body}")
        assert isinstance(shell.error, BindingError), body
    shell.run(f"%%connect other --as polars\n{gate.body(ROOT)}")
    assert isinstance(shell.error, UsageError)


def test_what_is_wrong_with_the_storage_is_said(team: Team, gate: Gate) -> None:
    """A key that the storage does not know, and a bucket that is not there."""
    owner = team.be_owner()
    owner.sharing.unshare("connection", "lake", team.group)
    owner.set("lake_key", "not the key", replace=True)

    with pytest.raises(Exception, match="the storage refused the key") as refused:
        team.share()
    assert "not the key" not in str(refused.value)
    owner.set("lake_key", gate.key, replace=True)
    owner.save_connection("lake", gate.body("nowhere"))
    with pytest.raises(Exception, match="there is no bucket of that name"):
        team.share()
