"""`%secret scan` in a shell and in a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb.core.encodings import patterns_of
from flowfile_nb.errors import UsageError
from flowfile_nb.notebook.bar import NotebookBar
from flowfile_nb.notebook.table import Table
from flowfile_nb.scan.progress import shown
from flowfile_nb.scan.scanning import Progress
from tests.scan.made import OTHER, VALUE, code, notebook, stream, write
from tests.support.kernel import running_kernel
from tests.support.shell import Shell

FORMS = [form.decode("utf-8", "replace") for value in (VALUE, OTHER) for form in patterns_of(value)]


def show(shell: Shell, line: str) -> str:
    """Run a line; return the table in both of its forms, which must not hold a value."""
    shown = shell.run(line)
    assert isinstance(shell.result, Table), shown
    text = repr(shell.result)
    assert not [form for form in FORMS if form in shown + text + shell.result._repr_html_()]
    return text


def test_the_table(shell: Shell, folder: Path) -> None:
    """File, place, name; below it what was searched and what to do."""
    write(folder / "my notebooks" / "a.ipynb", notebook(code("f()", stream(VALUE))))
    (folder / "b.py").write_text(VALUE, encoding="utf-8")

    text = show(shell, "%secret scan 'my notebooks' b.py")

    assert shell.result.header == ("file", "where", "secret")
    assert shell.result.rows == [
        ("my notebooks/a.ipynb", "cell 4, output stdout, line 1", "prod_pw"),
        ("b.py", "line 1", "prod_pw"),
    ]
    assert "2 places of 1 secret in 2 of 2 files" in text
    assert "--fix  masks them" in text
    assert "<br>" in shell.result._repr_html_()


def test_history_of_this_shell(shell: Shell, folder: Path) -> None:
    """Without a path, the shell's own history counts; the cell that asks is in it as well."""
    # As in a history from before the extension was there, which keeps such a cell out of it.
    shell.run("%unload_ext flowfile_nb")
    shell.run(f"x = {OTHER!r}")
    shell.run("%load_ext flowfile_nb")
    shell.real.history_manager.writeout_cache()

    text = show(shell, "%secret scan")

    (row,) = shell.result.rows
    assert (row[0], row[2]) == (shell.real.history_manager.hist_file, "other_pw")
    assert row[1].startswith("history input 1/")
    assert "session/line" in text
    assert shell.run("x = 2") == ""


def test_fix_and_clean(shell: Shell, folder: Path) -> None:
    """Masked, and clean the next time."""
    write(folder / "a.ipynb", notebook(code("f()", stream(VALUE))))

    assert "(masked)" in show(shell, "%secret scan a.ipynb --fix")
    assert show(shell, "%secret scan a.ipynb").startswith("Clean: none of 2 secrets in 1 file")


def test_mistakes_are_two_lines(shell: Shell, folder: Path) -> None:
    """As with every verb."""
    for line in ("%secret scan nowhere", "%secret scan --staged", "%secret scan --nope", "%secret scan --staged a.py"):
        shown = shell.run(line)

        assert isinstance(shell.error, UsageError)
        assert "hint: " in shown


def test_a_secret_named_scan(shell: Shell, folder: Path) -> None:
    """The verb comes first; `get` reaches the secret."""
    fnb.secrets["scan"] = "some-other-value"

    show(shell, "%secret scan")
    shell.run("%secret get scan")
    assert repr(shell.result) == "Secret('scan')"


def test_in_a_kernel(folder: Path) -> None:
    """The same in a real kernel; nothing that it sends holds a value."""
    write(folder / "a.ipynb", notebook(code("f()", stream(VALUE))))
    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb")

        shown = kernel.run("%secret scan a.ipynb")

        assert "cell 4, output stdout, line 1" in shown
        assert not [form for form in FORMS if form in kernel.shown()]


def test_the_bar_of_a_notebook(shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One display that is updated, and empty in the end; none for what is over at once."""
    shows: list[tuple[dict[str, str], bool]] = []

    class Handle:
        def update(self, bundle: dict[str, str], *, raw: bool) -> None:
            shows.append((bundle, raw))

    def display(bundle: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        shows.append((bundle, raw))
        return Handle()

    now = 0.0
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("time.monotonic", lambda: now)
    bar = NotebookBar(shown)
    bar(Progress(1, 100, 1, 0))
    bar.close()
    assert shows == []

    for _ in range(4):
        now += 0.3
        bar(Progress(50, 100, 1, 0))
    bar.close()

    assert len(shows) == 3
    assert "<progress max='100' value='50'>" in shows[0][0]["text/html"]
    assert shows[-1] == ({"text/plain": "", "text/html": ""}, True)
