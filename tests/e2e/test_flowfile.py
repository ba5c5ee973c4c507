"""One store with the real Flowfile, on one home directory. FLOWFILE_NB_FLOWFILE_PYTHON names an interpreter that has it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.errors import NoSuchSecretError
from flowfile_nb.vault import Vault
from tests.support.flowfile import PYTHON, Flowfile, Service, running_flowfile, running_service
from tests.support.shell import Shell
from tests.support.stores import VECTORS, expected, write_flowfile_key

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not PYTHON, reason="FLOWFILE_NB_FLOWFILE_PYTHON is not set"),
    pytest.mark.timeout(300),
]

VALUE = "p@ss:w/or d?#%\"'\\ü密🔑"
NAMES = [
    "prod_pw",
    "a name with spaces ",
    'it\'s "quoted"',
    "a/b\\c",
    "a=b",
    "-x",
    "--replace",
    "list",
    "set",
    "%secret",
    "${secret:x}",
    "a}b",
    "naïve 密 🔑",
    "😀" * 300,
    "line\nbreak",
    "tab\t\x1b[31mred",
    "nul\0byte",
    ".",
    "'); DROP TABLE secrets;--",
]
VALUES = [
    VALUE,
    "",
    " ",
    "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n",
    "x" * 512_000,
    "\ufeffBOM\r\nand\u2028lines",
    "$ffsec$1$1$looks like a token",
    "nul\0byte",
]
# SQLite's text is Unicode: half a surrogate pair is refused by Flowfile's database, too.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture
def flowfile(home: Path) -> Iterator[Flowfile]:
    """Flowfile's own Python interface on this home."""
    with running_flowfile(home) as flowfile:
        yield flowfile


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    """Flowfile's service on this home."""
    with running_service(home) as service:
        yield service


def row_ids() -> dict[str, int]:
    """Return the id of each own row, as our store sees it."""
    return {row.name: row.id for row in session.vault().store.rows(1)}


def add_frozen_rows(catalog: str) -> None:
    """Add the users, groups, secrets and grants of the frozen store to a catalog that Flowfile has made."""
    connection = sqlite3.connect(catalog)
    source = sqlite3.connect(":memory:")
    source.executescript((VECTORS / "catalog.sql").read_text(encoding="utf-8"))
    for table in ("users", "user_groups", "user_group_memberships", "secrets", "resource_grants"):
        rows = source.execute(f"SELECT * FROM {table}")
        columns = ", ".join(column[0] for column in rows.description)
        places = ", ".join("?" * len(rows.description))
        connection.executemany(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places})", rows.fetchall())
    connection.commit()
    connection.close()


def can_be_stored_here(value: str) -> bool:
    """We refuse the values that no driver can be given."""
    return bool(value) and "\0" not in value


# Any name, any value, both ways


def test_any_name_of_flowfiles_is_read_replaced_and_deleted_here(flowfile: Flowfile) -> None:
    """At once, under the same id; and what is deleted here is gone there."""
    for name in NAMES:
        number = flowfile("store", name=name, value="from Flowfile")

        assert name in fnb.secrets
        assert fnb.secrets[name].get_secret_value() == "from Flowfile"
        fnb.secrets[name] = VALUE
        assert row_ids() == {name: number}
        assert flowfile("read", name=name) == VALUE
        del fnb.secrets[name]
        assert flowfile("read", name=name) is None
        assert len(fnb.secrets) == 0


def test_any_value_is_the_same_on_both_sides(flowfile: Flowfile) -> None:
    """Stored there and read here; stored here and read there."""
    for value in VALUES:
        flowfile("upsert", name="theirs", value=value)
        assert fnb.secrets["theirs"].get_secret_value() == value

        if can_be_stored_here(value):
            fnb.secrets["ours"] = value
            assert flowfile("read", name="ours") == value
            flowfile("upsert", name="ours", value="replaced there")
            assert fnb.secrets["ours"].get_secret_value() == "replaced there"


@given(st.dictionaries(TEXT, TEXT, min_size=1, max_size=20), TEXT.filter(can_be_stored_here))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_drawn_batch(flowfile: Flowfile, batch: dict[str, str], replacement: str) -> None:
    """Whatever Flowfile accepts as name and value: read, replaced and deleted here, and the other way round."""
    ids = {name: flowfile("store", name=name, value=value) for name, value in batch.items()}

    assert {name: secret.get_secret_value() for name, secret in fnb.secrets.items()} == batch
    for name in batch:
        fnb.secrets[name] = replacement
        assert flowfile("read", name=name) == replacement
    assert row_ids() == ids
    for number, name in enumerate(batch):
        if number % 2:
            del fnb.secrets[name]
            assert flowfile("read", name=name) is None
        else:
            flowfile("delete", name=name)
            assert name not in fnb.secrets
    assert len(fnb.secrets) == 0


