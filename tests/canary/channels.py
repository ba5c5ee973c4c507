"""
The ways out of a kernel, each as a cell that sends the value in the variable `V` through it.

A channel that needs more than a cell has a function of the kernel's client instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.canary.values import LONG

if TYPE_CHECKING:
    from tests.canary.kernel import CanaryKernel


class Channel(NamedTuple):
    """One way out."""

    name: str
    cell: str = ""
    drive: Callable[[CanaryKernel, str], Any] | None = None
    """What to do instead of running the cell; gets the kernel and the value."""
    typed: tuple[str, ...] = ()
    """What is typed each time the cell asks."""
    by_descriptor: bool = False
    """Whether it goes past Python, so that it comes a moment after the cell."""
    by_fork: bool = False
    """Whether another process sends it, in its own time."""
    not_for: frozenset[str] = frozenset()
    """Values that this way out cuts or changes by itself, so that they cannot be seen there at all."""


_CUT = frozenset({LONG})
_LINES = frozenset({"several lines"})
# What is left of it in base64 between other bytes is 5 characters: those stand in one of a thousand pictures by chance.
_FOUR = frozenset({"four characters"})
_CUT_OR_LINES = _CUT | _LINES


def _late(kernel: CanaryKernel, value: str) -> None:
    kernel.run("import threading, time\ndef late(value=V):\n  go.wait(); print(value)")
    kernel.run("go = threading.Event(); t = threading.Thread(target=late); t.start()")
    # In this cell, so that it prints for the one before.
    kernel.run("go.set(); t.join()")


def _tb(kernel: CanaryKernel, value: str) -> None:
    kernel.run("{}[V]")
    kernel.forget()
    kernel.run("get_ipython().run_line_magic('tb', '')")


def _debugger(kernel: CanaryKernel, value: str) -> None:
    kernel.run("def f(x): return 1 / 0\nf(V)")
    kernel.forget()
    kernel.run("get_ipython().run_line_magic('debug', '')", typed=("p x", "q"))


def _expressions(kernel: CanaryKernel, value: str) -> None:
    kernel.run("None", user_expressions={"seen": "V", "nested": "{'a': [V]}", "failed": "{}[V]"})


def _inspect(kernel: CanaryKernel, value: str) -> None:
    kernel.request("inspect", "V", 1)


def _complete(kernel: CanaryKernel, value: str) -> None:
    kernel.run("by_value = {V: 1}")
    kernel.request("complete", "by_value['", 10)
    kernel.request("complete", 'by_value["', 10)


def _history(kernel: CanaryKernel, value: str) -> None:
    kernel.run("V")
    kernel.request("history", raw=True, output=True, hist_access_type="range", session=0, start=1)


def _history_magic(kernel: CanaryKernel, value: str) -> None:
    kernel.run("V")
    kernel.forget()
    kernel.run("get_ipython().run_line_magic('history', '-o')")


def _variables(kernel: CanaryKernel, value: str) -> None:
    kernel.debug("inspectVariables", {})


def _rich_variable(kernel: CanaryKernel, value: str) -> None:
    kernel.run("class Rich:\n  def _repr_html_(self): return V\nrich = Rich()")
    kernel.debug("richInspectVariables", {"variableName": "rich"})


def _input_of_a_cell(kernel: CanaryKernel, value: str) -> None:
    kernel.run(f"0 and {value!r}")


def _echoed_update(kernel: CanaryKernel, value: str) -> None:
    kernel.run("import ipywidgets; echoed = ipywidgets.Text(); print(echoed.model_id)")
    kernel.comm(kernel.printed_id(), {"method": "update", "state": {"value": value}, "buffer_paths": []})


def _comm_failure(kernel: CanaryKernel, value: str) -> None:
    kernel.run("import ipywidgets\nfailing = ipywidgets.Text()\ndef fail(*_):\n  raise ValueError(V)\nfailing.on_msg(fail)")
    kernel.run("print(failing.model_id)")
    kernel.comm(kernel.printed_id(), {"method": "custom", "content": {}})


CHANNELS = [
    # Streams
    Channel("print", "print(V)"),
    Channel("stderr", "import sys; print(V, file=sys.stderr)"),
    Channel(
        "a flush in the middle",
        "import sys\nfor part in (V[:len(V) // 2], V[len(V) // 2:]):\n  sys.stdout.write(part); sys.stdout.flush()",
    ),
    Channel(
        "a flush after each of the first characters",
        "import sys\nfor part in (*V[:12], V[12:]):\n  sys.stdout.write(part); sys.stdout.flush()",
    ),
    Channel(
        "a pause in the middle",
        "import sys, time\nfor part in (V[:3], V[3:]):\n  sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.15)",
    ),
    Channel("writelines", "import sys; sys.stdout.writelines([V[:5], V[5:]])"),
    Channel("sys.__stdout__", "import sys; sys.__stdout__.write(V + '\\n'); sys.__stdout__.flush()", by_descriptor=True),
    Channel("file descriptor 1", "import os; os.write(1, V.encode() + b'\\n')", by_descriptor=True),
    Channel("file descriptor 2", "import os; os.write(2, V.encode() + b'\\n')", by_descriptor=True),
    Channel(
        "a child process",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ECHO], input=V.encode() + b'\\n')",
        by_descriptor=True,
    ),
    Channel(
        "os.system",
        "import os, shlex; os.system('echo; printf %s ' + shlex.quote(V) + '; echo')",
        by_descriptor=True,
        not_for=_CUT,
    ),
    Channel("!command", "get_ipython().system('printf %s ' + __import__('shlex').quote(V))", not_for=_CUT_OR_LINES),
    Channel("!!command", "get_ipython().getoutput('printf %s ' + __import__('shlex').quote(V))", not_for=_CUT_OR_LINES),
    Channel("%%bash", "get_ipython().run_cell_magic('bash', '', 'printf %s ' + __import__('shlex').quote(V))"),
    Channel(
        "a fork",
        "import os\nif not (pid := os.fork()):\n  print(V, flush=True); os._exit(0)\nos.waitpid(pid, 0)",
        by_fork=True,
    ),
    Channel("a thread", "import threading; t = threading.Thread(target=print, args=(V,)); t.start(); t.join()"),
    Channel("a thread after its cell", drive=_late),
    Channel("asyncio", "import asyncio\nasync def tell(): print(V)\nawait asyncio.gather(tell(), tell())"),
    Channel("warnings", "import warnings; warnings.simplefilter('always'); warnings.warn(V)"),
    Channel("logging without handlers", "import logging; logging.getLogger('bare').warning(V)"),
    Channel(
        "logging with arguments",
        "import logging, sys\nlog = logging.Logger('own'); log.addHandler(logging.StreamHandler(sys.stderr))\n"
        "log.error('%s and %r', V, [V])",
    ),
    Channel(
        "logging an exception",
        "import logging, sys\nlog = logging.Logger('own'); log.addHandler(logging.StreamHandler(sys.stdout))\n"
        "try: raise ValueError(V)\nexcept ValueError: log.exception('it failed')",
    ),
    Channel("a progress bar", "for n in range(3): print(f'\\r{n}/3 {V}', end='', flush=True)"),
    Channel("character by character", "print(*V, sep='', end='')"),
    # Results and displays
    Channel("a result", "V"),
    Channel("a result in containers", "[V, {V: (V,)}]"),
    Channel("bytes", "V.encode()"),
    Channel("base64", "import base64; base64.b64encode(V.encode())"),
    Channel("hex", "V.encode().hex()"),
    Channel("a quoted URL", "import urllib.parse; urllib.parse.quote('u:' + V, safe='')"),
    Channel("JSON in text", "import json; print(json.dumps({'a': [V]}))"),
    Channel("a dataclass", "import dataclasses\n@dataclasses.dataclass\nclass D: password: str\nD(V)"),
    Channel("HTML", "from IPython.display import HTML; HTML('<b>' + __import__('html').escape(V) + '</b>')"),
    Channel("Markdown", "from IPython.display import Markdown; Markdown(V)"),
    Channel("LaTeX", "from IPython.display import Latex; Latex(V)"),
    Channel("SVG", "display({'image/svg+xml': '<svg>' + V + '</svg>'}, raw=True)"),
    Channel("JavaScript", "from IPython.display import Javascript; Javascript('x = ' + repr(V))"),
    Channel(
        "PNG",
        "from IPython.display import Image; Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + V.encode(), format='png')",
        not_for=_FOUR,
    ),
    Channel("PDF", "display({'application/pdf': __import__('base64').b64encode(V.encode()).decode()}, raw=True)"),
    Channel("JSON", "from IPython.display import JSON; JSON({'a': [V, {V: 1}]})"),
    Channel("an own MIME type", "display({'application/x-own+json': {'a': V}}, raw=True)"),
    Channel("a MIME type's name", "display({V: 'x', 'text/latex': ''}, raw=True)", not_for=frozenset({"a MIME type"})),
    Channel("metadata", "display({'text/plain': 'x'}, metadata={'a': {'b': V}}, raw=True)"),
    Channel("update_display", "h = display('x', display_id=True); h.update({'text/html': V}, raw=True)"),
    Channel("a display's id", "display('x', display_id=V)"),
    Channel("clear_output", "from IPython.display import clear_output; print('x'); clear_output(wait=True); print(V)"),
    Channel("a rich repr", "class R:\n  def _repr_mimebundle_(self, **_): return {'text/plain': V, 'text/html': V}\nR()"),
    Channel("a pretty repr", "class P:\n  def _repr_pretty_(self, p, cycle): p.text(V)\nP()"),
    Channel("a DataFrame", "import pandas; pandas.set_option('max_colwidth', None); pandas.DataFrame({'a': [V]})"),
    # Errors
    Channel("an error", "raise ValueError(V)"),
    Channel("an error's class", "raise type(V, (Exception,), {})()"),
    Channel("a KeyError", "{}[V]"),
    Channel("a chained error", "try: {}[V]\nexcept KeyError as e: raise RuntimeError('again') from e"),
    Channel("an error in an error", "try: {}[V]\nexcept KeyError: 1 / 0"),
    Channel(
        "a note on an error",
        "e = ValueError('x', *(() if hasattr(ValueError, 'add_note') else (V,)))\nif not e.args[1:]: e.add_note(V)\nraise e",
    ),
    Channel("nested calls", "def a(x): b(x)\ndef b(x): c(x)\ndef c(x): raise LookupError(x)\na(V)"),
    Channel(
        "locals in a traceback",
        "get_ipython().run_line_magic('xmode', 'Verbose')\ndef f(x): 1 / 0\ntry: f(V)\nexcept Exception: get_ipython().showtraceback()\n"
        "finally: get_ipython().run_line_magic('xmode', 'Context')",
        not_for=_CUT,
    ),
    Channel("%tb", drive=_tb),
    Channel("a syntax error", "compile('1 +' + V.replace('\\n', ' ') + ' ?', 'x', 'exec')", not_for=_CUT_OR_LINES),
    Channel("an error in a thread", "import threading\nt = threading.Thread(target=lambda: {}[V]); t.start(); t.join()"),
    Channel("an error nobody catches", "class D:\n  def __del__(self): raise ValueError(V)\nd = D(); del d"),
    Channel("print_exc", "import traceback\ntry: {}[V]\nexcept KeyError: traceback.print_exc()"),
    Channel("the debugger", drive=_debugger, not_for=_CUT),
    # Prompts
    Channel("a prompt", "input(V)", typed=("x",)),
    Channel("a hidden prompt", "import getpass; getpass.getpass(V)", typed=("x",)),
    # Widgets
    Channel("a new widget", "import ipywidgets; ipywidgets.HTML(value=V)"),
    Channel("a widget's update", "import ipywidgets; w = ipywidgets.Label(); w.value = V"),
    Channel("a widget's options", "import ipywidgets; ipywidgets.Dropdown(options=[(V, 1)])"),
    Channel("an echoed update", drive=_echoed_update),
    Channel("a custom message", "import ipywidgets; ipywidgets.Label().send({'deep': {'a': [V]}})"),
    Channel("a binary buffer", "import ipywidgets; ipywidgets.Label().send({}, [b'\\0' + V.encode()])"),
    Channel("an Output widget", "import ipywidgets; o = ipywidgets.Output(); o.append_stdout(V)"),
    Channel("a comm that closes", "from comm import create_comm; create_comm(target_name='x').close(data={'bye': V})"),
    Channel(
        "a comm that opens", "from comm import create_comm; create_comm(target_name='x', data={'a': V}, metadata={'b': V})"
    ),
    # Replies
    Channel("user expressions", drive=_expressions),
    Channel("inspect", drive=_inspect, not_for=_CUT),
    Channel("complete", drive=_complete, not_for=_CUT),
    Channel("history", drive=_history, not_for=_CUT),
    Channel("the debugger's variables", drive=_variables, not_for=_CUT),
    Channel("the debugger's rich view", drive=_rich_variable),
    Channel("the pager", "get_ipython().run_line_magic('pinfo', 'V')", not_for=_CUT),
    Channel("%pinfo2", "get_ipython().run_line_magic('pinfo2', 'V')", not_for=_CUT),
    Channel("%page", "get_ipython().run_line_magic('page', '-r V')"),
    Channel("set_next_input", "get_ipython().set_next_input(V)"),
    Channel("%whos", "get_ipython().run_line_magic('whos', '')", not_for=_CUT_OR_LINES),
    Channel(
        "%who_ls",
        "get_ipython().user_ns[V] = 1\nprint(get_ipython().run_line_magic('who_ls', ''))\ndel get_ipython().user_ns[V]",
    ),
    Channel("%env", "import os; os.environ['X'] = V; get_ipython().run_line_magic('env', 'X')", not_for=_CUT),
    Channel("%history -o", drive=_history_magic),
    Channel("execute_input", drive=_input_of_a_cell, not_for=_CUT),
    Channel("an error in a comm's handler", drive=_comm_failure),
]
