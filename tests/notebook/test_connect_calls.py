"""How `connect` is called beside a description: other tools' words for its arguments, a semicolon, a file that is elsewhere."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, UsageError
from tests.support.shell import Shell


@pytest.fixture
def saved(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in a folder of its own, with a saved connection."""
    monkeypatch.chdir(tmp_path)
    fnb.secrets["pw"] = "canary-value"
    shell.run("import flowfile_nb as fnb")
    shell.run("%%connect scratch --save\nduckdb:///:memory:")
    return shell


@pytest.mark.parametrize(
    ("argument", "instead"),
    [
        ('form="duckdb"', 'as_="duckdb"'),
        ('as_form="duckdb"', 'as_="duckdb"'),
        ("timeout_s=30", "timeout=30"),
        ("time_out=30", "timeout=30"),
        ("no_test=True", "test=False"),
        ("tets=False", "test=False"),
        ("trusted=True", "trust=True"),
    ],
)
def test_other_words_for_an_argument(saved: Shell, argument: str, instead: str) -> None:
    """The right one is said, of a name and of a URL; and it works."""
    for target in ('"scratch"', '"duckdb:///:memory:"'):
        saved.run(f"fnb.connect({target}, {argument})")

        assert isinstance(saved.error, UsageError)
        assert saved.error.hint == f"did you mean  {instead}?"

        saved.run(f"fnb.connect({target}, {instead})")

        assert saved.error is None


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        ('fnb.connect("duckdb:///:memory:", replace=True)', "leave it out;  in a notebook:  %connect NAME --replace"),
        ('fnb.connect("scratch", password=fnb.secrets["pw"])', "leave it out, or change what is saved:  %connect NAME --edit"),
        ('fnb.connect("duckdb:///:memory:", file="x.toml")', 'connect("warehouse", file="connections.toml")   or leave'),
        (
            'fnb.connect("postgresql://h/x", password="x")',
            'all in a URL:  connect("postgresql://app:${secret:NAME}@host',
        ),
        ('fnb.connect("scratch", timeout="2")', "timeout=30"),
        ('fnb.connect("scratch", timeout=0)', "timeout=30"),
        ('fnb.connect("scratch", timeout=True)', "timeout=30"),
    ],
)
def test_an_argument_that_means_nothing_there(saved: Shell, call: str, hint: str) -> None:
    """Said before anything is opened."""
    saved.run(call)

    assert isinstance(saved.error, UsageError)
    assert saved.error.hint.startswith(hint)


def test_a_timeout(saved: Shell) -> None:
    """A server that accepts and says nothing is not waited for longer; by parts it is what the driver or the API calls so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://app:%secret pw@127.0.0.1:{server.getsockname()[1]}/sales"
        begun = time.monotonic()
        with pytest.raises(ConnectionFailedError):
            fnb.connect(url, timeout=1)
        assert time.monotonic() - begun < 8

    engine = fnb.connect(type="sqlite", database=":memory:", timeout=5)

    assert str(engine.url).endswith("timeout=5")


@pytest.mark.parametrize(
    "line", ["%connect scratch;", "%connect scratch ;", "%connect 'scratch';", "%connect scratch;  # mine"]
)
def test_a_semicolon(saved: Shell, line: str) -> None:
    """As people end a line whose output they do not want to see."""
    saved.run(line)

    assert saved.said == "Connected: scratch = duckdb:///:memory:\n"

    saved.run("%connect -x scratch;")

    assert saved.said == "Closed scratch.\n"


def test_a_file_above_the_folder(saved: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a project's root it is not taken; it is named, and the hint, followed to the letter, opens it."""
    (tmp_path / "connections.toml").write_text('[ok]\nurl = "duckdb:///:memory:"\n')
    below = tmp_path / "notebooks" / "sales"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)

    saved.run("%connect ok")

    assert isinstance(saved.error, UsageError)
    assert f"no saved connection is named 'ok', and no connections.toml is in {below} (or above it in a project" in saved.said
    assert 'further up:  %connect ok --file "../../connections.toml"   Describe it' in saved.said

    saved.run('%connect ok --file "../../connections.toml" --trust')

    assert saved.said == "Connected: ok = duckdb:///:memory:\n"

    saved.run("%connect okk --file ../../connections.toml")

    assert "no saved connection is named 'okk', and none is in ../../connections.toml\nhint: did you mean 'ok'?" in saved.said


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("x.db", "a file is described by its URL:  sqlite:///x.db"),
        ("x.duckdb", "a file is described by its URL:  duckdb:///x.duckdb"),
        ("connections.toml", "one of a file is opened by its name:  %connect NAME --file connections.toml"),
        ("my sales", "Describe it in a cell:  %%connect warehouse --save"),
        ("sales", "Describe it in a cell:  %%connect sales --save"),
    ],
)
def test_a_name_that_is_none(saved: Shell, name: str, hint: str) -> None:
    """A file's, and one that no variable can have."""
    saved.run(f"fnb.connect({name!r})")

    assert isinstance(saved.error, UsageError)
    assert saved.error.hint == hint


def test_a_file_by_its_path_from_python(saved: Shell, tmp_path: Path) -> None:
    """It has to be agreed to, as with `--file`; the hint has the path."""
    path = tmp_path / "others.toml"
    path.write_text('[ok]\nurl = "duckdb:///:memory:"\n')

    with pytest.raises(UsageError, match="was not used here as it is now") as caught:
        fnb.connect("ok", file=path)

    assert caught.value.hint.endswith(f"connect('ok', file={str(path)!r}, trust=True)")
    assert fnb.connect("ok", file=path, trust=True).dialect.name == "duckdb"
    with pytest.raises(ConnectionSpecError):
        fnb.connect(file=path)
