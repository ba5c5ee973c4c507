"""APIs, places for files and Kafka in workers: each way to start one gets the description, and asks the store that is there."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import joblib
import polars as pl
import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import NoSuchSecretError
from tests.support.http_server import Answer, Request, running
from tests.support.kafka_broker import running_broker
from tests.support.sftp import running_sftp

# What was loaded is left to the garbage collector, as it is in workers.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

PASSWORD = "canary-p@ss/word"


class Place(NamedTuple):
    """A server that lets nobody in without the password, how to describe it, and what proves that it was asked."""

    described: dict[str, Any]
    use: Callable[[Any], str]


def read_api(api: Any) -> str:
    """Return what the server says to whom has the password."""
    return str(api.get("/").text)


def read_file(filesystem: Any) -> str:
    """Return the file."""
    return str(filesystem.cat("/sales/answer.csv").decode())


def read_topics(kafka: Any) -> str:
    """Return how many topics the broker has, which it says after the login."""
    return f"{len(kafka.admin({'log_level': 0}).list_topics(timeout=10).topics)} topics"


@contextmanager
def api(folder: Path) -> Iterator[Place]:
    def answer(request: Request) -> Answer:
        good = request.headers.get("authorization") == f"Bearer {PASSWORD}"
        return Answer(200, body=b"welcome") if good else Answer(401)

    with running() as server:
        server.answer = answer
        yield Place({"type": "http", "url": server.url, "token": "%secret pw"}, read_api)


@contextmanager
def files(folder: Path) -> Iterator[Place]:
    with running_sftp(folder / "root", PASSWORD) as server:
        place = {"type": "sftp", "host": "127.0.0.1", "port": server.port, "username": server.user}
        yield Place({**place, "host_key": server.host_key, "password": "%secret pw"}, read_file)


@contextmanager
def topics(folder: Path) -> Iterator[Place]:
    with running_broker("app", PASSWORD) as port:
        login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "app"}
        parts = {"type": "kafka", "bootstrap_servers": f"127.0.0.1:{port}", **login}
        yield Place({**parts, "sasl_password": "%secret pw"}, read_topics)


@pytest.fixture(params=[api, files, topics], ids=["api", "files", "kafka"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """One kind after the other, with the password stored."""
    fnb.secrets["pw"] = PASSWORD
    with request.param(tmp_path) as found:
        yield found
        gc.collect()


@pytest.fixture
def native(place: Place) -> Any:
    """The opened connection, which works here."""
    native = fnb.connect(place.described)
    assert place.use(native) in {"welcome", "answer\n42\n", "0 topics"}
    return native


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_a_pickle_holds_the_reference(place: Place, native: Any, module: Any) -> None:
    """The value is not in it in any form; loaded, it asks with what is stored then."""
    data = module.dumps([native])

    assert b"canary" not in data
    (loaded,) = pickle.loads(data)
    assert place.use(loaded) == place.use(native)
    del fnb.secrets["pw"]
    with pytest.raises(NoSuchSecretError, match="needs the secret 'pw'"):
        place.use(pickle.loads(data)[0])


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    "method", [method for method in ("fork", "spawn") if method in multiprocessing.get_all_start_methods()]
)
def test_multiprocessing(place: Place, native: Any, method: str) -> None:
    """A process that is forked, and one that is started anew; this one's connection goes on afterwards."""
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(place.use, (native,)) == place.use(native)
        pool.close()
        pool.join()


def test_a_worker_without_the_secret(place: Place, native: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task fails with our error, and what the hint says works; the pool goes on."""
    monkeypatch.setenv("FLOWFILE_SECURE_STORAGE_PATH", str(tmp_path / "another"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(NoSuchSecretError) as caught:
            pool.apply(place.use, (native,))
        assert pool.apply(abs, (-1,)) == 1
        pool.close()
        pool.join()
    assert "FLOWFILE_SECRET_PW" in caught.value.hint

    monkeypatch.setenv("FLOWFILE_SECRET_PW", PASSWORD)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(place.use, (native,)) in {"welcome", "answer\n42\n", "0 topics"}
        pool.close()
        pool.join()


def test_joblib(place: Place, native: Any, tmp_path: Path) -> None:
    """Its default workers; and `Memory`, which hashes what it is given, keeps no value."""
    with joblib.parallel_config(backend="loky", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(place.use)(native) for _ in range(3))
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    memory = joblib.Memory(tmp_path / "cache", verbose=0)

    assert found == [place.use(native)] * 3
    assert memory.cache(place.use)(native) == found[0]
    assert joblib.hash(native) == joblib.hash(native)
    assert not any(b"canary" in path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_dask(place: Place, native: Any, tmp_path: Path) -> None:
    """A worker of `distributed` in a process of its own."""
    import dask
    import distributed

    settings = {"n_workers": 1, "threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**settings, local_directory=tmp_path / "dask") as cluster, distributed.Client(cluster):
        (found,) = dask.compute(dask.delayed(place.use)(native))

    assert found == place.use(native)


def test_a_scan_of_polars_is_not_sent() -> None:
    """What would take the login along is refused in words that say what to do."""
    fnb.secrets["pw"] = PASSWORD
    parts = {"type": "s3", "bucket": "sales", "access_key_id": "AKIA", "secret_access_key": "%secret pw"}
    lake = fnb.connect({**parts, "region": "eu-central-1"}, as_="polars")
    scan = pl.scan_parquet("s3://sales/a.parquet", **lake)

    for send in (lambda: pickle.dumps(lake), lambda: cloudpickle.dumps(lake["credential_provider"]), scan.serialize):
        with pytest.raises(Exception, match="%connect NAME --as polars") as refused:
            send()
        assert "canary" not in str(refused.value)
