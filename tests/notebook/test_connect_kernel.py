"""Connecting in a real kernel: a way out of every wait, and help where one types."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dumb_server import answering, silent
from tests.support.http_server import Answer, running
from tests.support.kernel import TIMEOUT_S, Kernel, kernel_at


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for the tests of this file, with a home of its own and one secret."""
    with kernel_at(tmp_path_factory.mktemp("home")) as kernel:
        # Jedi would look through every library first; what it offers is not ours.
        kernel.run("%config IPCompleter.use_jedi = False")
        kernel.run("fnb.secrets['prod_pw'] = 'canary-value'\nfnb.secrets['a b'] = 'another-value'")
        kernel.run("fnb.connect('sqlite://', save='warehouse')")
        yield kernel


@pytest.mark.parametrize(
    ("scheme", "form", "later"),
    [
        ("postgresql", "", False),
        ("postgresql", "", True),
        ("mysql", "", False),
        ("mysql", "", True),
        ("postgresql", "--as adbc", False),
        ("postgresql", "--as ibis", False),
        ("oracle", "", False),
        ("mssql", "", False),
        ("clickhouse", "", False),
        ("trino", "", False),
        ("https", "", False),
    ],
)
def test_a_hanging_connection_can_be_interrupted(kernel: Kernel, scheme: str, form: str, later: bool) -> None:
    """The server accepts and never answers; the interrupt ends the cell at once, with no value in what is shown."""
    arrived = threading.Event()

    def answer(connection: socket.socket) -> None:
        arrived.set()
        silent(connection)

    with answering(answer) as port:
        # Trino's driver sends a password through TLS only.
        user = "app" if scheme == "trino" else "app:%secret prod_pw"
        cell = f"%%connect db --timeout 3600 {form}\n{scheme}://{user}@127.0.0.1:{port}/x"
        if later:
            kernel.run(cell.replace("--timeout", "--no-test --timeout"))
            cell = "db.connect()"
        request = kernel.client.execute(cell, allow_stdin=False, stop_on_error=False)
        assert arrived.wait(TIMEOUT_S)
        if not later:
            said = next_text(kernel)
            assert said.startswith(f"Waiting for {scheme}://app@127.0.0.1:{port}/x   (to stop: interrupt")

        kernel.client.control_channel.send(kernel.client.session.msg("interrupt_request"))

        reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
        while reply["parent_header"]["msg_id"] != request:
            reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    assert reply["content"]["ename"] == ("KeyboardInterrupt" if later else "ConnectionFailedError")
    assert "canary-value" not in repr(reply)
    assert later or "interrupted" in reply["content"]["evalue"]
    assert "2" in kernel.run("1 + 1")
    kernel.run("globals().pop('db', None)")


@pytest.mark.parametrize("cell", ["%secret set other", "%secret delete prod_pw"])
def test_a_question_can_be_interrupted(kernel: Kernel, cell: str) -> None:
    """While it waits for what is typed, the interrupt ends the cell, in two lines; nothing is stored or deleted."""
    request = kernel.client.execute(cell, allow_stdin=True, stop_on_error=False)
    kernel.client.get_stdin_msg(timeout=TIMEOUT_S)

    kernel.client.control_channel.send(kernel.client.session.msg("interrupt_request"))

    reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    while reply["parent_header"]["msg_id"] != request:
        reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    assert reply["content"]["ename"] == "UsageError"
    assert len("\n".join(reply["content"]["traceback"]).splitlines()) == 2
    assert "(False, True)" in kernel.run("'other' in fnb.secrets, 'prod_pw' in fnb.secrets")


def next_text(kernel: Kernel) -> str:
    """Return what the kernel prints next."""
    while True:
        message = kernel.client.get_iopub_msg(timeout=TIMEOUT_S)
        if message["msg_type"] == "stream":
            return str(message["content"]["text"])


def complete(kernel: Kernel, cell: str) -> tuple[str, set[str]]:
    """Return what Tab would replace, and what it offers, where `|` stands in a cell."""
    position = cell.index("|")
    request = kernel.client.complete(cell.replace("|", ""), position)
    while True:
        reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
        if reply["parent_header"]["msg_id"] == request:
            content = reply["content"]
            return cell[content["cursor_start"] : position], set(content["matches"])


