"""Parameters keep their types on the way to the database."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core.parameters import MAX_NESTED, from_json, to_json
from flowfile_nb.errors import UsageError

_ZONES = st.none() | st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.times().map(lambda moment: moment.replace(fold=0))
    | st.timedeltas()
    | st.builds(dt.datetime.replace, st.datetimes(), tzinfo=_ZONES, fold=st.just(0))
    | st.decimals(allow_nan=False)
    | st.uuids(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def _sent(parameters: Any) -> Any:
    return from_json(json.loads(json.dumps(to_json(parameters), allow_nan=False)))


@given(st.lists(_VALUES) | st.dictionaries(st.text(), _VALUES) | st.none())
def test_parameters_arrive_as_they_were(parameters: Any) -> None:
    """Each value comes out equal, and of the same type, through JSON that any reader takes."""
    arrived = _sent(parameters)

    assert arrived == parameters
    assert repr(arrived) == repr(parameters)


def test_what_is_no_number_stays_none() -> None:
    """NaN, which JSON has no form for, and NULL are two things."""
    nan, none = _sent([math.nan, None])

    assert math.isnan(nan)
    assert none is None


def test_what_stands_for_a_plain_value_counts_as_it() -> None:
    """Numbers of NumPy, pandas' timestamps, members of an enumeration, tuples and views of bytes."""
    colour = enum.Enum("colour", {"RED": "red"}, type=str)
    moment = pd.Timestamp("2020-01-02T03:04:05")

    arrived = _sent([np.int64(3), np.float32(0.5), np.bool_(True), moment, colour.RED, (1, 2), bytearray(b"x")])

    assert arrived == [3, 0.5, True, dt.datetime(2020, 1, 2, 3, 4, 5), "red", [1, 2], b"x"]


def _nested(depth: int) -> Any:
    return [] if depth == 0 else [_nested(depth - 1)]


@pytest.mark.parametrize("value", [object(), {1, 2}, {"a": 1}, _nested(20)])
def test_any_other_value_is_refused_by_its_type(value: Any) -> None:
    """The message names the type, not the value."""
    with pytest.raises(UsageError, match="a parameter of type"):
        to_json([value])


@pytest.mark.parametrize("parameters", ["text", b"bytes"])
def test_one_text_is_no_list_of_parameters(parameters: Any) -> None:
    """The usual slip, `execute(statement, value)`, is told."""
    with pytest.raises(UsageError, match="not one text"):
        to_json(parameters)


@pytest.mark.parametrize(
    "data",
    [
        1,
        "text",
        [{"$": "date"}],
        [{"$": "nothing", "value": 1}],
        [{"$": "date", "value": "x"}],
        [{"$": "decimal", "value": "x"}],
        [{"$": ["date"], "value": "2020-01-01"}],
        {"a": {"$": "bytes", "value": "?"}},
        [{"$": "uuid", "value": 1}],
        [_nested(20)],
    ],
)
def test_what_was_not_written_so_is_refused(data: Any) -> None:
    """Whatever JSON arrives, it is parameters or our error."""
    with pytest.raises(UsageError, match="cannot be read"):
        from_json(data)


@pytest.mark.parametrize("nested", [[], {"$": "date", "value": "2020-01-01"}])
def test_there_are_so_many_lists_and_dates_and_no_more(nested: object) -> None:
    """Each takes a broker time in which it answers nobody; plain numbers and texts are as many as a request holds."""
    assert len(from_json([nested] * MAX_NESTED) or ()) == MAX_NESTED
    assert len(from_json([1] * 4 * MAX_NESTED) or ()) == 4 * MAX_NESTED

    with pytest.raises(UsageError, match="more than 100,000 lists"):
        from_json({"a": [nested] * MAX_NESTED, "b": nested})
