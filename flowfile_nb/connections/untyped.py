"""What to do about a description that does not say what it describes: no type, or a database's URL among other keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowfile_nb.connections.families import is_storage, kinds
from flowfile_nb.connections.mistyped import mistakes_in
from flowfile_nb.connections.other_notations import of_variables
from flowfile_nb.core.expression import expression
from flowfile_nb.core.names import nearest, quoted
from flowfile_nb.core.references import StandIns, names_in, reference
from flowfile_nb.errors import ConnectionSpecError

_TYPE_ELSEWHERE = {
    *("adapter", "backend", "conn_type", "connector", "database_type", "db_type", "dbms", "dbtype", "dialect", "driver"),
    *("drivername", "engine", "flavor", "kind", "protocol", "provider", "scheme", "source", "system", "vendor"),
}
_URL_ELSEWHERE = {
    *("address", "base_url", "connection", "connection_url", "conn_str", "database_url", "db_url", "dsn", "jdbc_url", "link"),
    *("sqlalchemy_url", "uri", "url"),
}
_FORM = {"as", "as_", "as_form", "form"}
_URL = expression(r"\s*(?P<jdbc>jdbc:)?(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):/", re.IGNORECASE)
_VARIABLE = expression(r"[A-Z][A-Z0-9]*_?[A-Z0-9_]+")
_NAME = expression(r"[\w.-]{1,40}")
# What a key tells of the kind.
_TOLD = {
    "account": "snowflake",
    "bootstrap.servers": "kafka",
    "bootstrap_servers": "kafka",
    "bucket": "s3",
    "container": "abfs",
    "credentials_json": "bigquery",
    "http_path": "databricks",
    "service_name": "oracle",
    "token": "https",
}
_NO_TYPE = "the description says no type"


def untyped(parts: Mapping[str, Any]) -> ConnectionSpecError:
    """Return what is said of a description without a type. Of its values only the kind is quoted, where it is one."""
    if not parts:
        return ConnectionSpecError("the description of the connection is empty", hint='connect("postgresql://…")')
    told = _in_tables(parts) or _called_otherwise(parts) or _by_a_url(parts)
    if told is not None:
        return told
    if any(_VARIABLE.fullmatch(key) for key in parts):
        return ConnectionSpecError(f"{_NO_TYPE}: its keys are environment variables'", hint=of_variables(parts))
    kind = next((kind for key, kind in _TOLD.items() if key in parts), "postgresql")
    return ConnectionSpecError(_NO_TYPE, hint=f'type = "{kind}"   (or mysql, sqlite, duckdb …)')


def takes_keys(scheme: str) -> bool:
    """Return whether a URL of that kind may have keys beside it: an API's and a storage's, and no database's."""
    return scheme in {"http", "https"} or is_storage(scheme)


def apart(url: object, parts: Mapping[str, Any]) -> str:
    """Return what to do about a URL beside other keys, whose type it does not fit, or that says none."""
    text = str(url)
    scheme = text.partition(":")[0].lower()
    if not takes_keys(scheme):
        return f"write this line alone:  {alone(text, parts)}"
    return f'type = "{scheme}"   ' + ("is the type of such a url" if "type" in parts else "beside the url")


def alone(url: str, parts: Mapping[str, Any]) -> str:
    """
    Return a database's URL that says alone what it says beside other keys, but for the values of options.

    >>> alone("postgresql://db/sales", {"user": "app", "password": "${secret:pw}", "sslmode": "require"})
    'postgresql://app:%secret pw@db/sales?sslmode=…'
    """
    marked = StandIns(url.removeprefix("jdbc:"))
    before, _, query = marked.text.partition("?")
    scheme, _, rest = before.partition("://")
    login, _, place = rest.rpartition("@")
    user, _, password = (_spelled(marked.restore(part)) for part in login.partition(":"))
    user = user or _login(parts.get("username", parts.get("user", "")))
    password = password or _login(parts.get("password", ""))
    login = f"{user or 'app'}:{password}@" if password else f"{user}@" if user else ""
    keys = [*re.findall(r"(?:^|&)([\w.]+)=", query), *(key for key in parts if _NAME.fullmatch(key))]
    options = "&".join(f"{key}=…" for key in keys if key not in {"type", "url", "user", "username", "password"})
    return f"{scheme}://{login}{marked.restore(place)}" + (f"?{options}" if options else "")


