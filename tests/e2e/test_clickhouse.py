"""
A real ClickHouse, through its native protocol: Debian's server is older than what `clickhouse-connect` speaks with.

So `.ci/run` gives this file an environment of its own, with the dialect `clickhouse+native`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, NoSuchSecretError
from tests.support.postgres import HARD_PASSWORD
from tests.support.processes import ended_after, free_port, wait_for_port

pytestmark = [
    pytest.mark.e2e,
    # What these libraries say of themselves is not ours to mend.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a server whose one user `app` has a password of many special characters."""
    program = shutil.which("clickhouse-server", path="/usr/bin:/usr/sbin")
    assert program, "clickhouse-server is not installed"
    port = free_port()
    (tmp_path / "users.xml").write_text(
        f"""<yandex>
        <users><app><password_sha256_hex>{hashlib.sha256(HARD_PASSWORD.encode()).hexdigest()}</password_sha256_hex>
        <networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></app></users>
        <profiles><default/></profiles><quotas><default/></quotas></yandex>"""
    )
    (tmp_path / "config.xml").write_text(
        f"""<yandex><logger><level>warning</level><console>1</console></logger><timezone>UTC</timezone>
        <listen_host>127.0.0.1</listen_host><tcp_port>{port}</tcp_port><http_port>{free_port()}</http_port>
        <path>{tmp_path}/data/</path><tmp_path>{tmp_path}/tmp/</tmp_path><users_config>users.xml</users_config>
        <default_profile>default</default_profile><default_database>default</default_database>
        <mark_cache_size>5368709120</mark_cache_size></yandex>"""
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "tmp").mkdir()
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "--config-file=config.xml"], cwd=tmp_path, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    with process, ended_after(process):
        wait_for_port(process, port, 60, log)
        yield port


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
