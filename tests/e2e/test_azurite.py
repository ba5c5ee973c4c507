"""A container of Azure's that is shared: owner, member, a broker in a process of its own, and Microsoft's own emulator."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pandas as pd
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from flowfile_nb.errors import ConnectionFailedError, NoSuchConnectionError, ObjectRefusedError, StorageError
from flowfile_nb.team.entries import Offer
from flowfile_nb.team.opening import open_named
from tests.support.processes import ended_after, free_port, wait_for_port
from tests.support.real_broker import RealBroker, running_real_broker

_PROGRAM = Path(__file__).parent / "azurite" / "node_modules" / ".bin" / "azurite-blob"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("node") is None, reason="no node here"),
    pytest.mark.skipif(not _PROGRAM.exists(), reason="no Azurite here: .ci/run has the line that installs it"),
]

ACCOUNT = "devstoreaccount1"
# The emulator's, which its documentation tells everybody.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
NAMES = ["data/2026/b.csv", "data/2026/c d+ü%2F#?.csv", "data/a.csv", "database/secret.csv"]


class Emulator(NamedTuple):
    """A running emulator with one container, `sales`."""

    port: int
    container: ContainerClient

    def body(self) -> str:
        """Return the description of `sales/data`."""
        return (
            f'type = "abfs"\naccount = "{ACCOUNT}"\ncontainer = "sales"\nprefix = "data"\n'
            f'endpoint_url = "http://127.0.0.1:{self.port}"\naccount_key = %secret lake_key'
        )


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator; the library may be newer than it."""
    folder, port = tmp_path_factory.mktemp("azurite"), free_port()
    log = folder / "log"
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
    command = ["node", str(_PROGRAM), *options, "--skipApiVersionCheck", "--disableTelemetry"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    with ended_after(process):
        wait_for_port(process, port, 60, log)
        url = f"http://127.0.0.1:{port}/{ACCOUNT}"
        with BlobServiceClient(url, credential={"account_name": ACCOUNT, "account_key": KEY}) as service:
            container = service.create_container("sales")
            for name in NAMES:
                container.upload_blob(name, f"key\n{name}\n")
            yield Emulator(port, container)


class Team(NamedTuple):
    """Who shares, and who has what is shared."""

    owner: Any
    group: str
    lake: Any


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    """A broker in a process of its own, on a unix socket."""
    with running_real_broker() as running:
        yield running


@pytest.fixture(params=["read", "write"])
def team(
    request: pytest.FixtureRequest, broker: RealBroker, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Team]:
    """An owner, and what a member has of her container."""
    owner, member = broker.somebody(), broker.somebody()
    sharing = broker.be("root", monkeypatch, admin=True).sharing
    sharing.create(f"of-{owner}")
    for user, role in ((owner, "owner"), (member, "member")):
        sharing.set_member(f"of-{owner}", user, role)
    owners = broker.be(owner, monkeypatch)
    owners.set("lake_key", KEY, replace=False)
    owners.save_connection("lake", emulator.body())
    owners.sharing.share(Offer("connection", "lake", f"of-{owner}", access=request.param), confirmed=True)
    lake = open_named(broker.be(member, monkeypatch), "lake", test=True, as_=None, timeout_s=None).native
    yield Team(owners, f"of-{owner}", lake)
    lake.close()


reading = pytest.mark.parametrize("team", ["read"], indirect=True)
writing = pytest.mark.parametrize("team", ["write"], indirect=True)


@reading
def test_a_member_reads(team: Team) -> None:
    """Lists, patterns, whole objects and parts, whatever their names; nothing of what lies beside."""
    lake = team.lake

    assert lake.ls("sales/data", detail=False) == ["sales/data/2026", "sales/data/a.csv"]
    assert lake.glob("abfs://sales/data/**/*.csv") == [f"sales/{name}" for name in NAMES[:3]]
    for name in NAMES[:3]:
        assert lake.cat(f"sales/{name}") == f"key\n{name}\n".encode()
    assert lake.cat_file("sales/data/a.csv", 4, 8) == b"data"
    with lake.open("sales/data/a.csv") as file:
        assert pd.read_csv(file)["key"].tolist() == ["data/a.csv"]
    for refuse in (lake.cat, lake.ls):
        with pytest.raises(ObjectRefusedError, match="is not within 'sales/data'"):
            refuse("sales/database/secret.csv")
    with pytest.raises(ObjectRefusedError, match="nothing is written"):
        lake.open("sales/data/new.csv", "wb")


@reading
def test_an_object_that_is_replaced_while_it_is_read(team: Team, emulator: Emulator) -> None:
    """Is no mixture of both."""
    emulator.container.upload_blob("data/changing.csv", b"one two")
    with team.lake.open("sales/data/changing.csv", block_size=3, cache_type="none") as file:
        file.read(3)
        emulator.container.upload_blob("data/changing.csv", b"something else", overwrite=True)
        with pytest.raises(StorageError, match="was replaced while it was read"):
            file.read(3)
    emulator.container.delete_blob("data/changing.csv")


@reading
def test_a_link_is_for_one_object_to_read_and_for_a_minute(team: Team) -> None:
    """What is changed in it, or done with it besides, the emulator refuses."""
    link = team.lake.sign("sales/data/a.csv")
    asked = httpx.URL(link).params

    assert httpx.get(link).text == "key\ndata/a.csv\n"
    left = dt.datetime.fromisoformat(asked["se"].replace("Z", "+00:00")) - dt.datetime.now(dt.timezone.utc)
    assert 0 < left.total_seconds() <= 60
    for method, changed in [
        ("GET", link.replace("a.csv", "2026/b.csv")),
        ("GET", link.replace("se=2026", "se=2036").replace("se=2027", "se=2037")),
        ("GET", link.replace("sp=r", "sp=rwd")),
        ("GET", link + "&comp=tags"),
        ("PUT", link),
        ("DELETE", link),
    ]:
        assert httpx.request(method, changed, headers={"x-ms-blob-type": "BlockBlob"}).status_code == 403, changed
    assert "Signature" not in repr(vars(team.lake))


@writing
def test_a_member_writes(team: Team) -> None:
    """Where the share is for that: written, read again, deleted."""
    lake = team.lake
    pd.DataFrame({"x": [1]}).to_parquet("sales/data/new.parquet", filesystem=lake)

    assert pd.read_parquet("sales/data/new.parquet", filesystem=lake)["x"].tolist() == [1]
    lake.rm("sales/data/new.parquet")
    assert not lake.exists("sales/data/new.parquet")


@reading
def test_a_share_that_ends_and_a_key_that_is_none(team: Team) -> None:
    """No link more; and a wrong key is said when it is shared."""
    team.owner.sharing.unshare("connection", "lake", team.group)
    with pytest.raises(NoSuchConnectionError):
        team.lake.cat("sales/data/a.csv")

    for key in ("d3Jvbmc=", "not base64"):
        team.owner.set("lake_key", key, replace=True)
        with pytest.raises(ConnectionFailedError, match="the storage refused the key") as failed:
            team.owner.sharing.share(Offer("connection", "lake", team.group))
        assert key not in str(failed.value)
