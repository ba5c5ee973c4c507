"""
The canary suite: each value through each way out of a real kernel, with the guard and without.

Without it each of them has to be seen: a case that cannot leak proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.canary.__main__ import make_store, send
from tests.canary.channels import CHANNELS, Channel
from tests.canary.kernel import CanaryKernel, canary_kernel
from tests.canary.values import OVERLAP, VALUES, seen

_ALL = {**VALUES, "overlapping 1": OVERLAP[0], "overlapping 2": OVERLAP[1]}


class Kernels(NamedTuple):
    """The same kernel twice."""

    guarded: CanaryKernel
    bare: CanaryKernel
    homes: dict[str, Path]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernels]:
    with ExitStack() as stack:
        homes = {name: tmp_path_factory.mktemp(name) for name in ("guarded", "bare")}
        for home in homes.values():
            make_store(home, _ALL)
        started = {name: stack.enter_context(canary_kernel(home, guarded=name == "guarded")) for name, home in homes.items()}
        yield Kernels(started["guarded"], started["bare"], homes)


@pytest.fixture(scope="module")
def tried() -> dict[str, int]:
    """How many cases of the table were tried, for its last line."""
    return {"masked": 0, "leaking without the guard": 0}


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_channel(kernels: Kernels, tried: dict[str, int], channel: Channel) -> None:
    """With the guard no value is seen, in any form; without it each is."""
    for name, value in VALUES.items():
        if name in channel.not_for:
            continue
        assert seen(value, send(kernels.bare, channel, name)), f"{name} cannot leak through {channel.name}"
        tried["leaking without the guard"] += 1
        texts = send(kernels.guarded, channel, name)
        assert not seen(value, texts), (name, [text[:300] for text in texts if seen(value, [text])])
        # In a buffer the mask is as long as the value.
        assert any("[sec" in text for text in texts), f"{name} did not come through {channel.name} at all"
        tried["masked"] += 1


def test_overlapping_values_are_covered(kernels: Kernels) -> None:
    """Of two values that overlap nothing is left over."""
    cell = "print('overlapping-one-and-more'); 'overlapping-one-and-more'"
    kernels.guarded.forget()
    kernels.guarded.run(cell)
    shown = " ".join(kernels.guarded.texts())

    assert "and-more" not in shown
    assert "overlapping-o" not in shown


@pytest.mark.parametrize("write", ["sys.stdout.write(part)", "os.write(2, part.encode())"])
def test_a_value_cut_by_the_end_of_its_cell(kernels: Kernels, write: str) -> None:
    """What follows belongs to the next cell then, as where a process writes on while that begins: the rest is masked."""
    value = VALUES["ascii"]
    for kernel in (kernels.bare, kernels.guarded):
        kernel.forget()
        kernel.run(f"part = VALUES['ascii'][:6]; {write}; None")
        kernel.await_text()
        kernel.run(f"part = VALUES['ascii'][6:]; {write}; None")
        kernel.settle()
        texts = kernel.texts()

        assert any(value[:6] in text for text in texts)
        assert any(value[6:] in text for text in texts) == (kernel is kernels.bare)
    assert any("[secret:ascii]" in text for text in texts)


def test_the_servers_log(kernels: Kernels) -> None:
    """What is written past Python is echoed to the server's log: masked, and in clear without the guard."""
    for name in ("ascii", "several lines", "non-ASCII"):
        for kernel in (kernels.bare, kernels.guarded):
            kernel.run(f"os.write(1, VALUES[{name!r}].encode()); os.write(2, VALUES[{name!r}].encode()); None")
            kernel.settle()
        assert seen(VALUES[name], [kernels.bare.log()])
        assert f"[secret:{name}]" in kernels.guarded.log()
        assert not seen(VALUES[name], [kernels.guarded.log()])


