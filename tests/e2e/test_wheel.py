"""The built wheel, installed in an empty environment away from the sources, and used there as a user would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from notebooks.throwaway import Postgres

pytestmark = pytest.mark.e2e

_CHECKOUT = Path(__file__).parent.parent.parent
_EXTRAS = {"sqlite": "sql", "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "duckdb": "duckdb"}


class Environment:
    """An environment made by `python -m venv`, with the wheel and what it brings along."""

    def __init__(self, folder: Path, wheel: Path, extras: str = "") -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check", "-q"]
        subprocess.run([*pip, "install", f"{wheel}{extras}"], check=True)

    def run(self, program: str, *words: str, **variables: str) -> str:
        """Run one of its programs from a folder where nothing is, and return what it prints."""
        elsewhere = self.folder.parent / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        done = subprocess.run(
            [self.folder / "bin" / program, *words],
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables,
            cwd=elsewhere,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as for a release."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, _CHECKOUT]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment after `pip install flowfile-nb`."""
    return Environment(tmp_path_factory.mktemp("bare") / "environment", wheel)


@pytest.fixture(scope="module")
def with_postgresql(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment after `pip install 'flowfile-nb[postgresql]'`."""
    return Environment(tmp_path_factory.mktemp("postgresql") / "environment", wheel, "[postgresql]")


def test_everything_is_in_it(wheel: Path) -> None:
    """The wheel holds every file of the package, the panel's and the type marker too, and nothing else."""
    sources = (path for path in (_CHECKOUT / "flowfile_nb").rglob("*") if path.is_file() and path.suffix != ".pyc")
    package = {path.relative_to(_CHECKOUT).as_posix() for path in sources}

    inside = set(zipfile.ZipFile(wheel).namelist())

    assert {name for name in inside if ".dist-info/" not in name} == package
    assert {"flowfile_nb/py.typed", "flowfile_nb/notebook/panel_shell.js", "flowfile_nb/notebook/panel.css"} <= inside
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in inside)


def test_it_says_what_it_is(wheel: Path) -> None:
    """The wheel's own description is the README, and it offers the extras."""
    with zipfile.ZipFile(wheel) as file:
        [name] = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = file.read(name).decode()

    assert (_CHECKOUT / "README.md").read_text(encoding="utf-8").strip() in metadata
    assert set(re.findall(r"^Provides-Extra: (.+)$", metadata, re.MULTILINE)) >= {*_EXTRAS.values(), "lab", "test"}


def test_it_is_not_the_sources(bare: Environment) -> None:
    """What the environment imports is what was installed in it."""
    where = bare.run("python", "-c", "import flowfile_nb; print(flowfile_nb.__file__)")

    assert Path(where.strip()).is_relative_to(bare.folder)


def test_magics_in_ipython(bare: Environment, home: Path) -> None:
    """In IPython there, `%load_ext` works, a secret is stored, listed and read, and no value is shown or kept in clear."""
    session = home / "session.ipy"
    session.write_text(
        "%load_ext flowfile_nb\n"
        "%secret set prod_pw --env VALUE\n"
        "pw = %secret prod_pw\n"
        "print(repr(pw), pw.get_secret_value() == __import__('os').environ['VALUE'])\n"
        "print(get_ipython().run_line_magic('secret', 'list'))\n",
        encoding="utf-8",
    )

    shown = bare.run("ipython", "--no-banner", str(session), VALUE="hunter2 hunter2")

    assert "Stored prod_pw." in shown
    assert "Secret('prod_pw') True" in shown
    assert "local_user" in shown
    assert "hunter2" not in shown
    assert not any(b"hunter2" in path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_secrets_stay(bare: Environment) -> None:
    """What one process stores, the next one reads."""
    bare.run("python", "-c", "import flowfile_nb as fnb; fnb.secrets['prod_pw'] = 'hunter2 hunter2'")

    read = bare.run("python", "-c", "import flowfile_nb as fnb; print(fnb.secrets['prod_pw'].get_secret_value())")

    assert read.strip() == "hunter2 hunter2"


def test_panel(bare: Environment) -> None:
    """The panel comes with its script and its style."""
    program = "import flowfile_nb as fnb; panel = fnb.panel(); print('export' in panel._esm, '{' in panel._css)"

    assert bare.run("python", "-c", program).split() == ["True", "True"]


@pytest.mark.parametrize(("scheme", "extra"), _EXTRAS.items())
def test_driver_not_installed(bare: Environment, scheme: str, extra: str) -> None:
    """Without extras, the error for each database names the one that has all that this database needs."""
    shown = missing(bare, scheme)

    assert shown.splitlines()[-1] == f"hint: pip install 'flowfile-nb[{extra}]'   and run the cell again"


def test_another_driver_not_installed(with_postgresql: Environment) -> None:
    """With one database's extra, the error for another names the other's."""
    shown = missing(with_postgresql, "mysql")

    assert shown.splitlines()[-1] == "hint: pip install 'flowfile-nb[mysql]'   and run the cell again"


def test_sqlite(with_postgresql: Environment) -> None:
    """A SQLite file is opened through SQLAlchemy."""
    program = """
import flowfile_nb as fnb
engine = fnb.connect("sqlite:///data.db")
with engine.connect() as connection:
    print(connection.exec_driver_sql("SELECT 6 * 7").scalar())
"""

    assert with_postgresql.run("python", "-c", program).strip() == "42"


def test_postgresql(with_postgresql: Environment, home: Path, postgres: Postgres) -> None:
    """The extra `postgresql` brings all that a real server needs: `%%connect` in IPython there, and a query."""
    session = home / "session.ipy"
    session.write_text(
        "%load_ext flowfile_nb\n"
        "%secret set prod_pw --env VALUE\n"
        "get_ipython().run_cell_magic('connect', 'warehouse',"
        f" 'postgresql://{postgres.user}:%secret prod_pw@{postgres.host}:{postgres.port}/{postgres.database}')\n"
        "with warehouse.connect() as connection:\n"
        "    print(connection.exec_driver_sql('SELECT 6 * 7').scalar())\n",
        encoding="utf-8",
    )

    shown = with_postgresql.run("ipython", "--no-banner", str(session), VALUE=postgres.password)

    assert f"Connected: warehouse = postgresql://app@127.0.0.1:{postgres.port}/sales" in shown
    assert shown.strip().endswith("42")
    assert postgres.password not in shown


def missing(environment: Environment, scheme: str) -> str:
    """Return the error of connecting to a database whose driver is not installed."""
    program = f"""
import flowfile_nb as fnb
from flowfile_nb.errors import MissingDriverError
try:
    fnb.connect("{scheme}://")
except MissingDriverError as error:
    print(error)
"""
    return environment.run("python", "-c", program)
