"""These tests need more than Python packages: without `-m e2e` they are not even imported. And a browser with a notebook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.e2e.jupyterlab import JupyterLab, Notebook


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder alone in the ordinary run, where a browser's library may be missing."""
    return True if "not e2e" in str(config.option.markexpr) else None


# What drives the browser is imported inside: this file is read in the ordinary run, too.


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of a file."""
    from tests.e2e.jupyterlab import running_chromium

    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """One server for all tests of a file that look at no other's traces."""
    from tests.e2e.jupyterlab import running_jupyterlab

    with running_jupyterlab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page in a browser profile of its own, which may use the clipboard. An error in a script of the panel fails the test."""
    errors: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(f"{error}\n{error.stack}"))
    yield page
    context.close()
    assert [error for error in errors if "panel" in error or "blob:" in error] == []


@pytest.fixture
def notebook(page: Page, lab: JupyterLab, request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """A new notebook with the extension loaded and an empty store; its kernel ends with the test."""
    from tests.e2e.jupyterlab import Notebook

    notebook = Notebook(page, lab, re.sub(r"\W+", "-", request.node.name).strip("-"))
    yield notebook
    notebook.end_kernel()
