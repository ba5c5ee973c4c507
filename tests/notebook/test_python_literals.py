"""A password in clear in Python, where `fnb.connect` refuses it, stays out of what IPython remembers."""

from __future__ import annotations

import pytest

from flowfile_nb.errors import ConnectionSpecError, LiteralPasswordError
from tests.support.shell import Shell

CANARY = "hunter2-canary"


@pytest.fixture
def python(shell: Shell) -> Shell:
    """A shell in which the package is imported, as in a notebook's first cell."""
    shell.run("import flowfile_nb as fnb\nhost, pw = 'db', 'not typed here'")
    return shell


@pytest.mark.parametrize(
    "cell",
    [
        f'fnb.connect("postgresql://u:{CANARY}@h/db")',
        f'fnb.connect(type="postgresql", host="h", password="{CANARY}")',
        f'fnb.connect({{"type": "postgresql", "host": "h", "connect_args": {{"sslpassword": "{CANARY}"}}}})',
        f'fnb.connect({{"type": "postgresql", "host": "h"}}, password="{CANARY}")',
        f'from flowfile_nb import connect as c\nc(f"postgresql://u:{CANARY}@{{host}}/x")',
        f'from flowfile_nb import *\nconnect(f"postgresql://u:{CANARY}@{{host}}/x")',
        f'url = "postgresql://u:{CANARY}@h/db"\nfnb.connect(url)',
        f'fnb.connect("postgresql://u:" + "{CANARY}" + "@h/db")',
        f'fnb.connect("postgresql://u:%s-{CANARY}@h/db" % pw)',
        f'fnb.connect("postgresql://u:{CANARY}@{{}}/db".format(host))',
        f'fnb.connect("postgresql://u:{{}}@{{}}/db".format("{CANARY}", host))',
        f'fnb.connect("postgresql://u:%s@%s/db" % ("{CANARY}", host))',
        f'pw = "{CANARY}"\nfnb.connect(f"postgresql://u:{{pw}}@{{host}}/db")',
        f'key = "{CANARY}"\nurl = f"postgresql://u:{{key}}@{{host}}/db"\nfnb.connect(url)',
        f'value = "{CANARY}"\nfnb.connect(type="postgresql", host="h", password=value)',
        f'value = "{CANARY}"\nfnb.connect({{"type": "postgresql", "host": "h", "password": value}})',
        f'd = dict(type="postgresql", host="h", password="{CANARY}")\nfnb.connect(d)',
        f'd = {{"type": "postgresql", "host": "h"}}\nd["password"] = "{CANARY}"\nfnb.connect(**d)',
        f'fnb.connect(type="postgresql", host="h", password="{CANARY}" + pw)',
        f'fnb.connect("""\ntype = "postgresql"\npassword = "{CANARY}"\n""")',
        f'%%time\nfnb.connect("postgresql://u:{CANARY}@h/db")',
        f'%time fnb.connect("postgresql://u:{CANARY}@h/db")',
        f'fnb.connect(type="postgresql", host="h", pasword="{CANARY}")',
        f'fnb.connect(type="https", url="https://h/v1", bearrer="{CANARY}")',
        f'fnb.connect("app:{CANARY}@h/x")',
    ],
)
def test_a_refused_password_is_forgotten(python: Shell, cell: str) -> None:
    """However it is written; the rest of the cell stays, as Python."""
    python.run(cell)

    assert "Error: " in python.shown
    assert CANARY not in python.remembered()
    kept = python.real.history_manager.input_hist_raw[-1]
    assert "connect" in kept or "c(" in kept
    compile(python.real.transform_cell(kept), "kept", "exec")


@pytest.mark.parametrize(
    "cell",
    [
        f'open_it("postgresql://u:{CANARY}@h/db")',
        f'%time open_it("postgresql://u:{CANARY}@h/db")',
        f'%%time\nopen_it("postgresql://u:{CANARY}@h/db")',
        f'mine["pw"] = "{CANARY}" + 1',
        f'open_it("postgresql://u:{CANARY}@h/db"',
    ],
)
def test_another_name_that_an_earlier_cell_has_given(python: Shell, cell: str) -> None:
    """What it means counts; and a variable that cannot be compared as one thing does not hinder."""
    python.run("from flowfile_nb import connect as open_it, secrets as mine\nimport numpy\ntable = numpy.zeros((2, 2))")
    assert "Error" not in python.shown

    python.run(cell)

    assert "Error: " in python.shown
    assert CANARY not in python.remembered()


def test_a_number_is_removed_where_it_stands(python: Shell) -> None:
    """And not out of the middle of a word."""
    python.run(f'fnb.connect(type="https", url="https://h/v1", tokens=1, token="{CANARY}")')

    kept = python.real.history_manager.input_hist_raw[-1]
    removed = '"[removed by flowfile_nb]"'
    assert kept == f'fnb.connect(type="https", url="https://h/v1", tokens={removed}, token={removed})'


@pytest.mark.parametrize(
    "cell",
    [
        f'fnb.connect("postgresql://u:{CANARY}@h/db"',
        f'fnb.connect(password = "{CANARY}"',
        f'fnb.connect({{"password": "{CANARY}"}}',
        f'fnb.secrets["x"] = "{CANARY}',
        f'fnb.secrets.setdefault("x", "{CANARY}"',
    ],
)
def test_what_is_no_python_is_cut(python: Shell, cell: str) -> None:
    """A bracket that was forgotten does not let it pass."""
    python.run(cell)

    assert isinstance(python.error, SyntaxError)
    assert CANARY not in python.remembered()
    assert cell[:11] in python.remembered()


