"""The panel in a real JupyterLab, in a real Chromium, on a real kernel."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from flowfile_nb.core.references import reference
from tests.e2e.jupyterlab import CONTRASTS, JupyterLab, Notebook, PanelPage, running_jupyterlab, take_picture
from tests.e2e.traces import CANARY, disguises, everything_in, files_with
from tests.support.postgres import running_postgres

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WAITING = "Waiting for the kernel: it is running a cell, or is not there."
RESTARTED = "The kernel was restarted: run the cell again. What is typed here stays, and was not sent."
PEM = "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n"

SAMPLES = """
import time
from flowfile_nb import session
from flowfile_nb.backend import Listing

DAY = 86_400
NAMED = [("prod_pw", "maria", "", 3 * DAY, 120), ("dev_pw", "maria", "", 41 * DAY, 2 * DAY),
         ("snowflake_token", "maria", "", 9_000, 4_000), ("warehouse_ro", "jonas", "jonas", 120 * DAY, 30),
         ("github_token", "environment", "", None, None), ("s3_access_key", "maria", "", 12 * DAY, 5 * DAY),
         ("smtp relay", "maria", "", 500 * DAY, 400 * DAY), ("openai_key", "maria", "", 300, None),
         ("billing_api", "jonas", "jonas", 64 * DAY, 9 * DAY), ("metabase", "maria", "", 30, None)]

class Samples:
    def __init__(self, count, own=False):
        more = [(f"service_{n:04}", "maria", "", n * 7_000, n * 5_000) for n in range(count)]
        named = [row for row in NAMED if row[1] == "maria" or not own]
        self.rows = sorted([*named, *more][:count], key=lambda row: row[0])
    def names(self):
        return [row[0] for row in self.rows]
    def describe(self, limit=None, names=None):
        rows = [row for row in self.rows if names is None or row[0] in names][:limit]
        *columns, stored, used = map(list, zip(*rows))
        moments = [[None if age is None else int(time.time()) - age for age in ages] for ages in (stored, used)]
        return Listing(*columns, *moments)
    def count(self):
        return len(self.rows)
    def used_by(self, name):
        return ["warehouse"]
    def awaits_key(self):
        return False
    def version(self):
        return len(self.rows)
    def connection_bodies(self):
        return {}
    def used_connections(self):
        return {}
