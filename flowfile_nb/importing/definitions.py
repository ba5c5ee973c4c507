"""Connections that a file describes, as definitions for `%connect`: references where the credentials were."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from flowfile_nb.connections.spec import read_spec
from flowfile_nb.core.references import StandIns
from flowfile_nb.errors import FlowfileNbError
from flowfile_nb.importing.fields import Field
from flowfile_nb.importing.naming import connection_name, distinct
from flowfile_nb.importing.plan import IMPORTED, Item, State, imported_by_field, with_references

# SQLAlchemy's dialects, its own and the usual others. What is none of these stays a secret without a connection.
_DATABASES = {"bigquery", "clickhouse", "clickhousedb", "cockroachdb", "databricks", "db2", "duckdb"}
_DATABASES |= {"firebird", "hana", "hive", "mariadb", "mssql", "mysql", "oracle", "postgres", "postgresql"}
_DATABASES |= {"presto", "redshift", "snowflake", "sqlite", "teradatasql", "trino", "vertica"}
_PARTS = ("username", "password", "host", "port", "database")
# Of what Airflow keeps as `extra`, only this is the same word for a driver of SQLAlchemy.
_CARRIED = {"application_name", "charset", "connect_timeout", "sslcert", "sslkey", "sslmode", "sslrootcert"}
_DEFAULTS = {*_PARTS, "drivername", "query"}
_MAX_QUERY = 4_000


class Definition(NamedTuple):
    """A connection to save."""

    name: str
    body: str
    """What `%%connect` takes; it holds no credential."""
    line: int
    path: tuple[str, ...]


def definitions(kind: str, fields: Sequence[Field], items: Sequence[Item]) -> list[Definition]:
    """
    Return the connections among *fields*, each of which `connections.read_spec` has understood.

    One whose credential is not imported is left out: its definition would hold the value, or refer to another.
    """
    literal = {id(item.field) for item in items if item.state not in IMPORTED and item.state is not State.PLAIN}
    imported = imported_by_field(items)
    found: list[Definition] = []
    for path, group in _groups(fields).items():
        if any(id(field) in literal for field in group.values()):
            continue
        texts = {key: with_references(field.value, imported.get(id(field), ())) for key, field in group.items()}
        first = min(group.values(), key=lambda field: field.line)
        has_credential = any(item.piece.label for item in imported.get(id(first), ()))
        body = _from_table(texts) if "" not in group else _from_value(path, texts[""], kind) if has_credential else None
        if body is not None and _is_understood(body):
            found.append(Definition(connection_name(path), body, first.line, path))
    # Other characters than those of a variable all become `_`: two may have one name then.
    names = distinct([(definition.name, definition.body) for definition in reversed(found)])
    return [definition._replace(name=name) for definition, name in zip(found, reversed(names), strict=True)]


def _groups(fields: Sequence[Field]) -> dict[tuple[str, ...], dict[str, Field]]:
    """Return the fields by what stands above their key; one that is a connection by itself under the key `''`."""
    # Only what a connection is made of: there may be as many defaults as sections.
    defaults = {field.path[1]: field for field in fields if field.path[:-1] == ("DEFAULT",) and field.path[1] in _DEFAULTS}
    groups: dict[tuple[str, ...], dict[str, Field]] = {}
    for field in fields:
        above, key = field.path[:-1], field.path[-1]
        if above and above != ("DEFAULT",):
            if above not in groups:
                groups[above] = dict(defaults)
            groups[above][key] = field
        if len(above) > 1 and above[-1] in {"query", "extra"}:
            groups.setdefault(above[:-1], {})[f"{above[-1]}.{key}"] = field
        if ("://" in field.value or '"conn_type"' in field.value) and not (above and key == "url"):
            groups.setdefault(field.path, {})[""] = field
    return groups


def _from_table(texts: Mapping[str, str]) -> str | None:
    if "conn_type" in texts:
        return _from_airflow({"schema": texts.get("schema", ""), **texts})
    if "url" in texts and _is_database(texts["url"].partition(":")[0]):
        return texts["url"]
    dialect, driver = texts.get("drivername") or texts.get("dialect", ""), texts.get("driver", "")
    if not _is_database(dialect):
        return None
    parts: dict[str, Any] = {"type": f"{dialect}+{driver}" if driver and "+" not in dialect else dialect}
    parts |= {key: texts[key] for key in _PARTS if texts.get(key)}
    query = _query(texts.get("query", ""))
    nested = {key.removeprefix("query."): item for key, item in texts.items() if key.startswith("query.")}
    return None if query is None else _toml(parts, {**query, **nested})


def _from_value(path: Sequence[str], text: str, kind: str) -> str | None:
    if text.lstrip().startswith("{"):
        found = json.loads(text)
        return _from_airflow({key: str(item) for key, item in found.items() if isinstance(item, (str, int))})
    scheme = text.partition(":")[0]
    if kind == "airflow" or path[-1].startswith("AIRFLOW_CONN_"):
        return _from_airflow_uri(text)
    return text if _is_database(scheme) else None


def _from_airflow(texts: Mapping[str, str]) -> str | None:
    if not _is_database(texts.get("conn_type", "")):
        return None
    renamed = {"username": "login", "database": "schema"}
    parts: dict[str, Any] = {"type": texts["conn_type"]}
    parts |= {key: texts[renamed.get(key, key)] for key in _PARTS if texts.get(renamed.get(key, key))}
    extras = {key.removeprefix("extra."): item for key, item in texts.items()}
    try:
        extras |= json.loads(texts.get("extra", "") or "{}")
    except (TypeError, ValueError, RecursionError):
        extras = {}
    return _toml(parts, {key: str(item) for key, item in extras.items() if key in _CARRIED})


def _from_airflow_uri(text: str) -> str | None:
    """
    Read a URI by Airflow's rules.

    Source: Airflow, `Connection._parse_from_uri`: the path without its first `/` is the schema, each part is percent-decoded,
    the query is `extra` or has it as `__extra__`, and in `conn_type` a `-` stands for `_`.
    """
    marked = StandIns(text)
    try:
        parsed = urlsplit(marked.text)
        port = parsed.port
    except ValueError:
        return None
    query = dict(parse_qsl(parsed.query))
    texts = {
        "conn_type": parsed.scheme.replace("-", "_"),
        "login": unquote(parsed.username or ""),
        "password": unquote(parsed.password or ""),
        # `hostname` is in lower case, which a socket's path need not be.
        "host": unquote(re.sub(r":\d*\Z", "", parsed.netloc.rpartition("@")[2])),
        "port": str(port or ""),
        "schema": unquote(parsed.path[1:]),
        **({"extra": query["__extra__"]} if "__extra__" in query else {key: query[key] for key in _CARRIED & set(query)}),
    }
    return _from_airflow({key: marked.restore(item) for key, item in texts.items()})


def _query(text: str) -> dict[str, str] | None:
    if not text.strip():
        return {}
    try:
        found = ast.literal_eval(text) if len(text) <= _MAX_QUERY else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return {str(key): str(item) for key, item in found.items()} if isinstance(found, dict) else None


def _toml(parts: Mapping[str, Any], query: Mapping[str, str]) -> str | None:
    lines = []
    for key, item in parts.items():
        if key == "port":
            if not re.fullmatch(r"[0-9]{1,5}", item):
                return None
            lines.append(f"port = {int(item)}")
        else:
            lines.append(f"{key} = {_text(item)}")
    if query:
        lines += ["", "[query]", *(f"{_text(key)} = {_text(item)}" for key, item in query.items())]
    return "\n".join(lines)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_database(scheme: str) -> bool:
    return scheme.partition("+")[0].lower() in _DATABASES


def _is_understood(body: str) -> bool:
    try:
        read_spec(body)
    except (FlowfileNbError, ValueError, RecursionError):
        return False
    return True
