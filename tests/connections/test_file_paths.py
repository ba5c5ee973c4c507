"""Relative paths in a description lead to the same file wherever it is opened: saved, in a project's file, in a worker."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import trustme

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.connections.file_paths import anchored, located, relative_to
from flowfile_nb.connections.spec import read_spec
from tests.support.http_server import running
from tests.support.shell import Shell

FOLDER = Path("/srv/project")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project with a database of 41 in `data/`; the notebook is in a folder below."""
    folder = tmp_path / "there"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / ".git").mkdir()
    with sqlite3.connect(folder / "data" / "answer.db") as connection:
        connection.execute("CREATE TABLE t AS SELECT 41 AS x")
    connection.close()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Another folder, with a database of the same name and other contents."""
    folder = tmp_path / "elsewhere"
    (folder / "data").mkdir(parents=True)
    with sqlite3.connect(folder / "data" / "answer.db") as connection:
        connection.execute("CREATE TABLE t AS SELECT 666 AS x")
    connection.close()
    return folder


def read(shell: Shell, name: str) -> int:
    """Return what a bound engine reads."""
    shell.run(f"import pandas as pd\npd.read_sql('SELECT x FROM t', {name})['x'][0]")
    assert shell.error is None, shell.shown
    return int(shell.result)


@pytest.mark.parametrize("body", ["sqlite:///data/answer.db", 'type = "sqlite"  # ours\ndatabase = "data/answer.db"'])
def test_a_saved_one_from_another_folder(
    shell: Shell, there: Path, elsewhere: Path, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens the file that was meant where it was saved; what else stands in its text stays."""
    said = shell.run(f"%%connect answer --save\n{body}")
    assert f"Its relative paths are saved whole: they lead below {there} from every folder." in said
    shell.run("%connect -x answer")
    monkeypatch.chdir(elsewhere)

    shown = shell.run("%connect answer")

    assert f"Connected: answer = sqlite:///{there}/data/answer.db" in shown
    assert read(shell, "answer") == 41
    assert ("# ours" in body) is ("# ours" in session.backend().connection_bodies()["answer"])


