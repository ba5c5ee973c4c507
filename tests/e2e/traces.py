"""Looking for a value in all that a notebook leaves behind: files, the page, what the browser keeps."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

from playwright.sync_api import Page

MARK = "canary7Q4x"
CANARY = f"{MARK}@:/#?%\"'\\ ü-{MARK}"


def disguises(value: str) -> list[str]:
    """Return *value*, and its distinctive part alone, in the encodings in which software writes text down."""
    raw = value.encode()
    escaped = [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1], html.escape(value)]
    quoted = [quote(value, safe=""), quote(value), quote_plus(value)]
    # What stands before the value shifts its base64; the characters at the ends depend on the neighbours.
    shifted = [base64.b64encode(b"\0" * shift + raw).decode()[4:-4] for shift in range(3)]
    shifted += [base64.urlsafe_b64encode(b"\0" * shift + raw).decode()[4:-4] for shift in range(3)]
    return list(dict.fromkeys([MARK, value, *escaped, *quoted, *shifted, raw.hex()]))


def files_with(folder: Path, forms: list[str]) -> list[Path]:
    """Return the files below *folder* that hold any of *forms*."""
    wanted = re.compile(b"|".join(re.escape(form.encode()) for form in forms))
    return [path for path in folder.rglob("*") if path.is_file() and wanted.search(path.read_bytes())]


def everything_in(page: Page) -> str:
    """Return the page's document, what is typed in its fields, and what it keeps in the browser."""
    typed = page.evaluate("[...document.querySelectorAll('input, textarea')].map((field) => field.value)")
    kept = page.evaluate("[JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie]")
    return "\n".join([page.content(), *typed, *kept])
