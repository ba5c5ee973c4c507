"""Each weakness of `tests.attacks` replaces something that is there: else its attacks would fail for no reason."""

from __future__ import annotations

import subprocess
import sys

from tests.support.front import ROOT


def test_each_weakness_has_its_place() -> None:
    """In a process of its own, which is weak afterwards."""
    program = "from tests.attacks.weak import WEAKNESSES\nfor weaken in WEAKNESSES.values(): weaken()"

    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=60)
