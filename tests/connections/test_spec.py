"""What a description means, and which ones are refused before anything is opened."""

from __future__ import annotations

import time
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
        {"type": "mysql", "password": Secret("pw", lambda _: CANARY), "connect_args": {"key": Secret("k", str)}, "port": 1}
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
        f"postgresql://app@h/x?sslpassword={CANARY}",
        f"mysql://app@h/x?ssl_key_password={CANARY}",
        f"duckdb:///md:x?motherduck_token={CANARY}",
        f"bigquery://p?credentials_base64={CANARY}",
        f"mssql+pyodbc://?odbc_connect=DRIVER%3DX%3BPWD%3D%7B{CANARY}%7D",
        f"https://{CANARY}@h/x",
        f"https://{CANARY}:@h/x",
        f'type = "mssql"\nodbc_connect = "UID=%secret user;PWD={CANARY}"',
        f'type = "mssql"\nodbc_connect = "UID=%secret user;PWD={{a}}}}{CANARY}}}"',
        f'type = "postgresql"\n[connect_args]\nsslPassword = "{CANARY}"',
        f'type = "postgresql"\n[connect_args]\ndsn = "host=h password={CANARY}"',
        f'type = "postgresql"\n[connect_args]\nsslkey = """-----BEGIN PRIVATE KEY-----\n{CANARY}"""',
        f'type = "postgresql"\nhost = "app:{CANARY}@h"',
        f'type = "postgresql"\nurl = "postgresql://app:{CANARY}@h/x"',
        f'url = "postgresql://app:{CANARY}@h/x"',
        f'type = "postgresql"\npassword = ["{CANARY}"]',
        f'type = "x"\npass = "{CANARY}"',
        f'type = "x"\npw = "{CANARY}"',
        f'type = "x"\napiToken = "{CANARY}"',
        f'type = "x"\n[options.proxy]\nhttps = "http://me:{CANARY}@proxy:3128"',
        f'type = "https"\nurl = "https://h"\n[headers]\nAuthorization = "Bearer {CANARY}"',
        f'type = "https"\nurl = "https://h"\n[headers]\nX-API-Key = "{CANARY}"',
        f'type = "https"\nurl = "https://h?access_token={CANARY}"',
        f'type = "azure"\nconnection_string = "AccountName=a;AccountKey={CANARY}"',
        {"type": "snowflake", "passcode": 123456},
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
        "https://%secret token@h/x",
        "https://me:%secret pw@h/x?page=2",
        'type = "mssql"\nodbc_connect = "UID=app;PWD={a;%secret pw}"',
        'type = "https"\nurl = "https://h"\n[headers]\nAuthorization = "Bearer %secret token"',
        'type = "x"\nhost = "%secret user:%secret pw@h"',
        'type = "x"\npassword = false\nbypass = "yes"\nmax_tokens = 5\ncompass = "n"',
        'type = "postgresql"\npassword = ""\naws_access_key_id = "AKIA"\nsslkey = "/path"\npassword_file = "/x"',
    ],
)
def test_what_holds_no_password_passes(description: str) -> None:
    """A user without a password, a port, a path and a key id are no passwords."""
    assert read_spec(description)


@pytest.mark.parametrize(
    "description",
    ["", "  \n# only a comment", "neither this nor that", f"password {CANARY}", "[", "postgresql://h/x\nsecond = 1"],
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


@pytest.mark.parametrize(
    "body",
    ['url = "postgresql://app:%secret pw@h/x"', "url = 'postgresql://app:${secret:pw}@h/x'\n", "# mine\nurl = 'sqlite://'"],
)
def test_a_url_under_its_key(body: str) -> None:
    """As it stands in a connections.toml: the same as the URL by itself."""
    assert isinstance(read_spec(body), UrlSpec)


@pytest.mark.parametrize(
    "description",
    [
        "%secret kind://app@h/x",
        "${secret:kind}://app@h/x",
        'type = %secret kind\nhost = "h"',
        'type = "postgresql"\n%secret key = "h"',
        'type = "postgresql"\n[connect_args]\n"${secret:key}" = "h"',
        "postgresql://app@h/x?${secret:key}=1",
        {"type": "postgresql", "${secret:key}": "h"},
    ],
)
def test_a_reference_where_no_value_can_be(description: Any) -> None:
    """In the place of a kind, a key, an option's name: said, and not taken for a text."""
    with pytest.raises(ConnectionSpecError, match="cannot hold one") as caught:
        read_spec(description)

    assert len(str(caught.value).split("\n")) == 2


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ('type = "postgresql"\nhost = "h1"\n# host = "h"\nhost = "h2"', "host"),
        ('type = "postgresql"\n[query]\na = "\\na = 1"\nb = 1\nb = 2', "query.b"),
        ('type = "postgresql"\n[query]\na = 1\n[query]\nb = 2', "query"),
        ('type = "postgresql"\npassword = %secret a\npassword = %secret b', "password"),
    ],
)
def test_a_key_that_stands_twice(body: str, key: str) -> None:
    """Which one is said."""
    with pytest.raises(ConnectionSpecError, match=f"the key '{key}' stands twice"):
        read_spec(body)


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
        ("mysql://h:abc/x", "mysql://user:%secret NAME@host:3306/database"),
    ],
)
def test_a_port_that_is_none_is_shown_right(url: str, example: str) -> None:
    """By an example of the same kind."""
    with pytest.raises(ConnectionSpecError, match="is no port") as refused:
        read_spec(url)

    assert example in refused.value.hint
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize(
    ("before", "repeated", "behind"), [("", " ", "x y"), ("x ", " ", "y"), ("", "\n", "a b"), ("", "'", ""), ("", "a = ", "")]
)
def test_a_long_text_that_is_none_is_told_soon(before: str, repeated: str, behind: str) -> None:
    """What looks for its like goes through it once: sixteen times the text takes not 256 times as long."""

    def seconds(times: int) -> float:
        begun = time.process_time()
        with pytest.raises(ConnectionSpecError):
            read_spec(before + repeated * times + behind)
        return time.process_time() - begun

    assert min(seconds(32_000) for _ in range(3)) < 64 * min(seconds(2_000) for _ in range(3))
