"""An engine that is sent to another process goes as its description; that process asks its own store."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import pandas as pd
import pytest
import sqlalchemy

import flowfile_nb as fnb
from flowfile_nb.errors import NoSuchSecretError, UsageError
from notebooks.throwaway import Postgres

QUERY = "SELECT current_user || ' ' || application_name AS who FROM pg_stat_activity WHERE pid = pg_backend_pid()"


@pytest.fixture
def engine(postgres: Postgres) -> Any:
    """A real PostgreSQL through a stored password."""
    fnb.secrets["pg"] = postgres.password
    url = f"postgresql://{postgres.user}:%secret pg@{postgres.host}:{postgres.port}/{postgres.database}?application_name=nb"
    engine = fnb.connect(url)
    yield engine
    engine.dispose()


def read(engine: Any) -> str:
    """Return what the server says of the connection."""
    return str(pd.read_sql(QUERY, engine)["who"][0])


@pytest.mark.parametrize("module", [pickle, cloudpickle])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_holds_the_reference(engine: Any, postgres: Postgres, module: Any, protocol: int) -> None:
    """Not the value in any form; loaded, it is an engine that opens."""
    data = module.dumps(engine, protocol=protocol)

    texts = [argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)]
    assert "${secret:pg}" in "".join(texts)
    assert not any(postgres.password in text or f"{fnb.secrets['pg']:url}" in text for text in texts)
    loaded = pickle.loads(data)
    assert read(loaded) == "app nb"
    loaded.dispose()


def test_a_loaded_engine_can_be_sent_on(engine: Any) -> None:
    """From worker to worker."""
    loaded = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(engine))))

    assert read(loaded) == "app nb"
    loaded.dispose()


def test_parts_and_arguments_go_with_it(postgres: Postgres) -> None:
    """A description by parts, too, with the driver's arguments and the timeout."""
    fnb.secrets["pg"] = postgres.password
    parts = {"type": "postgresql", "host": postgres.host, "port": postgres.port, "user": postgres.user, "database": "sales"}
    engine = fnb.connect({**parts, "connect_args": {"application_name": "nb"}}, password="${secret:pg}")

    loaded = pickle.loads(pickle.dumps(engine))

    assert read(loaded) == "app nb"
    for each in (engine, loaded):
        each.dispose()


def test_what_holds_an_engine_is_sent_with_it(engine: Any) -> None:
    """Inside a container, twice: one engine on the other side."""
    one, two = pickle.loads(pickle.dumps((engine, [engine])))

    assert one is two[0]
    one.dispose()


def test_with_execution_options(engine: Any) -> None:
    """What `execution_options` returns goes with its options, as often as they were added to."""
    variant = engine.execution_options(logging_token="w").execution_options(isolation_level="AUTOCOMMIT")

    loaded = pickle.loads(pickle.dumps(variant))

    assert read(loaded) == "app nb"
    assert loaded.get_execution_options() == {"isolation_level": "AUTOCOMMIT", "logging_token": "w"}
    loaded.dispose()


def test_other_engines_are_as_they_were(engine: Any) -> None:
    """Only ours are pickled; a shallow copy and an engine that is not ours stay SQLAlchemy's matter."""
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(sqlalchemy.create_engine("sqlite://"))
    assert copy.copy(engine).url == engine.url


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "duckdb:///:memory:"])
def test_a_database_in_memory_is_not_sent(url: str) -> None:
    """It would be another, empty one there."""
    engine = fnb.connect(url)

    with pytest.raises(UsageError, match="in memory"):
        pickle.dumps(engine)

    engine.dispose()


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    "method", [method for method in ("fork", "spawn", "forkserver") if method in multiprocessing.get_all_start_methods()]
)
def test_multiprocessing(engine: Any, postgres: Postgres, method: str) -> None:
    """Each way to start a worker: it opens a connection of its own."""
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply(pd.read_sql, (QUERY, engine))
        pool.close()
        pool.join()

    assert found["who"][0] == "app nb"
    assert read(engine) == "app nb"


def test_a_worker_without_the_secret(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task fails with our error, and neither hangs nor takes the pool along; the hint says what would help."""
    monkeypatch.setenv("FLOWFILE_SECURE_STORAGE_PATH", str(tmp_path / "another"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(NoSuchSecretError) as caught:
            pool.apply(pd.read_sql, (QUERY, engine))
        assert pool.apply(abs, (-1,)) == 1
        pool.close()
        pool.join()

    assert "needs the secret 'pg'" in caught.value.message
    assert "FLOWFILE_SECRET_PG" in caught.value.hint


def test_a_worker_with_the_variable(engine: Any, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hint says works."""
    monkeypatch.setenv("FLOWFILE_SECURE_STORAGE_PATH", str(tmp_path / "another"))
    monkeypatch.setenv("FLOWFILE_SECRET_PG", postgres.password)

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(pd.read_sql, (QUERY, engine))["who"][0] == "app nb"
        pool.close()
        pool.join()


def test_joblib(engine: Any) -> None:
    """Its default workers, which get functions by cloudpickle."""

    def task(number: int, source: Any) -> str:
        return f"{number} " + str(pd.read_sql(QUERY, source)["who"][0])

    with joblib.parallel_config(backend="loky", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(task)(number, engine) for number in range(4))
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)

    assert found == [f"{number} app nb" for number in range(4)]


def test_joblib_caches_by_an_engine(engine: Any, tmp_path: Path, postgres: Postgres) -> None:
    """`Memory` hashes what it is given: the same for the same connection, and no value in its files."""
    memory = joblib.Memory(tmp_path, verbose=0)
    load = memory.cache(pd.read_sql)

    load(QUERY, engine)

    assert joblib.hash(engine) == joblib.hash(engine)
    assert load.check_call_in_cache(QUERY, engine)
    assert not any(postgres.password.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_dask(engine: Any, postgres: Postgres, tmp_path: Path) -> None:
    """Workers of `distributed` in processes of their own read partitions, each through its own connection."""
    import dask
    import distributed

    def part(start: int, source: Any) -> pd.DataFrame:
        frame = pd.read_sql(f"SELECT g AS number FROM generate_series({start}, {start + 9}) g", source)
        return frame.assign(pid=os.getpid(), source=repr(source))

    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**settings, local_directory=tmp_path) as cluster, distributed.Client(cluster):
        parts = dask.compute(*[dask.delayed(part)(start, engine) for start in range(0, 40, 10)])

    found = pd.concat(parts)
    assert found["number"].tolist() == list(range(40))
    assert os.getpid() not in set(found["pid"])
    assert not any(postgres.password in text for text in found["source"])
