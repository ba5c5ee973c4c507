"""What IPython and logging keep on disk and in their caches: no value, in a real shell and a real kernel."""

from __future__ import annotations

import json
import logging
import logging.handlers
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowfile_nb as fnb
from tests.support.kernel import running_kernel
from tests.support.shell import Shell

VALUE = "hunter2xyz"
MASK = "[secret:prod_pw]"


@pytest.fixture
def guarded(shell: Shell) -> Shell:
    shell.run("import flowfile_nb as fnb\nfnb.secrets['prod_pw'] = 'hunter2' + 'xyz'")
    return shell


def test_a_result_is_cached_masked(guarded: Shell) -> None:
    """`Out`, `_` and their kin hold the mask, and so does the history's output; an object stays what it is."""
    guarded.run("fnb.secrets['prod_pw'].get_secret_value()")
    guarded.run("b'x' + fnb.secrets['prod_pw'].get_secret_value().encode()")
    guarded.run("[1, 2]")

    history = guarded.real.history_manager
    assert VALUE not in repr((guarded.real.user_ns["_oh"], guarded.real.user_ns["_3"], guarded.real.user_ns["__"]))
    assert VALUE not in repr(dict(history.output_hist_reprs))
    assert guarded.real.user_ns["_oh"][guarded.real.execution_count - 1] == [1, 2]


def test_cached_outputs_on_disk(guarded: Shell) -> None:
    """With the cache of outputs on, history.sqlite has the mask."""
    guarded.real.history_manager.db_log_output = True
    guarded.run("'x' + fnb.secrets['prod_pw'].get_secret_value()")

    guarded.real.history_manager.writeout_cache()

    stored = Path(guarded.real.history_manager.hist_file).read_bytes()
    assert MASK.encode() in stored
    assert VALUE.encode() not in stored


def test_the_input_that_holds_a_value(guarded: Shell) -> None:
    """It is kept with the mask: in memory, in `_i*`, on disk, and where `%history -f` and `%save` write."""
    shown = guarded.run("x = 'hunter2xyz'")

    assert "this cell holds the value of secret 'prod_pw'" in shown
    assert VALUE not in guarded.remembered()
    guarded.run("%history -f history.txt\n%save -f saved.py 1-4")
    for name in ("history.txt", "saved.py"):
        assert VALUE not in Path(name).read_text(encoding="utf-8")
        Path(name).unlink()


@pytest.mark.parametrize("options", ["", "-o", "-r -o -t"])
def test_logstart(guarded: Shell, home: Path, options: str) -> None:
    """IPython's log of a session gets neither a known value nor one that a magic refused."""
    log = home / "session.log"
    guarded.run(f"%logstart {options} {log}")
    guarded.run("x = 'hunter2xyz'")
    guarded.run("'x' + fnb.secrets['prod_pw'].get_secret_value()")
    guarded.run("%secret set another refusedvalue")
    guarded.run("%logstop")

    text = log.read_text(encoding="utf-8")
    assert MASK in text
    assert VALUE not in text
    assert "refusedvalue" not in text


def test_notebook_export(home: Path) -> None:
    """`%notebook` writes inputs, streams, results, displays and errors without the value."""
    with running_kernel() as kernel:
        kernel.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb\nfnb.secrets['prod_pw'] = 'hunter2' + 'xyz'")
        for cell in (
            "print('hunter2xyz')",
            "import sys; print('hunter2' + 'xyz', file=sys.stderr)",
            "'hunter2' + 'xyz'",
            "display({'text/html': 'hunter2' + 'xyz'}, raw=True)",
            "{}['hunter2' + 'xyz']",
        ):
            kernel.run(cell)
        assert "Error" not in kernel.run(f"%notebook {home / 'export.ipynb'}")

    text = (home / "export.ipynb").read_text(encoding="utf-8")
    assert json.loads(text)["cells"]
    assert MASK in text
    assert VALUE not in text


def test_store_magic(guarded: Shell, home: Path) -> None:
    """`%store` refuses a variable with the value, by name of the secret; a Secret is stored as its name."""
    guarded.run("%load_ext storemagic\nx = ['hunter2' + 'xyz']")

    shown = guarded.run("%store x")

    assert "not stored: it holds the value of secret 'prod_pw'" in shown
    guarded.run("pw = %secret prod_pw\n%store pw\ny = 1\n%store y")
    assert guarded.error is None
    assert not [path for path in home.rglob("*") if path.is_file() and VALUE.encode() in path.read_bytes()]


