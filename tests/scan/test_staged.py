"""What git is about to commit, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scan.made import VALUE, Scanned, code, notebook, stream, write

Scan = Callable[..., Scanned]
Git = Callable[..., str]
ROOT = Path(__file__).parent.parent.parent


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_index_and_not_the_files(folder: Path, scan: Scan, git: Git) -> None:
    """A value that is staged and already gone from the file is found; one that is only in the file is not."""
    put(folder / "staged.py", f"{VALUE}\n")
    put(folder / "clean.py", "clean\n")
    git("add", ".")
    put(folder / "staged.py", "clean\n")
    put(folder / "clean.py", f"{VALUE}\n")

    done = scan("--staged")

    assert (done.status, done.found) == (1, ["staged.py:1: prod_pw"])


def test_only_what_changes(folder: Path, scan: Scan, git: Git) -> None:
    """Committed files, deletions and new files that are not staged are not what is about to be committed."""
    put(folder / "old.py", VALUE)
    put(folder / "deleted.py", VALUE)
    git("add", ".")
    git("commit", "-q", "-m", "x")
    git("rm", "-q", "deleted.py")
    put(folder / "new.py", VALUE)

    assert scan("--staged").status == 0

    git("mv", "old.py", "moved.py")
    assert scan("--staged").found == ["moved.py:1: prod_pw"]


def test_notebooks_and_names_from_a_folder_below(folder: Path, scan: Scan, git: Git) -> None:
    """Paths are the repository's, from wherever it is run; all of a notebook's parts are looked at; names too."""
    write(folder / "näch\n" / "a.ipynb", notebook(code("f()", stream(VALUE))))
    put(folder / "another-canary-value", "clean")
    put(folder / "empty.py", "")
    put(folder / "below" / "x", "clean")
    git("add", ".")

    assert scan("--staged", cwd=folder / "below").found == [
        "[secret:other_pw]: file name: other_pw",
        "näch\\n/a.ipynb: cell 4, output stdout, line 1: prod_pw",
    ]


def test_links_and_submodules(folder: Path, scan: Scan, git: Git) -> None:
    """Of a link its target is committed, of a submodule a number."""
    (folder / "link").symlink_to("another-canary-value")
    put(folder / "sub" / "a.py", VALUE)
    git("init", "-q", cwd=folder / "sub")
    git("add", ".", cwd=folder / "sub")
    git("commit", "-q", "-m", "x", cwd=folder / "sub")
    git("-c", "advice.addEmbeddedRepo=false", "add", ".")

    done = scan("--staged")

    assert done.found == ["link:1: other_pw"]
    assert "sub" not in done.out


def test_a_large_staged_file(folder: Path, scan: Scan, git: Git) -> None:
    """It comes in pieces; the file after it is read right."""
    with open(folder / "a.csv", "w", encoding="utf-8") as file:
        file.writelines("1,2,3\n" for _ in range(2_000_000))
        file.write(VALUE)
    put(folder / "b.py", VALUE)
    git("add", ".")

    assert scan("--staged").found == ["a.csv:2000001: prod_pw", "b.py:1: prod_pw"]


def test_outside_of_a_work_tree(folder: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lines, and the status of an error."""
    done = scan("--staged")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("UsageError: git cannot say what is staged: this folder is not in a work tree")

    monkeypatch.setenv("PATH", "")
    done = scan("--staged")
    assert done.status == 2
    assert done.err.startswith("UsageError: git was not found")


def test_a_content_that_git_has_lost(folder: Path, scan: Scan, git: Git) -> None:
    """It is said, and the others are looked at."""
    put(folder / "a.py", f"a {VALUE}")
    put(folder / "b.py", f"b {VALUE}")
    git("add", ".")
    lost = git("rev-parse", ":a.py").strip()
    (folder / ".git" / "objects" / lost[:2] / lost[2:]).unlink()

    done = scan("--staged")

    assert done.found == ["b.py:1: prod_pw"]
    assert "a.py: git does not have its content" in done.out


def test_as_a_hook_by_hand(folder: Path, git: Git) -> None:
    """A commit with a value does not come about; one without does, also a partial one."""
    hook = folder / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m flowfile_nb scan --staged\n")
    hook.chmod(0o755)
    put(folder / "a.py", VALUE)
    put(folder / "b.py", "clean")
    git("add", "b.py")
    git("commit", "-q", "-m", "clean")
    git("add", "a.py")
    put(folder / "b.py", "also clean")

    refused = subprocess.run(["git", "commit", "-m", "x"], capture_output=True, text=True, check=False)

    assert refused.returncode == 1
    assert "a.py:1: prod_pw" in refused.stdout + refused.stderr
    git("commit", "-q", "-m", "only b", "b.py")
    assert git("log", "--format=%s").splitlines() == ["only b", "clean"]


@pytest.mark.e2e
def test_as_a_hook_of_pre_commit(folder: Path, git: Git, tmp_path: Path) -> None:
    """The real pre-commit takes the hook from a repository of ours, and refuses the commit."""
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", ".venv*", "__pycache__", "node_modules"))
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
        git(*arguments, cwd=source)
    head = git("rev-parse", "HEAD", cwd=source).strip()
    hooks = "".join(f"      - id: {name}\n" for name in ("flowfile-nb-scan", "flowfile-nb-scan-message"))
    put(folder / ".pre-commit-config.yaml", f"repos:\n  - repo: file://{source}\n    rev: {head}\n    hooks:\n{hooks}")
    command = [sys.executable, "-m", "pre_commit"]
    install = [*command, "install", "--hook-type", "pre-commit", "--hook-type", "commit-msg"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(install, check=True, capture_output=True, env=environment)
    put(folder / "a.py", VALUE)
    git("add", ".")

    def commit(message: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "commit", "-m", message], capture_output=True, text=True, check=False, env=environment, timeout=280
        )

    refused = commit("clean")
    assert refused.returncode == 1
    assert "a.py:1: prod_pw" in refused.stdout + refused.stderr
    put(folder / "a.py", "clean")
    git("add", ".")
    refused = commit(f"the value is {VALUE}")
    assert refused.returncode == 1
    assert "COMMIT_EDITMSG:1: prod_pw" in refused.stdout + refused.stderr
    assert commit("clean").returncode == 0