"""


# The promise


def test_a_secret_added_in_the_panel_is_used_and_is_nowhere(chromium: Browser, page: Page, tmp_path: Path) -> None:
    """Added in the panel, used by a query, saved with widget state: the value is in no file, page, storage or log."""
    with running_postgres(CANARY) as server, running_jupyterlab(tmp_path / "lab") as lab:
        notebook = Notebook(page, lab, "canary")
        panel = notebook.panel()

        panel.add("prod_pw", CANARY)
        notebook.run(
            f"%%connect warehouse\npostgresql://{server.user}:%secret prod_pw@{server.host}:{server.port}/{server.database}"
        )
        answer = notebook.run("import pandas; pandas.read_sql('select 6 * 7 as answer', warehouse)")
        expect(answer).to_contain_text("42")
        printed = notebook.run("import flowfile_nb as fnb; print(fnb.secrets['prod_pw'].get_secret_value())")
        expect(printed).to_contain_text("[secret:prod_pw]")
        saved = notebook.save()
        in_page = everything_in(page)

    assert "SecretPanel" in json.dumps(saved["metadata"]["widgets"]), "widget state is not saved, so this would prove nothing"
    assert "prod_pw" not in json.dumps(saved["metadata"]["widgets"])
    assert "42" in json.dumps(saved["cells"])
    assert "[secret:prod_pw]" in json.dumps(saved["cells"])
    assert "prod_pw" in in_page
    assert {"canary.ipynb", "history.sqlite"} <= {path.name for path in files_with(lab.home, ["prod_pw"])}
    assert [form for form in disguises(CANARY) if form in in_page] == []
    assert files_with(lab.home, disguises(CANARY)) == []


def holds(secret: str, value: str) -> str:
    """Return a cell that shows whether a secret has a value, which the guard would mask and the watch over cells notice."""
    digest = hashlib.sha256(value.encode()).hexdigest()
    return f"import flowfile_nb, hashlib; hashlib.sha256({secret}.get_secret_value().encode()).hexdigest() == {digest!r}"


def test_the_search_of_this_file_finds_each_disguise(tmp_path: Path) -> None:
    """Were the value in a file in any usual encoding, the test above would fail."""
    forms = [*disguises(CANARY), *(base64.b64encode(f"{before}:{CANARY}@".encode()).decode() for before in ("a", "ab", "abc"))]
    for number, form in enumerate(forms):
        (tmp_path / f"{number}.txt").write_text(f"…{form}…", encoding="utf-8")

    assert len(files_with(tmp_path, disguises(CANARY))) == len(forms)


# Adding


def test_notebook_7_shows_the_panel_too(page: Page, lab: JupyterLab) -> None:
    """In Jupyter Notebook 7 a secret is added and its name is in the list."""
    notebook = Notebook(page, lab, "notebook7", app="notebooks")
    panel = notebook.panel()

    panel.add("prod_pw", "hunter2")

    expect(panel.names).to_have_text(["prod_pw"])
    notebook.end_kernel()


def test_the_keyboard_alone_adds_a_secret(notebook: Notebook) -> None:
    """Tab goes from search to name to value, Enter saves, and the next name can be typed at once."""
    panel = notebook.panel()
    keyboard = notebook.page.keyboard

    panel.search.focus()
    keyboard.press("Tab")
    keyboard.type("prod_pw")
    keyboard.press("Tab")
    keyboard.type("hunter2 hunter2")
    keyboard.press("Enter")

    expect(panel.status).to_have_text("Saved prod_pw.")
    expect(panel.names).to_have_text(["prod_pw"])
    expect(panel.count).to_have_text("1 secret")
    expect(panel.name).to_be_focused()
    expect(panel.value).to_have_value("")
    expect(notebook.run(holds("flowfile_nb.secrets['prod_pw']", "hunter2 hunter2"))).to_have_text("True")


def test_undo_does_not_bring_a_typed_value_back(notebook: Notebook) -> None:
    """After saving, Ctrl+Z in the value's field leaves it empty."""
    panel = notebook.panel()
    panel.name.fill("prod_pw")
    panel.value.press_sequentially("hunter2")
    panel.value.press("Enter")
    expect(panel.status).to_have_text("Saved prod_pw.")

    panel.value.focus()
    notebook.page.keyboard.press("Control+z")

    expect(panel.value).to_have_value("")


def test_a_pasted_private_key_keeps_its_lines(notebook: Notebook) -> None:
    """Pasting text of several lines opens the masked text area; what is stored is that text, to the last line break."""
    panel = notebook.panel()
    notebook.page.evaluate("(text) => navigator.clipboard.writeText(text)", PEM)
    panel.name.fill("deploy_key")

    panel.value.focus()
    notebook.page.keyboard.press("Control+v")
    expect(panel.value).to_have_value(PEM)
    assert panel.value.evaluate("(field) => getComputedStyle(field).webkitTextSecurity") == "disc"
    notebook.page.keyboard.press("Control+Enter")

    expect(panel.status).to_have_text("Saved deploy_key.")
    expect(panel.value).to_have_value("")
    expect(notebook.run(holds("flowfile_nb.secrets['deploy_key']", PEM))).to_have_text("True")


