"""Which name a credential gets: from its key, predictably, and no two the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from flowfile_nb.errors import UsageError

_AIRFLOW, _FLOWFILE = "AIRFLOW_CONN_", "FLOWFILE_SECRET_"
_MAX_CHARACTERS = 120


def base_name(path: Sequence[str], label: str) -> str:
    """
    Return the name for a credential at *path*; *label* says which part of the value it is.

    The key of a `.env` file stays as it is. Tables and sections stand before the key; `connections` is left out.
    What is not a letter, digit, `_`, `.` or `-` becomes `_`: so a reference to it needs no quotes anywhere.

    >>> base_name(["DB_PASSWORD"], ""), base_name(["DATABASE_URL"], "password")
    ('DB_PASSWORD', 'DATABASE_URL_PASSWORD')
    >>> base_name(["connections", "pg", "password"], ""), base_name(["AIRFLOW_CONN_PG"], "password")
    ('pg_password', 'pg_password')
    >>> base_name(["FLOWFILE_SECRET_PROD_PW"], "")
    'prod_pw'
    """
    name = "_".join(connection_path(path))
    if label:
        name += "_" + (label.upper() if name.isupper() else label)
    return re.sub(r"[^\w.-]+", "_", name).strip("_.-")[:_MAX_CHARACTERS].rstrip("_.-") or "secret"


def connection_path(path: Sequence[str]) -> list[str]:
    """Return *path* without what only says that a connection or a secret follows."""
    first, *rest = path
    if not rest:
        for prefix in (_AIRFLOW, _FLOWFILE):
            if first.startswith(prefix) and len(first) > len(prefix):
                return [first[len(prefix) :].lower()]
    return rest if rest and first == "connections" else [first, *rest]


def connection_name(path: Sequence[str]) -> str:
    """
    Return the name for a connection: one that can be a variable.

    >>> connection_name(["DATABASE_URL"]), connection_name(["connections", "prod db"]), connection_name(["AIRFLOW_CONN_PG"])
    ('database', 'prod_db', 'pg')
    """
    name = re.sub(r"\W+", "_", "_".join(connection_path(path))).strip("_")
    if len(path) == 1 and name.isupper():
        name = re.sub(r"(?<=.)_(?:url|uri|dsn)$", "", name.lower())
    return name if name and not name[0].isdigit() else f"_{name}"


def require_prefix(prefix: str) -> str:
    """
    Return *prefix* if names can begin with it.

    Raises:
        UsageError: If it has other characters than names made here.
    """
    if re.fullmatch(r"(?:\w[\w.-]*)?", prefix) is None:
        raise UsageError("a prefix has letters, digits, and  _ . -  after the first", hint="%secret import .env --prefix prod_")
    return prefix


def distinct(wanted: Iterable[tuple[str, str]]) -> list[str]:
    """
    Return a name for each (name, value): the same for the same value, and with `_2`, `_3` … where another value has it.

    The last one gets the name itself: where a key stands twice, that is the one in force.

    >>> distinct([("DB_PASSWORD", "old"), ("DB_PASSWORD", "new"), ("DB_PASSWORD", "new")])
    ['DB_PASSWORD_2', 'DB_PASSWORD', 'DB_PASSWORD']
    """
    pairs = list(wanted)
    taken = {name for name, _ in pairs}
    numbers: dict[str, int] = {}
    of_pair: dict[tuple[str, str], str] = {}
    for name, value in reversed(pairs):
        if (name, value) in of_pair:
            continue
        free = name
        while name in numbers and free in taken:
            numbers[name] += 1
            free = f"{name}_{numbers[name]}"
        numbers.setdefault(name, 1)
        taken.add(free)
        of_pair[name, value] = free
    return [of_pair[pair] for pair in pairs]
