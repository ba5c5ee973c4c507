"""What ADBC and Ibis have open does not go on with a secret that was replaced or is gone: against a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, NoSuchSecretError
from notebooks.throwaway import Postgres
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore:The 'future.infer_string' option", "ignore:fetch_arrow_table")  # Ibis does
USES: dict[str, Callable[[Any], bool]] = {
    "adbc": lambda connection: pl.read_database("SELECT 42 AS x", connection)["x"].to_list() == [42],
    "ibis": lambda backend: "pg_class" in backend.list_tables(database="pg_catalog"),
}


@pytest.fixture
def url(postgres: Postgres) -> str:
    fnb.secrets["pg"] = postgres.password
    fnb.secrets["other"] = "another one"
    place = f"{postgres.host}:{postgres.port}/{postgres.database}"
    return f"postgresql://{postgres.user}:%secret pg@{place}?application_name=held"


def close(form: str, native: Any) -> None:
    if form == "adbc":
        native.close()
    else:
        native.disconnect()


@pytest.mark.parametrize("form", ["adbc", "ibis"])
def test_nothing_changes_while_nothing_does(url: str, form: str) -> None:
    """It is used again and again, whatever becomes of other secrets, and where the value is stored in another way alone."""
    native = fnb.connect(url, as_=form)
    assert USES[form](native)

    fnb.secrets["other"] = "replaced"
    del fnb.secrets["other"]
    assert USES[form](native)
    fnb.secrets["pg"] = fnb.secrets["pg"].get_secret_value()

    assert USES[form](native)
    close(form, native)


@pytest.mark.parametrize("form", ["adbc", "ibis"])
def test_a_deleted_secret_ends_it(url: str, form: str, postgres: Postgres) -> None:
    """The next use raises our error, and so does each after it: two lines, with what to do."""
    native = fnb.connect(url, as_=form)
    assert USES[form](native)

    del fnb.secrets["pg"]

    for _ in range(2):
        with pytest.raises(NoSuchSecretError, match="is cut off: its secret 'pg' is not there any more") as caught:
            USES[form](native)
        assert str(caught.value).split("\n")[1] == "hint: add it:  %secret set pg   and run the cell again that opens it"
    fnb.secrets["pg"] = postgres.password
    with pytest.raises(NoSuchSecretError):
        USES[form](native)


@pytest.mark.parametrize("form", ["adbc", "ibis"])
def test_a_replaced_secret_ends_it(url: str, form: str, postgres: Postgres) -> None:
    """What was opened with the former value is closed; the error says how to go on, and has neither value."""
    native = fnb.connect(url, as_=form)
    assert USES[form](native)

    fnb.secrets["pg"] = "canary-value"

    with pytest.raises(ConnectionFailedError, match="was closed: its secret 'pg' was replaced") as caught:
        USES[form](native)
    assert "canary-value" not in str(caught.value)
    fnb.secrets["pg"] = postgres.password
    again = fnb.connect(url, as_=form)
    assert USES[form](again)
    close(form, again)


@pytest.mark.parametrize("form", ["adbc", "ibis"])
def test_before_the_next_cell_it_is_closed(shell: Shell, url: str, form: str, postgres: Postgres) -> None:
    """Idle, too: any cell will do. Closing it by its name afterwards is no error."""
    shell.run(f"%%connect held --as {form}\n{url}")
    assert USES[form](shell.real.user_ns["held"])
    del fnb.secrets["pg"]

    shell.run("1")

    native = shell.real.user_ns["held"]
    assert vars(native)["_closed"] if form == "adbc" else vars(native)["con"].closed
    assert "NoSuchSecretError: postgresql://app@" in shell.run("held.cursor()" if form == "adbc" else "held.list_tables()")
    assert "Closed held." in shell.run("%connect -x held")


def test_duckdb_of_a_file_whose_path_is_a_secret(shell: Shell, tmp_path: Path) -> None:
    """It is closed, too."""
    fnb.secrets["path"] = str(tmp_path / "a.duckdb")
    shell.run("%%connect local --as duckdb\nduckdb:///%secret path")
    local = shell.real.user_ns["local"]
    assert local.sql("SELECT 42").fetchall() == [(42,)]

    fnb.secrets["path"] = str(tmp_path / "b.duckdb")
    shell.run("1")

    with pytest.raises(duckdb.ConnectionException, match="closed"):
        local.sql("SELECT 42")
