"""The panel's tab of connections in a real JupyterLab, in a real Chromium, on a real kernel."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.jupyterlab import CONTRASTS, Notebook, PanelPage, running_jupyterlab, take_picture
from tests.e2e.traces import CANARY, disguises, everything_in, files_with
from tests.support.postgres import running_postgres
from tests.support.processes import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SAMPLES = """
import time
from flowfile_nb import secrets, session
from flowfile_nb.backend import FlowfileConnection

def described(kind, **parts):
    lines = [f"{key} = {item if item.startswith('%') else repr(item)}" for key, item in parts.items()]
    return "\\n".join([f'type = "{kind}"', *lines])

BODIES = {
    "billing_api": described("https", url="https://api.example.com/v1", auth="bearer", token="%secret billing_api"),
    "events": described("kafka", bootstrap_servers="broker.example.com:9092", sasl_password="%secret kafka_pw"),
    "lake": "postgresql://lake:${secret:lake_pw}@lake.example.com:5432/events?sslmode=require",
    "local": "sqlite:////home/maria/data/scratch.db",
    "orders": described("mysql", host="orders.example.com", database="shop", username="app", password="%secret orders_pw"),
    "snow": described("snowflake", account="myorg-account", username="maria", role="analyst", private_key="%secret snow_key"),
    "warehouse": described("postgresql", host="db.example.com", database="sales", username="app", password="%secret prod_pw"),
}
backend = session.backend()
parts = {"database_type": "postgresql", "host": "reports.example.com", "username": "ro", "database": "dwh"}
theirs = FlowfileConnection("reporting", "database", parts, {"password": "reporting_pw"})

def fill(more):
    for name in ("prod_pw", "orders_pw", "snow_key", "billing_api", "kafka_pw", "reporting_pw"):
        secrets[name] = "hunter2 hunter2"
    for name, body in BODIES.items():
        backend.save_connection(name, body)
    for name, days in (("warehouse", 0), ("orders", 3), ("snow", 41), ("local", 1)):
        backend.note_connection("", name, "", int(time.time()) - days * 86_400 - 30)
    for number in range(more):
        body = f'type = "postgresql"\\nhost = "node{number:04}.example.com"\\nusername = "app"\\npassword = %secret prod_pw'
        backend.save_connection(f"node_{number:04}", body)
    backend.flowfile_connections = lambda: {"reporting": theirs}
"""
CLONED = """
[shared]
type = "postgresql"
host = "shared.example.com"
database = "sales"
username = "app"
password = "${secret:prod_pw}"

