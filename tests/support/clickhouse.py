"""A real ClickHouse that asks for a password, on free ports of this machine alone."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.postgres import HARD_PASSWORD
from tests.support.processes import ended_after, free_port, wait_for_port


class ClickHouse(NamedTuple):
    """A running server, and the login of its default database, which may do anything there."""

    host: str
    port: int
    http_port: int
    user: str
    password: str
    database: str
    folder: Path


@contextmanager
def running_clickhouse(password: str = HARD_PASSWORD) -> Iterator[ClickHouse]:
    """Start a server whose login `app` has *password*, and stop it at the end."""
    program = shutil.which("clickhouse-server", path="/usr/bin:/usr/sbin")
    assert program, "clickhouse-server is not installed"
    with tempfile.TemporaryDirectory(prefix="flowfile_nb_ch_") as home:
        folder = Path(home)
        server = ClickHouse("127.0.0.1", free_port(), free_port(), "app", password, "default", folder)
        (folder / "users.xml").write_text(
            f"""<yandex>
            <users><app><password_sha256_hex>{hashlib.sha256(password.encode()).hexdigest()}</password_sha256_hex>
            <networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></app></users>
            <profiles><default/></profiles><quotas><default/></quotas></yandex>"""
        )
        (folder / "config.xml").write_text(
            f"""<yandex><logger><level>warning</level><console>1</console></logger><timezone>UTC</timezone>
            <listen_host>127.0.0.1</listen_host><tcp_port>{server.port}</tcp_port><http_port>{server.http_port}</http_port>
            <path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path><users_config>users.xml</users_config>
            <user_files_path>{folder}/files/</user_files_path>
            <default_profile>default</default_profile><default_database>default</default_database>
            <mark_cache_size>536870912</mark_cache_size></yandex>"""
        )
        for name in ("data", "tmp", "files"):
            (folder / name).mkdir()
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "--config-file=config.xml"], cwd=folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        with process, ended_after(process):
            wait_for_port(process, server.port, 60, log)
            yield server