def test_a_taken_name_is_refused_with_what_to_do(notebook: Notebook) -> None:
    """Adding a name twice changes nothing, says where Replace is, and keeps what was typed."""
    panel = notebook.panel()
    panel.add("prod_pw", "first value")

    panel.name.fill("prod_pw")
    panel.value.fill("second value")
    panel.save.click()

    expect(panel.alert).to_have_text("There is already a secret named prod_pw. Its row has Replace.")
    expect(panel.value).to_have_value("second value")
    panel.value.press("Escape")
    expect(panel.value).to_have_value("")
    expect(panel.alert).to_be_empty()
    expect(notebook.run(holds("flowfile_nb.secrets['prod_pw']", "first value"))).to_have_text("True")


def test_what_the_kernel_refuses_is_shown_and_the_value_is_gone(notebook: Notebook) -> None:
    """An error of the kernel stands in the alert with its hint; the name is back, the value is not."""
    panel = notebook.panel()
    panel.name.fill("prod_pw")
    panel.value.fill("hunter2\0")
    panel.save.click()

    expect(panel.alert).to_contain_text("a value with a NUL character was not stored")
    expect(panel.name).to_have_value("prod_pw")
    expect(panel.value).to_have_value("")
    expect(panel.value).to_be_focused()


def test_a_kernel_that_does_not_answer_is_said_and_then_answers(notebook: Notebook) -> None:
    """While nothing comes back the panel says that it waits; when the kernel goes on, what was asked for is done."""
    panel = notebook.panel()
    kernel = int(notebook.run("os.getpid()").inner_text())
    os.kill(kernel, signal.SIGSTOP)

    panel.name.fill("prod_pw")
    panel.value.fill("hunter2")
    panel.save.click()
    expect(panel.value).to_have_value("")
    expect(panel.waiting).to_have_text(WAITING)
    os.kill(kernel, signal.SIGCONT)

    expect(panel.status).to_have_text("Saved prod_pw.")
    expect(panel.waiting).to_be_empty()


# The rows


def test_replace_takes_effect_at_once(notebook: Notebook) -> None:
    """A Secret that a cell already holds gives the new value; focus is back on the row's button."""
    panel = notebook.panel()
    panel.add("prod_pw", "first value")
    notebook.run("pw = %secret prod_pw")

    panel.button("Replace the value of prod_pw").click()
    panel.root.get_by_label("New value of prod_pw").fill("second value")
    notebook.page.keyboard.press("Enter")

    expect(panel.status).to_have_text("Replaced prod_pw. Its previous value is kept for 7 days: %secret undo prod_pw")
    expect(panel.button("Replace the value of prod_pw")).to_be_focused()
    expect(notebook.run(holds("pw", "second value"))).to_have_text("True")


def test_delete_names_what_uses_it_and_asks(notebook: Notebook) -> None:
    """Enter twice does not delete; the question names the connection; then the secret is gone."""
    panel = notebook.panel()
    panel.add("prod_pw", "hunter2")
    notebook.run("%%connect warehouse --save --no-test\nsqlite:///%secret prod_pw")
    question = panel.root.get_by_role("form", name="Delete prod_pw? Used by connection warehouse (saved and open).")

    panel.button("Delete prod_pw").press("Enter")
    expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    expect(question).to_have_count(0)
    expect(panel.button("Delete prod_pw")).to_be_focused()
    expect(panel.names).to_have_text(["prod_pw"])

    notebook.page.keyboard.press("Enter")
    question.get_by_role("button", name="Delete").click()

    expect(panel.status).to_have_text("Deleted prod_pw.")
    expect(panel.names).to_have_count(0)
    expect(panel.search).to_be_focused()
    expect(panel.root).to_contain_text("No secrets yet.")


@pytest.mark.parametrize("clipboard", ["as it is", "missing, as over plain http"])
@pytest.mark.parametrize("name", ["prod pw", 'odd}"\\name'])
def test_copy_reference(notebook: Notebook, clipboard: str, name: str) -> None:
    """What is on the clipboard is the reference that core/references.py writes; the button says that it was copied."""
    page = notebook.page
    panel = notebook.panel()
    panel.add(name, "hunter2")
    if clipboard != "as it is":
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")

    button = panel.button(f"Copy reference to {name}")
    button.press("Enter")

    expect(panel.status).to_have_text(f"Copied {reference(name)}")
    expect(button).to_have_text("Copied")
    expect(button).to_be_focused()
    panel.search.focus()
    page.keyboard.press("Control+v")
    expect(panel.search).to_have_value(reference(name))
    expect(button).to_have_count(0)


