"""Forms in which libraries write a value in a real kernel: their errors, their pages, their dumps, their tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.kernel import Kernel, kernel_at

# With what URLs, pages and JSON write otherwise, and longer than a line of base64.
VALUE = "P@ss^w{rd's <tag>&ü, " + "long enough for two lines of base64, as keys and tokens are"
MASK = "[secret:pw]"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with kernel_at(tmp_path_factory.mktemp("home")) as kernel:
        # Put together, so that no cell's source is what is looked for.
        kernel.run(f"V = {VALUE[:5]!r} + {VALUE[5:]!r}\nfnb.secrets['pw'] = V")
        yield kernel


# What a cell shows, and what it would show of the value.
CELLS = {
    "an error of requests": (
        "import requests; requests.get('http://127.0.0.1:9/' + V)",
        ["P@ss", "w%7Brd"],
    ),
    "base64 in lines": (
        "import base64; print(base64.encodebytes(V.encode()).decode())",
        ["UEBzc153e3JkJ3M"],
    ),
    "base64 in lines, a result": ("base64.encodebytes(V.encode())", ["UEBzc153e3JkJ3M", "YXJl"]),
    "numbers for characters": ("V.encode('ascii', 'xmlcharrefreplace').decode()", ["P@ss", "&#252;"]),
    "an element": (
        "import xml.etree.ElementTree as E; e = E.Element('a'); e.text = V; print(E.tostring(e).decode())",
        ["P@ss", "&#252;"],
    ),
    "a page": (
        "import jinja2; print(jinja2.Template('<script>x = {{ v|tojson }}</script>').render(v={'a': V}))",
        ["P@ss", "u003c"],
    ),
    "a page, a result": (
        "import jinja2; jinja2.Template('<script>x = {{ v|tojson }}</script>').render(v={'a': V})",
        ["P@ss", "u003c"],
    ),
    "a table of Polars": ("import polars; polars.DataFrame({'a': [V], 'b': [2]})", ["P@ss", "&lt;tag"]),
    "a table of pandas": ("import pandas; pandas.DataFrame({'a': [V]})", ["P@ss", "&lt;tag"]),
    "reprlib": ("import reprlib; print(reprlib.repr([V]))", ["P@ss", "tokens are"]),
    "hex with colons": ("V.encode().hex(':')", ["50:40:73:73"]),
    "hex with blanks": ("print(V.encode().hex(' ').upper())", ["50 40 73 73"]),
}


@pytest.mark.parametrize("name", CELLS)
def test_nothing_of_it_is_shown(kernel: Kernel, name: str) -> None:
    """In any message that the cell sends there is the mask, and no piece of the value in that form."""
    cell, pieces = CELLS[name]
    first = len(kernel.messages)

    kernel.run(cell)

    sent = repr([message["content"] for message in kernel.messages[first:] if message["msg_type"] != "execute_input"])
    assert MASK in sent, sent
    assert not any(piece in sent for piece in pieces), sent


def test_the_private_key_of_a_service_account(kernel: Kernel) -> None:
    """It is printed by itself, as Google's libraries take it, and no line of it is seen."""
    lines = [f"{number}iEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj" for number in range(3)]
    file = "{'type': 'service_account', 'private_key': '-----BEGIN PRIVATE KEY-----\\n' + KEY + '-----END PRIVATE KEY-----\\n'}"
    kernel.run(
        f"import json; KEY = ''.join(n + {lines[0][1:]!r} + '\\n' for n in '012')\nfnb.secrets['sa'] = json.dumps({file})"
    )

    for cell in ("print(key)", "key", "[key]", "repr(key)", "key.splitlines()[1]"):
        shown = kernel.run(f"key = json.loads(fnb.secrets['sa'].get_secret_value())['private_key']\n{cell}")

        assert "[secret:sa]" in shown, shown
        assert "iEvQIB" not in shown, shown
    assert kernel.run("print('type:', json.loads(fnb.secrets['sa'].get_secret_value())['type'])") == "type: service_account\n"


def test_a_password_in_a_file_of_credentials(kernel: Kernel) -> None:
    """A short value under the key of a secret is one, wherever it comes up."""
    kernel.run("fnb.secrets['file'] = json.dumps({'db': {'user': 'app', 'password': 'hun' + 'ter2'}})")

    assert kernel.run("import base64; print('app', 'hun' + 'ter2', base64.b64encode(b'hun' b'ter2'))") == (
        "app [secret:file] b'[secret:file]'\n"
    )
