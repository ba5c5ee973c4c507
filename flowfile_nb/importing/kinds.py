"""Which format a file has: by its name, or as the user says."""

from __future__ import annotations

import os
from collections.abc import Callable

from flowfile_nb.errors import ImportSourceError
from flowfile_nb.importing.env_file import read_env
from flowfile_nb.importing.fields import Document, SyntaxAtError
from flowfile_nb.importing.ini_file import read_ini
from flowfile_nb.importing.json_file import read_json
from flowfile_nb.importing.source import Source
from flowfile_nb.importing.toml_file import read_toml

READERS: dict[str, Callable[[str], Document]] = {"env": read_env, "ini": read_ini, "toml": read_toml, "airflow": read_json}
_FORMATS = {"env": "a .env file", "ini": "an ini file", "toml": "TOML", "airflow": "JSON"}
_ENDINGS = {".env": "env", ".envrc": "env", ".ini": "ini", ".cfg": "ini", ".toml": "toml", ".json": "airflow"}


def kind_of(path: str) -> str:
    """
    Return the kind that a file's name says: `env`, `ini`, `toml` or `airflow`.

    Raises:
        ImportSourceError: If it says none.

    >>> kind_of("~/.jupysql/connections.ini"), kind_of(".env.local"), kind_of("prod.env")
    ('ini', 'env', 'env')
    """
    name = os.path.basename(path).lower()
    if name.startswith(".env.") or name in {".env", ".envrc", "env"}:
        return "env"
    kind = _ENDINGS.get(os.path.splitext(name)[1])
    if kind is None:
        as_json = "airflow connections export connections.json   writes JSON"
        raise ImportSourceError(
            f"what kind of file {path} is cannot be told from its name",
            hint=as_json if name.endswith((".yaml", ".yml")) else "--as env, ini, toml or airflow   says it",
        )
    return kind


def read_document(source: Source, kind: str) -> Document:
    """
    Return the fields of a file.

    Raises:
        ImportSourceError: If it is not of that kind. The message has the number of the line, and nothing of what it says.
        MissingDriverError: If a library is needed.
    """
    try:
        return READERS[kind](source.text)
    except SyntaxAtError as error:
        place = "" if error.line is None else f" at line {error.line}"
        reason = f": {error.reason}" if error.reason else ""
    except RecursionError:
        place, reason = "", ": too deeply nested"
    raise ImportSourceError(
        f"{source.path} is not {_FORMATS[kind]}{place}{reason}; nothing was stored",
        hint="mend the line, or say another kind with  --as env, ini, toml or airflow",
    ) from None
