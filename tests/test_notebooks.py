"""The notebooks in `notebooks/`: they run without anybody, leave no trace of a value, and never touch the user's store.

That each cell runs is also nbval's part: pytest collects `notebooks/` with it.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.kernel import LocalKernelManager

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_leaves_no_trace(path: Path, home: Path) -> None:
    """Executed with the widget state saved, the notebook holds its secret's name and not its value; the home stays empty."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import os; os.environ['PRACTICE_PASSWORD'][-11:]"))

    NotebookClient(
        notebook,
        kernel_manager_class=LocalKernelManager,
        timeout=120,
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=True,
    ).execute()

    tail = notebook.cells.pop().outputs[0]["data"]["text/plain"].strip("'")
    saved = nbformat.writes(notebook)
    assert len(tail) == 11
    assert tail not in saved
    assert "penguins_pw" in saved or "penguins_key" in saved
    assert list(home.rglob("*flowfile*")) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_committed_is_clean(path: Path) -> None:
    """No output has a path of somebody's machine, and no cell failed that was not meant to."""
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            assert "/tmp/" not in str(output)
            assert "/home/" not in str(output)
            assert output["output_type"] != "error" or "raises-exception" in cell.metadata.get("tags", [])


@pytest.mark.parametrize("stem", ["quickstart", "http_api", "object_storage"])
def test_running_all_cells_again(stem: str, home: Path) -> None:
    """In a kernel that has used a store already, a notebook gets a new one: neither a refusal nor a trace in the user's."""
    path = next(path for path in NOTEBOOKS if path.stem == stem)
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.v4.new_code_cell("%load_ext flowfile_nb\n%secret list")
    notebook.cells = [before, *notebook.cells, *nbformat.read(path, as_version=4).cells]

    NotebookClient(
        notebook, kernel_manager_class=LocalKernelManager, timeout=120, resources={"metadata": {"path": str(path.parent)}}
    ).execute()

    assert list(home.rglob("*flowfile*")) == []
