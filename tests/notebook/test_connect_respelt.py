"""A reference that is spelt as in another tool, and a secret's name where its value would stand: what to write is said."""

from __future__ import annotations

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, LiteralPasswordError
from tests.support.shell import Shell

SPELLINGS = [
    *("%sercet pw", "% secret pw", "%secrets pw", "%Secret pw", "secret pw", "%secret:pw", "%secret(pw)", "%secret{pw}"),
    *(
        "%secret_pw",
        "${secrets:pw}",
        "$secret.pw",
        "$secret{pw}",
        "${secret.pw}",
        "{secret:pw}",
        "{{secret pw}}",
        "{{ secrets.pw }}",
    ),
    *("secret://pw", '{{secret("pw")}}', 'fnb.secrets["pw"]', "<secret pw>"),
]
TABLE = 'type = "postgresql"\nhost = "127.0.0.1"\nport = 1\nusername = "app"\npassword = '
NAMES = ["pw", "{pw}", "$pw", "${pw}", "%pw", "{{ pw }}", "%(pw)s", "{pw:url}", "{pw!s}"]


@pytest.fixture
def typed(shell: Shell) -> Shell:
    """A shell in which a secret is stored."""
    fnb.secrets["pw"] = "canary-value"
    shell.run("import flowfile_nb as fnb")
    return shell


def require_that_the_hint_works(typed: Shell, cell: str, hint: str) -> None:
    """Require that a cell is refused with a hint, and that what it says in the place of `{}` is understood."""
    assert isinstance(typed.error, ConnectionSpecError), typed.shown
    assert typed.error.hint == hint
    assert "canary-value" not in typed.shown

    typed.run(cell.replace("{}", "%secret pw"))

    assert isinstance(typed.error, ConnectionFailedError), typed.shown
    assert "nothing listens" in typed.shown


@pytest.mark.parametrize("cell", ["%%connect db\npostgresql://app:{}@127.0.0.1:1/x", f"%%connect db\n{TABLE}{{}}"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_reference_that_is_spelt_otherwise(typed: Shell, cell: str, spelling: str) -> None:
    """In a URL and bare in TOML: its name is known, so the whole reference is said."""
    typed.run(cell.replace("{}", spelling))

    require_that_the_hint_works(typed, cell, "in place of what stands for it write  %secret pw")


@pytest.mark.parametrize("spelling", ["%sercet pw", "{{secret pw}}", "secret://pw"])
def test_a_reference_in_quotes(typed: Shell, spelling: str) -> None:
    """In a string of TOML, and of Python."""
    typed.run(f'%%connect db\n{TABLE}"{spelling}"')

    require_that_the_hint_works(typed, f'%%connect db\n{TABLE}"{{}}"', "in place of what stands for it write  %secret pw")

    typed.run(f'fnb.connect(type="postgresql", host="127.0.0.1", port=1, password="{spelling}")')

    cell = 'fnb.connect(type="postgresql", host="127.0.0.1", port=1, password="{}")'
    require_that_the_hint_works(typed, cell, "in place of what stands for it write  %secret pw")


@pytest.mark.parametrize(
    "cell",
    [
        "%%connect db\npostgresql://app:{}@127.0.0.1:1/x",
        f'%%connect db\n{TABLE}"{{}}"',
        'fnb.connect("postgresql://app:{}@127.0.0.1:1/x")',
        '%%connect db\ntype = "https"\nurl = "https://127.0.0.1:1"\n[headers]\nAuthorization = "Bearer {}"',
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_secrets_name_where_its_value_would_stand(typed: Shell, cell: str, name: str) -> None:
    """By itself, and as other tools fill it in."""
    typed.run(cell.replace("{}", name))

    assert typed.shown.startswith(
        "LiteralPasswordError: 'pw' is a secret's name, and stands here as a text; nothing was opened\n"
    )
    require_that_the_hint_works(typed, cell, "in its place write  %secret pw")


def test_a_secret_with_a_keys_name(typed: Shell) -> None:
    """The key stays a key."""
    fnb.secrets["password"] = "canary-value"

    typed.run(f'%%connect db\n{TABLE}"password"')

    assert "hint: in its place write  %secret password\n" in typed.shown


@pytest.mark.parametrize("written", ["secret.hunter2", "%sercet hunter2", "hunter2", "pw-hunter2", 'x["pw"]'])
def test_a_text_that_is_no_secrets_name_is_not_repeated(typed: Shell, written: str) -> None:
    """It may be the password."""
    typed.run(f"%%connect db\npostgresql://app:{written}@127.0.0.1:1/x")

    assert isinstance(typed.error, LiteralPasswordError)
    assert "hunter2" not in typed.shown
    assert "%secret set " in typed.shown


def test_another_password_in_clear(typed: Shell) -> None:
    """A secret's name elsewhere is not what is wrong."""
    typed.run("%%connect db\npostgresql://pw:hunter2@127.0.0.1:1/pw")

    assert "a password stands in clear in this connection" in typed.shown


def test_an_f_string(typed: Shell) -> None:
    """Where no secret has the variable's name."""
    typed.run("%%connect db\npostgresql://app:{password:url}@127.0.0.1:1/x")

    assert "no variable is put into a connection, which is no f-string (in the part before the @)" in typed.shown
    assert "and write  %secret my_pw  in its place\n" in typed.shown
