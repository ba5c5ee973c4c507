"""What to do about a description that was not understood: what people write elsewhere, and how it is written here."""

from __future__ import annotations

import re

from flowfile_nb.connections.literals import is_credential
from flowfile_nb.connections.spec import BOTH_FORMS
from flowfile_nb.core.expression import expression
from flowfile_nb.core.references import StandIns

_QUOTED = expression(r"\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|#.*")
# A value that is no number, date, boolean, string, list or table.
_BARE = expression(
    r"^[ \t]*(?P<key>[A-Za-z][\w-]{0,40})[ \t]*=[ \t]*(?!(?:true|false|inf|nan)\b)(?:[A-Za-z_/~{$]|\d+\.\d+\.)", re.MULTILINE
)
# (what the text looks like, with "" for each text in quotes; what to do); the first that matches counts. No value is quoted.
# After a line's beginning no `\\s*`: of many empty lines each would be gone through from each.
_REMEDIES = (
    (r"\s*jdbc:", f"without  jdbc: ,  user and password before the host:  {BOTH_FORMS.partition('  ')[2].partition('   ')[0]}"),
    (r"\s*[^\W\d]\w*\s*\Z", f"one that is saved opens by its name:  %connect NAME   To describe one, {BOTH_FORMS}"),
    (r"\s*\S+\.(?:db|duckdb|sqlite3?)\s*\Z", "a file is described by  sqlite:///data.db  or  duckdb:///data.duckdb"),
    (r"\s*\{", 'a key stands on a line of its own, without braces and commas:  type = "postgresql"'),
    (
        r"(?s)(?!.*^[ \t]*[\w.-]+[ \t]*=).*^[ \t]*[\w-]+[ \t]*:\s",
        'between a key and its value stands  = :   type = "postgresql"',
    ),
    (r"(?s).*^[ \t]*[\w-]+[ \t]*=[ \t]*[^\s=,]+[ \t]+[\w-]+[ \t]*=", 'each key stands on a line of its own:  host = "…"'),
    (r"(?s).*^[ \t]*[\w.-]+[ \t]*=[ \t]*(?:\"\"|[\w.]+)[ \t]*[,;][ \t]*$", "no comma stands at the end of a line"),
)


def remedy(text: str) -> str:
    """
    Return what to do about text that is neither a URL nor TOML; no value of it is quoted.

    >>> remedy("type: postgresql")
    'between a key and its value stands  = :   type = "postgresql"'
    """
    if re.match(r"\s*([\"'])[A-Za-z][\w+.-]*://.*\1\s*\Z", text):
        return "leave out the quotes round the URL"
    plain = _QUOTED.sub('""', StandIns(text).text)
    for pattern, what in _REMEDIES:
        if re.match(pattern, plain, re.MULTILINE):
            return what
    if bare := _BARE.search(plain):
        key = bare["key"]
        if is_credential(key):
            return f"{key} = %secret NAME   (no variable and no code is put in here)"
        return f'text stands in quotes:  {key} = "…"'
    return BOTH_FORMS
