"""Who shows the outputs of this process, and whether the panel's widget works there."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from typing import Any

from flowfile_nb.backend import Finding


def versions() -> Finding:
    """Return what an issue about this package has to say first."""
    try:
        own = metadata.version("flowfile-nb")
    except metadata.PackageNotFoundError:
        own = "(its folder, not installed)"
    return Finding(
        "versions", f"flowfile_nb {own}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )


def front_end_findings(shell: Any) -> list[Finding]:
    """Return what `%secret doctor` says about the front end of *shell* and its widgets."""
    if getattr(shell, "kernel", None) is None:
        return [Finding("front end", f"a terminal, IPython {metadata.version('ipython')}: tables, no panel")]
    kernel = f"ipykernel {metadata.version('ipykernel')}"
    if "__vsc_ipynb_file__" in shell.user_ns:
        return [Finding("front end", f"VS Code, {kernel}"), Finding("widgets", _versions())]
    if os.environ.get("JPY_SESSION_NAME"):
        return [Finding("front end", f"JupyterLab or Notebook, {kernel}"), _lab_extension()]
    # nbclient, papermill, a console, a test.
    return [Finding("front end", f"a program that says nothing of itself, {kernel}"), Finding("widgets", _versions())]


def _versions() -> str:
    return f"anywidget {metadata.version('anywidget')}, ipywidgets {metadata.version('ipywidgets')}"


def _lab_extension() -> Finding:
    """Compare anywidget's half in the kernel with its half in JupyterLab, which is looked for where this environment has it."""
    ours, theirs = metadata.version("anywidget"), _installed_extension()
    if theirs is None:
        state = f"{_versions()}; the server has to have anywidget too, and runs in another environment"
        return Finding("widgets", state, remedy="if the panel is not shown, where the server is:  pip install anywidget")
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        state = f"{_versions()}, but JupyterLab has the extension of anywidget {theirs}"
        return Finding(
            "widgets", state, ok=False, remedy=f"pip install anywidget=={ours}   where the server is; reload the page"
        )
    return Finding("widgets", f"{_versions()}, JupyterLab's extension {theirs}")


def _installed_extension() -> str | None:
    from jupyter_core.paths import jupyter_path

    for folder in jupyter_path("labextensions"):
        try:
            with open(os.path.join(folder, "anywidget", "package.json"), encoding="utf-8") as file:
                return str(json.load(file)["version"])
        except (OSError, ValueError, KeyError):
            continue
    return None
