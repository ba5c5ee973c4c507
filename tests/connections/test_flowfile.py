"""Connections that were saved in Flowfile's own interface, opened here."""

from __future__ import annotations

import multiprocessing
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pymysql
import pytest

import flowfile_nb as fnb
from flowfile_nb import connecting, session
from flowfile_nb.backend import FlowfileConnection
from flowfile_nb.connections.flowfile import database_spec
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, NoSuchSecretError, UsageError
from notebooks.throwaway import Postgres
from tests.support.flowfile_connections import save_database
from tests.support.shell import Shell
from tests.support.stores import write_flowfile_store


@pytest.fixture
def catalog(home: Path) -> Path:
    """Flowfile's frozen store, in place."""
    return write_flowfile_store(home)


def save_warehouse(catalog: Path, postgres: Postgres, name: str = "warehouse", **changes: Any) -> None:
    columns = {"database_type": "postgresql", "host": postgres.host, "port": postgres.port, "database": postgres.database}
    save_database(catalog, name, postgres.password, **{**columns, "username": postgres.user, "ssl_enabled": False, **changes})


def execute(catalog: Path, statement: str, *arguments: object) -> None:
    connection = sqlite3.connect(catalog)
    connection.execute(statement, arguments)
    connection.commit()
    connection.close()


def test_opens_by_its_name(shell: Shell, catalog: Path, postgres: Postgres) -> None:
    """`%connect NAME` opens it; the list says that it is Flowfile's; no output holds the password."""
    save_warehouse(catalog, postgres)

    listed = shell.run("%connect") + repr(shell.result)
    opened = shell.run("%connect warehouse")
    shell.run("import pandas as pd\npd.read_sql('SELECT 42 AS answer', warehouse)['answer'][0]")

    assert shell.result == 42
    assert "saved in Flowfile" in listed
    assert f"postgresql/{postgres.host}:{postgres.port}/sales" in listed
    assert f"Connected: warehouse = postgresql://app@{postgres.host}:{postgres.port}/sales" in opened
    assert postgres.password not in listed + opened + shell.run("warehouse.url, vars(warehouse)") + repr(shell.result)
    shell.run("%connect")
    assert [row[1] for row in shell.result.rows if row[0] == "warehouse"] == ["open"]
    assert "Closed" in shell.run("%connect -x warehouse")


def test_tab_completes_it_and_a_name_with_spaces_becomes_a_variable(shell: Shell, catalog: Path, postgres: Postgres) -> None:
    """Flowfile's names are free text: the variable is made of it, and said."""
    save_warehouse(catalog, postgres, "the sales (2026)")

    assert '"the sales (2026)"' in shell.complete("%connect ")
    assert "Connected: the_sales_2026 = postgresql://" in shell.run('%connect "the sales (2026)"')
    assert shell.real.user_ns["the_sales_2026"].connect().close() is None


def test_our_own_of_the_same_name_comes_first(shell: Shell, catalog: Path, postgres: Postgres) -> None:
    """A definition that was saved here is opened, and listed once."""
    save_warehouse(catalog, postgres, host="flowfile.invalid")
    shell.run("%%connect warehouse --save\nduckdb:///:memory:")
    shell.run("%connect -x warehouse")

    assert "duckdb" in shell.run("%connect warehouse")
    shell.run("%connect")
    assert repr(shell.result).count("warehouse") == 1


def test_the_password_is_read_at_each_new_connection(catalog: Path, postgres: Postgres) -> None:
    """Replaced here it is used by the next connection; deleted in Flowfile, there is none."""
    save_warehouse(catalog, postgres)
    engine = connecting.open_flowfiles("warehouse").native
    engine.dispose()

    fnb.secrets["warehouse"] = "not the password"
    with pytest.raises(ConnectionFailedError) as refused:
        engine.connect()
    fnb.secrets["warehouse"] = postgres.password
    engine.connect().close()
    engine.dispose()
    execute(catalog, "DELETE FROM secrets WHERE name = 'warehouse'")
    with pytest.raises(NoSuchSecretError) as gone:
        engine.connect()

    assert "refused the user or the password" in str(refused.value)
    assert "edit the connection 'warehouse' in Flowfile" in refused.value.hint
    assert "%secret set warehouse --replace" in refused.value.hint
    assert "warehouse" in str(gone.value)


def test_a_secret_of_the_same_name_is_not_its_password(catalog: Path, postgres: Postgres) -> None:
    """Flowfile stores the password under the connection's name, a second time if need be: the connection's own row is used."""
    fnb.secrets["warehouse"] = "something else"
    save_warehouse(catalog, postgres)

    connecting.open_flowfiles("warehouse").native.dispose()

    assert fnb.secrets["warehouse"].get_secret_value() == "something else"
    assert session.redactor().mask(postgres.password) == "[secret:warehouse]"  # type: ignore[union-attr]


