"""Which names and values are accepted, and what a mistyped name may have meant."""

from __future__ import annotations

import os

import pytest

from flowfile_nb.core.names import (
    MAX_VALUE_BYTES,
    environment_variable,
    no_such_secret,
    overridden_by,
    quoted,
    require_name,
    require_value,
    suggest,
)
from flowfile_nb.errors import InvalidNameError, InvalidValueError


@pytest.mark.parametrize("name", ["prod_pw", "name with spaces", "密码", "a=b", "x" * 300, "list", "a/b:c@d", "🔑"])
def test_legal_names(name: str) -> None:
    """Any text that is not blank and has no control characters, as Flowfile allows."""
    assert require_name(name) == name


@pytest.mark.parametrize("name", ["", " ", "\t", "a\nb", "a\0b", "a\x7fb", "a\x85b", "\ud800", None, 5, b"x"])
def test_illegal_names(name: object) -> None:
    """Blank, with control characters, or not text: a two-line error."""
    with pytest.raises(InvalidNameError) as caught:
        require_name(name)

    assert len(str(caught.value).split("\n")) == 2


@pytest.mark.parametrize("value", ["x", " ", "line\nbreak", "tab\t", "ü密🔑", "x" * MAX_VALUE_BYTES])
def test_legal_values(value: str) -> None:
    """Any text of one byte to half a mebibyte, line breaks included."""
    assert require_value(value) == value


@pytest.mark.parametrize(
    "value", ["", "canary\0x", "canary\ud800", "canary" * 200_000, None, b"canary", 5, ["canary"], {"a": "canary"}]
)
def test_illegal_values(value: object) -> None:
    """Empty, with NUL, of a mebibyte, not text: a two-line error that holds nothing of the value."""
    with pytest.raises(InvalidValueError) as caught:
        require_value(value)

    assert "canary" not in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2


@pytest.mark.parametrize(("name", "hint"), [("prod_pw", "Add it:  %secret set prod_pw   "), (" ", "")])
def test_a_name_that_nobody_has(name: str, hint: str) -> None:
    """How it is added, if it could be."""
    assert no_such_secret(name, []).hint == f"{hint}List yours:  %secret list"
    assert no_such_secret(name, [], instead="").hint == "List yours:  %secret list"
    assert no_such_secret(name, [], instead="It is gone.").hint == "It is gone.  List yours:  %secret list"


def test_a_name_with_blanks_that_has_no_quotes() -> None:
    """`:%secret my db pw@` asks for `my`."""
    hint = 'a name with blanks stands in quotes:  %secret "my db pw"   Add it:  %secret set my   List yours:  %secret list'

    assert no_such_secret("my", ["mx", "my db pw"]).hint == hint


def test_a_name_that_nobody_has_where_nobody_can_be_asked() -> None:
    """The variable that gives it, unless it is not to be added."""
    hint = "In a headless run it is given by FLOWFILE_SECRET_PROD_PW;  stored:  %secret set prod_pw"
    assert no_such_secret("prod_pw", [], attended=False).hint == hint
    assert no_such_secret("prod_pw", ["prod_pw2"], attended=False).hint == f"did you mean 'prod_pw2'?  {hint}"
    assert no_such_secret("prod_pw", [], instead="", attended=False).hint == "List yours:  %secret list"
    assert no_such_secret(" ", [], attended=False).hint == "List yours:  %secret list"


def test_environment_variable_is_flowfiles_spelling() -> None:
    """Upper case, each run of other characters one underscore."""
    assert environment_variable("prod-db  password") == "FLOWFILE_SECRET_PROD_DB_PASSWORD"
    assert environment_variable(".x.") == "FLOWFILE_SECRET__X_"


def test_a_variable_overrides_from_the_moment_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the process's own environment as in any mapping, whatever characters the secret's name has."""
    given: dict[str, str] = {}
    for environ, is_overridden in ((os.environ, overridden_by(os.environ)), (given, overridden_by(given))):
        assert not is_overridden("prod-db  pässword")
        with monkeypatch.context() as patch:
            patch.setitem(environ, "FLOWFILE_SECRET_PROD_DB_P_SSWORD", "ü")
            assert is_overridden("prod-db  pässword")
            assert not is_overridden("prod_db")
        assert not is_overridden("prod-db  pässword")


@pytest.mark.parametrize(
    ("typed", "meant"), [("warehose", "warehouse"), ("Warehouse", "warehouse"), ("prodpw", "prod_pw"), ("zzzz", None)]
)
def test_suggestions(typed: str, meant: str | None) -> None:
    """A close name is suggested, whatever its case; a far one is not."""
    assert suggest(typed, ["warehouse", "prod_pw", "other"]) == meant


def test_suggestions_among_many_names() -> None:
    """With a hundred thousand names only those that begin alike are compared."""
    names = [f"name_{number}" for number in range(100_000)] + ["warehouse"]

    assert suggest("warehose", names) == "warehouse"
    assert suggest("", names) is None


@pytest.mark.parametrize("name", ["prod_pw", "a.b-c", "with space", 'q"uote', "back\\slash", "end."])
def test_quoted_names_are_one_word(name: str) -> None:
    """A name as shown in a hint can be typed back."""
    import shlex

    assert shlex.split(quoted(name)) == [name]
