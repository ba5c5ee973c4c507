"""What runs a notebook without a person saves it without the value: nbclient, and nbconvert's HTML of that."""

from __future__ import annotations

import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from flowfile_nb.vault import Vault
from tests.canary.values import seen
from tests.support.kernel import LocalKernelManager

VALUE = "p@ss\"w'o\\rd-ü"
_CELLS = (
    "{load}\nimport flowfile_nb as fnb, sys\nV = fnb.secrets['prod_pw'].get_secret_value()",
    "print(V); print(V, file=sys.stderr)",
    "V",
    "from IPython.display import HTML, display\ndisplay(HTML(V), metadata={'a': V})",
    "import ipywidgets\nipywidgets.VBox([ipywidgets.HTML(value=V), ipywidgets.Password(value=V)])",
    "raise ValueError(V)",
)


@pytest.fixture
def run(home: Path) -> nbformat.NotebookNode:
    """Return a function that runs the notebook, with the extension or without."""
    Vault({"FLOWFILE_SECURE_STORAGE_PATH": str(home / ".config/flowfile")}).set("prod_pw", VALUE, replace=False)

    def execute(load: str) -> nbformat.NotebookNode:
        cells = [nbformat.v4.new_code_cell(cell.replace("{load}", load)) for cell in _CELLS]
        notebook = nbformat.v4.new_notebook(cells=cells)
        with warnings.catch_warnings():
            # nbclient's own business.
            warnings.simplefilter("ignore")
            NotebookClient(
                notebook, kernel_manager_class=LocalKernelManager, kernel_name="python3", allow_errors=True, timeout=60
            ).execute()
        return notebook

    return execute


def _html(notebook: nbformat.NotebookNode) -> str:
    from nbconvert import HTMLExporter

    return str(HTMLExporter().from_notebook_node(notebook)[0])


def test_without_a_person(run: object) -> None:
    """Streams, results, displays, errors and the state of widgets: masked in the file and in its HTML; not so without us."""
    assert callable(run)
    bare, guarded = run(""), run("%load_ext flowfile_nb")

    for notebook in (bare, guarded):
        assert notebook.metadata.widgets
        assert [output.output_type for output in notebook.cells[-1].outputs] == ["error"]
    text = nbformat.writes(guarded)
    assert seen(VALUE, [nbformat.writes(bare), _html(bare)])
    assert text.count("[secret:prod_pw]") >= 8
    assert not seen(VALUE, [text, *map(str, guarded.cells), str(guarded.metadata), _html(guarded)])
