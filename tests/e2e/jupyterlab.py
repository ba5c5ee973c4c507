"""A real JupyterLab on loopback in a home of its own, driven by a real Chromium."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.support.processes import ended_after, free_port, wait_for_port

# A condition is waited for as long as a busy machine may take; a good machine does not wait.
expect.set_options(timeout=30_000)

_CHECKOUT = Path(__file__).parents[2]
_SETTINGS = {
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    # Whatever a page asks for, nothing leaves this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

# Read here: each test starts without the variables of the environment that it is run in.
_PICTURES = os.environ.get("FLOWFILE_NB_SCREENSHOTS")

# The notebook's kernel has said that it is idle. A cell that is run before that is lost.
_READY = "() => globalThis.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


class JupyterLab(NamedTuple):
    """A running server."""

    home: Path
    """All that it and its kernels write is under it."""
    notebooks: Path
    log: Path
    url: str
    token: str


@contextmanager
def running_jupyterlab(home: Path) -> Iterator[JupyterLab]:
    """Start JupyterLab with *home* as its home directory, "Save Widget State" switched on, and stop it at the end."""
    lab = JupyterLab(home, home / "notebooks", home / "server.log", f"http://127.0.0.1:{free_port()}", secrets.token_hex())
    lab.notebooks.mkdir(parents=True)
    for plugin, settings in _SETTINGS.items():
        path = home / "settings" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), encoding="utf-8")
    port = int(lab.url.rsplit(":", 1)[1])
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": lab.notebooks,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": lab.token,
        "LabApp.extension_manager": "readonly",
        "LabApp.expose_app_in_browser": True,
        "JupyterNotebookApp.expose_app_in_browser": True,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{option}={value}" for option, value in options.items())]
    with lab.log.open("wb") as log:
        process = subprocess.Popen(command, cwd=lab.notebooks, env=_environment(home), stdout=log, stderr=subprocess.STDOUT)
        with ended_after(process):
            wait_for_port(process, port, 60, lab.log)
            yield lab


def _environment(home: Path) -> dict[str, str]:
    """Return an environment in which everything of Jupyter, IPython and Flowfile is under *home*."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "TMPDIR", "SYSTEMROOT"}}
    return kept | {
        "HOME": str(home),
        "IPYTHONDIR": str(home / ".ipython"),
        "JUPYTER_CONFIG_DIR": str(home / ".jupyter"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "FLOWFILE_SECURE_STORAGE_PATH": str(home / "flowfile"),
        "FLOWFILE_STORAGE_DIR": str(home / "flowfile-storage"),
        "PYTHONPATH": str(_CHECKOUT),
        # A frozen debugger warns on the server's output; nobody debugs here.
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Start the system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        yield browser
        browser.close()


class Notebook:
    """
    One notebook in a page of JupyterLab, with a kernel and a store of its own.

    Args:
        page: An empty page.
        lab: The server.
        name: The notebook's name, without `.ipynb`; also the name of its store.
        app: `lab` for JupyterLab, `notebooks` for Jupyter Notebook 7.
    """

    def __init__(self, page: Page, lab: JupyterLab, name: str, app: str = "lab") -> None:
        self.page = page
        self.lab = lab
        self.path = lab.notebooks / f"{name}.ipynb"
        empty = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell()],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(empty, self.path)
        place = f"lab/workspaces/{name}/tree" if app == "lab" else app
        self.page.goto(f"{lab.url}/{place}/{name}.ipynb?token={lab.token}")
        self.cells = page.locator(".jp-NotebookPanel:visible .jp-CodeCell")
        self.page.wait_for_function(_READY)
        self.run(f"import os; os.environ['FLOWFILE_SECURE_STORAGE_PATH'] = {str(lab.home / 'stores' / name)!r}")
        self.run("%load_ext flowfile_nb")

    def run(self, code: str, *, wait: bool = True) -> Locator:
        """Type *code* into the last cell, run it with Shift+Enter, and return its output, complete unless *wait* is off."""
        cell = self.cells.nth(self.cells.count() - 1)
        count = self.cells.count()
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        expect(self.cells).to_have_count(count + 1)
        ran = self.cells.nth(count - 1)
        if wait:
            expect(ran.locator(".jp-InputArea-prompt")).to_have_text(re.compile(r"\[\d+\]:"))
        return ran.locator(".jp-OutputArea-output")

    def panel(self, code: str = "%secret") -> PanelPage:
        """Run *code*, which shows the panel, and return the panel when it has its list."""
        panel = PanelPage(self.run(code).locator(".fnb-panel"))
        expect(panel.count).to_contain_text("secret")
        return panel

    def save(self) -> dict[str, Any]:
        """Save with Ctrl+S and return what is on disk then."""
        self.cells.last.locator(".cm-content").click()
        with self.page.expect_response(lambda answer: answer.request.method == "PUT" and "/api/contents/" in answer.url) as put:
            self.page.keyboard.press("Control+s")
        assert put.value.ok
        return json.loads(self.path.read_text(encoding="utf-8"))

    def use_theme(self, theme: str) -> None:
        """Switch JupyterLab to its theme *theme*, Light or Dark."""
        self.page.evaluate(
            "(name) => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", f"JupyterLab {theme}"
        )
        expect(self.page.locator(f"body[data-jp-theme-light={'true' if theme == 'Light' else 'false'}]")).to_be_attached()

    def end_kernel(self) -> None:
        """Shut the notebook's kernel down behind the page's back."""
        headers = {"Authorization": f"token {self.lab.token}"}
        sessions = self.page.request.get(f"{self.lab.url}/api/sessions", headers=headers).json()
        for session in sessions:
            if session["path"] == self.path.name:
                assert self.page.request.delete(f"{self.lab.url}/api/sessions/{session['id']}", headers=headers).ok


class PanelPage:
    """The parts of the panel as somebody with a screen reader finds them: by role and name."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.tabs = root.get_by_role("tablist").get_by_role("tab")
        self.count = root.locator(".fnb-tools:visible .fnb-count")
        self.search = root.get_by_role("searchbox", name="Search secrets by name")
        self.form = root.get_by_role("form", name="Add secret")
        self.name = self.form.get_by_label("Name", exact=True)
        self.value = self.form.get_by_label("Value", exact=True)
        self.save = self.form.get_by_role("button", name="Add secret")
        self.alert = root.get_by_role("alert")
        self.status = root.get_by_role("status").first
        self.waiting = root.get_by_role("status").last
        self.table = root.get_by_role("table")
        self.names = root.locator(".fnb-secrets tbody th")

    def button(self, name: str) -> Locator:
        """Return the button with exactly this accessible name."""
        return self.root.get_by_role("button", name=name, exact=True)

    def add(self, name: str, value: str) -> None:
        """Add a secret and wait until the kernel says that it has it."""
        self.name.fill(name)
        self.value.fill(value)
        self.save.click()
        expect(self.status).to_have_text(f"Saved {name}.")


def take_picture(part: Locator, name: str) -> None:
    """Take a picture of a part of the page, where FLOWFILE_NB_SCREENSHOTS names a folder for it."""
    if _PICTURES:
        part.screenshot(path=Path(_PICTURES) / f"{name}.png", animations="disabled")


# What stands out how much from its ground, by text, as WCAG counts it.
CONTRASTS = """(root) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const result = {};
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest(".fnb-hidden") || !element.checkVisibility()) continue;
    const grounds = [];
    for (let at = element; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    const ground = paint(["white", ...grounds]);
    const text = paint([getComputedStyle(element).color]);
    const [high, low] = [Math.max(ground, text), Math.min(ground, text)];
    const words = walker.currentNode.data.trim();
    result[words] = Math.min(result[words] ?? 21, (high + 0.05) / (low + 0.05));
  }
  return result;
}"""
