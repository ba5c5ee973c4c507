"""The panel's tabs of a team, Groups and Sharing, in a real JupyterLab, in a real Chromium, on a real kernel."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.jupyterlab import CONTRASTS, Notebook, PanelPage, take_picture
from tests.support.team_double import Double, running_double, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BODY = "postgresql://app:${secret:prod_pw}@db.example.com:5432/sales"
REPORTS = "postgresql://ro:${secret:reports_pw}@reports.example.com:5432/dwh"
Open = Callable[[str, str], PanelPage]


@pytest.fixture
def broker() -> Iterator[Double]:
    """Alice and bob are analysts; dora shares reports with them, alice nothing yet."""
    # A socket's path must be short.
    with tempfile.TemporaryDirectory() as folder, running_double(Path(folder)) as double:
        double.groups = {"analysts": {"alice": "owner", "bob": "member"}, "etl": {"alice": "member", "dora": "owner"}}
        double.descriptions = {"analysts": "who read the sales", "etl": "night jobs"}
        double.secrets = {
            ("alice", "prod_pw"): ("hunter2-of-alice", 1_700_000_000),
            ("dora", "reports_pw"): ("hunter2-of-dora", 1_700_000_000),
        }
        double.bodies = {("alice", "warehouse"): BODY, ("dora", "reports"): REPORTS}
        for what, name in (("secret", "reports_pw"), ("connection", "reports")):
            double.shares[what, "dora", name, "etl"] = {"permission": "use", "access": "read"}
        yield double


@pytest.fixture
def open_panel(notebook: Notebook, broker: Double) -> Open:
    """Open the panel as somebody, at one of its tabs."""

    def open_(user: str, tab: str) -> PanelPage:
        notebook.run(
            "import os\nfrom flowfile_nb import session\n"
            f"os.environ.update(FLOWFILE_NB_TEAM='unix:{broker.socket}', FLOWFILE_NB_TEAM_TOKEN='{token_of(user)}')\n"
            "session.use_backend(None)"
        )
        panel = notebook.panel()
        panel.root.get_by_role("tab", name=tab).click()
        return panel

    return open_


def team_part(panel: PanelPage, kind: str) -> Locator:
    """Return one tab's part of the panel."""
    return panel.root.locator(f".fnb-{kind}")


def test_sharing_a_secret_and_ending_it(open_panel: Open, broker: Double) -> None:
    """A share is made and ended below the row; what is said and what is at the broker agree."""
    panel = open_panel("alice", "Sharing")
    part = team_part(panel, "sharing")

    panel.button("Share secret prod_pw").click()
    part.get_by_label("Group").select_option("analysts")
    part.get_by_role("form", name="Share prod_pw").get_by_role("button", name="Share").click()
    expect(panel.status).to_have_text("prod_pw is shared with analysts, to read with it.")
    assert broker.shares["secret", "alice", "prod_pw", "analysts"] == {"permission": "use", "access": "read"}
    expect(part.locator("tr", has_text="prod_pw").first).to_contain_text("with analysts, reads")
    panel.button("End sharing with analysts").click()

    expect(panel.status).to_contain_text("prod_pw is not shared with analysts any more")
    assert ("secret", "alice", "prod_pw", "analysts") not in broker.shares


def test_what_waits_for_its_owner_and_what_is_promised(open_panel: Open, broker: Double) -> None:
    """A connection whose secret is to be entered again says so, to its owner and to a member; a share what it promises."""
    broker.unfixed = {("alice", "warehouse"): "prod_pw", ("dora", "reports"): "reports_pw"}
    panel = open_panel("alice", "Connections")
    rows = team_part(panel, "connections").locator("tbody tr")

    expect(rows.filter(has_text="warehouse").locator(".fnb-lacks")).to_have_text("not for others yet")
    expect(rows.filter(has_text="reports").locator(".fnb-lacks")).to_have_text("not usable yet")
    panel.root.get_by_role("tab", name="Secrets").click()
    shared = team_part(panel, "secrets").locator("tbody tr", has_text="reports_pw").locator("td span[title]").first
    expect(shared).to_have_text("with etl (reads)")
    expect(shared).to_have_attribute("title", "with etl (reads)\nreads, at postgresql: it changes nothing")
    panel.root.get_by_role("tab", name="Sharing").click()
    lines = (
        team_part(panel, "sharing").locator("tbody tr", has_text="reports_pw").locator(".fnb-line[title*='changes nothing']")
    )
    expect(lines).to_have_text("by dora with etl, reads")


