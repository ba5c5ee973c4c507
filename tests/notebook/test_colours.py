"""Colours in the middle of a value, as a real kernel and a real terminal show them, do not hide it."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernel import Kernel, running_kernel

# A format field, an escape and both quotes: each is coloured for itself.
VALUE = "hunter2%s{x}\\n'a\"b#z"
PIECES = ("hunter2", "%s", "{x}", 'a"b', "b#z")
MASK = "[secret:pw]"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.chdir(home)
        with running_kernel() as kernel:
            kernel.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb")
            # Put together, so that no cell's source is what is looked for.
            kernel.run(f"V = {VALUE[:5]!r} + {VALUE[5:]!r}\nfnb.secrets['pw'] = V")
            yield kernel


def shown(kernel: Kernel, cell: str) -> str:
    """Return all that a cell shows, in all its forms, as a person reads it."""
    first = len(kernel.messages)
    kernel.run(cell)
    sent = repr([message["content"] for message in kernel.messages[first:] if message["msg_type"] != "execute_input"])
    return html.unescape(re.sub(r"\\x1b\[[0-9;]*m|</?span[^>]*>", "", sent))


MODULE = "def connect():\n    password = {literal}\n    raise ValueError('no server')\n"
CELLS = {
    "a traceback of a file": "import written; written.connect()",
    "the source of a function": "import written; get_ipython().run_line_magic('pinfo2', 'written.connect')",
    "the verbose traceback": "import written\n%xmode Verbose\nwritten.connect()",
    "grep": "print('pw=\\x1b[31m\\x1b[K' + V[:9] + '\\x1b[m\\x1b[K' + V[9:])",
    "its repr": "'pw=\\x1b[31m' + V[:9] + '\\x1b[m' + V[9:]",
    "its JSON": "import json; print(json.dumps('pw=\\x1b[31m' + V[:9] + '\\x1b[m' + V[9:]))",
    "its JSON as a result": "import json; json.dumps('pw=\\x1b[31m' + V[:9] + '\\x1b[m' + V[9:])",
    "rich": "from rich.console import Console; Console(force_jupyter=True, width=200).print({'a': V})",
    "rich, a text": "from rich.console import Console; Console(force_jupyter=True, width=200).print('password=' + V)",
    "html": "from IPython.display import HTML; HTML('<b>' + V[:9] + '</span><span class=\"x\">' + V[9:] + '</b>')",
    "a highlighted literal": "from IPython.display import HTML, Code; HTML(Code(f'x={V!r}', language='python')._repr_html_())",
    "a widget": "import ipywidgets; ipywidgets.HTML(value='<span>' + V[:9] + '</span>' + V[9:])",
}


@pytest.mark.parametrize("name", CELLS)
def test_nothing_of_it_is_shown(kernel: Kernel, name: str) -> None:
    """In no form of what the cell shows there is more of the value than its mask."""
    text = MODULE.format(literal=ascii(VALUE))
    kernel.run(f"import pathlib; n = pathlib.Path('written.py').write_text({text[:40]!r} + {text[40:]!r})")

    seen = shown(kernel, CELLS[name])

    assert MASK in seen
    assert not any(piece in seen for piece in PIECES), seen


def test_colours_go_on_after_it(kernel: Kernel) -> None:
    """What was switched in the middle of a value stays switched behind it, and a tag that was opened is closed."""
    assert "\x1b[31m[secret:pw]\x1b[0m end" in kernel.run("print('\\x1b[31m' + V[:9] + '\\x1b[0m' + V[9:] + ' end')")

    kernel.run("from IPython.display import HTML; HTML('<span>' + V[:9] + '</span>' + V[9:] + ' end')")
    assert "<span>[secret:pw]</span> end" in str(kernel.messages)


def test_cut_by_a_flush_and_by_colours(kernel: Kernel) -> None:
    """What a process writes piece by piece, with colours between, is held as any beginning of a value is."""
    seen = shown(kernel, "for n in range(0, len(V), 5): print(V[n:n + 5] + '\\x1b[1m', end='', flush=True)\nprint(' end')")

    assert MASK in seen
    assert not any(piece in seen for piece in PIECES), seen


def test_coloured_output_without_a_value_stays_as_it_is(kernel: Kernel) -> None:
    """To the last code."""
    coloured = "\x1b[31mhunter\x1b[0m \x1b[K\x1b(B is \x1b[1mno\x1b[22m value\n"

    assert kernel.run(f"print({coloured!r}, end='')") == coloured


def test_a_traceback_in_a_terminal(home: Path) -> None:
    """IPython without a kernel colours the same lines."""
    (home / "written.py").write_text(MODULE.format(literal=ascii(VALUE)), encoding="utf-8")
    cells = [
        "%load_ext flowfile_nb",
        f"import flowfile_nb as fnb; V = {VALUE[:5]!r} + {VALUE[5:]!r}; fnb.secrets['pw'] = V",
        "import written; written.connect()",
    ]
    arguments = ["--no-banner", "--simple-prompt", "--colors=Linux"]

    ran = subprocess.run(
        [sys.executable, "-m", "IPython", *arguments],
        input="\n".join(cells),
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )

    seen = re.sub(r"\x1b\[[0-9;]*m", "", ran.stdout)
    assert seen != ran.stdout
    assert f"password = '{MASK}'" in seen
    assert not any(piece in seen for piece in PIECES), seen
