"""The README tells the truth: each verb is in it, each file it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import NoSuchSecretError
from flowfile_nb.notebook.arguments import CONNECT_OPTIONS, SAVED_OPTIONS
from flowfile_nb.notebook.secret_arguments import OPTIONS, VERBS
from tests.support.shell import Shell

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_in_the_table(verb: str) -> None:
    """A verb that nobody can find does not exist."""
    assert f"`%secret {verb}" in README


def test_each_option_is_in_the_table() -> None:
    """So with options."""
    options = {option for found in OPTIONS.values() for option in found} | {*CONNECT_OPTIONS, *SAVED_OPTIONS}

    assert {option for option in options if option not in README} == set()


def test_links_lead_somewhere() -> None:
    """Each relative link and picture is a file of the repository, each anchor a heading."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    anchors = {"#" + heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", README, re.MULTILINE)}

    assert links
    assert [link for link in links if link not in anchors and not (ROOT / link).exists()] == []


def test_the_two_commands_stand_where_ci_looks_for_them() -> None:
    """One line each, below their marker."""
    commands = dict(re.findall(r"<!-- command: (\w+) -->\n```bash\n(.+)\n```", README))

    assert set(commands) == {"quickstart", "tests"}
    assert "cp -r notebooks/. try-out && " in commands["quickstart"]
    assert commands["quickstart"].endswith("=/lab/tree/try-out/quickstart.ipynb")
    # What a user changes there is no change of the repository.
    assert "try-out/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_the_errors_shown_are_the_errors_raised(shell: Shell) -> None:
    """The failure in the README is what a user would see."""
    fnb.secrets["prod_pw"] = "x"
    shell.run("%secret prd_pw")

    assert isinstance(shell.error, NoSuchSecretError)
    assert shell.error._render_traceback_()[0] in README