# The service, as Flowfile's own interface in the browser uses it


def test_the_service_and_a_notebook_see_each_other_at_once(service: Service, shell: Shell) -> None:
    """Added, replaced, renamed and deleted on one side, and seen on the other without a restart of either."""
    added = service.ask("POST", "/secrets/secrets", {"name": "theirs", "value": VALUE})
    assert fnb.secrets["theirs"].get_secret_value() == VALUE
    shell.run("%secret list")
    assert "theirs" in repr(shell.result)

    fnb.secrets["theirs"] = "replaced here"
    fnb.secrets["ours"] = VALUE
    assert service.names() == {"theirs": added["id"], "ours": added["id"] + 1}
    shell.run("%secret rename ours renamed")
    assert "renamed" in service.names()

    assert service.secret("DELETE", "renamed") is None
    with pytest.raises(NoSuchSecretError):
        fnb.secrets["renamed"].get_secret_value()
    shell.run("%secret delete theirs --yes")
    assert service.names() == {}
    # Flowfile refuses a name that is taken, here too.
    fnb.secrets["taken"] = VALUE
    assert service.ask("POST", "/secrets/secrets", {"name": "taken", "value": "x"}) == 400


def test_a_list_shows_no_control_character(flowfile: Flowfile, shell: Shell) -> None:
    """A terminal would obey it."""
    flowfile("store", name="\x1b[31mred\n", value="x")

    shell.run("%secret list")

    assert "\x1b" not in repr(shell.result)
    assert r"\x1b[31mred\n" in repr(shell.result)


# Grants, duplicates, shares


def test_a_share_survives_a_replaced_value_and_goes_with_the_secret(home: Path) -> None:
    """Grants stay with the row, and are removed as Flowfile removes them."""
    write_flowfile_key(home)
    with running_flowfile(home) as flowfile:
        add_frozen_rows(flowfile("settings")["database"])
        alice = Vault({"HOME": str(home)}, user_id=2)
        before = flowfile("grants")
        alice.set("team_warehouse", VALUE, replace=True)
        assert flowfile("grants") == before
        assert flowfile("read", name="team_warehouse", user=2) == VALUE

        alice.delete("team_warehouse")
        after = flowfile("grants")
        flowfile("delete", name="shadowed", user=2)

        assert [grant for grant in before if grant not in after] == [["secret", 10, 1]]
        assert flowfile("grants") == []
        with pytest.raises(NoSuchSecretError):
            Vault({"HOME": str(home)}, user_id=3).reveal("team_warehouse")


def test_shared_secrets_resolve_as_in_flowfile(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own ones shadow shared ones; a stranger has none. Flowfile, in the mode in which it shares, says the same."""
    write_flowfile_key(home)
    team = expected()["team"]
    monkeypatch.setenv("FLOWFILE_MODE", "docker")
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", expected()["master_key"])
    monkeypatch.setenv("FLOWFILE_INTERNAL_TOKEN", "t" * 64)
    monkeypatch.setenv("FLOWFILE_STORAGE_DIR", str(home / ".flowfile"))
    monkeypatch.setenv("FLOWFILE_USER_DATA_DIR", str(home / "user"))

    with running_flowfile(home) as flowfile:
        add_frozen_rows(flowfile("settings")["database"])
        for user, resolved in team["resolves"].items():
            number = team["users"][user]
            vault = Vault(os.environ, user_id=number)
            found = vault.names()

            assert {name: flowfile("read", name=name, user=number) for name in resolved} == resolved
            assert {name: vault.reveal(name) if name in found else None for name in resolved} == resolved


def test_a_name_that_flowfile_stored_twice(flowfile: Flowfile) -> None:
    """The lowest id counts on both sides: read, replaced, and deleted, after which the other one has the name."""
    first = flowfile("store", name="twice", value="first")
    second = flowfile("store", name="twice", value="second")

    assert fnb.secrets["twice"].get_secret_value() == flowfile("read", name="twice") == "first"
    fnb.secrets["twice"] = "replaced"
    assert flowfile("read", name="twice") == "replaced"
    assert row_ids() == {"twice": first}
    assert list(fnb.secrets) == ["twice"]
    del fnb.secrets["twice"]
    assert fnb.secrets["twice"].get_secret_value() == flowfile("read", name="twice") == "second"
    assert row_ids() == {"twice": second}


def test_flowfile_keeps_its_tables(flowfile: Flowfile, home: Path) -> None:
    """We add nothing to its catalog but rows: schema and indexes are the same after our writes."""
    catalog = flowfile("settings")["database"]
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    before = sqlite3.connect(catalog).execute(schema).fetchall()

    fnb.secrets["ours"] = VALUE
    del fnb.secrets["ours"]

    assert sqlite3.connect(catalog).execute(schema).fetchall() == before