def test_the_hint_names_no_secret_that_is_another(catalog: Path, postgres: Postgres) -> None:
    """Where the name alone leads to another secret, replacing that is not the advice."""
    fnb.secrets["warehouse"] = "something else"
    save_warehouse(catalog, postgres, username="nobody")

    with pytest.raises(ConnectionFailedError) as refused:
        connecting.open_flowfiles("warehouse")

    assert refused.value.hint == "check the user name; to store another password:  edit the connection 'warehouse' in Flowfile"


def test_a_password_goes_to_no_server_that_it_was_not_saved_for(catalog: Path, postgres: Postgres) -> None:
    """When the connection is pointed elsewhere in Flowfile, what was opened before gets no password any more."""
    save_warehouse(catalog, postgres)
    engine = connecting.open_flowfiles("warehouse").native
    engine.dispose()
    execute(catalog, "UPDATE database_connections SET host = 'elsewhere.example.com'")

    with pytest.raises(ConnectionSpecError) as changed:
        engine.connect()

    assert "was changed in Flowfile" in str(changed.value)


def test_a_connection_of_a_group_opens_for_its_members(home: Path, catalog: Path, postgres: Postgres) -> None:
    """Shared for use it opens with the owner's password, which is not shared itself; a stranger has no such connection."""
    columns = {"database_type": "postgresql", "host": postgres.host, "port": postgres.port, "database": postgres.database}
    save_database(catalog, "team", postgres.password, user_id=2, username=postgres.user, **columns)
    execute(
        catalog,
        "INSERT INTO resource_grants (resource_type, resource_id, group_id, permission, granted_by)"
        " VALUES ('database_connection', (SELECT id FROM database_connections), 1, 'use', 2)",
    )
    for user_id, sees in ((3, True), (4, False)):
        from flowfile_nb.vault import Vault

        vault = Vault({"HOME": str(home)}, user_id)
        session.use_backend(vault)

        assert ("team" in vault.flowfile_connections()) is sees
        assert "team" not in vault.names()
        if sees:
            connecting.open_flowfiles("team").native.dispose()
        else:
            with pytest.raises(UsageError):
                connecting.open_flowfiles("team")


@pytest.mark.parametrize("text", ["${secret:password_id}", "%secret prod_database_password", "${secret:"])
@pytest.mark.parametrize("column", ["username", "host", "database"])
def test_text_that_reads_like_a_reference_is_none(catalog: Path, column: str, text: str) -> None:
    """In Flowfile it is literal; filled in here, a password would be sent as a user's name."""
    columns = {"database_type": "postgresql", "host": "127.0.0.1", "username": "app"}
    save_database(catalog, "odd", "pw", **{**columns, column: text})

    with pytest.raises(ConnectionSpecError) as refused:
        connecting.open_flowfiles("odd")

    assert f"in its {column}" in str(refused.value)


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        ({"database_type": "sqlite", "database": "/data/a.db"}, {"type": "sqlite", "database": "/data/a.db"}),
        ({"database_type": "sqlite", "host": "sqlite:////data/a.db"}, {"type": "sqlite", "database": "/data/a.db"}),
        ({"database_type": "SQLite"}, {"type": "sqlite", "database": "./database.db"}),
        ({"database_type": "duckdb"}, {"type": "duckdb", "database": "./database.duckdb"}),
        ({"database_type": "mssql", "host": "h"}, {"type": "mssql+pymssql", "host": "h"}),
        ({"database_type": "denodo", "host": "h", "ssl_enabled": 1}, {"type": "postgresql+psycopg2", "host": "h"}),
        ({"database_type": "mariadb", "host": "h", "ssl_enabled": 0}, {"type": "mariadb", "host": "h"}),
    ],
)
def test_each_kind_leads_where_flowfile_leads(saved: dict[str, Any], expected: dict[str, Any]) -> None:
    """The types that Flowfile knows, and its defaults."""
    parts = database_spec(FlowfileConnection("c", "database", saved, {})).parts

    assert {key: parts[key] for key in expected} == expected
    assert parts.get("query", {}) == ({"sslmode": "require"} if saved.get("ssl_enabled") else {})


def test_files_open(catalog: Path, tmp_path: Path) -> None:
    """SQLite and DuckDB, whose passwords Flowfile stores empty."""
    for kind in ("sqlite", "duckdb"):
        save_database(catalog, kind, "", database_type=kind, database=str(tmp_path / kind))
        connecting.open_flowfiles(kind).native.dispose()
        assert (tmp_path / kind).exists()