def _in_tables(parts: Mapping[str, Any]) -> ConnectionSpecError | None:
    names = [key for key, item in parts.items() if isinstance(item, Mapping)]
    if len(names) != len(parts) or not all({"type", "url", "host"} & parts[name].keys() for name in names):
        return None
    if len(names) > 1:
        hint = "keep the lines of one table, without the line with its name:  [NAME]"
        return ConnectionSpecError("the description has several tables, and a cell describes one connection", hint=hint)
    name = names[0] if _NAME.fullmatch(names[0]) else "…"
    return ConnectionSpecError(
        f"{_NO_TYPE}: all it says stands in the table [{name}]",
        hint=f"leave out the line  [{name}]   (the name stands in the first line of the cell:  %%connect warehouse)",
    )


def _called_otherwise(parts: Mapping[str, Any]) -> ConnectionSpecError | None:
    for key, item in parts.items():
        if not isinstance(item, str) or not _NAME.fullmatch(key):
            continue
        said = key.lower()
        if said in _FORM:
            return ConnectionSpecError(
                f"{_NO_TYPE}, and {key!r} is none of its keys",
                hint='type = "postgresql"  says where to; a form stands in the first line:  %%connect warehouse --as duckdb',
            )
        if said in _TYPE_ELSEWHERE or mistakes_in(said, "type") <= 1:
            return ConnectionSpecError(
                f"{_NO_TYPE}, and {key!r} is none of its keys",
                hint=f'did you mean  type = "{_kind(item) or "postgresql"}"  in place of  {key}?',
            )
    return None


def _by_a_url(parts: Mapping[str, Any]) -> ConnectionSpecError | None:
    for key, item in parts.items():
        found = _URL.match(item) if isinstance(item, str) and _NAME.fullmatch(key) else None
        if found is None or not (len(parts) == 1 or _is_for_a_url(key)):
            continue
        if found["jdbc"]:
            hint = "leave only the URL, without  jdbc:  and with user and password before the host"
            return ConnectionSpecError(f"{_NO_TYPE}, and {key!r} is a URL of Java's", hint=hint)
        scheme = found["scheme"].lower()
        if len(parts) == 1:
            return ConnectionSpecError(_NO_TYPE, hint=f"leave only the URL, without  {key} =  and quotes")
        others = {name: said for name, said in parts.items() if name != key}
        what = _NO_TYPE if takes_keys(scheme) else f"{_NO_TYPE}; a database's URL has no other keys beside it"
        called = f",  and  url  in place of  {key}" if takes_keys(scheme) and key not in {"base_url", "url"} else ""
        return ConnectionSpecError(what, hint=apart(item, others) + called)
    return None


def _is_for_a_url(key: str) -> bool:
    return key.lower() in _URL_ELSEWHERE or mistakes_in(key.lower(), "url") <= 1


def _kind(text: str) -> str | None:
    """Return the kind that another tool's word for it means: `postgresql+psycopg2`, `django.db.backends.mysql`."""
    word = text.strip().lower().rpartition(".")[2].partition("+")[0]
    known = kinds()
    return word if word in known else "mssql" if "sql server" in word else nearest(word, known, 0.8)


def _login(item: object) -> str:
    """Return a user or a password that may be shown: a plain name, or a reference."""
    text = _spelled(str(item))
    return text if text.startswith("%secret ") or re.fullmatch(r"[\w.-]+", text) else ""


def _spelled(text: str) -> str:
    names = names_in(text)
    return f"%secret {quoted(names[0])}" if names and text == reference(names[0]) else text