def test_a_share_that_may_write_is_asked_about(open_panel: Open, broker: Double) -> None:
    """What cannot be promised is shown; only the second button shares."""
    panel = open_panel("alice", "Sharing")
    part = team_part(panel, "sharing")
    panel.button("Share connection warehouse").click()
    part.get_by_label("May", exact=True).select_option("write")
    part.get_by_label("may change and delete it").check()

    part.get_by_role("form", name="Share warehouse").get_by_role("button", name="Share").click()
    expect(part.locator(".fnb-warning")).to_contain_text("may change the password of the login itself")
    assert len(broker.shares) == 2
    take_picture(panel.root, "team-sharing-warning")
    panel.button("Share for writing all the same").click()

    expect(panel.status).to_contain_text("warehouse is shared with analysts, to read and write with it")
    assert broker.shares["connection", "alice", "warehouse", "analysts"] == {"permission": "manage", "access": "write"}


def test_groups_and_their_members(open_panel: Open, broker: Double) -> None:
    """An owner adds somebody, gives them another role, and puts them out again."""
    panel = open_panel("alice", "Groups")
    part = team_part(panel, "groups")
    expect(part.locator("tbody th")).to_have_count(2)

    panel.button("Members of analysts").click()
    part.get_by_label("User").fill("carol")
    panel.button("Add to group").click()
    expect(panel.status).to_have_text("carol is member of analysts.")
    part.get_by_label("Role of carol").select_option("manager")
    expect(panel.status).to_have_text("carol is manager of analysts.")
    assert broker.groups["analysts"]["carol"] == "manager"
    take_picture(panel.root, "team-groups-members")
    panel.button("Remove carol").click()

    expect(panel.status).to_contain_text("carol is not in analysts any more")
    assert "carol" not in broker.groups["analysts"]


def test_what_a_member_may_not(open_panel: Open, broker: Double) -> None:
    """A member sees who is in a group and can leave it; changing it is not offered."""
    panel = open_panel("bob", "Groups")
    part = team_part(panel, "groups")
    expect(part.locator("tbody th")).to_have_count(1)

    panel.button("Members of analysts").click()
    expect(part.get_by_label("Role of alice")).to_be_disabled()
    expect(panel.button("Add to group")).to_have_count(0)
    expect(panel.root.get_by_role("button", name="New group")).to_have_count(0)
    expect(panel.button("Delete analysts")).to_have_count(0)
    panel.button("Leave analysts").click()
    part.get_by_role("form").get_by_role("button", name="Leave").click()

    expect(part.locator(".fnb-empty")).to_contain_text("You are in no group.")
    assert broker.groups["analysts"] == {"alice": "owner"}


def test_an_admin_creates_a_group(open_panel: Open, broker: Double) -> None:
    """The new one is there with what it is for; deleting it asks."""
    panel = open_panel("root", "Groups")
    part = team_part(panel, "groups")

    panel.root.get_by_role("button", name="New group").click()
    form = part.get_by_role("form", name="New group")
    form.get_by_label("Name", exact=True).fill("finance")
    form.get_by_label("What it is for").fill("monthly reports")
    form.get_by_role("button", name="Create group").click()
    expect(part.locator("tbody th", has_text="finance")).to_contain_text("monthly reports")
    panel.button("Delete finance").click()
    part.get_by_role("form").get_by_role("button", name="Delete").click()

    expect(panel.status).to_contain_text("Deleted finance")
    assert "finance" not in broker.groups


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_can_be_read(open_panel: Open, notebook: Notebook, theme: str) -> None:
    """In both themes each text stands out from its ground, in each tab."""
    notebook.use_theme(theme)
    panel = open_panel("alice", "Secrets")
    expect(panel.root.locator(".fnb-secrets")).to_contain_text("brokered")
    for tab in ("Secrets", "Connections", "Groups", "Sharing"):
        panel.root.get_by_role("tab", name=tab).click()
        expect(panel.root.locator(f".fnb-{tab.lower()} tbody th").first).to_be_visible()
        take_picture(panel.root, f"team-{tab.lower()}-{theme.lower()}")

        contrasts = panel.root.evaluate(CONTRASTS)

        assert {text: value for text, value in contrasts.items() if value < 4.5} == {}


def test_without_a_team_there_are_two_tabs(notebook: Notebook) -> None:
    """Nobody without a team is shown what only a team has."""
    panel = notebook.panel()

    assert panel.tabs.filter(visible=True).all_inner_texts() == ["Secrets", "Connections"]
