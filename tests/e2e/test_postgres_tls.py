"""Encryption with a real PostgreSQL server: what opens, and what is said when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError
from tests.support.certificates import self_signed
from tests.support.postgres_tls import EncryptedPostgres, programs, running_encrypted_postgres

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(programs() is None, reason="no PostgreSQL server with TLS here:  apt-get install postgresql"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[EncryptedPostgres]:
    """One server for the tests of this file."""
    with running_encrypted_postgres() as server:
        yield server


@pytest.fixture(autouse=True)
def password(server: EncryptedPostgres, home: Path) -> None:
    """Its password is stored."""
    fnb.secrets["pw"] = server.password


def url(server: EncryptedPostgres, options: str, host: str = "localhost") -> str:
    """Return the connection as a user writes it."""
    return f"postgresql://{server.user}:%secret pw@{host}:{server.port}/postgres?{options}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_encrypted_without_looking_at_the_certificate(server: EncryptedPostgres, host: str) -> None:
    """`sslmode=require`, by any name of the host."""
    engine = fnb.connect(url(server, "sslmode=require", host))

    assert pd.read_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", engine)["ssl"].tolist() == [True]
    engine.dispose()


def test_verified(server: EncryptedPostgres) -> None:
    """`verify-full`, with the authority's file."""
    engine = fnb.connect(url(server, f"sslmode=verify-full&sslrootcert={server.root}"))

    assert pd.read_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", engine)["ssl"].tolist() == [True]
    engine.dispose()


def test_a_plain_connection_is_refused(server: EncryptedPostgres) -> None:
    """The server says so, and the hint says how to ask for encryption."""
    with pytest.raises(ConnectionFailedError, match="takes encrypted connections only") as caught:
        fnb.connect(url(server, "sslmode=disable"))

    assert "?sslmode=require" in caught.value.hint


def test_an_authority_that_is_not_trusted(server: EncryptedPostgres, tmp_path: Path) -> None:
    """A certificate that somebody else has signed."""
    with pytest.raises(ConnectionFailedError, match="not signed by an authority that is trusted here"):
        fnb.connect(url(server, f"sslmode=verify-full&sslrootcert={self_signed(tmp_path).certificate}"))


def test_a_certificate_of_another_host(server: EncryptedPostgres) -> None:
    """The authority is trusted, the name is not this one."""
    with pytest.raises(ConnectionFailedError, match="for another host name"):
        fnb.connect(url(server, f"sslmode=verify-full&sslrootcert={server.root}", "127.0.0.1"))


def test_a_missing_file(server: EncryptedPostgres) -> None:
    """The path of the authority's file is wrong."""
    with pytest.raises(ConnectionFailedError, match="a certificate's file cannot be read"):
        fnb.connect(url(server, "sslmode=verify-full&sslrootcert=/no/such/root.crt"))