def test_variables_made_of_each_other_take_no_time(python: Shell) -> None:
    """They are followed a few steps, and one that is made of itself has an end."""
    steps = "\n".join(f"v{number + 1} = v{number} + v{number}" for number in range(60))
    cell = f"v0 = v60 = 'x'\nif False:\n    {steps.replace(chr(10), chr(10) + '    ')}\n    v0 = v0 + v0\n    fnb.connect(v60)"

    python.run(cell)

    assert python.error is None
    assert python.real.history_manager.input_hist_raw[-1] == cell


@pytest.mark.parametrize(
    "cell",
    [
        f'fnb.secrets["x"] = "{CANARY}"',
        f'fnb.secrets.setdefault("x", "{CANARY}")',
        f'fnb.set("x", "{CANARY}")',
        f'import flowfile_nb as other\nother.add_secret(name="x", value="{CANARY}")',
    ],
)
def test_a_value_that_code_stores_is_forgotten(python: Shell, cell: str) -> None:
    """The cell that stores it is remembered without it, too; so is one that calls what there is not."""
    python.run(cell)

    assert CANARY not in python.remembered()


@pytest.mark.parametrize(
    "cell",
    [
        f'import sqlite3\nsqlite3.connect("file:{CANARY}?mode=memory", uri=True).close()',
        f'fnb.connect(f"postgresql://u:{{pw}}@{{host}}:{{1}}/{CANARY}")',
        'fnb.connect("warehouse")',
        f'fnb.panel("x", "{CANARY}")',
        'df = pd.read_sql("SELECT 1", fnb.connect("sales-db"))',
        'name = "no_such"\nfnb.connect(name, as_="duckdb")',
        f'fnb.connect("postgresql://u:${{secret:pg}}@h/{CANARY}")',
        f'name = "{CANARY}"\nfnb.connect(f"postgresql://u:${{{{secret:pg}}}}@h/{{name}}")',
        f'fnb.connect(type="postgresql", host="{CANARY}", password=fnb.secrets["pg"])',
        f'fnb.connect(f"https://{{host}}/v1?day={CANARY}")',
        f'fnb.connect(type="no such kind", save="{CANARY}")',
        f'fnb.connect(type="https", url="https://h/{CANARY}", test_path="{CANARY}", token=f"{{pw}}")',
    ],
)
def test_other_code_is_remembered_as_it_was_typed(python: Shell, cell: str) -> None:
    """Other libraries' calls, and ours with references or variables."""
    python.run(cell)

    assert python.real.history_manager.input_hist_raw[-1] == cell


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ('type = "postgresql"\nhost = "h"\npasword = "VALUE"', "'password'"),
        ('type = "postgresql"\nhost = "h"\n[connect_args]\nsslpasword = "VALUE"', "'sslpassword'"),
        ("postgresql://app@h/x?pasword=VALUE", "'password'"),
        ('type = "https"\nurl = "https://h/v1"\ntokne = "VALUE"', "'token'"),
        ('type = "https"\nurl = "https://h/v1"\nbearrer = "VALUE"', 'auth = "bearer"   token = %secret NAME'),
        ('type = "https"\nurl = "https://h/v1"\nauthorisation = "VALUE"', 'auth = "bearer"   token = %secret NAME'),
        ('type = "https"\nurl = "https://h/v1"\n[headers]\nAuthorizaton = "Bearer VALUE"', "'Authorization'"),
        ('type = "https"\nurl = "https://h/v1"\n[headers]\nauthorisation = "VALUE"', "'Authorization'"),
        ('type = "https"\nurl = "https://h/v1"\n[headers]\nX-Auth = "Bearer VALUE"', "stands in clear"),
        ('type = "s3"\nbucket = "b"\nsecret_acces_key = "VALUE"', "'secret_access_key'"),
        ('type = "s3"\nbucket = "b"\nacces_id = "VALUE"', "'access_key_id'"),
        ('type = "kafka"\nbootstrap_servers = "h:1"\nsasl_pasword = "VALUE"', "'sasl_password'"),
        ('type = "postgresql"\nhost = "h"\nof_ours = "VALUE"', "what psycopg takes"),
    ],
)
def test_a_value_under_a_mistyped_key_is_forgotten(shell: Shell, body: str, meant: str) -> None:
    """The cell is refused with what was meant, and the value is not remembered."""
    shown = shell.run(f"%%connect db --no-test\n{body.replace('VALUE', CANARY)}")

    assert isinstance(shell.error, ConnectionSpecError)
    assert meant in shown
    assert len(shown.strip().split("\n")) == 2
    assert CANARY not in shown + shell.remembered()
    assert "%%connect db --no-test" in shell.remembered()


@pytest.mark.parametrize(
    "body",
    [f'type = "https"\nurl = "https://h/v1?tokens={CANARY}"\n[headers]\nx-passwords = "{CANARY}"', "sqlite:///x?timeout=5"],
)
def test_what_an_api_names_is_its_own(shell: Shell, body: str) -> None:
    """The parameters and headers of an API may be called anything."""
    cell = f"%%connect db --no-test\n{body}"
    shell.run(cell)

    assert not isinstance(shell.error, LiteralPasswordError), shell.shown
    assert shell.real.history_manager.input_hist_raw[-1] == cell
