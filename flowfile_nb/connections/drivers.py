"""Which driver a database's bare name means, and what to install where it is missing."""

from __future__ import annotations

from collections.abc import Sequence

from flowfile_nb.core.names import nearest
from flowfile_nb.errors import MissingDriverError, UnknownSchemeError

DIALECTS = {
    "bigquery": "bigquery",
    "clickhouse": "clickhousedb",
    "clickhousedb": "clickhousedb",
    "databricks": "databricks",
    "duckdb": "duckdb",
    "mariadb": "mariadb+pymysql",
    "mssql": "mssql+pymssql",
    "mysql": "mysql+pymysql",
    "oracle": "oracle+oracledb",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "snowflake": "snowflake",
    "sqlite": "sqlite",
    "sqlserver": "mssql+pymssql",
    "trino": "trino",
}
"""SQLAlchemy's names for databases, each with the driver that we use."""
# The extra of ours that installs it, where that is called otherwise than the database.
_EXTRAS = {"clickhousedb": "clickhouse", "mariadb": "mysql", "postgres": "postgresql", "sqlite": "sql", "sqlserver": "mssql"}

# Where the name to import or to connect with is not the name to install.
_DISTRIBUTIONS = {
    "MySQLdb": "mysqlclient",
    "adbc_driver_duckdb": "flowfile-nb[duckdb]",
    "adbc_driver_postgresql": "flowfile-nb[adbc]",
    "adbc_driver_sqlite": "flowfile-nb[adbc]",
    "adlfs": "flowfile-nb[azure]",
    "bigquery": "flowfile-nb[bigquery]",
    "clickhousedb": "flowfile-nb[clickhouse]",
    "databricks": "flowfile-nb[databricks]",
    "ibis": "flowfile-nb[ibis]",
    "duckdb": "flowfile-nb[duckdb]",
    "duckdb_engine": "flowfile-nb[duckdb]",
    "gcsfs": "flowfile-nb[gcs]",
    "mysql.connector": "mysql-connector-python",
    "paramiko": "flowfile-nb[sftp]",
    "psycopg": "flowfile-nb[postgresql]",
    "oracledb": "flowfile-nb[oracle]",
    "psycopg2": "psycopg2-binary",
    "pymssql": "flowfile-nb[mssql]",
    "pymysql": "flowfile-nb[mysql]",
    "redshift": "sqlalchemy-redshift",
    "s3fs": "flowfile-nb[s3]",
    "snowflake": "flowfile-nb[snowflake]",
    "sqlalchemy": "flowfile-nb[sql]",
    "trino": "flowfile-nb[trino]",
}

# What others call a kind, or what speaks another's protocol: what to write instead.
_S3_ELSEWHERE = 'type = "s3"   endpoint_url = "https://{name}.example.com"'
_ELSEWHERE = {
    **dict.fromkeys(("ceph", "minio", "r2", "wasabi"), _S3_ELSEWHERE),
    **dict.fromkeys(("aws", "s3a", "s3n"), 'type = "s3"'),
    **dict.fromkeys(("adl", "adls", "azure", "wasb", "wasbs"), 'type = "abfs"'),
    **dict.fromkeys(("gcp", "google"), 'type = "gs",  or  type = "bigquery"'),
    **dict.fromkeys(("api", "rest"), 'type = "https"'),
    **dict.fromkeys(("pg", "postgre", "psql"), 'type = "postgresql"'),
}


def missing(module: str, scheme: str) -> MissingDriverError:
    """Return the error for a library that is not installed: what needs it, and the exact command."""
    base = scheme.partition("+")[0]
    # Without SQLAlchemy the extra for the database at hand brings all that is missing, in one go.
    ours = f"flowfile-nb[{_EXTRAS.get(base, base)}]" if base in DIALECTS and module == "sqlalchemy" else None
    return MissingDriverError(
        f"a connection of type {base!r} needs the library {module!r}, which is not installed",
        hint=f"pip install '{ours or _DISTRIBUTIONS.get(module, module)}'   and run the cell again",
    )


def unloadable(scheme: str) -> MissingDriverError:
    """Return the error for a driver that is installed and cannot be loaded: a library of the system's is missing."""
    base, _, driver = scheme.partition("+")
    odbc = "install unixODBC (apt install unixodbc, brew install unixodbc), or connect without it:  mssql+pymssql://…"
    return MissingDriverError(
        f"the driver of {scheme!r} is installed, and a library of the system's that it needs is not",
        hint=odbc if driver == "pyodbc" else f"see the installation page of {driver or base}",
    )


def unknown_scheme(name: str, known: Sequence[str]) -> MissingDriverError | UnknownSchemeError:
    """Return the error for a URL scheme or type that nothing installed here knows, with the nearest of the *known* ones."""
    base = name.partition("+")[0]
    if base in _DISTRIBUTIONS:
        return missing(base, base)
    hint = f"known are {', '.join(known)}, and every SQLAlchemy dialect"
    if (meant := _ELSEWHERE.get(base.lower())) is not None:
        hint = f"did you mean  {meant.format(name=base.lower())}?"
    elif near := nearest(base.lower(), known):
        hint = f"did you mean {near!r}?"
    return UnknownSchemeError(f"no connection of type {name!r} is known", hint=hint)