def test_search_filters_as_one_types(notebook: Notebook) -> None:
    """Any part of a name finds it, in any case; the count says how many of how many."""
    notebook.run(SAMPLES + "session.use_backend(Samples(10))")
    panel = notebook.panel()
    expect(panel.count).to_have_text("10 secrets")

    panel.search.press_sequentially("PW")
    expect(panel.names).to_have_text(["dev_pw", "prod_pw"])
    expect(panel.count).to_have_text("2 of 10 secrets")

    panel.search.fill("nothing like it")
    expect(panel.root).to_contain_text("No name contains “nothing like it”.")


def test_what_is_not_ones_own_can_only_be_referred_to(notebook: Notebook) -> None:
    """A shared secret and one of the environment have neither Replace nor Delete."""
    notebook.run(SAMPLES + "session.use_backend(Samples(10))")
    panel = notebook.panel()

    for name in ("warehouse_ro", "github_token"):
        row = panel.root.locator("tbody tr", has=notebook.page.get_by_role("rowheader", name=name))
        expect(row.get_by_role("button")).to_have_text(["Copy reference"])


def test_a_thousand_secrets_are_drawn_as_one_scrolls(notebook: Notebook) -> None:
    """Few rows are in the page at first; scrolling brings all of them, in order."""
    notebook.run(SAMPLES + "session.use_backend(Samples(1_000))")
    panel = notebook.panel()
    expect(panel.count).to_have_text("1,000 secrets")
    assert panel.names.count() <= 200

    while not panel.names.filter(has_text="warehouse_ro").count():
        drawn = panel.names.count()
        panel.names.last.scroll_into_view_if_needed()
        expect(panel.names).not_to_have_count(drawn)

    expect(panel.names).to_have_count(1_000)
    assert panel.names.first.inner_text() == "billing_api"


def test_the_end_of_ten_thousand_secrets_is_one_leap_away(notebook: Notebook) -> None:
    """The scroll bar's end is the last secret, its beginning the first, and few rows are drawn for either."""
    notebook.run(SAMPLES + "session.use_backend(Samples(10_000))")
    panel = notebook.panel()
    expect(panel.count).to_have_text("10,000 secrets")
    scroller = panel.root.locator(".fnb-secrets .fnb-scroll")

    scroller.evaluate("(element) => (element.scrollTop = element.scrollHeight)")
    expect(panel.names.last).to_have_text("warehouse_ro")
    assert scroller.evaluate(SHOWN)[-1] == "warehouse_ro"
    assert panel.names.count() <= 200

    scroller.evaluate("(element) => (element.scrollTop = element.scrollHeight / 2)")
    expect(panel.names.filter(has_text="service_5000")).to_have_count(1)
    assert "service_5000" in scroller.evaluate(SHOWN)

    scroller.evaluate("(element) => (element.scrollTop -= 3 * element.clientHeight)")
    scroller.evaluate("(element) => (element.scrollTop = 0)")
    expect(panel.names.first).to_have_text("billing_api")
    assert scroller.evaluate(SHOWN)[0] == "billing_api"


# The names of the rows that are to be seen in the scrolled part.
SHOWN = """(scroller) => {
  const [seen, head] = [scroller, scroller.querySelector("thead")].map((element) => element.getBoundingClientRect());
  return [...scroller.querySelectorAll("tbody th")].filter((cell) => {
    const { top, bottom } = cell.getBoundingClientRect();
    return top >= head.bottom - 1 && bottom <= seen.bottom + 1;
  }).map((cell) => cell.textContent);
}"""


