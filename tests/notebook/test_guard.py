"""The output guard over its life: put in, taken out, loaded again, broken, missing; in a real kernel."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernel import Kernel, running_kernel

VALUE = "hunter2xyz"
MASK = "[secret:prod_pw]"
_SHOW = "print('hunter2' + 'xyz')"


@pytest.fixture
def kernel(home: Path) -> Iterator[Kernel]:
    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb, sys")
        yield kernel


@pytest.fixture
def guarded(kernel: Kernel) -> Kernel:
    kernel.run("fnb.secrets['prod_pw'] = 'hunter2' + 'xyz'")
    return kernel


def test_a_value_counts_from_the_moment_it_is_known(kernel: Kernel, home: Path) -> None:
    """In the very cell that stores it, and for a logger that writes to a file before anything is shown."""
    assert kernel.run(_SHOW).strip() == VALUE

    cell = f"import logging; log = logging.Logger('x'); log.addHandler(logging.FileHandler({str(home / 'x.log')!r}))\n"
    shown = kernel.run(f"{cell}fnb.secrets['prod_pw'] = 'hunter2' + 'xyz'\nlog.error('hunter2' + 'xyz')")

    assert shown == ""
    assert (home / "x.log").read_text(encoding="utf-8").split() == [MASK]


def test_replaced_and_deleted_values_stay_masked(guarded: Kernel) -> None:
    """They are still somebody's passwords; and the new value is masked, too."""
    guarded.run("fnb.secrets['prod_pw'] = 'another' + 'value'\ndel fnb.secrets['prod_pw']")

    assert guarded.run(f"{_SHOW}; print('another' + 'value')").split() == [MASK, MASK]


def test_a_value_given_by_the_environment(kernel: Kernel) -> None:
    """A headless run's values are masked like stored ones."""
    kernel.run("import os; os.environ['FLOWFILE_SECRET_CI_PW'] = 'from' + '-the-ci'\nfnb.secrets['ci_pw'].get_secret_value()")

    assert kernel.run("print('from' + '-the-ci')").strip() == "[secret:ci_pw]"


def test_under_four_characters(kernel: Kernel) -> None:
    """Such a value is not masked, and that is said where it is stored."""
    shown = kernel.run("%secret set pin", typed="123")

    assert "under 4 characters: outputs are not masked" in shown
    assert kernel.run("print(123)").strip() == "123"


def test_unload_leaves_everything_as_it_was(home: Path) -> None:
    """Afterwards nothing of ours is left in the session, the streams, IPython or logging; and nothing is masked."""
    look = (
        "import logging, builtins, os, sys\n"
        "def look():\n"
        "    k, s = get_ipython().kernel, get_ipython()\n"
        "    return [sorted(vars(k.session).keys() & {'send', 'serialize', 'pack'}), sorted(map(str, vars(sys.stdout))),\n"
        "        [(o.fileno(), os.fstat(o.fileno()).st_ino, o._should_watch) for o in (sys.stdout, sys.stderr)],\n"
        "        logging.Handler.format, logging.Formatter.formatException,\n"
        "        logging.getLogRecordFactory(), builtins.input, type(s.db), sorted(vars(s.logger)), sorted(vars(s.history_manager)),\n"
        "        {name: list(map(str, found)) for name, found in s.events.callbacks.items()}, list(s.configurables),\n"
        "        list(s.input_transformers_post), list(s.Completer.custom_matchers), {**s.magics_manager.magics['line']}]\n"
        "before = look()"
    )
    with running_kernel(_as_no_test()) as kernel:
        # Newer IPythons load their own magics of extensions at the first one.
        kernel.run("%unload_ext nothing")
        kernel.run(look)
        kernel.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb\nfnb.secrets['prod_pw'] = 'hunter2' + 'xyz'")
        assert kernel.run(_SHOW).strip() == MASK
        kernel.run("%unload_ext flowfile_nb")

        changed = kernel.run("print([(a, b) for a, b in zip(before, look()) if a != b])")

        assert changed.strip() == "[]"
        assert kernel.run(_SHOW).strip() == VALUE


def test_reload_keeps_what_is_known(guarded: Kernel) -> None:
    """`%reload_ext` and unloading forget no value."""
    guarded.run("%reload_ext flowfile_nb")
    assert guarded.run(_SHOW).strip() == MASK

    guarded.run("%unload_ext flowfile_nb\n%load_ext flowfile_nb")
    assert guarded.run(_SHOW).strip() == MASK


