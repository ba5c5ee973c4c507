"""Throw-away homes, stores in them, and other interpreters that work there."""

from __future__ import annotations

import atexit
import compileall
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import BrokenError

_ROOT = Path(__file__).parent.parent.parent
_FOREIGN = ("FLOWFILE_", "PYTHON", "XDG_", "JUPYTER", "IPYTHON", "APPDATA")
# Takes `module:function` and its arguments as JSON; answers with its last line.
_CALL = """
import json, sys
from importlib import import_module
module, _, name = sys.argv[1].partition(":")
result = getattr(import_module(module), name)(**json.loads(sys.argv[2]))
print()
print(json.dumps(result))
"""


@contextmanager
def new_home() -> Iterator[Path]:
    """A home directory with nothing in it, gone afterwards. `TMPDIR` chooses the disk."""
    with tempfile.TemporaryDirectory(prefix="flowfile_nb_bench_", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which *home* is home, and nothing of the user's own settings is left."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {
        **kept,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "IPYTHONDIR": str(home / ".ipython"),
        "FLOWFILE_MODE": "electron",
        "PYTHONPATH": os.pathsep.join([str(installed_copy()), str(_ROOT)]),
    }


@cache
def installed_copy() -> Path:
    """Return a folder with the package as an installer leaves it: compiled, and not edited while it is measured."""
    import flowfile_nb

    folder = Path(tempfile.mkdtemp(prefix="flowfile_nb_bench_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = Path(flowfile_nb.__file__).parent
    shutil.copytree(source, folder / "flowfile_nb", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder, quiet=1)
    return folder


def inside(python: str, function: str, home: Path, *, within: Sequence[str] = (), **arguments: Any) -> Any:
    """
    Call a function in a fresh process of the interpreter *python*, whose home is *home*.

    Args:
        python: The interpreter.
        function: `module:function`.
        home: The process's home directory.
        within: A command that runs this one, such as `unshare`.
        arguments: What JSON can carry; the result too.

    Raises:
        BrokenError: If it raised.
    """
    command = [*within, python, "-c", _CALL, function, json.dumps(arguments)]
    done = subprocess.run(command, env=environment(home), cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokenError(f"{function} failed in {python}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def inside_own(function: str, home: Path, **arguments: Any) -> Any:
    """Call a function in a fresh process of this interpreter."""
    return inside(sys.executable, function, home, **arguments)


def name_of(number: int) -> str:
    """Return the name of one of the stored secrets."""
    return f"secret_{number:06d}"


def value_of(name: str) -> str:
    """Return the value that is stored under *name*."""
    return f"the value of {name}"


def private_vault(home: str | Path) -> Any:
    """Return a vault whose key and database are below *home*, whatever this process's environment says."""
    from flowfile_nb.vault import Vault

    return Vault({"FLOWFILE_SECURE_STORAGE_PATH": f"{home}/key", "FLOWFILE_STORAGE_DIR": f"{home}/flowfile"})


def fill(vault: Any, count: int) -> None:
    """Store *count* secrets: the first as users do, which makes key and database, the others in one transaction."""
    first = name_of(0)
    vault.set(first, value_of(first), replace=True)
    keychain, location = vault.key.keychain(), vault.store.location
    rows = ((name, keychain.encrypt_secret(value_of(name), 1)) for name in map(name_of, range(1, count)))
    with closing(sqlite3.connect(location)) as database, database:
        database.executemany("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', 1)", rows)


def make_store(count: int) -> None:
    """Store *count* secrets of the user whose home this process has."""
    from flowfile_nb.vault import open_vault

    fill(open_vault(), count)


def make_flowfile_store(count: int) -> None:
    """Let the real Flowfile make its catalog, and store *count* secrets in it."""
    # Importing it creates key directory, catalog and local user.
    import_module("flowfile_core")
    make_store(count)
    from flowfile_core.secret_manager.secret_manager import decrypt_secret, get_encrypted_secret

    last = name_of(count - 1)
    if decrypt_secret(get_encrypted_secret(1, last)).get_secret_value() != value_of(last):
        raise BrokenError(f"Flowfile does not read {last} as we wrote it")


def require(truth: bool, otherwise: str) -> None:
    """
    Stop the benchmark unless something holds.

    Raises:
        BrokenError: With *otherwise*, if it does not.
    """
    if not truth:
        raise BrokenError(otherwise)
