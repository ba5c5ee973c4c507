"""Connections as other tools are told of them: in code, on a command line, in a DSN; and how the same is written here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flowfile_nb.connections.examples import example, lines
from flowfile_nb.core.expression import expression

QUERY_ELSEWHERE = (
    'only the connection is described here; a query stands in another cell:  pandas.read_sql("select 1", warehouse)'
)
_NO_CODE = "no Python runs in this cell"

# Code: with "" for each text in quotes.
_IMPORT = expression(r"^[ \t]*(?:import[ \t]+(?P<module>[\w.]+)|from[ \t]+(?P<package>[\w.]+)[ \t]+import\b)", re.MULTILINE)
_CALL = expression(r"^[ \t]*(?:\w+[ \t]*=[ \t]*)?(?:await[ \t]+|with[ \t]+)?(?P<called>[A-Za-z_][\w.]*)\(", re.MULTILINE)
_TYPE = expression(r"^[ \t]*type[ \t]*=", re.MULTILINE)
_QUERY = expression(r"\bread_sql\w*$|\.(?:execute|query|sql)$")
_URL = expression(r"(?P<prefix>\b[rRfF]{1,2})?[\"'](?P<kind>[A-Za-z][A-Za-z0-9+]{0,30})://")
_KINDS_OF_CODE = {
    r"psycopg|asyncpg|pg8000": "postgresql",
    r"mysql|MySQLdb": "mysql",
    r"mariadb": "mariadb",
    r"sqlite3": "sqlite",
    r"duckdb": "duckdb",
    r"oracledb|cx_Oracle": "oracle",
    r"pyodbc|pymssql": "mssql",
    r"snowflake": "snowflake",
    r"databricks": "databricks",
    r"bigquery": "bigquery",
    r"trino": "trino",
    r"clickhouse": "clickhouse",
    r"boto|s3fs|S3FileSystem": "s3",
    r"gcsfs|GCSFileSystem|storage\.Client": "gs",
    r"adlfs|AzureBlob|BlobService": "abfs",
    r"paramiko|sftp": "sftp",
    r"kafka|Kafka|Consumer|Producer": "kafka",
    r"requests|httpx|urllib|aiohttp": "https",
}

_SQL = expression(
    r"\s*(?:--[^\n]*\s+)*(?:select|with|insert|update|delete|create|alter|drop|show|describe|explain|attach|use)\s+[\w\"*(]",
    re.IGNORECASE,
)
_PROGRAMS = {
    **dict.fromkeys(("psql", "pg_dump", "pgcli"), "postgresql"),
    **dict.fromkeys(("mysql", "mysqldump", "mycli"), "mysql"),
    **dict.fromkeys(("sqlcmd", "bcp"), "mssql"),
    **dict.fromkeys(("curl", "wget", "http", "GET", "POST"), "https"),
    **dict.fromkeys(("sftp", "ssh", "scp"), "sftp"),
    **dict.fromkeys(("kcat", "kafkacat"), "kafka"),
    **dict.fromkeys(("clickhouse", "clickhouse-client"), "clickhouse"),
    "aws": "s3",
    "bq": "bigquery",
    "duckdb": "duckdb",
    "gsutil": "gs",
    "mariadb": "mariadb",
    "snowsql": "snowflake",
    "sqlite3": "sqlite",
    "sqlplus": "oracle",
    "trino": "trino",
}
_COMMAND = expression(r"\s*[!$]?[ \t]*(?P<program>[A-Za-z][\w-]*)[ \t]+(?P<rest>[^=\s][^\n]*)")
_URL_ALONE = expression(r"[A-Za-z][A-Za-z0-9+]*://\S+")

_VARIABLE = expression(r"^[ \t]*(?:export[ \t]+|set[ \t]+|\$env:)?(?P<name>[A-Z][A-Z0-9_]*)[ \t]*=", re.MULTILINE)
_VARIABLES = {
    "PG": "postgresql",
    "POSTGRES": "postgresql",
    "MYSQL": "mysql",
    "MARIADB": "mariadb",
    "MSSQL": "mssql",
    "ORACLE": "oracle",
    "SNOWFLAKE": "snowflake",
    "DATABRICKS": "databricks",
    "CLICKHOUSE": "clickhouse",
    "TRINO": "trino",
    "KAFKA": "kafka",
    "AWS": "s3",
    "S3": "s3",
}

_JDBC = expression(r"\s*jdbc:(?P<kind>[a-z0-9]+)", re.IGNORECASE)
_OF_JDBC = {"sqlserver": "mssql", "ch": "clickhouse", "awsathena": "athena"}
# ODBC's, ADO's, Npgsql's, libpq's, and Oracle's Easy Connect: how that begins, and what to write, or the kind.
_DSNS = (
    (r"(?:driver|dsn)\s*=[^\n]*;", "write  mssql+pyodbc:///?odbc_connect=  before it, without quotes, all on one line"),
    (r"(?:server|data source)\s*=[^\n;]*;", "mssql"),
    (r"host\s*=[^\n;]*;", "postgresql"),
    (
        r"(?:(?:host|hostaddr|dbname|user|port|password|service)\s*=\s*[^\s=]+(?:[ \t]+|[\"']?\s*\Z)){2,}",
        "postgresql",
    ),
    (r"[^\s/:@]+/[^\n@]*@(?://)?[\w.-]+(?::\d+)?/[\w.]+\s*\Z", f"write  {example('oracle')}"),
)
_ADDRESS = expression(r"\s*(?:[\w.-]+(?::[^@\s]*)?@)?[\w.-]+(?::(?P<port>\d+))?(?:/[\w.-]*)?\s*\Z")
_BACKSLASHES = expression(r"\s*(?P<kind>[A-Za-z][A-Za-z0-9+]*):\\\\")
_PORTS = {"3306": "mysql", "1433": "mssql", "1521": "oracle", "8123": "clickhouse", "8443": "https", "9092": "kafka"}


def otherwise_written(text: str, plain: str) -> str | None:
    """
    Return how it is written here what *text* says in another tool's way; None where that is not known. No value is quoted.

    Args:
        text: What is neither a URL nor TOML, with a word in place of each reference.
        plain: The same with `""` for each text in quotes.

    >>> otherwise_written("jdbc:sqlserver://h:1433;databaseName=sales", "jdbc:sqlserver://h:1433;databaseName=sales")
    'without  jdbc: ,  user and password before the host:  mssql://app:%secret NAME@db.example.com/sales'
    """
    if found := _JDBC.match(plain):
        kind = found["kind"].lower()
        return f"without  jdbc: ,  user and password before the host:  {example(_OF_JDBC.get(kind, kind))}"
    ways = (_in_code(text, plain), _on_a_command_line(text, plain), _in_variables(plain), _as_a_dsn(text))
    if (told := next(filter(None, ways), None)) is not None:
        return told
    if _SQL.match(plain):
        return QUERY_ELSEWHERE
    return None


def of_variables(names: Iterable[str]) -> str:
    """Return the lines that say here what environment variables say, whose kind is told by how they begin."""
    kind = next((kind for name in names for prefix, kind in _VARIABLES.items() if name.startswith(prefix)), "postgresql")
    return f"no environment variables are set here: write  {lines(kind)}"


def _in_code(text: str, plain: str) -> str | None:
    calls = [] if _TYPE.search(plain) else [found["called"] for found in _CALL.finditer(plain)]
    modules = [found["module"] or found["package"] for found in _IMPORT.finditer(plain)]
    if not calls and not modules:
        return None
    if any(map(_QUERY.search, calls)):
        return QUERY_ELSEWHERE
    found = _URL.search(text)
    if found and found["kind"].lower() not in {"http", "https"}:
        formatted = ",  with  %secret NAME  in place of  {…}" if found["prefix"] and found["prefix"].lower() != "r" else ""
        return f"{_NO_CODE}: leave only the URL, without code and quotes{formatted}:  {example(found['kind'].lower())}"
    words = " ".join([*calls, *modules])
    kind = next((kind for pattern, kind in _KINDS_OF_CODE.items() if re.search(pattern, words)), None)
    in_lines = kind in {None, "https"}
    return f"{_NO_CODE}: write  {lines(kind or 'postgresql') if in_lines else example(str(kind))}"


def _on_a_command_line(text: str, plain: str) -> str | None:
    found = _COMMAND.match(plain)
    kind = _PROGRAMS.get(found["program"]) if found else None
    if found is None or kind is None:
        return None
    program = found["program"]
    if kind == "https":
        return f"no commands run in this cell: write  {lines(kind)}"
    if _URL_ALONE.fullmatch(found["rest"].strip()):
        return f"leave only the URL, without  {program}:  {example(kind)}"
    return f"no commands run in this cell: write  {example(kind)}"


def _in_variables(plain: str) -> str | None:
    found = _VARIABLE.search(plain)
    if found is None:
        return None
    if re.match(r"[ \t]*[A-Za-z][A-Za-z0-9+]*://", plain[found.end() :]):
        return f"leave only the URL, without  {found['name']}="
    return of_variables(other["name"] for other in _VARIABLE.finditer(plain))


def _as_a_dsn(text: str) -> str | None:
    # Stripped here: an expression with two places for blanks tries all ways to share them out.
    text = text.strip(" \t\r\n\"'")
    for pattern, written in _DSNS:
        if re.match(pattern, text, re.IGNORECASE):
            return written if "  " in written else f"write  {lines(written)}"
    if found := _BACKSLASHES.match(text):
        return f"behind the kind stand slashes,  :// :  {example(found['kind'].lower())}"
    found = _ADDRESS.match(text)
    if found and any(mark in text for mark in ":@/"):
        return f"it begins with the kind of the connection:  {example(_PORTS.get(found['port'], 'postgresql'))}"
    return None
