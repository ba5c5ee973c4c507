"""Which statements only read, by their first word: for databases whose read-only transactions do not hold everything in."""

from __future__ import annotations

import re

# A comment that begins with `!` or `M!` is none for MySQL and MariaDB: they run what is in it.
_SKIPPED = re.compile(r"(?:\s|\(|--(?=[\s\x00-\x1f])[^\n]*(?:\n|\Z)|#[^\n]*(?:\n|\Z)|/\*(?!M?!)(?:[^*]|\*(?!/))*\*/)*")
_READING = re.compile(r"(?:select|with|values|table|show|describe|desc|explain)\b", re.I)
_COMMENT = re.compile(r"/\*(?!M?!)(?:[^*]|\*(?!/))*\*/|--(?=[\s\x00-\x1f])[^\n]*|#[^\n]*|/\*M?!\d*|\*/")
# MariaDB's answers hold the login's own hash, which is one of its password without salt; and the last, since 11.7, another
# server's password.
_PASSWORDS = re.compile(r"[\s(]*(?:show|explain|describe|desc)\s+(?:grants|create\s+(?:user|server))\b", re.I)


def only_reads(statement: str) -> bool:
    """
    Return whether a statement begins as those do that read.

    That is no parser's judgement, and need not be one: what a SELECT may do besides, through functions, a read-only transaction
    stops. What ends that transaction first, such as SET PASSWORD or any DDL, begins with another word.

    Nor is read what the server keeps of passwords: SHOW GRANTS, SHOW CREATE USER and SHOW CREATE SERVER.

    >>> only_reads("SHOW /*! GRANTS */"), only_reads("show create/**/user"), only_reads("SHOW CREATE TABLE user")
    (False, False, True)
    >>> only_reads("/* hello */ (SELECT 1)"), only_reads("SET PASSWORD = 'x'"), only_reads("/*! SET PASSWORD = 'x' */")
    (True, False, False)
    """
    skipped = _SKIPPED.match(statement)
    assert skipped is not None
    if _PASSWORDS.match(_COMMENT.sub(" ", statement)) is not None:
        return False
    return _READING.match(statement, skipped.end()) is not None
