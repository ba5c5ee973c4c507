"""`python -m flowfile_nb doctor`: the findings in a terminal, or as JSON for a program."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence

from flowfile_nb.backend import Finding

FINE, TO_MEND = 0, 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python -m flowfile_nb doctor`."""
    parser.add_argument("--json", action="store_true", help="as a JSON list of topic, state, ok, remedy")
    parser.add_argument("--fix", action="store_true", help="first mend what is safe to mend, as permissions")


def run(args: argparse.Namespace, mend: Callable[[], list[str]], findings: Callable[[], list[Finding]]) -> int:
    """
    Print the findings and return the exit status: 0 if all is fine, 1 if something is to be mended.

    Args:
        args: What `add_options` describes.
        mend: Mends what is safe, and returns what it did.
        findings: Returns the findings.
    """
    done = mend() if args.fix else []
    found = findings()
    if args.json:
        print(json.dumps([finding._asdict() for finding in found], indent=2))
    else:
        print("\n".join([*(f"mended: {line}" for line in done), *_lines(found)]))
    return FINE if all(finding.ok for finding in found) else TO_MEND


def _lines(findings: Sequence[Finding]) -> list[str]:
    width = max(len(finding.topic) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{'ok  ' if finding.ok else 'mend'}  {finding.topic.ljust(width)}  {finding.state}")
        if finding.remedy:
            lines.append(f"{' ' * (width + 8)}→ {finding.remedy}")
    return lines
