"""Stores on disk as other programs leave them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent.parent / "vectors" / "flowfile-0.23.3"


def expected() -> dict[str, Any]:
    """Return what each secret of the frozen store decrypts to."""
    return json.loads((VECTORS / "expected.json").read_text(encoding="utf-8"))


def write_flowfile_key(home: Path) -> None:
    """Put the frozen store's key files where Flowfile keeps them."""
    directory = home / ".config" / "flowfile"
    directory.mkdir(parents=True, mode=0o700)
    for source, name in (("dot_secret_key", ".secret_key"), ("flowfile.json.enc", "flowfile.json.enc")):
        (directory / name).write_bytes((VECTORS / source).read_bytes())
        (directory / name).chmod(0o600)


def write_flowfile_catalog(home: Path) -> Path:
    """Put the frozen store's catalog where Flowfile keeps it."""
    path = home / ".flowfile" / "database" / "flowfile_catalog.db"
    path.parent.mkdir(parents=True)
    catalog = sqlite3.connect(path)
    catalog.executescript((VECTORS / "catalog.sql").read_text(encoding="utf-8"))
    catalog.close()
    return path


def write_flowfile_store(home: Path) -> Path:
    """Put the whole frozen store in place; return its catalog."""
    write_flowfile_key(home)
    return write_flowfile_catalog(home)
