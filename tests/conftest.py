"""A home directory, an environment, a shell and a database of their own for each test."""

from __future__ import annotations

import atexit
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from flowfile_nb import extension, session
from notebooks.throwaway import Postgres
from tests.support.postgres import running_postgres
from tests.support.shell import Shell

# How long one example takes says nothing here: machines that run tests are shared.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Run the files that fork first, while there are no threads of a broker's, a kernel's or IPython's.

    Where one of those is inside of SQLite at that moment, its lock on memory is held in the child for ever.
    """
    items.sort(key=lambda item: not _forks(item.path))


@cache
def _forks(path: Path) -> bool:
    return re.search(r'get_context\("fork"\)|os\.fork\(|support\.killing', path.read_text(encoding="utf-8")) is not None


@pytest.fixture(autouse=True, scope="session")
def no_real_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made for many tests at once, before `home`, does not find the store of whoever runs the tests either."""
    with pytest.MonkeyPatch.context() as patch:
        nobody = tmp_path_factory.mktemp("nobody")
        patch.setenv("HOME", str(nobody))
        patch.setenv("USERPROFILE", str(nobody))
        for name in list(os.environ):
            if name.startswith("FLOWFILE_") and not name.startswith("FLOWFILE_NB_FLOWFILE"):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home directory, no variable of Flowfile's, and a session that has opened nothing."""
    for name in list(os.environ):
        if name.startswith(("FLOWFILE_", "XDG_", "JUPYTER_ALLOW")) or name == "APPDATA":
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("IPYTHONDIR", str(home / ".ipython"))
    session.use_backend(None)
    # Values of another test are not this one's.
    monkeypatch.setattr(session, "_redactor", None)
    yield home
    for name in list(session.opened):
        session.close(name)
    session.use_backend(None)


@pytest.fixture
def key_directory(home: Path) -> Path:
    """Where the key and our own database are."""
    return home / ".config" / "flowfile"


@pytest.fixture
def shell(home: Path) -> Iterator[Shell]:
    """A real IPython shell with its history on disk, and the extension loaded."""
    InteractiveShell.clear_instance()
    main = sys.modules["__main__"]
    config = Config()
    config.HistoryManager.hist_file = str(home / "history.sqlite")
    config.InteractiveShell.colors = "nocolor"
    real = InteractiveShell.instance(config=config)
    shell = Shell(real)
    shell.run("%load_ext flowfile_nb")
    yield shell
    extension.unload(real)
    real.atexit_operations()
    atexit.unregister(real.atexit_operations)
    InteractiveShell.clear_instance()
    # The shell is the main module while it lives; later tests start processes, which look at that.
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL that asks for a password full of special characters."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Somebody at a terminal, who types one text at each prompt."""

    def type_(text: str) -> None:
        monkeypatch.setattr("flowfile_nb.notebook.prompt._require_someone", lambda: None)
        monkeypatch.setattr("getpass.getpass", lambda prompt: text)
        monkeypatch.setattr("builtins.input", lambda prompt: text)

    return type_
