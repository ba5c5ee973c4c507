"""A description of each kind that can be copied: what hints show."""

from __future__ import annotations

from flowfile_nb.connections.keys import Key

_URLS = {
    **dict.fromkeys(("abfs", "abfss", "az"), "{kind}://container@account.dfs.core.windows.net/path?account_key=%secret NAME"),
    **dict.fromkeys(("gs", "gcs"), "{kind}://bucket/prefix?service_account_key=%secret NAME"),
    **dict.fromkeys(("http", "https"), "{kind}://api.example.com/v1?api_key=%secret NAME"),
    **dict.fromkeys(("sftp", "ssh"), "{kind}://app:%secret NAME@files.example.com/path"),
    "duckdb": "duckdb:///data.duckdb",
    "oracle": "oracle://app:%secret NAME@db.example.com:1521/?service_name=sales",
    "s3": "s3://AKIA…:%secret NAME@bucket/prefix?region=eu-central-1",
    "sqlite": "sqlite:///data.db",
    "trino": "trino://app:%secret NAME@trino.example.com:443/catalog/schema",
}
# Those whose parts are not those of a URL.
_IN_LINES = {"bigquery", "databricks", "kafka", "snowflake"}
_SHOWN = {"bucket", "container", "database", "service_name", "username"}
_LINES_OF_API = 'type = "https"   url = "https://api.example.com/v1"   token = %secret NAME'


def example(kind: str) -> str:
    """
    Return a description of a kind: a URL, or TOML where it has none.

    >>> example("mysql"), example("sqlite")
    ('mysql://app:%secret NAME@db.example.com/sales', 'sqlite:///data.db')
    """
    base = kind.partition("+")[0]
    if base in _IN_LINES:
        return lines(kind)
    return _URLS.get(base, "{kind}://app:%secret NAME@db.example.com/sales").format(kind=kind)


def lines(kind: str) -> str:
    """
    Return the TOML lines that describe a kind, side by side, since a hint is one line.

    >>> lines("duckdb")
    'type = "duckdb"   database = "/home/me/data.duckdb"   (each on a line of its own)'
    """
    # Imported here: nobody else of those who read a description needs the families.
    from flowfile_nb.connections.families import declared_keys

    if kind.partition("+")[0] in {"http", "https"}:
        return f"{_LINES_OF_API}   (each on a line of its own)"
    keys = declared_keys(kind)
    secret = next((key for key in keys if key.secret), None)
    shown = [key for key in keys if key.required or key is secret or key.name in _SHOWN]
    return "   ".join([f'type = "{kind}"', *map(_line, shown), "(each on a line of its own)"])


def _line(key: Key) -> str:
    return f"{key.name} = %secret NAME" if key.secret else f'{key.name} = "{key.example}"'