def test_autoreload_of_our_own_modules(guarded: Kernel) -> None:
    """When autoreload executes our modules anew, known values stay masked and new ones are."""
    guarded.run("%load_ext autoreload\n%autoreload 2\nfrom IPython.extensions.autoreload import superreload")
    shown = guarded.run(
        "for name in [name for name in sys.modules if name.startswith('flowfile_nb.') and 'panel' not in name]:\n"
        "    superreload(sys.modules[name])"
    )
    assert "Error" not in shown
    assert guarded.run(_SHOW).strip() == MASK

    guarded.run("import flowfile_nb as fnb; fnb.secrets['other'] = 'brand' + '-new-value'")

    assert guarded.run(f"print('brand' + '-new-value'); {_SHOW}").split() == ["[secret:other]", MASK]
    assert "outputs are not masked any more" in guarded.run("%unload_ext flowfile_nb")
    assert guarded.run(_SHOW).strip() == VALUE


def test_captured_output_is_the_users_own(guarded: Kernel) -> None:
    """What is captured stays as it is until it is shown."""
    guarded.run("%%capture kept\nprint('hunter2' + 'xyz')")
    assert guarded.run("print(len(kept.stdout))").strip() == str(len(VALUE) + 1)
    assert guarded.run("kept.show()").strip() == MASK

    redirect = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as text: print('hunter2' + 'xyz')"
    assert guarded.run(f"{redirect}\nprint(len(text.getvalue()))").strip() == str(len(VALUE) + 1)


def test_what_may_begin_a_value_waits_no_longer_than_it_must(guarded: Kernel) -> None:
    """Three characters come after a moment, more at the end of the cell or when somebody is asked; the rest is then masked."""
    cells = "vars(get_ipython())['_flowfile_nb'].guard._output._streams.values()"
    held = f"any(one.masker.held for streams in {cells} for one in streams.values())"
    short = f"import time\nprint('hun', end='', flush=True)\nwhile {held}: time.sleep(0.01)\ndisplay('later')"
    guarded.run(short)
    texts = [message["content"] for message in guarded.messages if message["msg_type"] in {"stream", "display_data"}]
    assert texts[-2]["text"] == "hun"

    assert guarded.run("print('hunte', end='')") == "hunte"

    shown = guarded.run("print('hunte', end=''); input('? '); print('r2xyz')", typed="x")
    assert shown == f"hunte{MASK}\n"


def test_text_before_an_output_that_clears_is_dropped_with_it(guarded: Kernel) -> None:
    """What is held back when the front end is told to clear does not come after all; what follows of the same value is masked."""
    clear = "from IPython.display import clear_output\nprint('hunter2', end='', flush=True); clear_output(); "

    assert guarded.run(f"{clear}print('done')") == "done\n"
    assert guarded.run(f"{clear}print('xyz')") == f"{MASK}\n"


def test_a_value_that_comes_slowly(guarded: Kernel) -> None:
    """Each piece alone is let out after a moment; of the value no more than three characters, for all of it is counted."""
    streams = "vars(get_ipython())['_flowfile_nb'].guard._output._streams.values()"
    held = f"any(0 < len(one.masker.held) < 4 and len(one.masker.begun) < 4 for each in {streams} for one in each.values())"
    write = f"for one in 'hunter2' + 'xyz':\n    print(one, end='', flush=True)\n    while {held}: time.sleep(0.01)"

    assert guarded.run(f"import time\n{write}\nprint('!')") == f"hun{MASK}!\n"


def test_most_of_a_value_at_the_end_of_its_cell(guarded: Kernel) -> None:
    """Nobody knows whether the rest comes: more than half of it is masked, and what comes is masked there."""
    assert guarded.run("print('hunter2', end='')") == MASK
    assert guarded.run("print('xyz')") == f"{MASK}\n"


@pytest.mark.parametrize("place", ["finds", "masked_content"])
def test_a_guard_that_breaks_lets_nothing_through(guarded: Kernel, place: str) -> None:
    """On an error inside it the text is withheld as a whole, and the kernel lives on."""
    broken = {
        "finds": "from flowfile_nb.core.json_search import JsonSearch as owner\nbefore = owner.finds\nowner.finds = lambda *_: 1 / 0",
        "masked_content": "import flowfile_nb.notebook.output_hook as owner\nbefore = owner.masked_content\n"
        "owner.masked_content = lambda *_: 1 / 0",
    }
    guarded.run(broken[place])

    shown = guarded.run("display({'text/plain': 'hunter2' + 'xyz', 'text/html': 'hunter2' + 'xyz'}, raw=True)")
    failed = guarded.run("{}['hunter2' + 'xyz']")

    assert VALUE not in guarded.shown()
    assert "withheld this output" in shown
    assert "withheld this output" in failed
    guarded.run(f"owner.{place} = before")
    assert guarded.run(_SHOW).strip() == MASK
    assert guarded.run("1 + 1").strip() == "2"


