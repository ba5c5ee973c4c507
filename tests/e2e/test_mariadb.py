"""A real MariaDB server, reached the way a user reaches it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import pandas as pd
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.errors import ConnectionFailedError, FlowfileNbError
from tests.support.certificates import self_signed
from tests.support.mariadb import MariaDb, is_installed, running_mariadb
from tests.support.shell import Shell

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not is_installed(), reason="no MariaDB server here:  apt-get install mariadb-server"),
]


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    """One server for the tests of this file."""
    with running_mariadb() as server:
        yield server


def url(server: MariaDb, scheme: str = "mysql", reference: str = "%secret shop_pw") -> str:
    """Return the connection as a user writes it."""
    return f"{scheme}://{server.user}:{reference}@{server.host}:{server.port}/{server.database}"


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"])
def test_url(mariadb: MariaDb, scheme: str) -> None:
    """Each spelling of the scheme connects, with a password in which every special character occurs."""
    fnb.secrets["shop_pw"] = mariadb.password

    engine = fnb.connect(url(mariadb, scheme))

    with closing(engine.raw_connection()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user(), database(), version()")
        user, database, version = cursor.fetchone()
    assert (user, database) == ("app@127.0.0.1", "sales")
    assert "MariaDB" in version


def test_flowfiles_spelling_of_a_reference(mariadb: MariaDb) -> None:
    """`${secret:NAME}` means the same, also for a name with spaces."""
    fnb.secrets["the shop's password"] = mariadb.password

    engine = fnb.connect(url(mariadb, reference="${secret:the shop's password}"))

    assert pd.read_sql("SELECT 1 AS one", engine)["one"].tolist() == [1]


def test_toml(mariadb: MariaDb, shell: Shell) -> None:
    """A cell with the connection's parts binds an engine to the variable, and shows no value."""
    fnb.secrets["shop_pw"] = mariadb.password
    cell = f"""%%connect shop
type     = "mariadb"
host     = "{mariadb.host}"
port     = {mariadb.port}
database = "{mariadb.database}"
username = "{mariadb.user}"
password = %secret shop_pw
"""

    shown = shell.run(cell)

    assert shell.error is None
    assert f"shop = mariadb://app@127.0.0.1:{mariadb.port}/sales" in shown
    assert pd.read_sql("SELECT database() AS db", shell.real.user_ns["shop"])["db"].tolist() == ["sales"]
    assert mariadb.password not in shown + shell.remembered()


def test_pandas_writes_and_reads(mariadb: MariaDb) -> None:
    """A DataFrame goes there and back through the engine, text beyond ASCII included."""
    fnb.secrets["shop_pw"] = mariadb.password
    engine = fnb.connect(url(mariadb))
    orders = pd.DataFrame({"customer": ["Zoë", "密码", "O'Hara 🔑"], "amount": [1.5, 2.25, 1000.0]})

    orders.to_sql("orders", engine, index=False, if_exists="replace")
    found = pd.read_sql("SELECT customer, amount FROM orders ORDER BY amount", engine)

    pd.testing.assert_frame_equal(found, orders, check_dtype=False)


def test_engine_holds_no_value(mariadb: MariaDb) -> None:
    """Neither the engine's texts nor its URL hold the value after it has been used."""
    fnb.secrets["shop_pw"] = mariadb.password
    engine = fnb.connect(url(mariadb))

    texts = f"{engine} {engine!r} {engine.url.render_as_string(hide_password=False)} {engine.url!r} {vars(engine)}"

    assert "shop_pw" in texts
    assert not leaks(texts, mariadb.password)


def test_wrong_password(mariadb: MariaDb) -> None:
    """A refused password is one clear error, and neither it nor its traceback holds the value or the DSN."""
    fnb.secrets["shop_pw"] = wrong = "wrong: p@ss/w ü"

    with pytest.raises(ConnectionFailedError) as caught:
        fnb.connect(url(mariadb))

    assert "with secret 'shop_pw' (stored just now): the server refused the user or the password" in caught.value.message
    assert "%secret set shop_pw --replace" in caught.value.hint
    assert not leaks(whole_traceback(caught.value), wrong)


def test_wrong_password_in_a_cell(mariadb: MariaDb, shell: Shell) -> None:
    """In a notebook the same is two lines, and the variable is not bound."""
    fnb.secrets["shop_pw"] = wrong = "wrong: p@ss/w ü"

    shown = shell.run(f"%%connect shop\n{url(mariadb)}")

    assert isinstance(shell.error, ConnectionFailedError)
    assert len(shown.strip().splitlines()) == 2
    assert "shop" not in shell.real.user_ns
    assert not leaks(shown + shell.remembered(), wrong)


def test_unknown_database(mariadb: MariaDb) -> None:
    """A database that the login may not see is reported without the password."""
    fnb.secrets["shop_pw"] = mariadb.password

    with pytest.raises(ConnectionFailedError) as caught:
        fnb.connect(url(mariadb).replace("/sales", "/nowhere"))

    assert f"could not open mysql://app@127.0.0.1:{mariadb.port}/nowhere" in caught.value.message
    assert not leaks(whole_traceback(caught.value), mariadb.password)


