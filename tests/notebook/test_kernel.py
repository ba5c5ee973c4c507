"""A real kernel: what it sends, what it leaves on disk, what loading costs."""

from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from notebooks.throwaway import Postgres
from tests.support.kernel import Kernel, running_kernel

CANARY = "canary-p@ss:w/or d?#%\"'\\ü"
FORMS = [
    CANARY,
    json.dumps(CANARY)[1:-1],
    repr(CANARY)[1:-1],
    quote(CANARY, safe=""),
    base64.b64encode(CANARY.encode()).decode(),
]


@pytest.fixture
def kernel(home: Path) -> Iterator[Kernel]:
    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb")
        yield kernel


def files_with_the_canary(home: Path) -> list[str]:
    """Return the files under *home* that hold the canary in any form."""
    found = [path for path in home.rglob("*") if path.is_file()]
    return [str(path) for path in found if any(form.encode() in path.read_bytes() for form in FORMS)]


def test_a_typed_value_is_seen_nowhere(kernel: Kernel, home: Path, postgres: Postgres) -> None:
    """From the prompt to a connection with a wrong password: no message and no file has the value."""
    shown = kernel.run("%secret set prod_pw", typed=CANARY)
    assert "Stored prod_pw" in shown
    assert any(message["msg_type"] == "input_request" and message["content"]["password"] for message in kernel.messages)

    kernel.run("pw = %secret prod_pw\npw")
    kernel.run("repr(pw), str(pw), [pw], {'pw': pw}")
    kernel.run("f'{pw}'")
    kernel.run("%secret list")
    shown = kernel.run(f"%%connect db\npostgresql://app:%secret prod_pw@{postgres.host}:{postgres.port}/{postgres.database}")
    assert "ConnectionFailedError" in shown
    kernel.run("%debug?\n%tb")
    kernel.run("1 / 0")

    assert not any(form in kernel.shown() for form in FORMS)
    assert (home / ".ipython/profile_default/history.sqlite").exists()
    assert files_with_the_canary(home) == []


def test_a_value_on_the_line_is_kept_out_of_the_history(kernel: Kernel, home: Path) -> None:
    """`In`, `_ih`, `_i*` and history.sqlite of a real kernel hold the line without the value."""
    shown = kernel.run("%secret set prod_pw hunter2-canary")
    assert "ValueOnLineError" in shown
    assert "hunter2" not in shown

    remembered = kernel.run("print(repr((In, _ih, _i, _ii, _iii, [v for k, v in globals().items() if k.startswith('_i')])))")
    assert "hunter2" not in remembered
    assert "removed by flowfile_nb" in remembered
    kernel.run("get_ipython().history_manager.writeout_cache()")
    database = home / ".ipython/profile_default/history.sqlite"
    rows = sqlite3.connect(database).execute("SELECT source, source_raw FROM history").fetchall()
    assert "removed by flowfile_nb" in repr(rows)
    assert "hunter2" not in repr(rows)


def test_a_front_end_that_cannot_ask(kernel: Kernel) -> None:
    """Clients such as nbclient and papermill cannot prompt: two lines say which variable helps."""
    shown = kernel.run("%secret set prod_pw")

    assert "NoPromptError" in shown
    assert "FLOWFILE_SECRET_PROD_PW" in shown
    assert len(shown.strip().split("\n")) == 2


@pytest.mark.parametrize("cell", ["%secret prod_pw", "import flowfile_nb as fnb; fnb.secrets['prod_pw']"])
def test_a_missing_secret_where_nobody_can_be_asked(kernel: Kernel, cell: str) -> None:
    """The hint names the variable that gives it there, and how it is added where somebody sits."""
    headless, attended = kernel.run(cell), kernel.run(cell, typed="")

    assert "given by FLOWFILE_SECRET_PROD_PW;  stored:  %secret set prod_pw" in headless
    assert "Add it:  %secret set prod_pw" in attended
    assert len(headless.strip().split("\n")) == len(attended.strip().split("\n")) == 2


def test_missing_secrets_of_a_connection_where_nobody_can_be_asked(kernel: Kernel) -> None:
    """All variables at once; where somebody sits, all commands."""
    cell = "%%connect db\ntype = 'mysql'\nhost = 'h'\nuser = %secret a b\npassword = %secret c".replace("a b", '"a b"')

    assert "in a headless run they are given by FLOWFILE_SECRET_A_B, FLOWFILE_SECRET_C" in kernel.run(cell)
    assert 'add them:  %secret set "a b"   %secret set c' in kernel.run(cell, typed="")


def test_a_missing_secret_in_a_script(home: Path) -> None:
    """No magic could ask there."""
    script = "import flowfile_nb as fnb; fnb.secrets['prod_pw']"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert "given by FLOWFILE_SECRET_PROD_PW" in done.stderr


def test_loading_imports_next_to_nothing(home: Path) -> None:
    """One new module: all else is imported at the first use."""
    with running_kernel() as kernel:
        kernel.run("import sys; before = set(sys.modules)\n%load_ext flowfile_nb\nnew = sorted(set(sys.modules) - before)")
        new = kernel.run("print(*new)").split()

    # Newer IPythons load their own %load_ext at the first one.
    ours = [name for name in new if name != "IPython.core.magics.extension"]
    assert ours == ["flowfile_nb"]


def test_the_cell_that_loads_is_guarded_too(home: Path) -> None:
    """A value that is stored in the very cell of `%load_ext` is masked there."""
    with running_kernel() as kernel:
        stores = "import flowfile_nb as fnb\nfnb.secrets['prod_pw'] = 'hunter2-' + 'canary'"
        shown = kernel.run(f"%load_ext flowfile_nb\n{stores}\nprint('it is hunter2-' + 'canary')")

    assert "it is [secret:prod_pw]" in shown


def test_two_kernels_see_each_others_secrets(kernel: Kernel) -> None:
    """What one stores, the other has at once, and a replaced value too."""
    with running_kernel() as other:
        other.run("import flowfile_nb as fnb\nfnb.secrets['a'] = 'one'")
        assert kernel.run("pw = %secret a\nprint(pw.get_secret_value())").strip() == "one"

        kernel.run("import flowfile_nb as fnb\nfnb.secrets['a'] = 'two'")
        assert other.run("print(fnb.secrets['a'].get_secret_value())").strip() == "two"
