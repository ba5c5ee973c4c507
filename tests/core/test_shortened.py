"""The beginning of a value, with dots for the rest, is masked where a library cuts so; other text with dots is not."""

from __future__ import annotations

import contextlib
import io
import reprlib
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pandas as pd
import polars as pl
import pytest
import sqlalchemy
from IPython.core.magics.namespace import NamespaceMagics

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.shortened import Beginning

LETTERS = "q7Zk2mX9vB4tL6wY8cR3nH5jD1fG0sPaUeIoOxWzVyTbNhMgKrJdSlFqCp"
SIZES = [9, 12, 29, 31, 32, 40, 47, 48, 50, 51, 58]


def knowing(**values: str) -> Redactor:
    redactor = Redactor()
    for name, value in values.items():
        redactor.learn(name, value)
    return redactor


def leaks(text: str, value: str) -> bool:
    """Return whether five characters of *value* stand together in *text*."""
    return any(value[at : at + 5] in text for at in range(len(value) - 4))


def whos(value: str) -> str:
    """Return what `%whos` shows of a text."""
    magics = NamespaceMagics()
    magics.shell = SimpleNamespace(user_ns={"shown": value}, user_ns_hidden={})
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        magics.whos()
    return shown.getvalue()


TABLES: dict[str, Callable[[str], str]] = {
    "polars": lambda value: str(pl.DataFrame({"a": [value], "b": [1]})),
    "polars, a column": lambda value: str(pl.Series([value])),
    "polars, a list": lambda value: str(pl.DataFrame({"a": [[value]]})),
    "polars, HTML": lambda value: pl.DataFrame({"a": [value]})._repr_html_(),
    "pandas": lambda value: str(pd.DataFrame({"a": [value]})),
    "pandas, a column": lambda value: str(pd.Series([value])),
    "pandas, HTML": lambda value: pd.DataFrame({"a": [value]})._repr_html_(),
    "reprlib": reprlib.repr,
    "%whos": whos,
    "reprlib, a list": lambda value: reprlib.repr([value]),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("odd", ["", "<&'\">"])
def test_tables(table: Callable[[str], str], size: int, odd: str) -> None:
    """Whatever the value's length is, and with what HTML writes otherwise, nothing of it is left."""
    value = (LETTERS[:5] + odd + LETTERS[5:])[:size]
    redactor = knowing(pw=value)

    masked = redactor.mask(table(value))

    assert "[secret:pw]" in masked, masked
    assert not leaks(masked, LETTERS), masked


def test_parameters_of_a_statement() -> None:
    """SQLAlchemy leaves out the middle of a long one."""
    value = LETTERS * 10
    engine = sqlalchemy.create_engine("sqlite://")
    with pytest.raises(sqlalchemy.exc.OperationalError) as raised, engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT * FROM nothing WHERE a = :a"), {"a": value})

    shown = str(raised.value)
    assert "characters truncated" in shown
    assert not leaks(knowing(pw=value).mask(shown), LETTERS)


def test_most_of_a_value() -> None:
    """Three quarters, and at least 8 characters, with dots of either kind after them."""
    redactor = knowing(pw="hunter2-prod")

    assert redactor.mask("hunter2-p… hunter2-p...") == "[secret:pw]… [secret:pw]..."
    assert redactor.mask("hunter2-pro... hunter2-prod...") == "[secret:pw]... [secret:pw]..."
    assert redactor.mask("hunter2-… hunter2-pr hunter2-pr.. hunter2-px...") == "hunter2-… hunter2-pr hunter2-pr.. hunter2-px..."


def test_what_is_cut_before_or_after_a_dot() -> None:
    """The dots of the value are none of those that say that it goes on."""
    redactor = knowing(pw="hunter2.prod.example")

    assert redactor.mask("hunter2.prod.ex...") == "[secret:pw]..."
    assert redactor.mask("hunter2.prod.example"[:17] + "...") == "[secret:pw]..."
    assert knowing(pw="hunter2-pr.d").mask("hunter2-pr.... hunter2-pr...") == "[secret:pw].... [secret:pw]..."
    assert knowing(pw="hunter2...prod").mask("hunter2...pr...") == "[secret:pw]..."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("https://hooks.slack.com/services/T0/B0/q7Zk2mX9vB4tL6wY8cR3nH5j", "post to https://hooks.slack.com/services/..."),
        ("postgresql://app:q7Zk2mX9vB4t@db.example.com:5432/sales", "like postgresql://app:... or postgresql://…"),
        ("password", "passwor..."),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n", "-----BEGIN PRIVATE KEY-----\nMII..."),
    ],
)
def test_ordinary_text_stays(value: str, text: str) -> None:
    """What anybody may write, with dots for what is secret, is the very same."""
    assert knowing(pw=value).mask(text) is text


def test_values_that_begin_alike() -> None:
    """It is the first of them that may be meant."""
    redactor = knowing(
        one="postgresql://somebody:one@db.example.com/sales", two="postgresql://somebody:two@db.example.com/sales"
    )

    assert redactor.mask("postgresql://somebody:two@db.example.com/s...") == "[secret:two]..."
    assert redactor.mask("postgresql://somebody:three@db.example.com/s...") == "postgresql://somebody:three@db.example.com/s..."


def test_a_beginning_that_is_a_value_itself() -> None:
    """Learned before or after, both are masked."""
    for names in (("short", "long"), ("long", "short")):
        redactor = knowing(**{name: {"short": "hunter2-p", "long": "hunter2-prod"}[name] for name in names})

        assert redactor.mask("hunter2-p hunter2-pro… hunter2-prod") == "[secret:short] [secret:long]… [secret:long]"


def test_with_colours_in_it() -> None:
    """Both at once."""
    assert knowing(pw="hunter2-prod").mask("\x1b[1mhunter2\x1b[0m-pr…") == "\x1b[1m[secret:pw]\x1b[0m…"


def test_a_thousand_that_begin_alike() -> None:
    """Where no dots follow, none of them is looked at."""
    redactor = knowing(
        **{f"n{number}": f"postgresql://somebody_long:{number:08}@db.example.com/sales" for number in range(1000)}
    )

    assert redactor.mask("postgresql://somebody_long:00000999@db.example.com/sal…") == "[secret:n999]…"


def test_adding_while_another_thread_looks() -> None:
    """What is asked meanwhile is answered."""
    beginning = Beginning(b"same-head-of-all-these-value")
    failed: list[Exception] = []
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                beginning.find(b"same-head-of-all-these-values-0999-en...", 0)
        except RuntimeError as error:
            failed.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(1000):
        beginning.add(f"same-head-of-all-these-values-{number:04}-end", str(number))
    done.set()
    thread.join()

    assert not failed
    assert beginning.find(b"same-head-of-all-these-values-0999-en...", 0) == (37, "999")