def test_tls_is_demanded_of_mysql(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flowfile's switch does nothing there for MySQL; here the driver is told to refuse a server without TLS."""
    save_database(
        catalog, "shop", "pw with ü", database_type="mysql", host="127.0.0.1", port=3306, username="app", ssl_enabled=True
    )
    given: dict[str, Any] = {}

    def connect(**arguments: Any) -> None:
        given.update(arguments)
        raise OSError("connection refused")

    monkeypatch.setattr(pymysql, "connect", connect)
    with pytest.raises(ConnectionFailedError):
        connecting.open_flowfiles("shop")

    assert given["password"] == "pw with ü".encode()
    client = pymysql.Connection(defer_connect=True, ssl=given["ssl"])
    assert client._ssl_required


def test_a_switch_that_does_nothing_is_an_error(catalog: Path) -> None:
    """Whoever asked for TLS gets no connection without it."""
    save_database(catalog, "x", "pw", database_type="mssql", host="127.0.0.1", username="app", ssl_enabled=True)

    with pytest.raises(ConnectionSpecError):
        connecting.open_flowfiles("x")


def test_a_connection_without_host_is_an_error(catalog: Path) -> None:
    """It cannot lead anywhere."""
    save_database(catalog, "x", "pw", database_type="postgresql", username="app")

    with pytest.raises(ConnectionSpecError):
        connecting.open_flowfiles("x")


def test_it_is_edited_and_deleted_in_flowfile(shell: Shell, catalog: Path) -> None:
    """What is not kept here is not changed here, and who asks for it is told where that is done."""
    save_database(catalog, "files", "", database_type="sqlite", database=":memory:")

    for option in ("--edit", "--delete --yes"):
        shell.run(f"%connect files {option}")
        assert "saved in Flowfile" in str(shell.error)
    shell.run("%connect files --as duckdb")
    assert "--as is for what is described here" in str(shell.error)
    connecting.open_flowfiles("files").native.dispose()


def test_a_project_does_not_change_where_its_name_leads(
    shell: Shell, catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `connections.toml` with the same name in it is hidden."""
    save_database(catalog, "files", "", database_type="sqlite", database=str(tmp_path / "mine.db"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "connections.toml").write_text('[files]\nurl = "sqlite:///theirs.db"\n')

    assert "mine.db" in shell.run("%connect files")
    shell.run("%connect")
    assert [row[1] for row in shell.result.rows] == ["open", "hidden by your saved one"]


def test_idle_connections_are_dropped_when_its_password_is_replaced(catalog: Path, postgres: Postgres) -> None:
    """A pooled one that was opened with the former password is not handed out again; with a deleted one there is none."""
    save_warehouse(catalog, postgres)
    engine = connecting.open_flowfiles("warehouse").native
    with engine.connect() as connection:
        former = connection.connection.driver_connection

    fnb.secrets["warehouse"] = "not the password"
    with pytest.raises(ConnectionFailedError):
        engine.connect()
    assert former.closed
    fnb.secrets["warehouse"] = postgres.password
    with engine.connect() as connection:
        later = connection.connection.driver_connection
    execute(catalog, "DELETE FROM secrets WHERE name = 'warehouse'")
    with pytest.raises(NoSuchSecretError):
        engine.connect()

    assert later.closed


def test_an_error_names_its_secret_and_the_age(catalog: Path, postgres: Postgres) -> None:
    """By the secret's own name; where another has that, by the connection's."""
    save_warehouse(catalog, postgres, username="nobody")
    with pytest.raises(ConnectionFailedError) as refused:
        connecting.open_flowfiles("warehouse")
    assert "with secret 'warehouse' (stored" in refused.value.message

    fnb.secrets["shop"] = "something else"
    save_warehouse(catalog, postgres, "shop", username="nobody")
    with pytest.raises(ConnectionFailedError) as refused:
        connecting.open_flowfiles("shop")
    assert "with secret of the connection 'shop' (stored" in refused.value.message


def test_a_worker_opens_it_from_its_own_catalog(catalog: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle holds where it leads and no value. A process without it says so; one where it leads elsewhere refuses."""
    save_warehouse(catalog, postgres)
    engine = connecting.open_flowfiles("warehouse").native
    data = pickle.dumps(engine, protocol=0)

    assert postgres.password.encode() not in data
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(pd.read_sql, ("SELECT 42 AS answer", engine))["answer"][0] == 42
        pool.close()
        pool.join()
    loaded = pickle.loads(pickle.dumps(pickle.loads(data)))
    execute(catalog, "UPDATE database_connections SET host = 'elsewhere.example.com'")
    with pytest.raises(ConnectionSpecError, match="was changed in Flowfile"):
        loaded.connect()
    monkeypatch.setenv("FLOWFILE_DB_PATH", str(catalog.parent / "another.db"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(NoSuchSecretError, match="is not stored here"):
            pool.apply(pd.read_sql, ("SELECT 42 AS answer", engine))
        pool.close()
        pool.join()
    engine.dispose()
