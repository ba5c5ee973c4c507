"""
`python -m tests.attacks [WORD …]`: try the attacks, or those whose name holds the words, and print what came of them.

Those against weakened brokers are tried at the same time, by a process of their own with a database of its own: `--weak`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser

from tests.attacks import apis, guesses, storage  # noqa: F401 - put theirs among the others
from tests.attacks.tried import ATTACKS
from tests.attacks.trying import Finding, against_us, against_weak, prepare, told
from tests.support.postgres import running_postgres


def main() -> int:
    """Return 0 if all were refused, and each succeeds without its defence."""
    parser = ArgumentParser("python -m tests.attacks", description="Try the attacks on a broker.")
    parser.add_argument("words", nargs="*", help="try those whose name or weakness holds all of these")
    parser.add_argument("--weak", action="store_true", help="print which succeed where their defence is missing, as JSON")
    arguments = parser.parse_args()
    chosen = [one for one in ATTACKS if all(word in f"{one.name} {one.weakness}" for word in arguments.words)]
    if not chosen:
        parser.error("no attack has that name")
    if arguments.weak:
        with running_postgres() as server:
            print(json.dumps(against_weak(prepare(server), chosen)))
        return 0
    other = [sys.executable, "-m", "tests.attacks", "--weak", *arguments.words]
    with subprocess.Popen(other, stdout=subprocess.PIPE, text=True) as weakened, running_postgres() as server:
        ours = against_us(prepare(server), chosen)
        said, _ = weakened.communicate()
    if weakened.returncode:
        return 1
    findings = [Finding(*one) for one in zip(chosen, json.loads(said.splitlines()[-1]), ours, strict=True)]
    for found in findings:
        print(told(found))
    print(f"{len(findings)} tried, {sum(found.holds for found in findings)} refused")
    return 0 if all(found.holds for found in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