@pytest.mark.parametrize(
    ("cell", "there", "not_there"),
    [
        ('%%connect db\ntype = "post|', {'"postgresql"', '"postgres"'}, {'"mysql"'}),
        ("%%connect db\ntype = |", {'"postgresql"', '"sqlite"', '"duckdb"'}, set()),
        ("%%connect db\n|", {"type = ", "postgresql://", "mysql://"}, set()),
        ("%%connect db\npost|", {"postgresql://"}, {"mysql://"}),
        (
            '%%connect db\ntype = "mysql"\nhost = "h"\n|\nport = 1',
            {"database = ", "username = ", "password = "},
            {"type = ", "host = "},
        ),
        ('%%connect db\ntype = "mysql"\npass|', {"password = "}, {"host = "}),
        ('%%connect db\ntype = "mysql"\npassword = |', {"%secret prod_pw", '%secret "a b"'}, {"%secret set"}),
        ('%%connect db\ntype = "mysql"\npassword = %sec|', {"%secret prod_pw"}, set()),
        ('%%connect db\ntype = "mysql"\npassword = %secret |\nhost = "h"', {"prod_pw", '"a b"'}, {"set", "list"}),
        ("%%connect db\n# a comment\npostgresql://app:${secret:pr|@h/x", {"prod_pw"}, {"a b"}),
        ("%%connect db --s|", {"--save"}, {"--delete"}),
        ("%connect --|", {"--delete", "--file", "--export", "--edit"}, {"--save"}),
        ('import flowfile_nb as fnb\nengine = fnb.connect("war|")', {"warehouse"}, set()),
    ],
)
def test_completion_below_the_magic(kernel: Kernel, cell: str, there: set[str], not_there: set[str]) -> None:
    """Kinds, keys that are not there yet, references where passwords stand, options."""
    begun, found = complete(kernel, cell)

    assert there <= found
    assert all(match.startswith(begun) for match in found)
    assert not found & not_there


@pytest.mark.parametrize("cell", ["%%connect db\npostgresql://app@h/x\n|", '%%connect db\nhost = "h|"', "%%time\npass|"])
def test_nothing_is_offered_that_would_be_wrong(kernel: Kernel, cell: str) -> None:
    """After a URL, inside a host's name, and in other cells: IPython's own at most."""
    _, found = complete(kernel, cell)

    assert not [match for match in found if "prod_pw" in match or " = " in match or "://" in match]


def test_edit_puts_the_definition_into_a_cell(kernel: Kernel) -> None:
    """The front end gets it as the next cell, beside this one."""
    kernel.run("%%connect local --save\n# my own\nsqlite://")

    request = kernel.client.execute("%connect local --edit")
    reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    while reply["parent_header"]["msg_id"] != request:
        reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)

    assert reply["content"]["payload"] == [
        {"source": "set_next_input", "text": "%%connect local --save\n# my own\nsqlite://", "replace": False}
    ]


@pytest.mark.parametrize(("typed", "words"), [("n", "local_db was not opened"), ("y", "Connected: local_db = sqlite://")])
def test_the_front_end_asks_before_a_projects_definition(kernel: Kernel, tmp_path: Path, typed: str, words: str) -> None:
    """What it says is shown in the cell, and the question below it is the front end's own."""
    (tmp_path / "connections.toml").write_text("[local_db]\nurl = 'sqlite://'\n", encoding="utf-8")
    kernel.run(f"import os; os.chdir({str(tmp_path)!r})")

    shown = kernel.run("%connect local_db", typed=typed)

    asked = [message["content"]["prompt"] for message in kernel.messages if message["msg_type"] == "input_request"]
    assert asked[-1] == "Open it? [y/N] "
    assert "It leads to  sqlite://  and uses no secret." in shown
    assert words in shown


def test_an_error_in_a_later_cell_is_told_short(kernel: Kernel) -> None:
    """As a front end gets it: which connection and secret it was, the cell's line, what to do; no value in any message."""
    with running() as server:
        server.answer = lambda request: Answer(401)
        kernel.run(f'%%connect api\ntype = "http"\nurl = "{server.url}/v1"\ntoken = %secret prod_pw')

        shown = kernel.run("api.get('me').raise_for_status()")

        assert server.last.headers["authorization"] == "Bearer canary-value"
    assert shown.startswith(f"HTTPStatusError: {server.url}/v1 refused the credential with secret 'prod_pw' (stored ")
    assert shown.rstrip().endswith("hint: store another:  %secret set prod_pw --replace;  %tb  shows the whole traceback")
    assert len(shown.strip().split("\n")) == 3
    assert "canary-value" not in kernel.shown()
