"""Which family opens a description, and families that other packages bring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import flowfile_nb as fnb
from flowfile_nb.connections import families
from flowfile_nb.connections.literals import is_credential
from flowfile_nb.connections.mistyped import meant_credential
from flowfile_nb.errors import UnknownSchemeError
from tests.support.shell import Shell

_PACKAGE = """
class Client:
    def __init__(self, url, reveal):
        self.url, self.reveal, self.closed = url, reveal, False

def make(spec, reveal):
    return Client(spec.marked.restore(spec.marked.text), reveal)

def check(client):
    client.answer = client.reveal("pw")

def target(client):
    return "weather"

def close(client):
    client.closed = True

class Dictionary:
    note = "A dictionary, this time."

    def make(self, spec, reveal):
        reveal.learn("season ticket", "learned-canary")
        return {"password": reveal("pw")}

    def check(self, connection):
        connection["checked"] = True

    def target(self, connection):
        return "a dictionary"

    def close(self, connection):
        connection.clear()
"""


@pytest.fixture
def weather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is installed beside ours and brings a family of its own."""
    (tmp_path / "weather_family.py").write_text(_PACKAGE)
    info = tmp_path / "weather-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weather\nVersion: 1.0\n")
    points = "[flowfile_nb.connectors]\nweather = weather_family\n[flowfile_nb.forms]\ndict = weather_family:Dictionary\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "weather_family", raising=False)


@pytest.mark.usefixtures("home", "weather")
def test_a_package_brings_a_family() -> None:
    """An entry point named as the scheme is found, gets the reference and asks for the value itself."""
    fnb.secrets["pw"] = "the value"

    client: Any = fnb.connect("weather://app:%secret pw@station/7")

    assert client.answer == "the value"
    assert client.url == "weather://app:${secret:pw}@station/7"


@pytest.mark.usefixtures("weather")
def test_a_package_brings_a_form(shell: Shell) -> None:
    """A name after `--as` is found, too; what it learns elsewhere is masked, and its note is shown."""
    fnb.secrets["pw"] = "the value"

    shown = shell.run("%%connect db --as dict --save\nsqlite:///%secret pw")

    assert "A dictionary, this time." in shown
    assert shell.real.user_ns["db"] == {"password": "the value", "checked": True}
    assert "[secret:season ticket]" in shell.run("print('learned-' + 'canary')")
    shell.run("%connect -x db")
    assert "%connect db --as dict" in shown
    shell.run("%connect db --as dict")
    assert shell.real.user_ns["db"] == {"password": "the value", "checked": True}
    assert shell.complete("%connect db --as di") == ["dict"]
    assert {"adbc", "dict", "duckdb", "ibis", "polars", "uri"} == set(shell.complete("%%connect db --as "))
    shell.run("%connect -x db")


@pytest.mark.usefixtures("home")
def test_without_the_package_the_scheme_is_unknown() -> None:
    """What neither a family nor SQLAlchemy knows is said to be unknown."""
    with pytest.raises(UnknownSchemeError):
        fnb.connect("weather://station/7")
    with pytest.raises(UnknownSchemeError, match="did you mean 'sftp'"):
        fnb.connect("stfp://station/7")


@pytest.mark.usefixtures("home")
def test_a_kind_of_our_own_is_found_without_looking_at_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes twenty times as long as opening SQLite; and no package can put itself before ours."""

    def fail(**_: Any) -> None:
        raise AssertionError("looked through what is installed")

    monkeypatch.setattr("importlib.metadata.entry_points", fail)

    fnb.connect("sqlite://").dispose()
    fnb.connect("sqlite+pysqlite://").dispose()


@pytest.mark.usefixtures("home", "weather")
def test_what_is_offered_by_tab() -> None:
    """Kinds, a package's too; the keys that a family says it has, and none of one that says nothing."""
    assert {"postgresql", "sqlite", "weather"} <= set(families.kinds())
    assert "password" in families.keys_of("postgresql")
    assert families.keys_of("weather") == ()


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages that are installed, and do not load."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, source in [("raises_at_once", "1 / 0"), ("wants_another", "import not_installed_at_all"), ("is_empty", "")]:
        (tmp_path / f"{name}.py").write_text(source)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        where = name if name != "is_empty" else "is_empty:Family"
        points = f"[flowfile_nb.connectors]\n{name.replace('_', '')} = {where}\n[flowfile_nb.forms]\n{name} = {where}\n"
        (info / "entry_points.txt").write_text(points)
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("broken")
def test_a_broken_package_is_named_where_it_is_used(shell: Shell) -> None:
    """Its kind and its form are refused with its name and two lines; what it raised is not shown."""
    for name in ("raises_at_once", "wants_another", "is_empty"):
        for cell in (f"%%connect w\n{name.replace('_', '')}://h/x", f"%%connect w --as {name}\nsqlite://"):
            shown = shell.run(cell)

            assert f"MissingDriverError: the package '{name}' brings connections of type" in shown
            assert "does not load" in shown
            assert len(shown.strip().split("\n")) == 2


@pytest.mark.usefixtures("broken", "weather")
def test_a_broken_package_does_not_stand_in_the_way(shell: Shell) -> None:
    """Of other kinds, the list, the help page and Tab; not even below its own."""
    fnb.secrets["pw"] = "the value"
    shell.run("%%connect station --save\nweather://app:%secret pw@station/7")
    shell.run("%%connect bad --save --no-test\nraisesatonce://h/x")

    assert "Connected: w = sqlite://" in shell.run("%%connect w\nsqlite://")
    assert "UnknownSchemeError" in shell.run("%%connect w --replace\nnobodysown://h/x")
    shell.run("%connect")
    assert "weather" in shell.result._repr_html_()
    assert {'"weather"', '"raisesatonce"'} <= set(shell.complete('%%connect w\ntype = "'))
    assert "raisesatonce://" in shell.complete("%%connect w\n")
    assert "password = " not in shell.complete('%%connect w\ntype = "raisesatonce"\npa')
    for name in ("w", "station"):
        shell.run(f"%connect -x {name}")


@pytest.mark.parametrize("kind", families.kinds())
def test_no_key_of_ours_is_taken_for_a_mistyped_password(kind: str) -> None:
    """A description with each of them would be refused otherwise."""
    assert [key for key in families.keys_of(kind) if not is_credential(key) and meant_credential(key)] == []
