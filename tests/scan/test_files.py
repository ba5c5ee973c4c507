"""Which files are looked at, what is left out and said, and what goes wrong with files."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowfile_nb.scan import files, scanning
from flowfile_nb.scan.files import Target, select
from flowfile_nb.scan.scanning import scan as scan_files
from tests.scan.made import VALUE, Scanned, code, knowing, notebook, stream, write

Scan = Callable[..., Scanned]
Git = Callable[..., str]


def put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{VALUE}\n", encoding="utf-8")


def quiet(*paths: str, **values: str) -> scanning.Report:
    return scan_files(knowing(**(values or {"prod_pw": VALUE})), paths, tell=lambda progress: None)


def test_in_a_work_tree_what_git_would_track(folder: Path, scan: Scan, git: Git) -> None:
    """Tracked and new files; checkpoints and `.env` although ignored; other ignored files only when their folder is named."""
    names = ("tracked.py", "new.py", "run.log", ".env", "conf/.env.local", "data/prod.env", "d/.ipynb_checkpoints/a.py")
    put(*(folder / name for name in names))
    (folder / ".gitignore").write_text("*.log\n*.env\n.env*\n.ipynb_checkpoints/\n")
    git("add", "tracked.py")
    git("commit", "-q", "-m", "x")

    default, named = scan(), scan(".")

    assert {line.split(":")[0] for line in default.found} == set(names) - {"run.log"}
    assert "Left out: 1 ignored by git" in default.out
    assert {line.split(":")[0] for line in named.found} == set(names)


def test_below_the_top_of_a_work_tree(folder: Path, scan: Scan, git: Git) -> None:
    """The current folder counts, not the whole repository."""
    put(folder / "top.py", folder / "sub" / "a.py")
    git("add", ".")

    assert scan(cwd=folder / "sub").found == ["a.py:1: prod_pw"]


def test_a_tracked_file_that_is_deleted(folder: Path, scan: Scan, git: Git) -> None:
    """Git still lists it; there is nothing to look at."""
    put(folder / "gone.py")
    git("add", ".")
    (folder / "gone.py").unlink()

    assert scan().status == 0


def test_in_the_hook_of_another_repository(folder: Path, scan: Scan, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    """What git says to its hooks about one repository does not hide files that another one tracks."""
    put(folder / "tracked.log")
    (folder / ".gitignore").write_text("*.log")
    git("add", "-f", ".")
    git("init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(folder / "other" / ".git"))

    assert scan().found == ["tracked.log:1: prod_pw"]


def test_repositories_inside(folder: Path, scan: Scan, git: Git) -> None:
    """A submodule, and a clone that git lists as one folder, are looked at as git sees each of them."""
    for name in ("sub", "clone"):
        put(folder / name / "a.py", folder / name / "b.log")
        git("init", "-q", cwd=folder / name)
        (folder / name / ".gitignore").write_text("*.log")
        git("add", ".", cwd=folder / name)
        git("commit", "-q", "-m", "x", cwd=folder / name)
    git("-c", "advice.addEmbeddedRepo=false", "add", "sub")

    assert scan().found == ["clone/a.py:1: prod_pw", "sub/a.py:1: prod_pw"]


def test_a_further_work_tree(folder: Path, scan: Scan, git: Git) -> None:
    """Where `.git` is a file that says where the repository is."""
    put(folder / "a.py")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    git("worktree", "add", "-q", "../further")

    done = scan(cwd=folder.parent / "further")

    assert done.found == ["a.py:1: prod_pw"]
    assert ".git" not in done.out


def test_a_password_in_a_remotes_address(folder: Path, scan: Scan, git: Git) -> None:
    """Of git's own files its settings are looked at, and no others."""
    git("remote", "add", "origin", "https://me:another-canary-value@example.com/x.git")
    (folder / ".git" / "description").write_text("another-canary-value")

    assert [line.split(":")[0] for line in scan().found] == [".git/config"]


def test_tracked_files_in_folders_of_others(folder: Path, scan: Scan, git: Git) -> None:
    """node_modules and environments are left out, and said; not what is tracked there."""
    put(folder / "node_modules" / "m.js", folder / "env" / "lib.py", folder / "env" / "tracked.py", folder / "conda" / "lib.py")
    (folder / "env" / "pyvenv.cfg").touch()
    (folder / "conda" / "conda-meta").mkdir()
    git("add", "env/tracked.py")

    done = scan(".")
    assert done.found == []
    assert "3 folders with other people's programs" in done.out
    assert [line.split(":")[0] for line in scan().found] == [
        "conda/lib.py",
        "env/lib.py",
        "env/tracked.py",
        "node_modules/m.js",
    ]
    assert scan("env").found == ["env/lib.py:1: prod_pw", "env/tracked.py:1: prod_pw"]