def test_replaced_secret(mariadb: MariaDb) -> None:
    """A replaced value is used at the next new database connection; the engine stays the same."""
    fnb.secrets["shop_pw"] = mariadb.password
    engine = fnb.connect(url(mariadb))
    fnb.secrets["shop_pw"] = "no longer right"
    engine.dispose()

    with pytest.raises(ConnectionFailedError):
        pd.read_sql("SELECT 1 AS one", engine)
    fnb.secrets["shop_pw"] = mariadb.password

    assert pd.read_sql("SELECT 1 AS one", engine)["one"].tolist() == [1]


def test_rotated_password(mariadb: MariaDb) -> None:
    """After the server's password was changed and the secret replaced, the same engine goes on."""
    rotated = "rotated@/:?#" + mariadb.password
    with closing(mariadb.admin()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER 'rotating'@'127.0.0.1' IDENTIFIED BY %s", (mariadb.password,))
    fnb.secrets["shop_pw"] = mariadb.password
    engine = fnb.connect(f"mysql://rotating:%secret shop_pw@{mariadb.host}:{mariadb.port}/")
    with closing(mariadb.admin()) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER USER 'rotating'@'127.0.0.1' IDENTIFIED BY %s", (rotated,))

    fnb.secrets["shop_pw"] = rotated
    engine.dispose()

    assert pd.read_sql("SELECT current_user() AS who", engine)["who"].tolist() == ["rotating@127.0.0.1"]


def test_deleted_secret(mariadb: MariaDb) -> None:
    """A secret that is gone opens no new connection."""
    fnb.secrets["shop_pw"] = mariadb.password
    engine = fnb.connect(url(mariadb))
    del fnb.secrets["shop_pw"]
    engine.dispose()

    with pytest.raises(FlowfileNbError, match="no secret named 'shop_pw'"), engine.connect():
        pass


def test_the_limit_is_for_opening_alone(mariadb: MariaDb) -> None:
    """PyMySQL has one limit for all reading; a query may take longer than opening, and a limit of one's own stays."""
    fnb.secrets["shop_pw"] = mariadb.password
    connection = connecting.open_connection(url(mariadb), timeout_s=0.5)
    limited = connecting.open_connection(url(mariadb) + "?read_timeout=1", timeout_s=0.5)

    assert len(pd.read_sql("SELECT SLEEP(1)", connection.native)) == 1
    with limited.native.connect() as slow, pytest.raises(OperationalError, match="timed out"):
        slow.execute(text("SELECT SLEEP(3)"))

    connection.close()
    limited.close()


def test_a_user_without_rights_on_the_database(mariadb: MariaDb) -> None:
    """The server says `Access denied` for that, too; the password is not the one to blame."""
    fnb.secrets["shop_pw"] = mariadb.password

    with pytest.raises(ConnectionFailedError, match="does not let this user into that database"):
        fnb.connect(url(mariadb).replace("/sales", "/mysql"))


def test_a_server_without_encryption(mariadb: MariaDb) -> None:
    """TLS was asked for, and this server has none."""
    fnb.secrets["shop_pw"] = mariadb.password

    with pytest.raises(ConnectionFailedError, match="no encrypted connections"):
        fnb.connect(url(mariadb) + "?ssl_ca=/etc/ssl/certs/ca-certificates.crt")


def test_replacing_drops_idle_connections(mariadb: MariaDb) -> None:
    """The next connection is a new one, and the old one is closed on the server."""
    fnb.secrets["shop_pw"] = mariadb.password
    engine = fnb.connect(url(mariadb))
    before = pd.read_sql("SELECT connection_id() AS id", engine)["id"][0]

    fnb.secrets["shop_pw"] = mariadb.password

    assert pd.read_sql("SELECT connection_id() AS id", engine)["id"][0] != before
    assert engine.pool.checkedin() == 1


def whole_traceback(error: BaseException) -> str:
    """Return what a traceback could show: every chained error, and the local variables of every frame below the test's."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The test's own frame holds the value on purpose.
    del trace.stack[0]
    return "".join(trace.format())


def leaks(text: str, value: str) -> bool:
    """Return whether *text* holds a value as it is, as Python shows its text or its bytes, or as in a URL."""
    forms = (value, repr(value)[1:-1], repr(value.encode())[2:-1], quote(value), quote(value, safe=""), quote_plus(value))
    return any(form in text for form in forms)


def test_tls_that_the_server_has_not(mariadb: MariaDb, tmp_path: Path) -> None:
    """Asked for by an authority's file, it is not left out in silence: no password goes over the wire."""
    fnb.secrets["shop_pw"] = mariadb.password
    authority = self_signed(tmp_path).certificate
    with closing(mariadb.admin()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@have_ssl")
        has_tls = cursor.fetchone() == ("YES",)

    with pytest.raises(ConnectionFailedError) as caught:
        fnb.connect(f"{url(mariadb)}?ssl_ca={authority}")

    words = "not signed by an authority that is trusted" if has_tls else "the server has no encrypted connections"
    assert words in caught.value.message
    assert "ssl_ca" in caught.value.hint