def test_the_servers_log_where_the_first_value_came_in_a_captured_cell(tmp_path: Path) -> None:
    """The streams are not there while they are captured; they are guarded from the next cell on."""
    make_store(tmp_path, {"ascii": VALUES["ascii"]})
    with canary_kernel(tmp_path, guarded=False) as kernel:
        kernel.run("%load_ext flowfile_nb")
        kernel.run("%unload_ext flowfile_nb\n%load_ext flowfile_nb")
        kernel.run("%%capture\nV = fnb.secrets['ascii'].get_secret_value()")
        kernel.run("os.write(1, V.encode() + b'\\n'); None")
        kernel.settle()

        assert "[secret:ascii]" in kernel.log()
        assert not seen(VALUES["ascii"], [kernel.log()])


_TEE = """
class Tee:
    def __init__(self, stream):
        self._stream = stream
    def __getattr__(self, name):
        return getattr(self._stream, name)
sys.stdout, sys.stderr = Tee(sys.stdout), Tee(sys.stderr)
"""
_READ = "V = fnb.secrets['ascii'].get_secret_value()"
_CHILD = "import subprocess; subprocess.run(['echo', V]); subprocess.run(['sh', '-c', 'echo $0 >&2', V])"


@pytest.mark.parametrize(
    "cells",
    [
        (f"%%capture\n{_READ}; {_CHILD}",),
        (_TEE, _READ, _CHILD),
        (f"import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n    {_READ}\n{_CHILD}",),
    ],
    ids=["captured", "wrapped", "redirected"],
)
def test_the_servers_log_while_something_stands_in_the_streams_place(tmp_path: Path, cells: tuple[str, ...]) -> None:
    """When the first value is read: what children write goes past it, from the same cell on."""
    make_store(tmp_path, {"ascii": VALUES["ascii"]})
    with canary_kernel(tmp_path, guarded=False) as kernel:
        kernel.run("%load_ext flowfile_nb")
        # As if nothing had been read yet.
        kernel.run("%unload_ext flowfile_nb\nfnb.session._redactor = None\n%load_ext flowfile_nb")
        for cell in cells:
            kernel.run(cell)
        kernel.settle()

        assert kernel.log().count("[secret:ascii]") == 2
        assert not seen(VALUES["ascii"], [kernel.log()])


def test_the_servers_log_where_a_piece_ends_inside_of_a_character(kernels: Kernels) -> None:
    """A pipe is read by 1,000 bytes."""
    value = VALUES["non-ASCII"]
    for kernel in (kernels.bare, kernels.guarded):
        kernel.run("os.write(1, b'x' * 991 + VALUES['non-ASCII'].encode()); None")
        kernel.settle()
    assert seen(value, [kernels.bare.log()])
    assert not seen(value, [kernels.guarded.log()])


def test_the_kernel_lives_on(kernels: Kernels) -> None:
    """After all that, cells run, widgets come, and what is no secret is shown as it is."""
    kernels.guarded.forget()
    kernels.guarded.run("import ipywidgets; print('plain'); ipywidgets.IntSlider(7)")

    assert "plain\n" in kernels.guarded.texts()
    kinds = [message["header"]["msg_type"] for message in kernels.guarded.messages]
    assert kinds.count("comm_open") == 3


def test_how_many_were_tried(tried: dict[str, int], capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> None:
    """The table is as large as it says; its figures are printed."""
    with capsys.disabled():
        figures = ", ".join(f"{count} {what}" for what, count in tried.items())
        print(f"\ncanary: {len(CHANNELS)} channels x {len(VALUES)} values: {figures}")

    assert len(CHANNELS) >= 45
    if len([item for item in request.session.items if item.fspath == request.node.fspath]) > len(CHANNELS):
        expected = sum(name not in channel.not_for for channel in CHANNELS for name in VALUES)
        assert tried["masked"] == tried["leaking without the guard"] == expected


def test_nothing_is_left_on_disk(kernels: Kernels) -> None:
    """History, its cached outputs, and whatever else IPython has written in the home."""
    for name in ("ascii", "non-ASCII", "quotes and backslashes"):
        assert files_with(kernels.homes["guarded"], VALUES[name]) == []


def files_with(home: Path, value: str) -> list[Any]:
    """Return the files under *home* in which a value is seen."""
    return [path for path in home.rglob("*") if path.is_file() and seen(value, [path.read_bytes().decode("utf-8", "replace")])]