def test_columns_that_say_nothing_are_not_shown(notebook: Notebook) -> None:
    """Where every secret is one's own there is no owner, where none was used no last use."""
    panel = notebook.panel()
    heads = panel.root.locator(".fnb-secrets thead th:visible")
    panel.add("prod_pw", "hunter2")
    expect(heads).to_have_text(["Name", "Age", "Actions"])

    notebook.run("import flowfile_nb; len(flowfile_nb.secrets['prod_pw'].get_secret_value())")
    panel.search.hover()
    expect(heads).to_have_text(["Name", "Age", "Last used", "Actions"])
    expect(panel.root.locator("tbody td:visible").nth(1)).to_have_text("just now")

    notebook.run(SAMPLES + "session.use_backend(Samples(10))")
    expect(notebook.panel().root.locator(".fnb-secrets thead th:visible")).to_have_text(
        ["Name", "Owner", "Shared by", "Age", "Last used", "Actions"]
    )


def test_the_record_names_the_notebook(notebook: Notebook) -> None:
    """Who used a secret is a notebook of the server, by its path; the doctor sees a front end that shows widgets."""
    notebook.panel().add("prod_pw", "hunter2")
    notebook.run("import flowfile_nb; len(flowfile_nb.secrets['prod_pw'].get_secret_value())")

    shown = notebook.run("%secret log")
    expect(shown.locator("tbody tr")).to_have_count(2)
    expect(shown.locator("tbody tr").first).to_contain_text(re.compile(f"prod_pw\\s*read\\s*ok\\s*\\S*{notebook.path.name}"))
    doctor = notebook.run("%secret doctor")
    expect(doctor).to_contain_text("JupyterLab or Notebook, ipykernel")
    expect(doctor.locator("tr", has_text="widgets")).to_contain_text("JupyterLab's extension")
    expect(doctor.locator("tr", has_text="mend")).to_have_count(0)


def test_a_change_made_by_a_cell_shows_at_once(notebook: Notebook) -> None:
    """Nobody has turned to the panel since; what is typed in it stays."""
    panel = notebook.panel()
    panel.name.fill("half_typed")

    notebook.run("import flowfile_nb; flowfile_nb.secrets['from_a_cell'] = 'hunter2'")

    expect(panel.names).to_have_text(["from_a_cell"])
    expect(panel.name).to_have_value("half_typed")
    notebook.run("%secret delete from_a_cell --yes")
    expect(panel.names).to_have_count(0)


def test_a_change_made_elsewhere_shows_when_one_turns_to_the_panel(notebook: Notebook) -> None:
    """A secret stored by another process is in the list as soon as the pointer is over the panel."""
    panel = notebook.panel()
    store = "import flowfile_nb; flowfile_nb.secrets['from_a_cell'] = 'hunter2'"
    notebook.page.evaluate(
        "(code) => jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code}).done",
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {store!r}], check=True)",
    )

    notebook.page.mouse.move(0, 0)
    panel.search.hover()

    expect(panel.names).to_have_text(["from_a_cell"])


# The notebook round it


def test_the_notebooks_shortcuts_stay_out(notebook: Notebook) -> None:
    """In the panel `d d` does not delete the cell, Enter does not edit it and `b` adds none."""
    panel = notebook.panel()
    panel.add("prod_pw", "hunter2")
    cells = notebook.cells.count()

    panel.button("Replace the value of prod_pw").focus()
    for key in ("d", "d", "b", "a", "Enter"):
        notebook.page.keyboard.press(key)

    expect(panel.root.get_by_label("New value of prod_pw")).to_be_focused()
    expect(notebook.cells).to_have_count(cells)


