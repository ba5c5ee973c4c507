"""The setup wizard of docker mode in a real JupyterLab, in a real Chromium: the key is in the clipboard, and nowhere else."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import Page, WebSocket, expect

from tests.e2e.jupyterlab import JupyterLab, Notebook, PanelPage, take_picture
from tests.e2e.traces import disguises, everything_in, files_with

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

VARIABLE = "FLOWFILE_MASTER_KEY="


class Wizard:
    """The parts of the wizard as somebody with a screen reader finds them."""

    def __init__(self, notebook: Notebook) -> None:
        notebook.run(
            "os.environ.update(FLOWFILE_MODE='docker', FLOWFILE_STORAGE_DIR=os.environ['FLOWFILE_SECURE_STORAGE_PATH'])"
        )
        self.panel = PanelPage(notebook.run("%secret").locator(".fnb-panel"))
        self.root = self.panel.root.get_by_role("region", name="Set up the master key")
        self.line = self.root.get_by_label("The line for .env")
        expect(self.root).to_be_visible()

    def press(self, name: str) -> None:
        self.panel.button(name).click()


def test_the_key_is_in_the_clipboard_and_nowhere_else(page: Page, lab: JupyterLab) -> None:
    """Generate, copy, clear: no message to or from the kernel, no file, no text of the page and no store of it has the key."""
    frames: list[bytes] = []

    def listen(socket: WebSocket) -> None:
        for event in ("framesent", "framereceived"):
            socket.on(event, lambda data: frames.append(data if isinstance(data, bytes) else data.encode()))

    page.on("websocket", listen)
    notebook = Notebook(page, lab, "wizard")
    wizard = Wizard(notebook)
    expect(wizard.panel.form).to_be_hidden()
    expect(wizard.panel.table).to_be_hidden()

    wizard.press("Generate master key")
    expect(wizard.line).to_have_attribute("type", "password")
    wizard.press("Copy line")
    expect(wizard.panel.status).to_contain_text("Copied.")
    copied: str = page.evaluate("navigator.clipboard.readText()")
    key = copied.removeprefix(VARIABLE)
    Fernet(key)
    assert wizard.line.input_value() == copied
    assert key not in page.content()
    wizard.press("Clear")
    expect(wizard.line).to_be_hidden()
    saved = notebook.save()

    assert len(key) == 44
    assert "SecretPanel" in repr(saved["metadata"]["widgets"]), "widget state is not saved, so this would prove nothing"
    assert [form for form in disguises(key) if form in everything_in(page)] == []
    assert any(b'"op":"setup"' in frame.replace(b" ", b"") for frame in frames), (
        "nothing was heard, so this would prove nothing"
    )
    assert [form for form in disguises(key) if any(form.encode() in frame for frame in frames)] == []
    assert files_with(lab.home, disguises(key)) == []
    assert not (lab.home / "stores/wizard").exists()

    # What a restarted container does, without a restart: the panel sees at once that there is a key now.
    (lab.home / "key.env").write_text(key, encoding="utf-8")
    notebook.run(f"os.environ['FLOWFILE_MASTER_KEY'] = open({str(lab.home / 'key.env')!r}).read()")
    wizard.panel.root.dispatch_event("mouseenter")
    expect(wizard.root).to_be_hidden()
    wizard.panel.add("prod_pw", "hunter2")
    expect(wizard.panel.names).to_have_text(["prod_pw"])
    notebook.end_kernel()


def test_each_key_is_another_and_the_keyboard_is_enough(page: Page, lab: JupyterLab) -> None:
    """Tab and Enter alone make, show, copy and clear a key."""
    notebook = Notebook(page, lab, "keyboard")
    wizard = Wizard(notebook)
    keys = []
    for _ in range(2):
        wizard.panel.button("Generate master key").focus()
        page.keyboard.press("Enter")
        expect(wizard.panel.button("Copy line")).to_be_focused()
        page.keyboard.press("Enter")
        expect(wizard.panel.status).to_contain_text("Copied.")
        keys.append(page.evaluate("navigator.clipboard.readText()"))
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(wizard.line).to_have_attribute("type", "text")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(wizard.panel.button("Generate master key")).to_be_focused()

    assert len({*keys}) == 2
    notebook.end_kernel()


def test_without_a_clipboard_the_line_is_shown(page: Page, lab: JupyterLab) -> None:
    """Where the browser refuses, the line is selected to be copied by hand."""
    page.add_init_script("document.execCommand = () => false; navigator.clipboard.writeText = () => Promise.reject()")
    notebook = Notebook(page, lab, "no-clipboard")
    wizard = Wizard(notebook)

    wizard.press("Generate master key")
    wizard.press("Copy line")

    expect(wizard.panel.alert).to_contain_text("does not let the panel copy")
    expect(wizard.line).to_have_attribute("type", "text")
    assert (
        page.evaluate("getSelection().toString()").startswith(VARIABLE)
        or wizard.line.evaluate("(field) => field.selectionEnd - field.selectionStart") == len(VARIABLE) + 44
    )
    notebook.end_kernel()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_pictures(page: Page, lab: JupyterLab, theme: str) -> None:
    """The wizard before and after a key was made, in both themes, fits a narrow cell too."""
    notebook = Notebook(page, lab, f"wizard-{theme.lower()}")
    notebook.use_theme(theme)
    wizard = Wizard(notebook)
    take_picture(wizard.panel.root, f"wizard-{theme.lower()}")
    wizard.press("Generate master key")
    take_picture(wizard.panel.root, f"wizard-{theme.lower()}-made")
    for width in (560, 400):
        wizard.panel.root.evaluate("(element, width) => (element.style.width = `${width}px`)", width)
        take_picture(wizard.panel.root, f"wizard-{theme.lower()}-{width}")
        assert wizard.panel.root.evaluate("(element) => element.scrollWidth <= element.clientWidth")
    notebook.use_theme("Light")
    notebook.end_kernel()
