"""Options of a database that no driver takes, and what is said twice: told before anything is opened."""

from __future__ import annotations

from typing import Any

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionSpecError

HERE = {"type": "postgresql", "host": "h"}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("description", "what", "meant"),
    [
        ({"type": "postgresql", "hsot": "h"}, "'hsot'", "'host'"),
        ({**HERE, "pasword": "${secret:v}"}, "'pasword'", "'password'"),
        ({**HERE, "usrname": "me"}, "'usrname'", "'username'"),
        ({**HERE, "sslmod": "require"}, "'sslmod'", "'sslmode'"),
        ({**HERE, "connect_args": {"aplication_name": "x"}}, "'aplication_name'", "'application_name'"),
        ({**HERE, "conect_args": {"application_name": "x"}}, "no table 'conect_args'", "[connect_args]"),
        ({**HERE, "tls": {"ca": "x"}}, "no table 'tls'", "[query], [connect_args]"),
        ("postgresql://app@h/x?sslmod=require", "'sslmod'", "'sslmode'"),
        ("postgresql://app@h/x?ssl_ca=/x.pem", "'ssl_ca'", "'sslrootcert'"),
        ("postgresql://app@h/x?gibberish=1", "'gibberish'", "its keys are"),
        ("postgresql://app@h/x?c@nary!=1", "no option of that name", "its keys are"),
        ({"type": "mysql", "host": "h", "databse": "x"}, "'databse'", "'database'"),
        ("mysql://app@h/x?sslmode=require", "'sslmode'", "'ssl_ca'"),
        ("mysql://app@h/x?charst=utf8mb4", "'charst'", "'charset'"),
        ({"type": "sqlite", "databse": "x"}, "'databse'", "'database'"),
        ("sqlite:///x.db?mode=ro", "'mode' only of a file", "uri=true"),
        ({"type": "duckdb", "databse": "x"}, "'databse'", "'database'"),
        ({"type": "oracle", "host": "h", "pasword": "${secret:v}"}, "'pasword'", "'password'"),
        ({**HERE, "user": "a", "username": "b"}, "'user' and 'username'", "one of the two"),
        ({"type": "trino", "host": "h", "catalog": "a", "database": "b"}, "'catalog' and 'database'", "one of the two"),
        ("postgresql://app@h/x?sslmode=require&sslmode=disable", "'sslmode' twice", "one of the two"),
        ("postgresql://app:%secret v@h/x?password=${secret:v}", "'password' twice", "one of the two"),
        ("postgresql://app@h/x?host=elsewhere", "'host' twice", "one of the two"),
        ("postgresql://app@h/x?dbname=y", "'dbname' twice", "one of the two"),
        ({**HERE, "connect_args": "x"}, "connect_args is a table", "[connect_args]"),
        ({**HERE, "ssh_host": "bastion"}, "'ssh_host' is for an SSH tunnel", "ssh -N -L 5433:db.example.com:5432"),
        ({**HERE, "ssh_tunnel": {"host": "bastion", "user": "me"}}, "'ssh_tunnel' is for", 'host = "localhost"   port = 5433'),
        ({"type": "mssql", "host": "h", "bastion_host": "b"}, "'bastion_host' is for an SSH tunnel", "ssh -N"),
        ({"type": "snowflake", "account": "a", "connect_args": {"ssh_user": "b"}}, "'ssh_user' is for an SSH tunnel", "ssh -N"),
        ("mysql://app@h/x?ssh_host=bastion", "'ssh_host' is for an SSH tunnel", "ssh -N"),
        ({**HERE, "engine": {"isolation_level": "${secret:v}"}}, "cannot hold one", "in the place of a value"),
    ],
)
def test_a_wrong_option_is_said_with_the_nearest(description: Any, what: str, meant: str) -> None:
    """Two lines: which one, and what was meant."""
    fnb.secrets["v"] = "a value"

    with pytest.raises(ConnectionSpecError) as caught:
        fnb.connect(description, test=False)

    assert what in caught.value.message
    assert meant in caught.value.hint
    assert len(str(caught.value).split("\n")) == 2


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "description",
    [
        "postgresql://app@h/x?sslmode=verify-full&sslrootcert=/x.pem&application_name=nb&options=-c%20a%3Db",
        "postgresql:///x?host=h1:5432&host=h2:5432",
        "postgresql:///x?user=me&host=/var/run/postgresql",
        "postgresql://app@h/x?autocommit=true",
        {**HERE, "prepare_threshold": 0, "connect_args": {"autocommit": True, "prepare_threshold": None}},
        {**HERE, "query": {"sslmode": "require"}, "engine": {"pool_size": 2}},
        "mysql://app@h/x?charset=utf8mb4&ssl_ca=/x.pem&ssl_check_hostname=false",
        {"type": "mysql", "host": "h", "connect_args": {"ssl": {"ca": "/x.pem"}, "init_command": "SET a = 1"}},
        "sqlite:///file:/x.db?mode=ro&uri=true",
        "sqlite:///x.db?timeout=5&check_same_thread=false",
        "duckdb:///:memory:?threads=2",
        "trino://me@h/catalog?source=nb",
        "oracle://me:%secret v@h?service_name=sales",
    ],
)
def test_what_the_driver_takes_passes(description: Any) -> None:
    """Its own options, SQLAlchemy's, and several hosts."""
    fnb.secrets["v"] = "a value"

    fnb.connect(description, test=False).dispose()