def test_a_reopened_notebook_without_its_kernel_says_so(notebook: Notebook) -> None:
    """A saved panel whose kernel is gone comes back without names, says that it waits, and throws nothing."""
    panel = notebook.panel()
    panel.add("prod_pw", "hunter2")
    notebook.save()

    notebook.end_kernel()
    notebook.page.reload()

    reopened = PanelPage(notebook.page.locator(".fnb-panel"))
    expect(reopened.waiting).to_have_text(WAITING)
    expect(reopened.names).to_have_count(0)
    reopened.name.fill("prod_pw")
    reopened.value.fill("hunter2")
    expect(reopened.save).to_be_disabled()
    reopened.value.press("Enter")
    expect(reopened.value).to_have_value("hunter2")


def test_a_restarted_kernel_takes_nothing_and_loses_nothing(notebook: Notebook) -> None:
    """The panel says that its cell has to be run again; what was typed stays and cannot be sent; the new panel works."""
    panel = notebook.panel()
    panel.add("prod_pw", "hunter2")
    panel.name.fill("dev_pw")
    panel.value.fill("hunter3")

    expect(panel.button("Delete prod_pw")).to_be_visible()
    notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(panel.waiting).to_have_text(RESTARTED)
    expect(panel.save).to_be_disabled()
    expect(panel.button("Delete prod_pw")).to_be_disabled()
    panel.value.press("Enter")
    expect(panel.name).to_have_value("dev_pw")
    expect(panel.value).to_have_value("hunter3")
    expect(panel.names).to_have_text(["prod_pw"])

    notebook.run(f"import os; os.environ['FLOWFILE_SECURE_STORAGE_PATH'] = {str(notebook.store)!r}")
    notebook.run("%load_ext flowfile_nb")
    again = notebook.panel()
    expect(again.names).to_have_text(["prod_pw"])
    again.add("dev_pw", "hunter3")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_panel_follows_the_theme(notebook: Notebook, theme: str) -> None:
    """Every text of the panel stands out from its ground by 4.5 to 1 at least, as WCAG 2 AA asks."""
    notebook.use_theme(theme)
    notebook.run(SAMPLES + "session.use_backend(Samples(10))")
    panel = notebook.panel()
    take_picture(panel.root, f"panel-{theme.lower()}-10")
    panel.button("Delete prod_pw").click()
    expect(panel.button("Cancel")).to_be_focused()
    take_picture(panel.root, f"panel-{theme.lower()}-delete")
    panel.root.evaluate("(root) => (root.querySelector('.fnb-messages [role=alert]').textContent = 'An error')")
    contrasts: dict[str, float] = panel.root.evaluate(CONTRASTS)
    panel.button("Replace the value of dev_pw").click()
    take_picture(panel.root, f"panel-{theme.lower()}-replace")
    contrasts |= panel.root.evaluate(CONTRASTS)

    assert len(contrasts) > 10
    assert {text: contrast for text, contrast in contrasts.items() if contrast < 4.5} == {}
    ground = panel.root.evaluate("(root) => getComputedStyle(root).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 3 * 64) == (theme == "Dark")


def test_pictures(notebook: Notebook) -> None:
    """The README's picture, and those of no and of many secrets, are taken where FLOWFILE_NB_SCREENSHOTS names a folder."""
    notebook.use_theme("Light")
    take_picture(notebook.panel().root, "panel-empty")
    notebook.run(SAMPLES + "session.use_backend(Samples(10))")
    readme = notebook.panel()
    readme.button("Copy reference to prod_pw").click()
    expect(readme.status).to_have_text("Copied ${secret:prod_pw}")
    notebook.page.mouse.move(0, 0)
    take_picture(readme.root, "panel")
    notebook.run("session.use_backend(Samples(10, own=True))")
    take_picture(notebook.panel().root, "panel-own")
    notebook.run("session.use_backend(Samples(1_000))")
    many = notebook.panel()
    many.root.locator(".fnb-secrets .fnb-scroll").hover()
    notebook.page.mouse.wheel(0, 2_000)
    take_picture(many.root, "panel-light-1000")
