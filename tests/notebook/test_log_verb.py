"""`%secret log` and the front end's part of `%secret doctor`."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.errors import NoPromptError, StoreError, UsageError
from flowfile_nb.notebook import front_end
from tests.support.kernel import running_kernel
from tests.support.shell import Shell

Typed = Callable[[str], None]
CANARY = "canary7Q4x@:/#?"


def rows(shown: str) -> list[list[str]]:
    """Return the cells of each row that a table shows."""
    return [re.split(r"\s{2,}", line) for line in shown.splitlines() if re.match(r"\d{4}-\d\d-\d\d ", line)]


def test_the_newest_come_first_with_all_that_is_known(shell: Shell) -> None:
    """Time, secret, operation, outcome, place; a rename shows both names; no value; all of it is HTML in a notebook."""
    fnb.secrets["prod_pw"] = CANARY
    shell.run("pw = %secret prod_pw")
    shell.run("n = len(pw.get_secret_value())")
    shell.run("%secret set prod_pw --generate")
    shell.run("%secret rename prod_pw new_pw")

    shown = shell.run("%secret log")

    assert [row[1:4] for row in rows(shown)] == [
        ["prod_pw → new_pw", "rename", "ok"],
        ["prod_pw", "read", "ok"],
        ["prod_pw", "add", "ok"],
    ]
    assert abs(time.mktime(time.strptime(rows(shown)[0][0], "%Y-%m-%d %H:%M:%S")) - time.time()) < 3600
    assert "within a minute are one entry" in shown
    assert "<th scope='col'" in shell.result._repr_html_()
    assert CANARY not in shown + shell.result._repr_html_()


def test_one_secret_and_a_number_of_entries(shell: Shell) -> None:
    """NAME has what happened under its former names too; --last takes the newest and says how many there are."""
    fnb.secrets.update({"a": "1", "my name": "2"})
    shell.run("%secret rename a b")
    shell.run("%secret env b SOME_VARIABLE")

    assert [row[2] for row in rows(shell.run("%secret log b"))] == ["env", "read", "rename", "add"]
    assert [row[1:3] for row in rows(shell.run("%secret log 'my name'"))] == [["my name", "add"]]
    shown = shell.run("%secret log --last 2")
    assert len(rows(shown)) == 2
    assert "2 of 5 entries" in shown
    os.environ.pop("SOME_VARIABLE")


def test_a_deleted_secret_can_still_be_asked_for(shell: Shell) -> None:
    """Who used what is gone stays known; a name without entries and without a secret is an error with a suggestion."""
    fnb.secrets["prod_pw"] = "1"
    shell.run("%secret delete prod_pw --yes")
    assert [row[2] for row in rows(shell.run("%secret log prod_pw"))] == ["delete", "add"]

    fnb.secrets["dev_pw"] = "1"
    assert "did you mean 'dev_pw'" in shell.run("%secret log dev_pv")


def test_nothing_and_off_are_told_apart(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty record says so; one that is off says what makes it so."""
    assert "Nothing is recorded yet." in shell.run("%secret log")
    monkeypatch.setenv("FLOWFILE_NB_LOG", "off")
    fnb.secrets["a"] = "1"

    assert "No record is kept: FLOWFILE_NB_LOG is off." in shell.run("%secret log")
    assert "No record is kept" in shell.run("%secret log a")


def test_it_is_switched_off_while_the_kernel_runs(shell: Shell) -> None:
    """The setting sets the variable, for what this kernel starts too; True takes it back."""
    fnb.secrets["a"] = "1"
    shell.run("pass")

    shell.run("%config FlowfileNb.access_log = False")
    fnb.secrets["b"] = "1"
    assert os.environ["FLOWFILE_NB_LOG"] == "off"
    shell.run("%config FlowfileNb.access_log = True")
    fnb.secrets["c"] = "1"

    assert "FLOWFILE_NB_LOG" not in os.environ
    assert [row[1] for row in rows(shell.run("%secret log"))] == ["c", "a"]


def test_clearing_asks(shell: Shell, typed: Typed, key_directory: Path) -> None:
    """Anything but yes keeps it; headless it needs --yes; what cannot be deleted is an error of ours."""
    fnb.secrets["a"] = "1"
    shell.run("%secret log --clear")
    assert isinstance(shell.error, NoPromptError)
    assert "--yes" in shell.shown
    typed("n")
    assert "Kept." in shell.run("%secret log --clear")
    assert (key_directory / "flowfile_nb.log").exists()

    typed("y")
    assert "Deleted the record" in shell.run("%secret log --clear")
    assert not (key_directory / "flowfile_nb.log").exists()
    shell.run("%secret log --clear --yes")
    assert shell.error is None

    (key_directory / "flowfile_nb.log").mkdir()
    shell.run("%secret log --clear --yes")
    assert isinstance(shell.error, StoreError)


