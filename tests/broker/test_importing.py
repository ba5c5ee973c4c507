"""Taking over a Flowfile in Docker mode: a database that the real Flowfile 0.23.3 has written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from flowfile_nb.broker import tables
from flowfile_nb.broker.database import Store, open_store
from flowfile_nb.broker.importing import import_flowfile
from flowfile_nb.broker.keeping import Keeper
from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.team import Team
from flowfile_nb.errors import BindingError, SharedSecretError, StoreError, WrongKeyError
from tests.broker.conftest import BODY, KEY, Clock, team_on

FLOWFILE = Path(__file__).parent.parent / "vectors" / "flowfile-0.23.3"
LOCAL, ALICE, BOB = Caller("local_user"), Caller("alice"), Caller("bob")


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A copy of that database."""
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as made:
        made.executescript((FLOWFILE / "catalog.sql").read_text(encoding="utf-8"))
    return tmp_path / "catalog.db"


@pytest.fixture
def key() -> str:
    """The master key of that Flowfile."""
    seal = Fernet((FLOWFILE / "dot_secret_key").read_bytes().strip())
    key: str = json.loads(seal.decrypt((FLOWFILE / "flowfile.json.enc").read_bytes()))["master_key"]
    return key


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(url, str(tmp_path / "broker"))
    yield opened
    opened.close()


def keeper(store: Store, key: str) -> Keeper:
    return Keeper(store, {"FLOWFILE_MASTER_KEY": key}, "/nonexistent")


def test_all_rows_come_with_their_ids_and_as_they_are_sealed(store: Store, catalog: Path, key: str) -> None:
    """Users, groups, memberships, grants and secrets."""
    counted = import_flowfile(store, keeper(store, key), str(catalog))

    with closing(sqlite3.connect(catalog)) as theirs, store.reading() as ours:
        assert counted.left_behind == 0
        for table in (tables.users, tables.groups, tables.memberships, tables.grants, tables.secrets):
            columns = [column for column in table.columns if column.name not in {"created_at", "updated_at"}]
            names = ", ".join(column.name for column in columns)
            expected = theirs.execute(f"SELECT {names} FROM {table.name} ORDER BY id").fetchall()
            found = [tuple(row) for row in ours.execute(select(*columns).order_by(table.c.id))]
            if table is tables.secrets:
                # Rows from before tokens named their user are sealed anew.
                expected = [row for row in expected if row[2].startswith("$")]
                found = [row for row in found if row in expected]
            assert found == expected
            assert expected


def test_people_go_on_where_they_were(store: Store, catalog: Path, key: str, clock: Clock) -> None:
    """Values open for their owners; what was shared is shared, and used once its owner has said where it may go."""
    keys = keeper(store, key)
    import_flowfile(store, keys, str(catalog))
    team = Team(store, keys, team_on(store, clock)._audit, clock)
    expected = json.loads((FLOWFILE / "expected.json").read_text(encoding="utf-8"))

    assert {name: team.reveal_own(LOCAL, name) for name in expected["secrets"]} == expected["secrets"]
    assert {name: team.reveal_own(LOCAL, name) for name in expected["legacy"]} == expected["legacy"]
    shared = [info for info in team.secrets(BOB) if info.mode == "brokered"]
    # Bob has a secret of his own named as the other that alice shares.
    assert [(info.id, info.owner, info.shared_by, info.groups) for info in shared] == [(10, "alice", "alice", ["analysts"])]
    name = shared[0].name
    with pytest.raises(SharedSecretError):
        team.reveal_own(BOB, name)
    body = BODY.replace("%secret prod_pw", f"${{secret:{name}}}")
    with pytest.raises(BindingError):
        team.order(BOB, description=body)
    team.save_connection(ALICE, "warehouse", body)
    team.put_secret(ALICE, name, "entered again", replace=True)
    assert team.order(BOB, description=body).value == "entered again"
    team.put_secret(ALICE, "new one", "its id is a new one", replace=False)


def test_rows_of_those_who_are_gone_stay_behind(store: Store, catalog: Path, key: str) -> None:
    """They are counted; nothing hangs on a user or group that is not there."""
    with closing(sqlite3.connect(catalog)) as theirs, theirs:
        theirs.execute("DELETE FROM users WHERE username = 'bob'")
        theirs.execute(
            "INSERT INTO resource_grants (resource_type, resource_id, group_id, granted_by) VALUES ('flow', 1, 1, 2)"
        )

    counted = import_flowfile(store, keeper(store, key), str(catalog))

    assert counted.left_behind >= 2
    with store.reading() as ours:
        assert set(ours.execute(select(tables.grants.c.resource_type)).scalars()) == {"secret"}


def test_another_key_imports_nothing(store: Store, catalog: Path) -> None:
    """It says which secret it does not open."""
    with pytest.raises(WrongKeyError):
        import_flowfile(store, keeper(store, KEY), str(catalog))

    with store.reading() as ours:
        assert ours.execute(select(tables.users)).all() == []


def test_a_store_in_use_is_not_imported_into(store: Store, catalog: Path, key: str) -> None:
    """Ids would collide."""
    keys = keeper(store, key)
    import_flowfile(store, keys, str(catalog))

    with pytest.raises(StoreError, match="not empty"):
        import_flowfile(store, keys, str(catalog))


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_flowfiles_own_catalog_is_no_store(catalog: Path, tmp_path: Path, form: str) -> None:
    """It is not opened and stays as it is, to the byte; it is said why, and the command that takes it over."""
    before = catalog.read_bytes()

    with pytest.raises(StoreError, match="Flowfile's own catalog") as refused:
        open_store(form.format(catalog), str(tmp_path / "broker"))

    assert f"serve --directory '{tmp_path / 'broker'}' --import '{catalog}'" in refused.value.hint
    assert catalog.read_bytes() == before
    assert not list(tmp_path.glob("catalog.db-*"))
    assert not (tmp_path / "broker").exists()


@pytest.mark.parametrize("content", [None, b"", b"text", b"SQLite format 3\x00 and no more"])
def test_something_else_is_not_imported(store: Store, tmp_path: Path, key: str, content: bytes | None) -> None:
    """Nor is a file made where there is none."""
    path = tmp_path / "other.db"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(StoreError, match="Flowfile"):
        import_flowfile(store, keeper(store, key), str(path))

    assert path.exists() == (content is not None)