class _Collecting(logging.Handler):
    """A handler that writes nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += [repr(vars(record)), self.format(record)]


def _log(logger: logging.Logger) -> None:
    logger.error("connecting with %s", VALUE)
    logger.error(VALUE)
    logger.error({"password": VALUE})
    logger.error("plain")
    try:
        _ = {}[VALUE]
    except KeyError:
        logger.exception("failed: %r", VALUE)
    logger.error("extra", extra={"password": VALUE, "deep": [{"password": VALUE}]})


@pytest.mark.parametrize("kind", ["file", "memory", "queue", "socket"])
def test_logging(guarded: Shell, home: Path, kind: str) -> None:
    """Handlers of any kind: to a file, buffered, over a queue, and pickled for another process."""
    logger, log = logging.Logger("own"), home / "own.log"
    target = logging.FileHandler(log, encoding="utf-8")
    target.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    import queue

    records: queue.Queue[logging.LogRecord] = queue.Queue()
    pickled = bytearray()
    handlers: dict[str, Callable[[], logging.Handler]] = {
        "file": lambda: target,
        "memory": lambda: logging.handlers.MemoryHandler(100, target=target),
        "queue": lambda: logging.handlers.QueueHandler(records),
        "socket": lambda: logging.handlers.SocketHandler("127.0.0.1", 9),
    }
    handler = handlers[kind]()
    if isinstance(handler, logging.handlers.SocketHandler):
        handler.send = pickled.extend  # type: ignore[method-assign]
    logger.addHandler(handler)

    _log(logger)

    handler.close()
    target.close()
    written = log.read_bytes() + bytes(pickled)
    if kind == "queue":
        # Its listener formats the record again.
        target = logging.FileHandler(log, encoding="utf-8")
        listener = logging.handlers.QueueListener(records, target)
        listener.start()
        listener.stop()
        target.close()
        written = log.read_bytes()
    assert b"plain" in written
    assert written.count(MASK.encode()) >= 5
    assert VALUE.encode() not in written


def test_logging_of_json(guarded: Shell) -> None:
    """A formatter of one's own, which writes the extras too, is masked in what it returns."""

    class AsJson(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps({key: str(item) for key, item in vars(record).items()})

    handler = _Collecting()
    handler.setFormatter(AsJson())
    logger = logging.Logger("own")
    logger.addHandler(handler)

    logger.error("x", extra={"password": VALUE})

    assert MASK in handler.seen[1]
    assert VALUE not in handler.seen[1]


def test_arguments_that_do_not_fit(guarded: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    """A record that cannot be formatted is reported as ever, and nothing is raised."""
    logger = logging.Logger("own")
    logger.addHandler(logging.StreamHandler())

    logger.error("%d", "text")

    assert "--- Logging error ---" in capsys.readouterr().err


def test_what_is_pickled(guarded: Shell, home: Path) -> None:
    """A Secret is pickled as its name; an engine is not pickled, and says so without the value."""
    import cloudpickle
    import joblib

    pw = fnb.secrets["prod_pw"]
    engine = fnb.connect("sqlite:///:memory:")
    joblib.dump(pw, home / "pw.joblib")
    assert VALUE.encode() not in (home / "pw.joblib").read_bytes()
    assert joblib.load(home / "pw.joblib") == pw

    for module in (pickle, cloudpickle):
        assert VALUE.encode() not in module.dumps(pw)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever each library raises
            module.dumps(engine)
        assert VALUE not in str(caught.value)


def test_a_crash_report(guarded: Shell, home: Path) -> None:
    """The report that IPython writes when it crashes is masked."""
    from IPython.core.crashhandler import CrashHandler
    from traitlets.config import Application

    application: Any = Application()
    handler = application.crash_handler = CrashHandler(application, "x", "y", show_crash_traceback=False)
    guarded.run("%unload_ext flowfile_nb")
    guarded.real.parent = application
    guarded.run("%load_ext flowfile_nb")

    report = handler.make_report(f"Traceback: ValueError('{VALUE}')")

    guarded.real.parent = None
    assert MASK in report
    assert VALUE not in report