def test_without_git(folder: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    """No git, no repository: the whole folder."""
    put(folder / "a.log")

    assert scan().found == ["a.log:1: prod_pw"]
    monkeypatch.setenv("PATH", "")
    assert scan().found == ["a.log:1: prod_pw"]


def test_several_paths_each_file_once(folder: Path, scan: Scan) -> None:
    """Files and folders mixed, and home as `~`."""
    put(folder / "a.py", folder / "sub" / "b.py", Path.home() / "c.py")

    assert scan("sub", "a.py", "a.py", "sub/b.py", "~/c.py").found == [
        "sub/b.py:1: prod_pw",
        "a.py:1: prod_pw",
        f"{Path.home()}/c.py:1: prod_pw",
    ]


def test_links(folder: Path, scan: Scan, tmp_path: Path) -> None:
    """A link to a file is that file; links to folders, in circles too, are not followed, and said."""
    put(folder / "sub" / "a.py", tmp_path / "outside.py")
    (folder / "sub" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "broken").symlink_to("nowhere")
    (folder / "link.py").symlink_to(tmp_path / "outside.py")

    done = scan(".")

    assert done.found == ["link.py:1: prod_pw", "sub/a.py:1: prod_pw"]
    assert "Left out: 2 links to folders, and broken ones" in done.out


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_pipes_and_sockets_are_not_waited_for(folder: Path, scan: Scan) -> None:
    """Reading one would never end."""
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")

        done = scan(".", "pipe")

    assert done.status == 0
    assert "no regular files" in done.out


def test_what_cannot_be_read_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A file and a folder without permission are named, and the others are searched."""
    put(folder / "a.py", folder / "locked" / "b.py", folder / "z.py")
    real_open, real_scandir = open, os.scandir

    def refusing_open(path: str, *args: object, **more: object) -> object:
        if str(path).endswith("a.py"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *args, **more)  # type: ignore[call-overload]

    def refusing_scandir(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    # Root, who runs many tests, may read everything.
    monkeypatch.setattr("builtins.open", refusing_open)
    monkeypatch.setattr(os, "scandir", refusing_scandir)
    report = quiet(".")

    assert sorted(report.remarks) == [("a.py", "Permission denied"), ("locked", "Permission denied")]
    assert [finding.path for finding in report.findings] == ["z.py"]


def test_a_file_removed_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone when its turn comes holds nothing."""
    put(folder / "a.py", folder / "z.py")
    real = scanning.select

    def then_removed(paths: list[str]) -> files.Selection:
        selection = real(paths)
        (folder / "a.py").unlink()
        return selection

    monkeypatch.setattr(scanning, "select", then_removed)
    report = quiet(".")

    assert [finding.path for finding in report.findings] == ["z.py"]
    assert report.remarks == []


def test_a_file_cut_short_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is rotated while it is read: what was read counts. Mapped into memory, it would kill the kernel."""
    monkeypatch.setattr("flowfile_nb.scan.reading.PIECE", 4096)
    put(folder / "a.log")
    with open(folder / "a.log", "ab") as file:
        file.write(b"x" * 100_000)

    def cut(progress: scanning.Progress) -> None:
        os.truncate(folder / "a.log", 0)

    report = scan_files(knowing(prod_pw=VALUE), ["."], tell=cut)

    assert report.total == 1
    assert report.remarks == []


def test_large_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large data is left out, and said; a large notebook is searched as text; what is named is searched whatever it is."""
    monkeypatch.setattr(scanning, "_LARGE_BINARY", 10)
    monkeypatch.setattr(scanning, "_LARGE", 3000)
    monkeypatch.setattr(scanning, "_LARGE_NOTEBOOK", 100)
    (folder / "a.bin").write_bytes(b"\0" * 100 + VALUE.encode())
    (folder / "b.txt").write_bytes(b"x" * 3000 + VALUE.encode())
    write(folder / "c.ipynb", notebook(code("f()", stream(VALUE))))

    assert [(finding.path, finding.places[0].part) for finding in quiet(".").findings] == [("c.ipynb", "")]
    assert quiet(".").skipped == {scanning.LARGE: 2}
    assert quiet(".").remarks == [("c.ipynb", "searched as text, not as a notebook: it is over 128 MB")]
    assert [finding.path for finding in quiet("a.bin", "b.txt").findings] == ["a.bin", "b.txt"]


def test_a_path_that_holds_a_value(folder: Path, scan: Scan) -> None:
    """Names of files and folders are searched, too, and masked in the report: each once."""
    held = folder / "another-canary-value"
    for name in ("a.py", "b.py", "x-another-canary-value-x.txt"):
        (held / name).parent.mkdir(exist_ok=True)
        (held / name).write_text("clean")

    assert scan().found == [
        "[secret:other_pw]/a.py: file name: other_pw",
        "[secret:other_pw]/x-[secret:other_pw]-x.txt: file name: other_pw",
    ]


def test_a_path_that_talks_to_the_terminal(folder: Path, scan: Scan) -> None:
    """Control characters in a file's name, and bytes that are no text, are written out."""
    put(folder / "a\n\x1b[31mb.py")
    if sys.platform == "linux":
        Path(os.fsdecode(bytes(folder) + b"/\xff.py")).write_text(VALUE, encoding="utf-8")

    assert scan().found[0] == "a\\n\\x1b[31mb.py:1: prod_pw"


def test_a_path_that_is_not_there(scan: Scan) -> None:
    """Two lines and the status of an error; a value typed as a path is masked."""
    done = scan("another-canary-value.py")

    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines() == [
        "UsageError: there is no [secret:other_pw].py; nothing was scanned",
        "hint: check the path",
    ]


def test_a_database_that_this_process_has_open_keeps_its_locks(folder: Path) -> None:
    """Closing a file drops a process's locks on it: the scan must not do that to a transaction."""
    database = sqlite3.connect(folder / "own.db", isolation_level=None)
    database.execute("CREATE TABLE t (x)")
    database.execute("INSERT INTO t VALUES (?)", [VALUE])
    database.execute("BEGIN IMMEDIATE")

    report = quiet(".")

    assert [finding.path for finding in report.findings] == ["own.db"]
    intrude = "import sqlite3; sqlite3.connect('own.db', timeout=0, isolation_level=None).execute('BEGIN IMMEDIATE')"
    outcome = subprocess.run([sys.executable, "-c", intrude], capture_output=True, text=True, check=False)
    assert "database is locked" in outcome.stderr
    database.close()


def test_a_target_is_found_or_named(folder: Path) -> None:
    """What was named itself is searched whatever it is."""
    put(folder / "a.py")

    assert select(["a.py"]).targets == [Target("a.py", 29, named=True)]
    assert select(["."]).targets == [Target("a.py", 29, named=False)]
