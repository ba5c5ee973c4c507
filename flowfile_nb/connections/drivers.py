"""Which driver a database's bare name means, and what to install where it is missing."""

from __future__ import annotations

from typing import NamedTuple

from flowfile_nb.errors import MissingDriverError, UnknownSchemeError


class Driver(NamedTuple):
    """SQLAlchemy's name for a database with the driver we use, and the extra of ours that installs it."""

    dialect: str
    extra: str


DRIVERS = {
    "duckdb": Driver("duckdb", "duckdb"),
    "mariadb": Driver("mariadb+pymysql", "mysql"),
    "mysql": Driver("mysql+pymysql", "mysql"),
    "postgres": Driver("postgresql+psycopg", "postgresql"),
    "postgresql": Driver("postgresql+psycopg", "postgresql"),
    "sqlite": Driver("sqlite", "sql"),
}

# Where the name to import or to connect with is not the name to install.
_DISTRIBUTIONS = {
    "MySQLdb": "mysqlclient",
    "adlfs": "flowfile-nb[azure]",
    "bigquery": "sqlalchemy-bigquery",
    "clickhouse": "clickhouse-connect",
    "clickhousedb": "clickhouse-connect",
    "databricks": "databricks-sqlalchemy",
    "duckdb": "flowfile-nb[duckdb]",
    "duckdb_engine": "flowfile-nb[duckdb]",
    "gcsfs": "flowfile-nb[gcs]",
    "mysql.connector": "mysql-connector-python",
    "psycopg": "flowfile-nb[postgresql]",
    "psycopg2": "psycopg2-binary",
    "pymysql": "flowfile-nb[mysql]",
    "redshift": "sqlalchemy-redshift",
    "s3fs": "flowfile-nb[s3]",
    "snowflake": "snowflake-sqlalchemy",
    "sqlalchemy": "flowfile-nb[sql]",
    "trino": "trino[sqlalchemy]",
}


def missing(module: str, scheme: str) -> MissingDriverError:
    """Return the error for a library that is not installed: what needs it, and the exact command."""
    base = scheme.partition("+")[0]
    # Without SQLAlchemy the extra for the database at hand brings all that is missing, in one go.
    ours = f"flowfile-nb[{DRIVERS[base].extra}]" if base in DRIVERS and module == "sqlalchemy" else None
    return MissingDriverError(
        f"a connection of type {base!r} needs the library {module!r}, which is not installed",
        hint=f"pip install '{ours or _DISTRIBUTIONS.get(module, module)}'   and run the cell again",
    )


def unknown_scheme(name: str) -> MissingDriverError | UnknownSchemeError:
    """Return the error for a URL scheme or type that nothing installed here knows."""
    base = name.partition("+")[0]
    if base in _DISTRIBUTIONS:
        return missing(base, base)
    return UnknownSchemeError(
        f"no connection of type {name!r} is known", hint=f"known are {', '.join(sorted(DRIVERS))}, and every SQLAlchemy dialect"
    )
