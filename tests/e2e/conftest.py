"""These tests need more than Python packages: without `-m e2e` they are not even imported."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder alone in the ordinary run, where a browser's library may be missing."""
    return True if "not e2e" in str(config.option.markexpr) else None