def test_a_stream_that_breaks_is_withheld(guarded: Kernel) -> None:
    """The same for what is printed."""
    guarded.run(
        "from flowfile_nb.core.streams import StreamMasker\nfeed = StreamMasker.feed\nStreamMasker.feed = lambda *_: 1 / 0"
    )

    assert "withheld this output" in guarded.run(_SHOW)
    assert VALUE not in guarded.shown()
    assert guarded.client.is_alive()


def test_a_guard_that_cannot_be_put_in_leaves_no_half_of_itself(kernel: Kernel) -> None:
    """Where its second part fails, the first one is taken out again, and what is off is said."""
    kernel.run(
        "import logging\nfrom flowfile_nb.notebook.output_hook import OutputHook\nbefore = logging.Logger.handle\n"
        "OutputHook.install = lambda self: 1 / 0"
    )

    shown = kernel.run("fnb.secrets['prod_pw'] = 'hunter2' + 'xyz'")

    assert "THE OUTPUT GUARD IS OFF" in shown
    assert kernel.run("logging.Logger.handle is before").strip() == "True"


def test_streams_that_were_captured_are_guarded_from_the_next_cell_on(home: Path) -> None:
    """Where the first value came while another stream stood in their place, their echoes are guarded later."""
    with running_kernel(_as_no_test()) as kernel:
        kernel.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb, sys")

        kernel.run("%%capture\nfnb.secrets['prod_pw'] = 'hunter2' + 'xyz'")

        assert kernel.run("[hasattr(one, '_flowfile_nb_echo') for one in (sys.stdout, sys.stderr)]").strip() == "[True, True]"


def _as_no_test() -> dict[str, str]:
    """Return the environment of a kernel that echoes its streams: ipykernel does not where pytest runs it."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def test_where_no_engine_is_installed_it_is_said_loudly(kernel: Kernel) -> None:
    """Loading goes on, the first value is answered with what is off and how to mend it, and `doctor` says so, too."""
    kernel.run("sys.modules['hyperscan'] = sys.modules['ahocorasick_rs'] = None")

    shown = kernel.run("fnb.secrets['prod_pw'] = 'hunter2' + 'xyz'")

    assert "THE OUTPUT GUARD IS OFF" in shown
    assert "pip install" in shown
    assert "output guard  OFF" in kernel.run("%secret doctor")
    assert fnb_lives(kernel)


def fnb_lives(kernel: Kernel) -> bool:
    return kernel.run("list(fnb.secrets)").strip() == "['prod_pw']"


def test_doctor_tells_on_and_off(kernel: Kernel) -> None:
    """Before a value is known, with one, and where somebody has taken the guard out."""
    assert "nothing to mask yet" in kernel.run("%secret doctor")
    kernel.run("fnb.secrets['prod_pw'] = 'hunter2' + 'xyz'")
    assert "on, 1 value, engine hyperscan" in kernel.run("%secret doctor")

    kernel.run("del get_ipython().kernel.session.send")

    assert "OFF: something has taken it out" in kernel.run("%secret doctor")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_processes_of_a_pool(guarded: Kernel) -> None:
    """What forked workers print is masked."""
    cell = "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool:\n  pool.map(print, ['hunter2' + 'xyz'] * 4)"
    guarded.run(cell)

    # They come by another way than the cell's own messages, and may come after it.
    while guarded.shown().count(MASK) < 4:
        guarded.messages.append(guarded.client.get_iopub_msg(timeout=60))
    assert VALUE not in guarded.shown()


def test_a_subshell(guarded: Kernel) -> None:
    """Where the kernel has subshells, what runs in one is masked, while the main shell runs something else."""
    client = guarded.client
    if "kernel subshells" not in guarded.features():
        return
    created = client.session.msg("create_subshell_request")
    client.control_channel.send(created)
    subshell = client.get_control_msg(timeout=60)["content"]["subshell_id"]
    guarded.run("import threading; go = threading.Event()")
    waiting = client.execute("go.wait(); print('hunter2' + 'xyz')")

    request = client.session.msg("execute_request", {"code": f"{_SHOW}; go.set()", "silent": False, "store_history": False})
    request["header"]["subshell_id"] = subshell
    client.shell_channel.send(request)

    shown: dict[str, str] = {}
    ended: set[str] = set()
    while {waiting, request["header"]["msg_id"]} - ended:
        message = client.get_iopub_msg(timeout=60)
        parent = message["parent_header"].get("msg_id")
        if message["msg_type"] == "stream":
            shown[parent] = shown.get(parent, "") + message["content"]["text"]
        if message["content"].get("execution_state") == "idle":
            ended.add(parent)
    assert {text.strip() for text in shown.values()} == {MASK}
    assert len(shown) == 2
