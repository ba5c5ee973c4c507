"""Searching with the library that a test names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowfile_nb.core import search


@pytest.fixture(scope="module", autouse=True)
def _libraries_search() -> Iterator[None]:
    """Short texts of few patterns, which are most of a test's, are not searched without a library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_FEW_AND_SHORT", -1)
        yield
