"""What is written to a kernel's file descriptors: by children, in pieces, by a number taken before, at the very end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary.__main__ import make_store
from tests.canary.kernel import CanaryKernel, canary_kernel
from tests.canary.values import VALUES, seen

_ASCII, _OTHER = VALUES["ascii"], VALUES["non-ASCII"]
_MASK = "[secret:ascii]"
_READ = "V = fnb.secrets['ascii'].get_secret_value()\nW = fnb.secrets['non-ASCII'].get_secret_value(); half = len(V) // 2"


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[CanaryKernel]:
    """A kernel that has read nothing yet: its guard is still to be put in."""
    make_store(tmp_path, {"ascii": _ASCII, "non-ASCII": _OTHER})
    with canary_kernel(tmp_path, guarded=False) as kernel:
        kernel.run("%load_ext flowfile_nb")
        kernel.run("%unload_ext flowfile_nb\nfnb.session._redactor = None\n%load_ext flowfile_nb\nimport atexit, logging")
        kernel.forget()
        yield kernel


@pytest.fixture
def kernel(unread: CanaryKernel) -> CanaryKernel:
    unread.run(_READ)
    unread.forget()
    return unread


def stdout(kernel: CanaryKernel) -> str:
    """Return what the front end has on stdout."""
    streams = [message["content"] for message in kernel.messages if message["header"]["msg_type"] == "stream"]
    return "".join(content["text"] for content in streams if content["name"] == "stdout")


def test_a_character_cut_by_the_kernels_reading(kernel: CanaryKernel) -> None:
    """It reads 1,000 bytes at once: the value is found all the same."""
    kernel.run("os.write(1, b'x' * 991 + W.encode() + b'\\n'); None")
    kernel.settle()

    # A busy machine may have made a pause there: then half of it is shown.
    assert _OTHER[len(_OTHER) // 2 :] not in stdout(kernel)
    assert "[secret:non-ASCII]\n" in stdout(kernel)


def test_other_text_that_is_cut_there(kernel: CanaryKernel) -> None:
    """It is whole, and what is no text is shown as such."""
    kernel.run("os.write(1, b'x' * 999 + ('\\u20ac' * 5_000).encode() + b'\\xff\\n'); None")
    kernel.settle()

    assert f"{'x' * 999}{'€' * 5_000}\ufffd\n" in stdout(kernel)


def test_other_text_between_the_pieces_of_a_value(kernel: CanaryKernel) -> None:
    """The kernel's own, of the same cell and of the next one: what a process writes is put together without it."""
    kernel.run("os.write(1, V[:half].encode()); None")
    kernel.await_text()
    kernel.run("print('own', flush=True); os.write(1, V[half:-1].encode()); print('more', flush=True)")
    kernel.run("os.write(1, V[-1:].encode()); None")
    kernel.settle()

    text = stdout(kernel)
    assert text.startswith(_ASCII[: len(_ASCII) // 2] + "own")
    assert _ASCII[len(_ASCII) // 2 : -1] not in text
    assert _ASCII[-4:] not in text
    assert _MASK in text
    assert "more" in text


def test_most_of_a_value_without_its_rest(kernel: CanaryKernel) -> None:
    """A process that pauses there, or ends: it is masked after a moment, and the rest is when it comes."""
    kernel.run("os.write(1, V[:half + 1].encode()); None")
    kernel.await_text()
    assert stdout(kernel) == _MASK

    kernel.run("print('own', flush=True); os.write(1, V[half + 1:].encode() + b'!\\n'); None")
    kernel.settle()
    assert stdout(kernel).startswith(f"{_MASK}own\n!\n")


def test_what_may_begin_a_value_comes_with_its_cell(kernel: CanaryKernel) -> None:
    """It is held back no longer than until its cell ends: who stops reading there gets all of it."""
    kernel.run(
        "import time; os.write(1, b'<' + V[:2].encode())\nwhile not sys.stdout._should_watch._masker.begun: time.sleep(0.01)"
    )

    assert stdout(kernel) == f"<{_ASCII[:2]}"


def test_the_servers_log_by_a_number_taken_before(unread: CanaryKernel) -> None:
    """Whoever has the stream's descriptor, a handler or the kernel's own log, writes into the guard from the first value on."""
    unread.run("fd = sys.stdout.fileno(); raw = open(sys.stderr.fileno(), 'w', closefd=False)")
    unread.run("os.write(fd, b'before\\n'); own = get_ipython().kernel.log.handlers or get_ipython().parent.log.handlers")
    unread.run(_READ)
    unread.run("os.write(fd, b'fd ' + V.encode() + b'\\n'); print('raw', V, file=raw, flush=True); os.write(2, V.encode())")
    unread.run("own[0].stream.write('log ' + V); own[0].stream.flush()")
    unread.settle()

    log = unread.log()
    assert not seen(_ASCII, [log])
    assert [text in log for text in ("before\n", f"fd {_MASK}\n", f"raw {_MASK}\n", f"log {_MASK}")] == [True] * 4


def test_the_last_words(tmp_path: Path) -> None:
    """What is written while the kernel exits is in the server's log, masked where it was registered with the value."""
    make_store(tmp_path, {"ascii": _ASCII, "non-ASCII": _OTHER})
    with canary_kernel(tmp_path, guarded=False) as kernel:
        kernel.run("%load_ext flowfile_nb")
        kernel.run("%unload_ext flowfile_nb\nfnb.session._redactor = None\n%load_ext flowfile_nb\nimport atexit")
        kernel.run("fd = sys.stdout.fileno(); atexit.register(os.write, fd, b'at the very end')")
        kernel.run(f"{_READ}\natexit.register(os.write, fd, b'~' * 200_000 + V.encode() + V[:half].encode())")

    log = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert log.endswith(f"~{_MASK}{_ASCII[: len(_ASCII) // 2]}at the very end")
    assert log.count("~") == 200_000


def test_taken_out_and_put_in_again(kernel: CanaryKernel) -> None:
    """In between all goes through as it is; the thread that has been taken over serves the next guard."""
    kernel.settle()
    for shown, load in ((True, "%unload_ext flowfile_nb"), (False, "%load_ext flowfile_nb")):
        kernel.run(load)
        kernel.run(_READ)
        kernel.forget()
        before = len(kernel.log())
        kernel.run("os.write(1, V.encode() + b'\\n'); None")
        kernel.settle()
        assert seen(_ASCII, kernel.texts()) == shown
        assert seen(_ASCII, [kernel.log()[before:]]) == shown

    kernel.forget()
    kernel.run("os.write(1, V[:half].encode()); None")
    kernel.await_text()
    kernel.run("print('own', flush=True); os.write(1, V[half:].encode()); None")
    kernel.settle()
    assert _ASCII[len(_ASCII) // 2 :] not in stdout(kernel)


def test_a_forked_child_that_takes_the_guard_out(kernel: CanaryKernel) -> None:
    """As at its exit: the pipe is its parent's, and goes on."""
    echoes = "[one for one in vars(get_ipython())['_flowfile_nb'].guard._parts if type(one).__name__ == 'Echo']"
    kernel.run(f"pid = os.fork()\nif not pid:\n    [one.uninstall() for one in {echoes}]; os._exit(0)\nos.waitpid(pid, 0)")
    kernel.run("os.write(1, V.encode()); None")
    kernel.settle()
    kernel.run(f"print([one._passed_on.is_set() for one in {echoes}])")

    assert "[False, False]" in stdout(kernel)
    assert _MASK in kernel.log()
    assert not seen(_ASCII, [kernel.log()])


def test_a_child_that_writes_on_while_the_guard_is_taken_out(kernel: CanaryKernel) -> None:
    """Nobody waits for it, and what it writes is masked still."""
    kernel.run("import subprocess\nchild = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=sys.stdout)")
    kernel.run("%unload_ext flowfile_nb")
    kernel.run("child.communicate(V.encode() + b' of the child'); child.returncode")
    kernel.settle()

    assert f"{_MASK} of the child" in kernel.log()


def test_a_number_that_somebody_has_put_another_file_under(kernel: CanaryKernel, tmp_path: Path) -> None:
    """It stays his when the guard is taken out."""
    kernel.run(f"fd = os.open({str(tmp_path / 'other')!r}, os.O_WRONLY | os.O_CREAT); n = sys.stdout.fileno(); os.dup2(fd, n)")
    kernel.run("%unload_ext flowfile_nb")
    kernel.run("print('same', os.path.sameopenfile(fd, n))")

    assert "same True" in stdout(kernel)
