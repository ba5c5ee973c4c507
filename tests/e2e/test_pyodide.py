"""Python in the browser, for real: Pyodide (JupyterLite's interpreter), run in node. flowfile_nb refuses and keeps nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent.parent

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("node") is None, reason="no node here"),
    pytest.mark.skipif(not (_HERE / "node_modules" / "pyodide").is_dir(), reason="no Pyodide here:  npm ci --prefix tests/e2e"),
]

ACTIONS = {
    "load": "fnb.load_ipython_extension(None)",
    "panel": "fnb.panel()",
    "store": 'fnb.secrets["prod_pw"] = "hunter2xyz"',
    "read": 'fnb.secrets["prod_pw"]',
    "list": "list(fnb.secrets)",
    "delete": 'del fnb.secrets["prod_pw"]',
    "connect": 'fnb.connect("sqlite://")',
    "connect with a secret": 'fnb.connect("postgresql://app:%secret prod_pw@127.0.0.1/sales")',
}

_TRY_ALL = f"""
import os, sys
import flowfile_nb as fnb

def files():
    found = {{}}
    for folder, folders, names in os.walk("/"):
        if folder == "/":
            folders[:] = [name for name in folders if name not in ("dev", "mounted", "proc")]
        for name in folders + names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = (status.st_size, status.st_mtime_ns if name in names else 0)
    return found

def refusal(action):
    try:
        exec(action, {{"fnb": fnb}})
    except Exception as error:
        return type(error).__name__, getattr(error, "message", str(error))

before = files()
refusals = {{name: refusal(action) for name, action in {ACTIONS!r}.items()}}
after = files()
result = {{
    "platform": sys.platform,
    "looked there": os.path.expanduser("~") in before,
    "refusals": refusals,
    "changed": sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)),
    "modules": sorted(sys.modules),
}}
"""

_IN_IPYTHON = """
import os
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
import flowfile_nb as fnb

shell = InteractiveShell.instance()
with capture_output() as captured:
    outcome = shell.run_cell("%load_ext flowfile_nb")
with capture_output() as panel:
    shell.run_cell("import flowfile_nb; flowfile_nb.panel()")
result = {
    "error": type(outcome.error_in_exec).__name__,
    "shown": captured.stdout + captured.stderr,
    "panel": panel.stdout + panel.stderr,
    "magics": [name for magics in shell.magics_manager.magics.values() for name in magics if name in ("secret", "connect")],
    "kept": os.path.exists(os.path.expanduser("~/.config/flowfile")),
}
"""


@pytest.fixture(scope="module")
def bare() -> dict[str, Any]:
    """What happens where nothing but Python's standard library is there: neither IPython nor cryptography."""
    return run_in_pyodide(_TRY_ALL, _PACKAGE)


@pytest.fixture(scope="module")
def in_ipython() -> dict[str, Any]:
    """What happens in a real IPython shell, made of this environment's own pure Python packages."""
    return run_in_pyodide(_IN_IPYTHON, _PACKAGE, Path(sysconfig.get_path("purelib")))


def test_it_is_a_browsers_python(bare: dict[str, Any]) -> None:
    """The platform is the one that has to be refused, and its home directory was looked through."""
    assert bare["platform"] == "emscripten"
    assert bare["looked there"]


@pytest.mark.parametrize("action", ACTIONS)
def test_refused(bare: dict[str, Any], action: str) -> None:
    """Each way in is refused with one sentence that says why."""
    kind, message = bare["refusals"][action]

    assert kind == "UnsupportedPlatformError"
    assert message == "flowfile_nb does not run in browser-only Python: credentials are not stored in a browser"


def test_nothing_is_stored(bare: dict[str, Any]) -> None:
    """No file and no folder was made or changed, in the home directory or elsewhere."""
    assert bare["changed"] == []


def test_refusal_needs_nothing(bare: dict[str, Any]) -> None:
    """The refusal comes before anything of IPython, cryptography, the storage or a driver is imported."""
    wanted = {"IPython", "cryptography", "sqlalchemy", "flowfile_nb.storage", "flowfile_nb.vault", "flowfile_nb.connections"}

    assert wanted.isdisjoint(bare["modules"])


def test_load_ext(in_ipython: dict[str, Any]) -> None:
    """`%load_ext` in a real IPython there shows the refusal as two lines, and no magic is there afterwards."""
    assert in_ipython["error"] == "UnsupportedPlatformError"
    assert in_ipython["shown"].startswith("UnsupportedPlatformError: flowfile_nb does not run in browser-only Python")
    assert len(in_ipython["shown"].strip().splitlines()) == 2
    assert in_ipython["magics"] == []


def test_panel(in_ipython: dict[str, Any]) -> None:
    """The panel is refused as well, and no store is there afterwards."""
    assert in_ipython["panel"].startswith("UnsupportedPlatformError: flowfile_nb does not run in browser-only Python")
    assert not in_ipython["kept"]


def run_in_pyodide(program: str, *folders: Path) -> dict[str, Any]:
    """Run a program with *folders* on its path, and return what it leaves in `result`."""
    done = subprocess.run(
        ["node", _HERE / "pyodide.mjs", *folders], input=program, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
