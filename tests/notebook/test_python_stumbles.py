"""What a hurried analyst writes with the Python API, in a real IPython shell: two lines each, and no value kept."""

from __future__ import annotations

import copy
import pickle

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import InvalidNameError, InvalidValueError, NoSuchAttributeError
from tests.support.shell import Shell

CANARY = "hunter2-canary"


@pytest.fixture
def fnb_shell(shell: Shell) -> Shell:
    """A shell that has the package, as people call it."""
    shell.run("import flowfile_nb as fnb")
    return shell


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("48151623", "str(value)"),
        ("None", "there is none where it was taken from"),
        (f"b'{CANARY}'", "value.decode()"),
        (f"[{CANARY!r}]", "json.dumps(value)"),
        (f"{{'a': {CANARY!r}}}", "json.dumps(value)"),
    ],
)
def test_a_value_that_is_no_text(fnb_shell: Shell, value: str, hint: str) -> None:
    """The hint is the one for what it is; the history does not have it."""
    shown = fnb_shell.run(f"fnb.secrets['n'] = {value}")

    assert isinstance(fnb_shell.error, InvalidValueError)
    assert hint in fnb_shell.error.hint
    assert len(shown.splitlines()) == 2
    assert CANARY not in shown + fnb_shell.remembered()
    assert "48151623" not in fnb_shell.remembered()


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("fnb.secret['x']", 'flowfile_nb.secrets["prod_pw"]'),
        ("fnb.get('x')", 'flowfile_nb.secrets["prod_pw"]'),
        ("fnb.secrets.prod_pw", "a secret is  secrets['prod_pw']"),
        ("fnb.secrets.set('x', 'y')", 'secrets["prod_pw"] = value'),
        ("fnb.secrets.delete('x')", 'del secrets["prod_pw"]'),
        ("fnb.secrets.list()", "list(secrets)"),
        ("fnb.secrets['a'].value", "get_secret_value()"),
    ],
)
def test_an_attribute_that_there_is_not(fnb_shell: Shell, code: str, hint: str) -> None:
    """Two lines say how it is written; for Python it is an AttributeError as any other."""
    fnb.secrets["a"] = CANARY
    shown = fnb_shell.run(code)

    assert isinstance(fnb_shell.error, NoSuchAttributeError)
    assert hint in fnb_shell.error.hint
    assert len(shown.splitlines()) == 2
    assert not hasattr(fnb.secrets, "prod_pw")
    assert not hasattr(fnb, "secret")


@pytest.mark.parametrize(
    "code",
    [
        "fnb.secrets.prod_pw = {0!r}",
        "fnb.secrets.set('prod_pw', {0!r})",
        "fnb.secrets.add('prod_pw', value={0!r})",
        "fnb.secret['prod_pw'] = {0!r}",
        "import flowfile_nb\nflowfile_nb.secret['prod_pw'] = {0!r}",
    ],
)
def test_a_value_that_is_stored_nowhere(fnb_shell: Shell, code: str) -> None:
    """As an attribute it would seem to be stored, until the kernel ends: it is refused, and not kept in the history."""
    fnb_shell.run(code.format(CANARY))

    assert isinstance(fnb_shell.error, NoSuchAttributeError)
    assert CANARY not in fnb_shell.shown + fnb_shell.remembered()
    assert "prod_pw" not in fnb.secrets


@pytest.mark.parametrize("code", ["fnb.secrets[5]", "fnb.secrets[5] = 'x'", "del fnb.secrets[5]", "5 in fnb.secrets"])
def test_a_name_that_is_no_text(fnb_shell: Shell, code: str) -> None:
    """One error, whatever is done with it."""
    fnb_shell.run(code)

    assert isinstance(fnb_shell.error, InvalidNameError)
    assert "a secret's name is text, not int" in fnb_shell.shown


def test_a_blank_name_is_not_to_be_added(fnb_shell: Shell) -> None:
    """It could not be."""
    assert "Add it" not in fnb_shell.run("fnb.secrets[' ']")


def test_the_mapping_is_as_any_object() -> None:
    """What Python and IPython ask of it by themselves is answered as before."""
    fnb.secrets["a"] = CANARY

    assert list(copy.copy(fnb.secrets)) == list(pickle.loads(pickle.dumps(fnb.secrets))) == ["a"]
    with pytest.raises(AttributeError, match="no attribute '_repr_html_'"):
        fnb.secrets._repr_html_  # noqa: B018
