"""Searching with the library that a test names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowfile_nb.core import search


@pytest.fixture(scope="module", autouse=True)
def _libraries_search() -> Iterator[None]:
    """What a test looks through would not be worth a library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_WITHOUT_LIBRARY", -1)
        yield
