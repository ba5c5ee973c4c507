"""
A real ClickHouse, through its native protocol: Debian's server is older than what `clickhouse-connect` speaks with.

So `.ci/run` gives this file an environment of its own, with the dialect `clickhouse+native`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, NoSuchSecretError
from tests.support.clickhouse import running_clickhouse
from tests.support.postgres import HARD_PASSWORD

pytestmark = [
    pytest.mark.e2e,
    # What these libraries say of themselves is not ours to mend.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server whose one user `app` has a password of many special characters."""
    with running_clickhouse() as server:
        yield server.port


def test_late_binding(port: int) -> None:
    """Pandas reads with the hard password; a wrong one is refused in two lines, and a deleted one stops the next connection."""
    fnb.secrets["ch"] = fnb.secrets["right"] = HARD_PASSWORD
    url = f"clickhouse+native://app:%secret ch@127.0.0.1:{port}/default"

    engine = fnb.connect(url)
    assert pd.read_sql("SELECT user AS who FROM system.processes", engine)["who"].tolist() == ["app"]

    fnb.secrets["ch"] = "wrong-canary"
    engine.dispose()
    with pytest.raises(ConnectionFailedError) as caught:
        fnb.connect(url)
    assert "wrong-canary" not in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2
    assert "the server refused the user or the password" in caught.value.message
    with pytest.raises(ConnectionFailedError, match="has no database of that name"):
        fnb.connect(f"clickhouse+native://app:%secret right@127.0.0.1:{port}/nowhere")

    del fnb.secrets["ch"]
    with pytest.raises(NoSuchSecretError):
        engine.connect()
