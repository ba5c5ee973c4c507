"""Values typed on a `%secret` line are found, and only they."""

from __future__ import annotations

import pytest

from flowfile_nb.core.cell_source import VERBS, hide_values, may_call_ours
from flowfile_nb.notebook import secret_arguments

CANARY = "hunter2-canary"


@pytest.mark.parametrize(
    "cell",
    [
        f"%secret set prod_pw {CANARY}",
        f"%secret set prod_pw={CANARY}",
        f"%secret set prod_pw = {CANARY}",
        f"%secret prod_pw={CANARY}",
        f"%secret prod_pw = {CANARY}",
        f"  pw = %secret set prod_pw {CANARY}",
        f"x = 1\nif x:\n    %secret set prod_pw --replace {CANARY}\ny = 2",
        f"%secret set prod_pw '{CANARY} with spaces'",
        f"%secret set prod_pw 'open {CANARY}",
        f"%secret set 'my name' {CANARY}",
        f"secret set prod_pw {CANARY}",
        f"%time %secret set prod_pw {CANARY}",
        f"%secret set prod_pw \\\n  {CANARY}",
        f"%secrets set prod_pw {CANARY}",
        f"% secret set prod_pw {CANARY}",
        f"%%secret set prod_pw {CANARY}",
        f"%%secret set prod_pw\n{CANARY}",
        f"%Secret set prod_pw {CANARY}",
        f"%sercet set prod_pw {CANARY}",
        f"!secret set prod_pw {CANARY}",
        f"%secret prod_pw {CANARY}",
        f"  %secret prod_pw: {CANARY}",
        f"%secret env prod_pw={CANARY}",
        f"%secret env prod_pw PGPASSWORD={CANARY}",
        f"%secret add prod_pw {CANARY}",
        f"%secret set prod_pw --env {CANARY}",
        f"%secret set prod_pw --env=PW={CANARY}",
        f"%secret set prod_pw #{CANARY}",
        f"get_ipython().run_line_magic('secret', 'set prod_pw {CANARY}')",
        f'get_ipython().run_line_magic("secret", "prod_pw={CANARY}")',
    ],
)
def test_values_are_hidden(cell: str) -> None:
    """The value goes, the name and the rest of the cell stay."""
    hidden = hide_values(cell)

    assert CANARY not in hidden
    assert "[removed by flowfile_nb]" in hidden
    assert "prod_pw" in hidden or "my name" in hidden
    assert hidden.count("\n") == cell.replace("\\\n", "").count("\n")


@pytest.mark.parametrize("cell", [f"%secret set ={CANARY} x", f"%secret =\x07 ={CANARY}"])
def test_a_value_for_no_name_is_hidden(cell: str) -> None:
    """Where the name was forgotten, the line is refused as any other."""
    assert CANARY not in hide_values(cell)


@pytest.mark.parametrize(
    "cell",
    [
        "%secret",
        "%secret set prod_pw",
        "%secret set",
        "%secret set --replace",
        "%secret set prod_pw --replace",
        "%secret set 'my name' --generate 40",
        "%secret set prod_pw --file /tmp/x --replace",
        "%secret set --env VAR prod_pw",
        "%secret get list",
        "%secret set prod_pw --env=$VAR",
        "%secret set prod_pw --env {var}",
        "%secret backup a.backup --passphrase-env VAR --overwrite",
        "%secret rotate-key --new-key-env VAR --backup b",
        "%secret prod_pw",
        "%secret log prod_pw --last 5",
        "secret in names",
        "x = 5 % secret if y else z",
        "5 % secrets == 3",
        "host=h password=%secret prod_pw dbname=x",
        "%secret rename old new",
        "%secret delete a b c --yes",
        "%secret env prod_pw PGPASSWORD",
        "secret = 'not a magic'\nsecret == 5",
        "postgresql://app:%secret prod_pw@db/x",
        "print('secret set up')",
    ],
)
def test_good_lines_stay(cell: str) -> None:
    """What the magic accepts is remembered as it was typed."""
    assert hide_values(cell) == cell


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        (f"%connect postgresql://app:{CANARY}@h/x", "%connect [removed by flowfile_nb]"),
        (f"%%connect app:{CANARY}@h/x\nsqlite://", "%%connect [removed by flowfile_nb]\nsqlite://"),
        (f"get_ipython().run_line_magic('connect', 'https://{CANARY}@h')", None),
        ("%connect warehouse --replace", "%connect warehouse --replace"),
        ("%%connect warehouse\npostgresql://app:%secret pw@h/x", "%%connect warehouse\npostgresql://app:%secret pw@h/x"),
        ("connect = 'https://example.com'", "connect = 'https://example.com'"),
        ("connect('https://example.com')", "connect('https://example.com')"),
    ],
)
def test_descriptions_on_connect_lines_are_hidden(cell: str, kept: str | None) -> None:
    """What belongs below the line may hold a password; names and Python stay."""
    hidden = hide_values(cell)

    assert CANARY not in hidden
    assert hidden == kept or kept is None


def test_what_may_call_ours() -> None:
    """Python that says one of the names; not the magic."""
    assert may_call_ours("engine = fnb.connect('sqlite://')")
    assert may_call_ours("flowfile_nb.secrets['pw'] = 'x'")
    assert not may_call_ours("%%connect warehouse\nsqlite://")
    assert not may_call_ours("connected = 1")


def test_the_verbs_are_those_of_the_grammar() -> None:
    """What stands behind another first word may be a value."""
    assert VERBS == secret_arguments.VERBS


@pytest.mark.parametrize("line", ["backup a.backup hunter2-canary", "restore a.backup --passphrase hunter2-canary"])
def test_a_passphrase_is_hidden(line: str) -> None:
    """It opens every value there is."""
    assert CANARY not in hide_values(f"%secret {line}")
