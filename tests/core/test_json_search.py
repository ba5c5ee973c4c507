"""One search of a packed message says what searching each of its strings would say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core.json_search import JsonSearch
from flowfile_nb.core.redaction import Redactor

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_VALUES = st.text(st.sampled_from("ab\"'\\/\n\tü🔑\x1b"), min_size=4, max_size=8)


@given(_VALUES, _TEXTS, _TEXTS, st.sampled_from(["item", "key", "list"]))
def test_whatever_a_string_holds_is_found_in_the_packed_text(value: str, before: str, after: str, place: str) -> None:
    """In a value of a mapping, in a key and in a list, raw and in the forms that nest."""
    redactor = Redactor()
    redactor.learn("pw", value)
    search = JsonSearch(redactor)
    for text in (before + value + after, repr([value]), json.dumps({"a": value})):
        packed = {"item": {"a": {"b": text}}, "key": {text: 1}, "list": [[text]]}[place]

        found = search.finds(json.dumps(packed, ensure_ascii=False).encode())

        assert found == redactor.hits(text.encode())


@pytest.mark.parametrize("packed", [{}, {"name": "stdout"}, ["plain", 1, None, "[secret:pw]"]])
def test_nothing_is_found_where_nothing_is(packed: Any) -> None:
    """Neither in other text nor in what is masked already."""
    redactor = Redactor()
    redactor.learn("pw", 'say "hi"\n')

    assert not JsonSearch(redactor).finds(json.dumps(packed).encode())


def test_numbers_are_found() -> None:
    """A number in a message is the value when its digits are."""
    redactor = Redactor()
    redactor.learn("pin", "12345678")

    assert JsonSearch(redactor).finds(json.dumps({"a": 12345678}).encode())


def test_what_is_learned_later_counts() -> None:
    """Also a value that JSON writes otherwise, and one whose JSON form is there already."""
    redactor = Redactor()
    search = JsonSearch(redactor)
    assert not search.finds(b'"line\\nbreak"')

    redactor.learn("a", "line\nbreak")
    assert search.finds(b'"line\\nbreak"')

    redactor.learn("b", "other")
    redactor.learn("c", "line\nbreak")
    assert search.finds(b'"an other"')
    assert search.finds(b'"line\\nbreak"')
