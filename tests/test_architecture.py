"""The stairs of the house: which room may import which. An exception is a visible line here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "flowfile_nb"

ROOMS = {
    "__init__": {"errors", "loading", "core", "session", "connecting", "extension", "notebook"},
    # What the hooks of `%load_ext` import at their first use; they themselves are in `__init__`, which has to be quick.
    "extension": {"loading", "notebook"},
    "errors": set(),
    "core": {"errors", "core"},
    "storage": {"errors", "core", "storage"},
    "backend": {"errors", "core"},
    "checkup": {"errors", "core", "storage", "backend", "checkup"},
    "listing": {"core", "backend"},
    "flowfile_connections": {"errors", "core", "storage", "backend"},
    "vault": {"attended", "errors", "core", "storage", "backend", "checkup", "listing", "kept_connections"},
    "kept_connections": {"core", "storage", "backend", "flowfile_connections"},
    # `waiting` for a locked file: for others the verb says what is waited for.
    "connections": {"attended", "errors", "core", "backend", "loading", "connections", "waiting"},
    # `extension` at the first value that has to be masked.
    "session": {"errors", "loading", "core", "backend", "vault", "connections", "team", "extension"},
    "connecting": {"errors", "core", "backend", "session", "connections", "team"},
    "lifecycle": {"errors", "core", "storage", "backend", "vault", "lifecycle"},
    "broker": {"errors", "core", "storage", "backend", "vault", "connections", "broker"},
    "team": {"attended", "errors", "core", "backend", "connections", "team", "waiting"},
    # The garbage collector, while a cell imports much.
    "loading": set(),
    # A bar in a terminal, which both the command line and the notebook draw.
    "progress": set(),
    # A line in a cell, for what is opened and for what a team's database is asked.
    "attended": set(),
    "waiting": set(),
    "scan": {"errors", "core", "backend", "progress", "scan"},
    # `connections` for what it takes as a definition: one that it does not understand is not saved.
    "importing": {"errors", "core", "backend", "connections", "importing"},
    "__main__": {"errors", "session", "checkup", "lifecycle", "scan", "importing", "broker"},
    # `backend` for the data it shows: Listing.
    "notebook": {
        *("errors", "core", "backend", "session", "connecting", "connections", "progress", "lifecycle", "scan", "importing"),
        *("attended", "notebook", "team", "waiting"),
    },
}

# Foreign libraries, and the only rooms (or files) that may name them.
LIBRARIES = {
    "cryptography": {
        "core/crypto.py",
        "core/sealed.py",
        "storage/master_key.py",
        "connections/own_arguments.py",
        "connections/ssh.py",
    },
    "keyring": {"storage/keychain_home.py", "importing/elsewhere.py"},
    "sqlite3": {"notebook/remembered.py", "storage", "scan/history.py", "broker/importing.py"},
    "IPython": {"notebook", "extension.py", "__init__.py"},
    "ipywidgets": {"notebook"},
    "anywidget": {"notebook/panel.py"},
    "sqlalchemy": {
        *(
            "connections/database.py",
            "connections/database_url.py",
            "connections/database_failures.py",
            "connections/dialects.py",
            "connections/late_binding.py",
            "connections/lost.py",
            "connections/own_arguments.py",
            "connections/pooled.py",
            "connections/portable.py",
        ),
        *("connections/forms", "connections/options.py", "connections/statements.py", "connections/timeouts.py"),
        *("broker", "team"),
    },
    "alembic": {"broker"},
    "tornado": {"broker"},
    "jwt": {"broker/identities", "broker/command.py"},
    "httpx": {
        "team/client.py",
        "team/links.py",
        "team/api_client.py",
        "broker/engines/http_api.py",
        "connections/http_api.py",
        "connections/http_check.py",
        "connections/http_oauth.py",
        "connections/http_transport.py",
    },
    "pyarrow": {"broker", "team"},
    "adbc_driver_postgresql": {"broker"},
    "pymysql": {"broker"},
    "clickhouse_driver": {"broker"},
    "confluent_kafka": {"connections/kafka.py"},
    "aiobotocore": {"connections/s3.py"},
    "botocore": {"connections/s3.py", "broker/engines/s3.py"},
    "azure": {"connections/azure.py", "broker/engines/azure.py"},
    "google": {"connections/gcs.py", "broker/engines/google.py"},
    "paramiko": {"connections/sftp.py", "connections/ssh.py"},
    "hyperscan": {"core/search.py"},
    "ahocorasick_rs": {"core/search.py"},
}

# A lock, and a thread that builds what a cell would otherwise wait for; neither reads nor changes anything else.
THREADS_IN_CORE = {"index.py", "redaction.py", "json_search.py"}
# Dates as values; no clock is read.
DATES_IN_CORE = {"parameters.py"}

FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Return the full names of the modules a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_up_the_stairs_only(path: Path) -> None:
    """A room imports what stands above it in the table, and nothing else of ours."""
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]

    ours = {name.split(".")[1] for name in imports(path) if name.startswith("flowfile_nb.") and name.count(".") > 1}

    assert ours <= ROOMS[room], f"{path.name} of {room} imports {ours - ROOMS[room]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    """Only the rooms named above know a foreign library."""
    place = path.relative_to(PACKAGE)

    named = {name.split(".")[0] for name in imports(path)} & set(LIBRARIES)

    for library in named:
        assert {str(place), str(place.parent), place.parts[0]} & LIBRARIES[library], f"{place} imports {library}"


def test_core_is_pure() -> None:
    """No file of core touches files, clock, environment, network or processes."""
    impure = {"os", "sys", "time", "pathlib", "io", "socket", "subprocess", "threading", "tempfile", "random", "datetime"}

    for path in (PACKAGE / "core").glob("*.py"):
        allowed = {"threading"} if path.name in THREADS_IN_CORE else {"datetime"} if path.name in DATES_IN_CORE else set()
        assert not {name.split(".")[0] for name in imports(path)} & impure - allowed, path.name
        assert "open(" not in path.read_text(encoding="utf-8").replace("_open(", ""), path.name


def test_files_hold_one_idea() -> None:
    """No file of the package is longer than 350 lines."""
    assert {
        path.name: len(path.read_text(encoding="utf-8").splitlines())
        for path in FILES
        if path.read_text("utf-8").count("\n") > 350
    } == {}
