"""What a description means, and which ones are refused before anything is opened."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.connections.spec import TableSpec, UrlSpec, read_spec, secrets_in
from flowfile_nb.core.secret import Secret
from flowfile_nb.errors import ConnectionSpecError, LiteralPasswordError, ReferenceSyntaxError

CANARY = "hunter2-canary"


def test_a_url() -> None:
    """One line with a scheme is a URL; blank lines and comments round it do not count."""
    spec = read_spec("\n# the warehouse\n  postgresql://app:%secret pw@h/x?sslcert=${secret:cert}  \n\n")

    assert isinstance(spec, UrlSpec)
    assert secrets_in(spec) == ["pw", "cert"]
    assert spec.marked.restore(spec.marked.text) == "postgresql://app:${secret:pw}@h/x?sslcert=${secret:cert}"


@pytest.mark.parametrize(
    "spelling", ["%secret pw", "${secret:pw}", '"%secret pw"', "'${secret:pw}'", '"""${secret:pw}"""', '%secret "pw"']
)
def test_toml_with_each_spelling(spelling: str) -> None:
    """A reference may stand bare where a TOML value stands, or in quotes."""
    spec = read_spec(
        f'type = "postgresql"  # a comment with "quotes"\nhost = "h"\npassword = {spelling}\n[query]\nsslmode = "require"'
    )

    assert isinstance(spec, TableSpec)
    assert spec.parts == {"type": "postgresql", "host": "h", "password": "${secret:pw}", "query": {"sslmode": "require"}}
    assert secrets_in(spec) == ["pw"]


def test_references_anywhere_in_toml() -> None:
    """In a list, inside a longer string, in a nested table; one in a comment is none."""
    spec = read_spec('type = "x"\nlist = [%secret a, "b-%secret b"]\n# %secret c\n[t.u]\nv = "x=${secret:d};"')

    assert isinstance(spec, TableSpec)
    assert spec.parts["list"] == ["${secret:a}", "b-${secret:b}"]
    assert spec.parts["t"] == {"u": {"v": "x=${secret:d};"}}
    assert secrets_in(spec) == ["a", "b", "d"]


def test_a_mapping_with_secrets() -> None:
    """From Python the parts may hold Secret objects: each becomes a reference to itself."""
    spec = read_spec(
        {"type": "mysql", "password": Secret("pw", lambda: CANARY), "connect_args": {"key": Secret("k", str)}, "port": 1}
    )

    assert isinstance(spec, TableSpec)
    assert spec.parts == {"type": "mysql", "password": "${secret:pw}", "connect_args": {"key": "${secret:k}"}, "port": 1}


@pytest.mark.parametrize(
    "description",
    [
        f"postgresql://app:{CANARY}@h/x",
        f"postgresql://app:{CANARY}@with-at@h/x",
        f"postgresql://app:{CANARY}/with/slash?@h/x",
        f"postgresql://app:1{CANARY}@h:5432/x",
        f"postgresql://:{CANARY}@h/x",
        f"postgresql://h/x?user=app&password={CANARY}",
        f"mssql+pyodbc://?odbc_connect=DRIVER%3DX%3BUID%3Dapp%3BPWD%3D{CANARY}",
        f'type = "postgresql"\npassword = "{CANARY}"',
        f'type = "snowflake"\n[connect_args]\nprivate_key = "{CANARY}"',
        f'type = "mssql"\nodbc = "UID=app;PWD={CANARY}"',
        f'type = "x"\naws_secret_access_key = "{CANARY}"',
        {"type": "postgresql", "password": CANARY},
        {"type": "postgresql", "query": {"token": CANARY}},
    ],
)
def test_literal_passwords_are_refused(description: Any) -> None:
    """Wherever it stands, a password in clear is refused with the two steps that mend it, and is not repeated."""
    with pytest.raises(LiteralPasswordError) as caught:
        read_spec(description)

    assert CANARY not in str(caught.value)
    assert "%secret set" in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2


@pytest.mark.parametrize(
    "description",
    [
        "postgresql://app@h:5432/x?application_name=a@b",
        "postgresql://h:5432/x?email=a@b",
        "postgresql://app:@h/x",
        "sqlite:////home/me/data.db",
        "sqlite://",
        "duckdb:///:memory:",
        "postgresql://app:prefix-%secret pw@h/x",
        'type = "postgresql"\npassword = ""\naws_access_key_id = "AKIA"\nsslkey = "/path"\npassword_file = "/x"',
    ],
)
def test_what_holds_no_password_passes(description: str) -> None:
    """A user without a password, a port, a path and a key id are no passwords."""
    assert read_spec(description)


@pytest.mark.parametrize(
    "description",
    ["", "  \n# only a comment", "neither this nor that", f"password {CANARY}", "x = ", "[", "postgresql://h/x\nsecond = 1"],
)
def test_what_is_neither_url_nor_toml(description: str) -> None:
    """The error shows both right forms and quotes nothing of the text."""
    with pytest.raises(ConnectionSpecError) as caught:
        read_spec(description)

    assert CANARY not in str(caught.value)
    assert "postgresql" in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2


@pytest.mark.parametrize("description", ['host = "h"', "type = 5", {"host": "h"}])
def test_toml_without_a_type(description: Any) -> None:
    """TOML has to say what it describes."""
    with pytest.raises(ConnectionSpecError, match="type"):
        read_spec(description)


def test_a_broken_reference_in_a_body() -> None:
    """A reference that cannot be read is an error before anything else is looked at."""
    with pytest.raises(ReferenceSyntaxError):
        read_spec("postgresql://app:${secret:${secret:x}}@h/x")


@given(text=st.text(max_size=60))
def test_any_text_gives_a_spec_or_our_error(text: str) -> None:
    """No body, however odd, raises anything but our own error."""
    try:
        spec = read_spec(text)
    except ConnectionSpecError:
        return
    assert secrets_in(spec) is not None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@[::1]:5432/x",
        "postgresql://app@h1:5432,h2:5433/x",
        "postgresql://app@h:%secret port/x",
        "postgresql://app@h:/x",
        "duckdb:///C:/data/a.db",
        "postgresql:///x?host=/tmp",
    ],
)
def test_hosts_and_ports_in_every_form(url: str) -> None:
    """Addresses in brackets, several hosts, a port that is a secret, none."""
    assert isinstance(read_spec(url), UrlSpec)


@pytest.mark.parametrize("url", [f"postgresql://app:{CANARY}", f"postgresql://app:{CANARY}/x", "postgresql://h:port/x"])
def test_what_is_no_port_may_be_a_password(url: str) -> None:
    """The host was forgotten: refused before anything is opened, without quoting it."""
    with pytest.raises(ConnectionSpecError, match="is no port") as caught:
        read_spec(url)

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "example"),
    [
        ("https://api.example.com:abc/v1", "https://api.example.com:8443/v1"),
        ("sftp://files.example.com:abc/x", "sftp://user:%secret NAME@host:22/path"),
        ("mysql://h:abc/x", "mysql://user:%secret NAME@host:5432/database"),
    ],
)
def test_a_port_that_is_none_is_shown_right(url: str, example: str) -> None:
    """By an example of the same kind."""
    with pytest.raises(ConnectionSpecError, match="is no port") as refused:
        read_spec(url)

    assert example in refused.value.hint
    assert "abc" not in str(refused.value)
