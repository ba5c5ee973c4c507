"""What to do about a description that was not understood: what people write elsewhere, and how it is written here."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from flowfile_nb.connections.literals import is_credential
from flowfile_nb.connections.other_notations import QUERY_ELSEWHERE, otherwise_written
from flowfile_nb.connections.spec import BOTH_FORMS
from flowfile_nb.core.expression import expression
from flowfile_nb.core.references import StandIns

_QUOTED = expression(r"\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|#.*")
_URL_IN_QUOTES = expression(r"\s*(?P<formatted>[fF]?)[rR]?[\"'`<][A-Za-z][\w+.-]*://.*[\"'`>][,;]?\s*\Z")
_CURLY = expression("[\u2018\u2019\u201c-\u201e\xab\xbb]")
_TYPE_OF_YAML = expression(r"^[ \t]*(?:-[ \t]+)?type[ \t]*:", re.MULTILINE)
# (what the text looks like, with "" for each text in quotes; what to do); the first that matches counts. No value is quoted.
# After a line's beginning no `\\s*`: of many empty lines each would be gone through from each.
_ALONE = (
    (r"\s*%{1,2}connect\b", "leave out that line: only what stands below it describes the connection"),
    (r"\s*[^\W\d]\w*\s*\Z", f"one that is saved opens by its name:  %connect NAME   To describe one, {BOTH_FORMS}"),
    (r"\s*\S+\.(?:db|duckdb|sqlite3?)\s*\Z", "a file is described by  sqlite:///data.db  or  duckdb:///data.duckdb"),
)
_EQUALS = "between a key and its value stands  = , and text stands in quotes"
_NOTATIONS = (
    (r"\s*\{", 'a key stands on a line of its own, without braces and commas, and before its value  = :  type = "postgresql"'),
    (r"(?s)(?!.*^[ \t]*[\w.-]+[ \t]*=).*^[ \t]*(?:-[ \t]+)?[\w-]+[ \t]*:\s", _EQUALS),
    (
        r"(?s).*^[ \t]*[\w-]+[ \t]*=[ \t]*[^\s=,;]+[ \t]*[ \t,;][ \t]*[\w-]+[ \t]*=",
        'each key stands on a line of its own:  host = "…"',
    ),
    (
        r"(?s).*^[ \t]*[\w.-]+[ \t]*=[ \t]*(?:\"\"|[\w.]+)[ \t]*[,;][ \t]*$",
        "no comma stands at the end of a line, and no semicolon",
    ),
)


def remedy(text: str) -> str:
    """
    Return what to do about text that is neither a URL nor TOML; no value of it is quoted.

    >>> remedy("type: postgresql")
    'between a key and its value stands  = , and text stands in quotes:  type = "postgresql"'
    """
    marked = StandIns(text).text.strip()
    if found := _URL_IN_QUOTES.match(marked):
        variables = ",  and the  f  before them: no f-string is filled in.  Write  %secret NAME  in place of  {…}"
        return "leave out the quotes round the URL" + (variables if found["formatted"] else "")
    if _CURLY.search(marked):
        return 'quotes are straight here, " and not \u201c:  type = "postgresql"'
    plain = _QUOTED.sub('""', marked)
    told = _first(_ALONE, plain) or otherwise_written(marked, plain) or _first(_NOTATIONS, plain)
    if told == _EQUALS:
        # Where it does not say a type, that is missing beside.
        return f'{told}{"" if _TYPE_OF_YAML.search(plain) else "; the first line says the kind"}:  type = "postgresql"'
    return told or _of_a_line(plain) or BOTH_FORMS


def beside_a_url(others: Sequence[str]) -> str:
    """Return what to do about the *others* of a description's lines, of which the first is a URL."""
    text = "\n".join(others)
    if text.lstrip().startswith("--"):
        return "options stand in the first line of the cell:  %%connect warehouse --save"
    plain = _QUOTED.sub('""', text)
    if re.match(r"\s*[\w.-]+[ \t]*=[ \t]*\S", plain) and "(" not in plain:
        return f"leave only the URL; an option stands in it behind a  ? :  \u2026/database?sslmode=require   Or {BOTH_FORMS}"
    if (told := otherwise_written(text, plain)) is not None:
        return QUERY_ELSEWHERE if told == QUERY_ELSEWHERE else "leave only the URL; the code stands in another cell"
    return "leave only the URL; before a comment stands  #"


def _first(remedies: Sequence[tuple[str, str]], plain: str) -> str:
    return next((what for pattern, what in remedies if re.match(pattern, plain, re.MULTILINE)), "")


def _of_a_line(plain: str) -> str:
    """Return what to do about the first line of a kind that TOML does not have; empty where there is none."""
    for pattern, written in _LINES:
        if found := re.search(rf"^[ \t]*\"?(?P<key>[A-Za-z][\w-]{{0,40}})\"?[ \t]*{pattern}", plain, re.MULTILINE):
            return written(found["key"])
    return ""


def _without_code(key: str) -> str:
    if is_credential(key):
        return f"{key} = %secret NAME   (no variable and no code is put in here)"
    return f"text stands in quotes:  {_line(key)}"


def _line(key: str) -> str:
    """Return how a key with its value is written."""
    if key.lower() in {"authorization", "proxy-authorization"}:
        return f'{key} = "Bearer %secret NAME"'
    return f"{key} = %secret NAME" if is_credential(key) else f'{key} = "\u2026"'


# What follows a key in a line that is none of TOML's, and what to do.
_LINES: Sequence[tuple[str, Callable[[str], str]]] = (
    (
        r"=[ \t]*\{[ \t]*(?:\"\"|\w+)[ \t]*:",
        lambda key: f'in braces, too, stands  =  before a value:  {key} = {{X-Team = "\u2026"}}',
    ),
    (r":\s", lambda key: f"between a key and its value stands  = :  {_line(key)}"),
    (r"=[ \t]*[fFrRbB]{1,2}\"\"", lambda key: f"no letter stands before quotes, and no f-string is filled in:  {_line(key)}"),
    (r"=[ \t]*(?:True|TRUE|yes|on)[ \t]*$", lambda key: f"{key} = true"),
    (r"=[ \t]*(?:False|FALSE|no|off)[ \t]*$", lambda key: f"{key} = false"),
    (r"=[ \t]*(?:None|null|NULL)[ \t]*$", lambda key: f"leave out the line of  {key}: what is not said is not set"),
    (r"=[ \t]*$", lambda key: f"behind the  =  stands a value:  {_line(key)}"),
    # A value that is no number, date, boolean, string, list or table.
    (r"=[ \t]*(?!(?:true|false|inf|nan)\b)(?:[A-Za-z_/~{$%]|\d+\.\d+\.)", _without_code),
)
