"""What a Secret shows, what raises, and what may leave it."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowfile_nb as fnb
from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import NoSuchSecretError, SecretFormatError

VALUE = "canary-p@ss:w/or d?#"


@pytest.fixture
def pw() -> Secret:
    fnb.secrets["prod_pw"] = VALUE
    return fnb.secrets["prod_pw"]


def test_repr_and_str_show_the_name_only(pw: Secret) -> None:
    """Nothing that prints a Secret shows more than its name."""
    assert repr(pw) == str(pw) == "%s" % pw == f"{pw!r}" == f"{pw!s}" == "Secret('prod_pw')"  # noqa: UP031
    assert repr([pw]) == "[Secret('prod_pw')]"


def test_one_door_to_the_value(pw: Secret) -> None:
    """`get_secret_value` gives the value, and the two formats that are asked for by name do."""
    assert pw.get_secret_value() == VALUE
    assert f"{pw:plain}" == VALUE
    assert f"{pw:url}" == "canary-p%40ss%3Aw%2For%20d%3F%23"


@pytest.mark.parametrize(
    "use",
    [
        lambda pw: f"{pw}",
        lambda pw: format(pw, ">20"),
        "{}".format,
        lambda pw: "postgresql://app:" + pw,
        lambda pw: pw + "@host",
    ],
)
def test_text_by_accident_raises_and_shows_the_right_ways(pw: Secret, use: Any) -> None:
    """A silently wrong URL is worse than an error; the error shows the three right ways and no value."""
    with pytest.raises(SecretFormatError) as caught:
        use(pw)

    assert "%%connect" in str(caught.value)
    assert "{pw:url}" in str(caught.value)
    assert "get_secret_value()" in str(caught.value)
    assert VALUE not in str(caught.value)
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize("use", [len, iter, list, vars, hash, json.dumps, bytes, float, lambda pw: pw[0], lambda pw: "x" in pw])
def test_what_a_text_can_do_a_secret_cannot(pw: Secret, use: Any) -> None:
    """No length, no characters, no attributes, no hash, no JSON."""
    with pytest.raises(TypeError) as caught:
        use(pw)

    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("guess", ["value", "get", "strip", "password"])
def test_what_people_guess_leads_to_the_door(pw: Secret, guess: str) -> None:
    """An attribute that is not there: the hint names the one that is."""
    with pytest.raises(AttributeError, match=rf"no attribute '{guess}'\nhint: its text, on purpose:  get_secret_value\(\)"):
        getattr(pw, guess)
    assert not hasattr(pw, guess)


def test_nothing_that_looks_inside_finds_the_value(pw: Secret) -> None:
    """Neither its attributes nor what they hold has the value: it is not kept."""
    parts = [getattr(pw, name) for name in dir(pw) if not name.startswith("__")]

    assert VALUE not in repr(parts)
    assert not hasattr(pw, "__dict__")


def test_equality_is_by_value() -> None:
    """Two names with one value are equal; nothing is equal to the plain text."""
    fnb.secrets.update({"a": VALUE, "b": VALUE, "c": "other"})

    assert fnb.secrets["a"] == fnb.secrets["b"]
    assert fnb.secrets["a"] != fnb.secrets["c"]
    assert fnb.secrets["a"] != VALUE


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_pickle_carries_the_reference(pw: Secret, module: Any) -> None:
    """A pickled Secret is its name; where it is loaded, that store is asked."""
    data = module.dumps({"pw": pw})

    assert b"canary" not in data
    fnb.secrets["prod_pw"] = "replaced since"
    assert pickle.loads(data)["pw"].get_secret_value() == "replaced since"


def test_a_secret_without_a_store_is_not_pickled() -> None:
    """A subclass, or a Secret made by hand elsewhere, refuses instead of carrying its value."""

    class Other(Secret):
        __slots__ = ()

    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Other("x", lambda: VALUE))


def test_copies_are_the_same_reference(pw: Secret) -> None:
    """`copy` and `deepcopy` add no second holder."""
    assert copy.copy(pw) is pw
    assert copy.deepcopy([pw])[0] is pw


def test_the_value_is_read_when_it_is_asked_for(pw: Secret) -> None:
    """A replaced secret takes effect at once, and a deleted one stops."""
    fnb.secrets["prod_pw"] = "new"
    assert pw.get_secret_value() == "new"

    del fnb.secrets["prod_pw"]
    with pytest.raises(NoSuchSecretError):
        pw.get_secret_value()


@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_url_format_gives_the_value_back(value: str) -> None:
    """What `:url` quotes, unquoting gives back; nothing in it means anything in a URL."""
    from urllib.parse import unquote

    quoted = f"{Secret('x', lambda _: value):url}"

    assert unquote(quoted) == value
    assert not set(quoted) & set("@:/?#[]&=+ ")
