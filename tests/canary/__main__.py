"""
Count what gets through: `python -m tests.canary`, without a guard, with nbmask where that is installed, and with ours.

The same table of channels and values as in test_canary.py, against any IPython extension that claims to mask outputs.
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

from flowfile_nb.vault import Vault
from tests.canary.channels import CHANNELS, Channel
from tests.canary.kernel import CanaryKernel, canary_kernel
from tests.canary.values import VALUES, seen

_NBMASK = "%load_ext nbmask\nimport nbmask\nnbmask.SECRETS.update(VALUES.values()); nbmask.get_pattern.cache_clear()"
_MOST = 5  # cases that are named
_WAYS = {"no guard": "", "nbmask": _NBMASK, "flowfile_nb": ""}


def send(kernel: CanaryKernel, channel: Channel, name: str) -> list[str]:
    """Send a value through a channel; return all that is seen."""
    kernel.run(f"V = VALUES[{name!r}]")
    kernel.forget()
    if channel.drive is not None:
        channel.drive(kernel, VALUES[name])
    else:
        kernel.run(channel.cell, typed=channel.typed)
    if channel.by_descriptor:
        kernel.settle()
    if channel.by_fork:
        kernel.await_text()
    return kernel.texts()


def make_store(home: Path, values: dict[str, str]) -> None:
    """Store values where a kernel with that home finds them."""
    # Both, or the store would be beside the Flowfile of whoever runs this, in the real home.
    vault = Vault(
        {"FLOWFILE_SECURE_STORAGE_PATH": str(home / ".config/flowfile"), "FLOWFILE_STORAGE_DIR": str(home / ".flowfile")}
    )
    for name, value in values.items():
        vault.set(name, value, replace=False)
    vault.store.close()


def seen_through(way: str) -> tuple[list[str], int]:
    """Return the cases of the table that show the value, and how many cases there are."""
    through: list[str] = []
    total = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        make_store(home, VALUES)
        with canary_kernel(home, guarded=way == "flowfile_nb") as kernel:
            kernel.run(_WAYS[way] or "None")
            for channel in CHANNELS:
                for name, value in VALUES.items():
                    if name not in channel.not_for:
                        total += 1
                        if seen(value, send(kernel, channel, name)):
                            through.append(f"{name} through {channel.name}")
    return through, total


if __name__ == "__main__":
    for way in _WAYS:
        if way == "nbmask" and find_spec("nbmask") is None:
            print("nbmask: not installed")
        else:
            through, total = seen_through(way)
            print(f"{way}: {total - len(through)} of {total} masked")
            print("".join(f"    {case}\n" for case in through[:_MOST]), end="")
