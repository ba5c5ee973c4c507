"""
DuckDB's errors through a filesystem that somebody has registered with it: named where it is sure which one it was.

In a kernel of its own, for it counts which filesystems a process has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import flowfile_nb as fnb
from tests.connections.test_described_storage import toml
from tests.connections.test_storage_forms import KEY, PATHS, azure, files, google, google_key, parquet, service, sftp
from tests.notebook.test_later_errors_of_forms import body, s3
from tests.support.http_server import Server
from tests.support.kernel import Kernel, running_kernel
from tests.support.processes import free_port
from tests.support.s3 import S3Server
from tests.support.sftp import SftpServer

__all__ = ["google_key", "parquet", "s3", "service", "sftp"]

CANARY = "wrong-canary-key"
S3_PATH = "s3://sales/2026/answer.parquet"


@pytest.fixture
def kernel(home: Path) -> Iterator[Kernel]:
    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb\nimport duckdb")
        yield kernel


def read(kernel: Kernel, path: str, through: str = "lake") -> str:
    """Read a file with a DuckDB of one's own, with which a filesystem is registered."""
    kernel.run(f"of_{through} = duckdb.connect()\nof_{through}.register_filesystem({through})")
    shown = kernel.run(f"of_{through}.sql(\"FROM '{path}'\").fetchall()")
    content = kernel.messages[-1]["content"]
    # Without what libraries write at any moment about what they clean up.
    return "\n".join(content["traceback"]) if content["status"] == "error" else shown


def connect(kernel: Kernel, description: str, name: str = "lake", option: str = "") -> None:
    """Open a filesystem by the magic."""
    said = kernel.run(f"%%connect {name}{option}\n{description}")
    assert f": {name} = " in said, said


def short(shown: str, says: str, hint: str) -> None:
    """See that an error is told in three lines."""
    lines = shown.strip().split("\n")
    assert len(lines) == 3, shown
    assert says in lines[0]
    assert re.match(r"Cell In\[\d+\], line 1:  of_\w+\.sql\(", lines[1]), shown
    assert lines[2] == f"hint: {hint};  %tb  shows the whole traceback"


@pytest.mark.parametrize("kind", ["gs", "abfs", "sftp"])
def test_a_secret_that_is_gone(
    kernel: Kernel, kind: str, service: Server, google_key: dict[str, str], sftp: SftpServer
) -> None:
    """DuckDB tells Python's exception in a text alone; with one such filesystem it is known which it was."""
    if kind == "gs":
        parts, path, place = google(service, google_key), PATHS["gs"], f"gs://sales at {service.url}"
    elif kind == "sftp":
        parts, path, place = files(sftp), "sftp:///sales/answer.parquet", f"sftp://app@127.0.0.1:{sftp.port}"
    else:
        fnb.secrets["lake_key"] = KEY
        parts, path = azure(service, account_key="%secret lake_key"), PATHS["abfs"]
        place = f"abfs://sales@account at {service.url}"
    connect(kernel, body({**parts}))
    assert "(42,)" in read(kernel, path)
    del fnb.secrets["lake_key"]

    short(
        read(kernel, path),
        f"Error: no secret named 'lake_key'   (in {place})",
        "In a headless run it is given by FLOWFILE_SECRET_LAKE_KEY;  stored:  %secret set lake_key",
    )


def test_a_key_that_is_refused_and_what_is_not_there(kernel: Kernel, s3: S3Server) -> None:
    """With the secret's age and what to do; and how to see what is there."""
    fnb.secrets["lake_key"] = s3.key
    connect(kernel, toml(s3, prefix=""))
    absent = f'No files found that match the pattern "s3://sales/none.csv"   (in s3://sales at {s3.url})'
    short(read(kernel, "s3://sales/none.csv"), absent, 'what is there:  lake.ls("sales")')
    fnb.secrets["lake_key"] = CANARY

    short(
        read(kernel, S3_PATH),
        f"could not use s3://sales at {s3.url} with secret 'lake_key' (stored just now): that is refused",
        "whoever runs the storage can tell which;  to store another key:  %secret set lake_key --replace",
    )

    assert CANARY not in kernel.run("%tb") + kernel.shown()


def test_two_of_a_kind(kernel: Kernel, s3: S3Server) -> None:
    """Which it was is said where the text names the place of one, and else nothing: also once one was closed."""
    fnb.secrets["lake_key"] = fnb.secrets["other_key"] = s3.key
    gone = f"http://127.0.0.1:{free_port()}"
    connect(kernel, toml(s3, prefix=""))
    elsewhere = toml(s3, prefix="", endpoint_url=f'"{gone}"').replace("lake_key", "other_key")
    connect(kernel, elsewhere, "other", " --no-test")

    short(
        read(kernel, S3_PATH, "other"),
        f"could not use s3://sales at {gone} with secret 'other_key' (stored just now): no server answers there",
        "check host and port, the VPN, and whether the server is up",
    )
    kernel.run("%connect -x other")
    fnb.secrets["lake_key"] = CANARY
    shown = read(kernel, S3_PATH)
    assert "Traceback" in shown
    assert "other_key" not in shown


def test_one_of_a_kind_that_duckdb_opened(kernel: Kernel, sftp: SftpServer) -> None:
    """What `--as duckdb` has opened is not blamed for what another DuckDB did not find."""
    connect(kernel, body(files(sftp)), "duck", " --as duckdb")
    assert "(in sftp://app@" in kernel.run("duck.sql(\"FROM 'sftp:///sales/none.csv'\")")

    kernel.run("other = duckdb.connect()\nfrom fsspec.implementations.local import LocalFileSystem")
    kernel.run("class Files(LocalFileSystem):\n    protocol = 'sftp'\nother.register_filesystem(Files())")
    shown = kernel.run("other.sql(\"FROM 'sftp:///nowhere/absent.csv'\")")

    assert "No files found" in shown
    assert "Traceback" in shown
    assert "(in sftp://app@" not in shown


def test_a_filesystem_of_a_librarys_own(kernel: Kernel, s3: S3Server) -> None:
    """What somebody has made without us is not taken for the one that is ours."""
    fnb.secrets["lake_key"] = s3.key
    connect(kernel, toml(s3, prefix=""))
    kernel.run(f"import s3fs\nplain = s3fs.S3FileSystem(key='A', secret='b', endpoint_url={s3.url!r})")

    shown = read(kernel, S3_PATH, "plain")

    assert "PermissionError" in shown
    assert "Traceback" in shown
    assert "lake_key" not in shown
