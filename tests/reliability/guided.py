"""One target under atheris, which never returns: `python -m tests.reliability.guided NAME [libFuzzer's options]`."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris


def main() -> None:
    """Fuzz the target that the first argument names."""
    with atheris.instrument_imports(include=["flowfile_nb"]):
        from tests.reliability.targets import TARGETS

    check = TARGETS[sys.argv.pop(1)].check
    atheris.Setup(sys.argv, lambda data: check(data.decode("utf-8", errors="surrogateescape")), internal_libfuzzer=True)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))
    main()