def test_an_opened_one_after_the_folder_has_changed(
    shell: Shell, there: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell that changes the folder does not change where an open connection leads, nor where a worker's copy of it does."""
    shell.run("%%connect answer\nsqlite:///data/answer.db")
    data = pickle.dumps(shell.real.user_ns["answer"])

    monkeypatch.chdir(elsewhere)

    assert read(shell, "answer") == 41
    with multiprocessing.get_context("spawn").Pool(1, os.chdir, (elsewhere,)) as pool:
        assert pool.apply(first_of, (data,)) == 41
        pool.close()
        pool.join()


def first_of(data: bytes) -> int:
    """Read with what was pickled, in a worker."""
    engine = pickle.loads(data)
    found = int(pd.read_sql("SELECT x FROM t", engine)["x"][0])
    engine.dispose()
    return found


def test_a_projects_file(shell: Shell, there: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in `connections.toml` begin where that lies, not where the notebook does; what is exported is written so."""
    (there / "connections.toml").write_text('[answer]\ntype = "sqlite"\ndatabase = "data/answer.db"\n', encoding="utf-8")
    monkeypatch.chdir(there / "notebooks")

    shown = shell.run("%connect answer --trust")
    assert f"Connected: answer = sqlite:///{there}/data/answer.db" in shown
    assert read(shell, "answer") == 41

    shell.run("%connect answer --edit")
    assert shell.real.rl_next_input == f'%%connect answer\ntype = "sqlite"\ndatabase = "{there}/data/answer.db"'
    shell.run("%%connect other --save\nsqlite:///../data/answer.db")
    assert "other" in shell.run("%connect other --export")
    assert 'url = "sqlite:///data/answer.db"' in (there / "connections.toml").read_text(encoding="utf-8")
    monkeypatch.chdir(elsewhere)
    shell.run(f"%connect other --replace --file {there / 'connections.toml'}")
    assert read(shell, "other") == 41


def test_a_certificates_file(shell: Shell, there: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What TLS is checked with is the file that was meant: a real server is trusted from another folder, too."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(there / "ca.pem")
    fnb.secrets["key"] = "key"
    with running(authority) as server:
        body = f'type = "https"\nurl = "{server.url}"\ntest_path = "/"\ntoken = %secret key\nverify = "ca.pem"'
        shell.run(f"%%connect api --save\n{body}")
        shell.run("%connect -x api")
        monkeypatch.chdir(elsewhere)
        shown = shell.run("%connect api")
        shell.run("%connect -x api")

    assert f"Connected: api = {server.url}\n" in shown


UNCHANGED: list[Any] = [
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite:////abs/x.db",
    "sqlite:///file::memory:?cache=shared&uri=true",
    "sqlite:///file:shared?mode=memory&cache=shared&uri=true",
    {"type": "sqlite", "database": "file:shared", "query": {"mode": "memory", "uri": "true"}},
    "sqlite:///file:?uri=true",
    "sqlite:///%secret path",
    "duckdb:///md:cloud",
    "postgresql://app:%secret pw@h/sales?sslmode=verify-full&sslrootcert=system",
    "postgresql://app:%secret pw@h/sales?sslkey=%secret key",
    "https://api.example.com/v1?cert=a&token=%secret pw",
    'type = "kafka"\nbootstrap_servers = "h:1"\nssl_ca_location = "probe"',
    {"type": "s3", "bucket": "sales", "verify": False},
]


@pytest.mark.parametrize("description", UNCHANGED)
def test_what_is_no_relative_path(description: Any) -> None:
    """Memory, a service, a word, a reference, the query of an API, an absolute path: nothing changes, to the letter."""
    assert anchored(description, FOLDER) == description
    spec = read_spec(description)
    assert located(spec, FOLDER) is spec


@pytest.mark.parametrize(
    ("description", "wanted"),
    [
        ("sqlite:///file:../data.db?uri=true", "sqlite:///file:/srv/data.db?uri=true"),
        ("sqlite:///data.db?timeout=5", "sqlite:////srv/project/data.db?timeout=5"),
        ("duckdb:///../of mine.duckdb", "duckdb:////srv/of mine.duckdb"),
        ("sqlite:///file:data.db?mode=ro&uri=true", "sqlite:///file:/srv/project/data.db?mode=ro&uri=true"),
        ("sqlite:///d/${secret:p}.db", "sqlite:////srv/project/d/${secret:p}.db"),
        (
            "postgresql://app:${secret:pw}@h/x?sslmode=verify-full&sslrootcert=tls/ca.pem",
            "postgresql://app:${secret:pw}@h/x?sslmode=verify-full&sslrootcert=/srv/project/tls/ca.pem",
        ),
        ("mysql://h/x?ssl_ca=ca%2B1.pem", "mysql://h/x?ssl_ca=/srv/project/ca%2B1.pem"),
        ("sftp://h/x?known_hosts=hosts", "sftp://h/x?known_hosts=/srv/project/hosts"),
        (
            'type = "mysql"\npassword = %secret "a b"\n[connect_args.ssl]\nca = \'ca.pem\'  # of ours\n',
            'type = "mysql"\npassword = %secret "a b"\n[connect_args.ssl]\nca = \'/srv/project/ca.pem\'  # of ours\n',
        ),
        (
            'type = "kafka"\n[extra_config]\n"ssl.keystore.location" = "store"',
            'type = "kafka"\n[extra_config]\n"ssl.keystore.location" = "/srv/project/store"',
        ),
        # In a form that is not edited it is written anew.
        ("type = 'mysql'\nssl_ca = '''ca.pem'''", 'type = "mysql"\nssl_ca = "/srv/project/ca.pem"'),
        ({"type": "sqlite", "database": "x.db"}, {"type": "sqlite", "database": "/srv/project/x.db"}),
    ],
)
def test_relative_ones(description: Any, wanted: Any) -> None:
    """Of databases that are files, and of TLS options of each driver; once absolute they stay; a project gets short ones."""
    found = anchored(description, FOLDER)

    assert found == wanted
    assert anchored(found, Path("/another")) == found
    if "/srv/project/" in str(wanted):
        assert "/srv/project/" not in str(relative_to(found, FOLDER))


def test_home(home: Path) -> None:
    """`~` is everybody's own: it stays in what is saved, and is filled in where it is opened."""
    assert anchored("sqlite:///~/data.db", FOLDER) == "sqlite:///~/data.db"

    engine = fnb.connect("sqlite:///~/data.db")

    assert engine.url.database == str(home / "data.db")
    engine.dispose()