[warehouse]
url = "postgresql://app:${secret:prod_pw}@elsewhere.example.com/sales"
"""


class Tab:
    """The tab of connections as somebody with a screen reader finds it."""

    def __init__(self, panel: PanelPage) -> None:
        self.panel = panel
        self.root = panel.root.get_by_role("tabpanel", name="Connections")
        self.count = panel.count
        self.search = panel.root.get_by_role("searchbox", name="Search connections")
        self.new = panel.button("New connection")
        self.names = self.root.locator("tbody .fnb-title")
        self.alert = self.root.locator(".fnb-messages").get_by_role("alert")
        self.status = self.root.locator(".fnb-messages").get_by_role("status").first
        self.outcome = self.root.locator(".fnb-outcome")
        self.form = self.root.get_by_role("form", name=re.compile("^(New connection|Edit )"))

    def row(self, name: str) -> Locator:
        """Return the row of a connection."""
        return self.root.locator("tbody tr", has=self.root.page.locator(".fnb-title", has_text=re.compile(f"^{name}$")))

    def field(self, label: str) -> Locator:
        """Return the field of the form with exactly this label."""
        return self.form.get_by_label(label, exact=True)


def open_tab(notebook: Notebook) -> Tab:
    """Show a panel and turn to its connections."""
    panel = notebook.panel()
    panel.tabs.get_by_text("Connections").click()
    tab = Tab(panel)
    expect(tab.count).to_contain_text("connection")
    return tab


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# The promise


def test_a_connection_made_in_the_form_is_used_and_its_secret_is_nowhere(chromium: Browser, page: Page, tmp_path: Path) -> None:
    """Described, its secret added on the spot, tested, inserted as a cell and run: the value is in no file, page or log."""
    with running_postgres(CANARY) as server, running_jupyterlab(tmp_path / "lab") as lab:
        notebook = Notebook(page, lab, "canary")
        tab = open_tab(notebook)
        tab.new.click()
        tab.field("Name").fill("warehouse")
        for label, text in (
            ("Host", server.host),
            ("Port", str(server.port)),
            ("Database", server.database),
            ("Username", server.user),
        ):
            tab.field(label).fill(text)
        tab.field("Password").select_option("New secret…")
        expect(tab.field("Name of the new secret")).to_have_value("warehouse_password")
        tab.field("Its value").fill(CANARY)
        tab.form.get_by_role("button", name="Save and test").click()

        expect(tab.outcome).to_contain_text(
            f"Connected to postgresql://{server.user}@{server.host}:{server.port}/{server.database}"
        )
        expect(tab.form).to_have_count(0)
        expect(tab.names).to_have_text(["warehouse"])
        expect(tab.row("warehouse")).to_contain_text("warehouse_password")
        cells = notebook.cells.count()
        tab.panel.button("Insert as cell: warehouse").click()
        expect(tab.status).to_contain_text("Inserted a cell with warehouse below this one.")
        expect(notebook.cells).to_have_count(cells + 1)
        inserted = notebook.cells.nth(cells - 1).locator(".cm-content")
        expect(inserted).to_have_text("%connect warehouse")
        inserted.click()
        page.keyboard.press("Control+Enter")
        expect(notebook.cells.nth(cells - 1)).to_contain_text("Connected: warehouse")
        answer = notebook.run("import pandas; pandas.read_sql('select 6 * 7 as answer', warehouse)")
        expect(answer).to_contain_text("42")
        # The cell has changed what there is; nobody turned to the panel.
        expect(tab.row("warehouse")).to_contain_text("open")
        expect(tab.row("warehouse")).to_contain_text("just now")
        saved = notebook.save()
        in_page = everything_in(page)

    assert "SecretPanel" in json.dumps(saved["metadata"]["widgets"]), "widget state is not saved, so this would prove nothing"
    assert "warehouse_password" not in json.dumps(saved["metadata"]["widgets"])
    assert "warehouse_password" in in_page
    assert {"canary.ipynb", "history.sqlite"} <= {path.name for path in files_with(lab.home, ["%connect warehouse"])}
    assert [form for form in disguises(CANARY) if form in in_page] == []
    assert files_with(lab.home, disguises(CANARY)) == []


# Testing


def test_a_test_that_fails_says_so_in_two_lines_and_an_edit_mends_it(notebook: Notebook) -> None:
    """Nothing listens there: what happened, and what to do. The form has all that is saved, and changes only what is typed."""
    notebook.run(
        "from flowfile_nb import session, secrets; secrets['prod_pw'] = 'hunter2 hunter2'\n"
        f'session.backend().save_connection(\'warehouse\', \'type = "postgresql"\\nhost = "127.0.0.1"\\nport = {free_port()}'
        '\\nusername = "app"\\npassword = %secret prod_pw\\n[connect_args]\\napplication_name = "mine"\')'
    )
    tab = open_tab(notebook)

    tab.panel.button("Test warehouse").click()
    expect(tab.outcome.get_by_role("alert")).to_contain_text(
        "with secret 'prod_pw' (stored just now): nothing listens on that host and port"
    )
    expect(tab.outcome.locator(".fnb-hint")).to_contain_text("check host and port")
    tab.panel.button("Close").click()
    expect(tab.outcome).to_have_count(0)
    expect(tab.panel.button("Test warehouse")).to_be_focused()

    tab.panel.button("Edit warehouse").click()
    expect(tab.field("Host")).to_have_value("127.0.0.1")
    expect(tab.field("Password")).to_have_value("prod_pw")
    expect(tab.form.locator("details textarea")).to_have_value('[connect_args]\napplication_name = "mine"')
    tab.field("Database").fill("sales")
    tab.field("Database").press("Enter")

    expect(tab.status).to_contain_text("Saved warehouse.")
    expect(tab.panel.button("Edit warehouse")).to_be_focused()
    expect(tab.row("warehouse")).to_contain_text("/sales")
    kept = notebook.run("print(session.backend().connection_bodies()['warehouse'])")
    for line in ('host = "127.0.0.1"', 'database = "sales"', "password = %secret prod_pw", 'application_name = "mine"'):
        expect(kept).to_contain_text(line)


def test_a_silent_server_stops_nobody_and_is_not_waited_for_for_ever(notebook: Notebook) -> None:
    """While a test waits, the panel says for whom, cells run, and Cancel ends the waiting."""
    with silent_server() as port:
        notebook.run(
            f"from flowfile_nb import session; session.backend().save_connection('silent', 'mysql://app@127.0.0.1:{port}/x?connect_timeout=600')"
        )
        tab = open_tab(notebook)
        tab.panel.button("Test silent").press("Enter")

        expect(tab.outcome).to_contain_text(f"Waiting for mysql://app@127.0.0.1:{port}/x")
        expect(tab.outcome.locator(".fnb-count")).to_have_text(re.compile(r"^\d s$"))
        expect(notebook.run("6 * 7")).to_have_text("42")
        expect(tab.panel.waiting).to_be_empty()
        tab.outcome.get_by_role("button", name="Cancel").click()

        expect(tab.outcome).to_contain_text("Not waited for any longer.")
        expect(tab.outcome).to_contain_text("ends by itself when its time is up (10 s")
        mark = "outcome => getComputedStyle(outcome.querySelector('p'), '::before').content"
        assert tab.outcome.evaluate(mark) == "none", "it did not go well"
        expect(tab.panel.button("Close")).to_be_focused()


def test_a_projects_connection_is_read_before_it_is_tested(notebook: Notebook) -> None:
    """What it says and where it leads is shown first; Cancel sends nothing, and what was agreed to is not asked again."""
    cloned = notebook.lab.notebooks / "connections.toml"
    described = 'type = "sqlite"\ndatabase = "file:shared.db"\nuri = true\nmode = "${secret:prod_pw}"\n'
    cloned.write_text(f"[shared]\n{described}", encoding="utf-8")
    notebook.run("from flowfile_nb import secrets; secrets['prod_pw'] = 'rwc'")
    tab = open_tab(notebook)
    expect(tab.row("shared")).to_contain_text("asks first")
    expect(tab.row("shared").get_by_role("button")).to_have_text(["Test", "Insert"])

    tab.panel.button("Test shared").click()
    question = tab.root.get_by_role("form", name="Trust shared?")
    expect(question).to_contain_text("gives it your secret prod_pw.")
    expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    expect(question).to_have_count(0)
    expect(tab.outcome).to_have_count(0)

    tab.panel.button("Test shared").click()
    question.get_by_role("button", name="Trust and test").click()
    expect(tab.outcome).to_contain_text("Connected to sqlite:///")
    tab.panel.button("Test shared").click()
    expect(question).to_have_count(0)
    cloned.unlink()


def test_what_is_exported_is_one_row(notebook: Notebook) -> None:
    """It says both places, as does the table."""
    notebook.run("from flowfile_nb import session; session.backend().save_connection('exported', 'sqlite://')")
    notebook.run("%connect exported --export")
    tab = open_tab(notebook)

    expect(tab.names).to_have_text(["exported"])
    expect(tab.row("exported")).to_contain_text("here, project file")
    expect(notebook.run("%connect")).to_contain_text("saved, connections.toml")
    (notebook.lab.notebooks / "connections.toml").unlink()


# Inserting


@pytest.mark.parametrize("may_copy", [True, False])
def test_where_no_cell_can_be_inserted_it_is_copied(notebook: Notebook, may_copy: bool) -> None:
    """As in VS Code, which lets no widget change the notebook; and where nothing may be copied, the line to type is said."""
    notebook.run("from flowfile_nb import session; session.backend().save_connection('local', '# mine\\nsqlite://')")
    tab = open_tab(notebook)
    page = notebook.page
    cells = notebook.cells.count()
    page.evaluate(
        "Object.defineProperty(jupyterapp.shell.currentWidget.context.model.sharedModel, 'insertCell',"
        " {configurable: true, value: () => { throw new Error('not here'); }})"
    )
    if not may_copy:
        page.evaluate("document.execCommand = () => false; navigator.clipboard.writeText = () => Promise.reject(); 0")

    tab.panel.button("Insert as cell: local").click()

    if may_copy:
        expect(tab.status).to_contain_text("The cell is copied: paste it into a new one.")
        assert page.evaluate("navigator.clipboard.readText()") == "%connect local"
    else:
        expect(tab.alert).to_contain_text("This browser does not let the panel copy.")
        expect(tab.alert).to_contain_text("%connect local")
    expect(notebook.cells).to_have_count(cells)
    page.evaluate("delete jupyterapp.shell.currentWidget.context.model.sharedModel.insertCell")


# Changing


def test_a_key_that_nobody_knows_is_asked_about_in_the_form(notebook: Notebook) -> None:
    """A typing mistake is mended; what only the driver knows is saved on purpose, from the keyboard."""
    tab = open_tab(notebook)
    tab.new.click()
    tab.field("Name").fill("lake")
    tab.field("Kind").select_option("trino")
    expect(tab.field("Catalog")).to_be_visible()
    tab.field("Host").fill("trino.example.com")
    tab.form.locator("summary").click()
    tab.field("Further options, as TOML").fill('catalogg = "hive"')
    tab.field("Host").press("Enter")
    expect(tab.form.get_by_role("alert")).to_contain_text("catalogg (did you mean catalog?) is a key that is not known here")
    assert tab.names.count() == 0

    tab.field("Further options, as TOML").fill('roles = "analyst"')
    tab.field("Host").press("Enter")
    expect(tab.form.get_by_role("alert")).to_contain_text("roles is a key that is not known here")
    expect(tab.form.get_by_role("button", name="Save all the same")).to_be_focused()
    take_picture(tab.panel.root, "connections-light-unknown-key")
    notebook.page.keyboard.press("Enter")

    expect(tab.names).to_have_text(["lake"])


def test_a_password_in_clear_is_refused_in_any_field(notebook: Notebook) -> None:
    """As in a cell; what was typed stays, to be mended."""
    tab = open_tab(notebook)
    tab.new.click()
    tab.field("Name").fill("warehouse")
    tab.field("Kind").select_option("any, as URL or TOML")
    description = tab.field("Description, as in a cell below %%connect")
    description.fill("postgresql://app:hunter2@db.example.com/sales")
    tab.form.get_by_role("button", name="Save", exact=True).click()

    expect(tab.alert).to_contain_text("a password stands in clear in this connection")
    description.fill("postgresql://app:%secret prod_pw@db.example.com/sales")
    tab.form.get_by_role("button", name="Save", exact=True).click()
    expect(tab.status).to_contain_text("Saved warehouse.")
    expect(tab.row("warehouse")).to_contain_text("missing: add")

    tab.panel.button("Add the missing secret prod_pw of warehouse").click()
    tab.root.get_by_label("Value of prod_pw").fill("hunter2 hunter2")
    notebook.page.keyboard.press("Enter")
    expect(tab.row("warehouse")).not_to_contain_text("missing")


def test_the_form_asks_for_what_the_kind_needs(notebook: Notebook) -> None:
    """Fields come and go with the kind and with what is chosen; what has the same name stays; a name is asked for once."""
    tab = open_tab(notebook)
    tab.new.click()
    tab.field("Host").fill("db.example.com")
    tab.field("Kind").select_option("trino")
    expect(tab.field("Catalog")).to_be_visible()
    expect(tab.field("Host")).to_have_value("db.example.com")
    tab.field("Kind").select_option("https")
    expect(tab.field("Token")).to_be_hidden()
    tab.field("Authentication").select_option("basic")
    expect(tab.field("Username")).to_be_visible()
    tab.field("Name").fill("no name")
    tab.field("URL").fill("https://api.example.com/v1")
    tab.field("Authentication").select_option("none")
    tab.field("URL").press("Enter")
    expect(tab.alert).to_contain_text("cannot be the name of a variable")
    tab.field("Name").fill("api")
    tab.field("URL").press("Enter")
    expect(tab.names).to_have_text(["api"])

    tab.new.click()
    tab.field("Name").fill("api")
    tab.field("Host").fill("db.example.com")
    tab.field("Host").press("Enter")
    expect(tab.alert).to_contain_text("a connection named api is saved already")
    tab.field("Host").press("Escape")
    expect(tab.form.get_by_role("button", name="Cancel")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    expect(tab.new).to_be_focused()


def test_delete_asks_and_the_secret_stays(notebook: Notebook) -> None:
    """Enter twice does not delete."""
    notebook.run(SAMPLES + "fill(0)")
    tab = open_tab(notebook)
    question = tab.root.get_by_role("form", name="Delete the saved connection orders? Its secrets stay.")

    tab.panel.button("Delete orders").press("Enter")
    expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    expect(question).to_have_count(0)
    expect(tab.panel.button("Delete orders")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    question.get_by_role("button", name="Delete").click()

    expect(tab.status).to_have_text("Deleted the connection orders. Its secrets are still there.")
    expect(tab.row("orders")).to_have_count(0)
    expect(tab.search).to_be_focused()
    expect(tab.row("reporting").get_by_role("button")).to_have_text(["Test", "Insert"])
    tab.panel.tabs.first.click()
    expect(tab.panel.names.filter(has_text="orders_pw")).to_have_count(1)


# The keyboard, and many of them


def test_the_keyboard_goes_through_tabs_and_rows_and_keeps_its_place(notebook: Notebook) -> None:
    """Arrow keys choose the tab and the row; a change made by a cell, or a redrawn row, takes no focus away."""
    notebook.run(SAMPLES + "fill(0)")
    panel = notebook.panel()
    keyboard = notebook.page.keyboard
    panel.tabs.first.focus()
    keyboard.press("ArrowRight")
    expect(panel.tabs.last).to_be_focused()
    expect(panel.tabs.last).to_have_attribute("aria-selected", "true")
    tab = Tab(panel)
    expect(tab.count).to_have_text("8 connections")
    keyboard.press("Tab")
    expect(tab.search).to_be_focused()

    panel.button("Test billing_api").focus()
    keyboard.press("ArrowDown")
    expect(panel.button("Test events")).to_be_focused()
    notebook.page.evaluate(
        "(code) => jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code}).done",
        "backend.save_connection('events', 'sqlite:///events.db'); backend.delete_connection('lake')",
    )
    expect(tab.row("events")).to_contain_text("events.db")
    expect(tab.row("lake")).to_have_count(0)
    expect(panel.button("Test events")).to_be_focused()


def test_a_thousand_connections_scroll_to_their_end(notebook: Notebook) -> None:
    """Few rows are drawn at once, in order; the end is one leap, or a thousand turns of the wheel, away."""
    notebook.run(SAMPLES + "fill(992)")
    tab = open_tab(notebook)
    expect(tab.count).to_have_text("1,000 connections")
    assert tab.names.count() <= 200
    scroller = tab.root.locator(".fnb-scroll")

    scroller.hover()
    for number in (300, 600, 900):
        notebook.page.mouse.wheel(0, 300 * 46)
        expect(tab.names.filter(has_text=f"node_{number:04}")).to_have_count(1)
    take_picture(tab.panel.root, "connections-light-1000")
    scroller.evaluate("(element) => (element.scrollTop = element.scrollHeight)")
    expect(tab.names.last).to_have_text("reporting")
    expect(tab.row("reporting")).to_be_in_viewport()
    tab.search.fill("node0500")
    expect(tab.names).to_have_text(["node_0500"])
    expect(tab.count).to_have_text("1 of 1,000 connections")


# What it looks like


def test_it_follows_the_theme_and_fits_a_narrow_cell(notebook: Notebook) -> None:
    """Every text stands out from its ground, in both themes; a narrow cell cuts nothing off."""
    cloned = notebook.lab.notebooks / "connections.toml"
    cloned.write_text(CLONED, encoding="utf-8")
    notebook.run(SAMPLES + "fill(0)")
    tab = open_tab(notebook)
    expect(tab.count).to_have_text("10 connections")
    root = tab.panel.root
    for theme in ("Light", "Dark"):
        notebook.use_theme(theme)
        tab.root.page.mouse.move(0, 0)
        take_picture(root, f"connections-{theme.lower()}-10")
        contrasts = root.evaluate(CONTRASTS)
        tab.panel.button("Test shared").click()
        take_picture(root, f"connections-{theme.lower()}-trust")
        contrasts |= root.evaluate(CONTRASTS)
        tab.root.get_by_role("form").get_by_role("button", name="Cancel").click()
        tab.panel.button("Test warehouse").first.click()
        expect(tab.outcome).to_contain_text("could not open")
        take_picture(root, f"connections-{theme.lower()}-failed")
        contrasts |= root.evaluate(CONTRASTS)
        tab.panel.button("Close").click()
        tab.new.click()
        tab.field("Password").select_option("New secret…")
        take_picture(root, f"connections-{theme.lower()}-new")
        contrasts |= root.evaluate(CONTRASTS)
        tab.form.get_by_role("button", name="Cancel").click()
        tab.panel.button("Edit lake").click()
        expect(tab.form).to_be_visible()
        take_picture(root, f"connections-{theme.lower()}-edit-text")
        tab.form.get_by_role("button", name="Cancel").click()
        assert len(contrasts) > 30
        assert {text: contrast for text, contrast in contrasts.items() if contrast < 4.5} == {}
    for width in (640, 400):
        root.evaluate("(element, width) => (element.style.width = `${width}px`)", width)
        take_picture(root, f"connections-{width}")
        assert root.evaluate("(element) => element.scrollWidth <= element.clientWidth")
        tab.new.click()
        take_picture(root, f"connections-{width}-new")
        assert root.evaluate("(element) => element.scrollWidth <= element.clientWidth")
        tab.form.get_by_role("button", name="Cancel").click()
        tab.panel.tabs.first.click()
        take_picture(root, f"secrets-{width}")
        tab.panel.tabs.last.click()
    notebook.use_theme("Light")
    cloned.unlink()
