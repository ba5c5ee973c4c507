"""Which statements begin as those do that read."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.broker.engines import reading
from flowfile_nb.broker.engines.reading import only_reads

_COMMENT = st.sampled_from(["/* SELECT */", "/**/", "/* * / ** */", "-- SELECT\n", "# SELECT\n", " ", "\n\t", "("])


@pytest.mark.parametrize(
    "word", ["SELECT 1", "with c as (select 1) select 1", "Show tables", "TABLE t", "VALUES (1)", "EXPLAIN x"]
)
@given(st.lists(_COMMENT))
def test_what_reads_is_let_through(word: str, before: list[str]) -> None:
    """Whatever comments and brackets stand before it."""
    assert only_reads("".join(before) + word)


@pytest.mark.parametrize(
    "text",
    [
        *("SET PASSWORD = 'x'", "/*! SET x */ SELECT 1", "/*!50000 SET x */", "/*M! SET x */ SELECT 1", "--SELECT 1", ""),
        *("SELECTED", "BEGIN NOT ATOMIC SELECT 1; END", "CALL p()", "DO 1", "/* SELECT 1", "-- SELECT 1", "HANDLER t OPEN"),
        *("SHOW GRANTS", "show create/**/user", "SHOW CREATE SERVER s", "SHOW /*! CREATE */ SERVER s"),
        *("'SELECT'", "`SELECT`", "{SELECT", "\\ SELECT"),
    ],
)
@given(st.lists(_COMMENT))
def test_everything_else_is_not(text: str, before: list[str]) -> None:
    """A comment that a server runs is no comment, and a dash more or less makes none."""
    assert not only_reads("".join(before) + text)


def test_the_example_in_the_docstring() -> None:
    """It runs as it stands."""
    assert doctest.testmod(reading).failed == 0