def test_a_service_keeps_its_own_record(shell: Shell) -> None:
    """Where secrets are not in files of this machine, neither is the record; using one works."""

    class Service:
        def require(self, name: str) -> None: ...

        def reveal(self, name: str) -> str:
            return "value"

        def version(self) -> object:
            return 1

        def fingerprints(self) -> dict[str, object]:
            return {}

    session.use_backend(Service())  # type: ignore[arg-type]

    shell.run("%secret env SOME_VARIABLE")
    assert os.environ.pop("SOME_VARIABLE") == "value"
    shell.run("%secret log")

    assert isinstance(shell.error, UsageError)


def test_ten_thousand_entries_are_shown_at_once(shell: Shell, key_directory: Path) -> None:
    """A record far beyond its bound, as another version may leave it, is a table of the newest."""
    fnb.secrets["a"] = "1"
    line = json.dumps({"at": 1.0, "operation": "read", "name": "n", "outcome": "ok", "notebook": "x", "process": 1})
    with (key_directory / "flowfile_nb.log").open("a") as file:
        file.writelines(line.replace("1.0", f"{number}.0") + "\n" for number in range(100_000))

    shown = shell.run("%secret log")

    assert len(rows(shown)) == 30
    assert "30 of 100,001 entries" in shown


# Real kernels


def test_which_notebook_a_real_kernel_records(home: Path) -> None:
    """The one that the Jupyter server names, and VS Code's variable before that; a connection's reads count."""
    (home / "db").mkdir()
    with running_kernel({**os.environ, "JPY_SESSION_NAME": str(home / "reports" / "sales.ipynb")}) as kernel:
        kernel.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb\nfnb.secrets['name'] = 'db'")
        kernel.run(f"%%connect warehouse\nsqlite:///{home}/%secret name/x.sqlite")
        assert "~/reports/sales.ipynb" in kernel.run("%secret log")
        assert [row[2] for row in rows(kernel.run("%secret log"))] == ["read", "add"]

        kernel.run(f"__vsc_ipynb_file__ = {str(home / 'code.ipynb')!r}\nfnb.secrets['other'] = 'x'")
        assert rows(kernel.run("%secret log other"))[0][4] == "~/code.ipynb"
        assert "VS Code, ipykernel" in kernel.run("%secret doctor")


@pytest.mark.parametrize("starter", ["nothing", "jupyter"])
def test_doctor_knows_the_front_end(home: Path, starter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who started the kernel, and the versions of what shows the panel."""
    environment = {**os.environ, **({"JPY_SESSION_NAME": "x.ipynb"} if starter == "jupyter" else {})}
    with running_kernel(environment) as kernel:
        kernel.run("%load_ext flowfile_nb")
        shown = kernel.run("%secret doctor")

    assert ("JupyterLab or Notebook" if starter == "jupyter" else "a program that says nothing") in shown
    assert re.search(r"anywidget \d+\.\d+\S*, ipywidgets \d+", shown)
    assert "mend " not in shown


def test_a_terminal_has_no_panel(shell: Shell) -> None:
    """So says the doctor."""
    assert "a terminal, IPython" in shell.run("%secret doctor")


def test_halves_of_a_widget_that_do_not_fit(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extension in JupyterLab of another version than the kernel's is to be mended; none here is the server's matter."""

    class InAKernel:
        kernel = object()
        user_ns: dict[str, Any] = {}  # noqa: RUF012

    def widgets() -> Any:
        return front_end.front_end_findings(InAKernel())[1]

    monkeypatch.setenv("JPY_SESSION_NAME", "x.ipynb")
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path / "none"), str(tmp_path)])
    assert "another environment" in widgets().state
    (tmp_path / "anywidget").mkdir()
    package = tmp_path / "anywidget" / "package.json"
    for nonsense in ("{}", "no json"):
        package.write_text(nonsense)
        assert widgets().ok

    package.write_text('{"version": "0.1.0"}')
    assert not widgets().ok
    assert "0.1.0" in widgets().state
    version = re.search(r"anywidget==(\S+)", widgets().remedy)
    assert version

    # What that command does.
    package.write_text(json.dumps({"version": version[1]}))
    assert widgets().ok


def test_what_is_done_to_the_whole_store_is_recorded(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup, a rotation and a restore are uses of every secret."""
    fnb.secrets["a"] = CANARY
    monkeypatch.setenv("PASSPHRASE", "four words of mine")
    shell.run(f"%secret backup {tmp_path}/b --passphrase-env PASSPHRASE")
    shell.run("%secret rotate-key --no-backup --yes")
    fnb.secrets.pop("a")
    shell.run(f"%secret restore {tmp_path}/b --yes --passphrase-env PASSPHRASE")

    shown = shell.run("%secret log")

    assert [row[2] for row in rows(shown) if row[1] == "the whole store"] == ["restore", "rotate-key", "backup"]
    assert [row[2] for row in rows(shell.run("%secret log a"))] == ["delete", "add"]
