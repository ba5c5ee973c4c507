"""What a member gets of a shared credential: its use, towards its targets, and nothing else."""

from __future__ import annotations

import pytest

from flowfile_nb.broker.model import Caller, Target
from flowfile_nb.broker.team import Team
from flowfile_nb.errors import (
    BindingError,
    ConnectionSpecError,
    InvalidNameError,
    NoSuchConnectionError,
    NoSuchSecretError,
    NotAllowedError,
    SharedSecretError,
    WriteShareError,
)
from tests.broker.conftest import ALICE, BOB, BODY, CAROL, ROOT, VALUE

TARGET = Target("postgresql", "db.example.com", 5432, "sales", "app", "verify-full", {})


def test_a_member_uses_a_shared_connection(shared: Team) -> None:
    """The order holds the owner's value for the broker's worker, its one target, and read access."""
    order = shared.order(BOB, connection="warehouse")

    assert (order.caller, order.owner, order.connection) == ("bob", "alice", "warehouse")
    assert (order.value, order.target, order.access) == (VALUE, TARGET, "read")
    assert VALUE not in repr(order)


def test_a_member_uses_a_shared_secret_towards_its_target(shared: Team) -> None:
    """A description of a member's own works with a shared secret, if it leads just where the owner's connection leads."""
    order = shared.order(BOB, description=BODY)

    assert (order.value, order.target, order.access) == (VALUE, TARGET, "read")


def test_a_member_never_gets_the_value(shared: Team) -> None:
    """Asking for it explains that it is shared for use, and says whose it is."""
    with pytest.raises(SharedSecretError, match="alice"):
        shared.reveal_own(BOB, "prod_pw")


def test_its_owner_gets_the_value(shared: Team) -> None:
    """Who stored a secret reads it."""
    assert shared.reveal_own(ALICE, "prod_pw") == VALUE


def test_an_administrator_does_not_get_the_value(shared: Team) -> None:
    """An administrator runs groups; other people's values and connections are not his."""
    shared.leave(ROOT, "analysts")
    with pytest.raises(NoSuchSecretError):
        shared.reveal_own(ROOT, "prod_pw")
    with pytest.raises(NoSuchConnectionError):
        shared.order(ROOT, connection="warehouse")


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace("db.example.com", "evil.example.com"),
        BODY.replace("5432", "5433"),
        BODY.replace("sales", "postgres"),
        BODY.replace("app:", "admin:"),
        BODY.replace("verify-full", "require"),
        BODY.replace("?sslmode=verify-full", ""),
        BODY + "&application_name=x",
        BODY.replace("postgresql://", "mysql://"),
    ],
)
def test_a_shared_secret_works_with_its_target_only(shared: Team, body: str) -> None:
    """Another host, port, database, user, encryption, option or kind is refused."""
    with pytest.raises(BindingError, match="fixed other targets"):
        shared.order(BOB, description=body)


@pytest.mark.parametrize(
    "body",
    [
        BODY + "&host=evil.example.com",
        BODY + "&hostaddr=10.0.0.1",
        BODY + "&service=x",
        BODY + "&passfile=/etc/passwd",
        BODY + "&sslkey=/root/.ssh/id",
        BODY.replace("db.example.com:5432", "db.example.com:5432,evil.example.com:5432"),
        BODY.replace("db.example.com:5432", ""),
        BODY.replace("db.example.com:5432", "%2Fvar%2Frun%2Fpostgresql"),
        'type = "postgresql"\nhost = "db.example.com"\npassword = %secret prod_pw\n[connect_args]\nhost = "evil.example.com"',
        "duckdb:///x.db",
        "s3://bucket",
        "s3://A:%secret prod_pw@sales",
        "s3://A:%secret prod_pw@sales/data/../payroll?region=eu-central-1",
        "s3://A:%secret prod_pw@sales/data/%252e%252e/payroll?region=eu-central-1",
        "s3://A:%secret prod_pw@a%2Fb?region=eu-central-1",
        "s3://A:%secret prod_pw@sales?endpoint_url=https://minio.example.com@evil.example.com",
        "s3://A:%secret prod_pw@sales?endpoint_url=https://minio.example.com/path",
        "s3://A:%secret prod_pw@sales?endpoint_url=ftp://minio.example.com",
        "s3://%secret prod_pw:%secret prod_pw@sales?region=eu-central-1",
        "s3://A:x%secret prod_pw@sales?region=eu-central-1",
    ],
)
def test_no_description_leads_elsewhere(shared: Team, body: str) -> None:
    """Second hosts, sockets and files of the broker's own host are refused before anything is looked up."""
    with pytest.raises((NotAllowedError, ConnectionSpecError)) as refused:
        shared.order(BOB, description=body)
    # Not only because it differs from what is fixed: its owner could not fix it either.
    assert type(refused.value) is not BindingError


def test_the_database_cannot_carry_a_second_host(shared: Team) -> None:
    """`dbname='sales?host=evil'`, which some drivers take as a URL of its own, is another database than the fixed one."""
    body = {"type": "postgresql", "host": "db.example.com", "port": 5432, "database": "sales?host=evil", "username": "app"}
    with pytest.raises(BindingError):
        shared.order(BOB, description={**body, "password": "${secret:prod_pw}", "sslmode": "verify-full"})


def test_unknown_and_forbidden_are_the_same(shared: Team) -> None:
    """A stranger gets the same error for a connection that is not his and for one that is not there."""
    said = set()
    for name in ("warehouse", "no_house"):
        with pytest.raises(NoSuchConnectionError) as refused:
            shared.order(CAROL, connection=name)
        said.add(str(refused.value).replace(name, "NAME"))
    for name in ("prod_pw", "no_pw"):
        with pytest.raises(NoSuchConnectionError) as refused:
            shared.order(CAROL, description=BODY.replace("prod_pw", name))
        said.add(str(refused.value).replace(name, "NAME"))

    assert len(said) == 1


def test_own_shadows_shared_then_the_lowest_id(shared: Team) -> None:
    """Of several of one name the caller's own is used, then the one that is there for longest."""
    shared.put_secret(CAROL, "prod_pw", "carols", replace=False)
    shared.save_connection(CAROL, "warehouse", BODY.replace("db.", "carol."))
    shared.add_member(ROOT, "analysts", "carol")
    shared.share(CAROL, "connection", "warehouse", "analysts")
    assert shared.order(BOB, connection="warehouse").owner == "alice"
    assert shared.order(CAROL, connection="warehouse").owner == "carol"
    assert [info.owner for info in shared.connections(BOB)] == ["alice"]

    shared.delete_connection(ALICE, "warehouse")

    assert shared.order(BOB, connection="warehouse").owner == "carol"


def test_whoever_changes_a_target_must_enter_the_credential(shared: Team) -> None:
    """Also the owner: a shared connection that leads elsewhere has no credential until it is entered again."""
    assert not shared.save_connection(ALICE, "warehouse", BODY.replace("db.", "new."))
    with pytest.raises(BindingError, match="alice"):
        shared.order(BOB, connection="warehouse")

    shared.put_secret(ALICE, "prod_pw", "new", replace=True)

    assert shared.order(BOB, connection="warehouse").value == "new"


def test_a_manager_cannot_repoint_a_credential(shared: Team) -> None:
    """What a manager leads elsewhere gets no credential, not even when its owner enters a new one for another reason."""
    shared.share(ALICE, "connection", "warehouse", "analysts", permission="manage")
    shared.save_connection(BOB, "warehouse", BODY.replace("db.example.com", "evil.example.com"))

    shared.put_secret(ALICE, "prod_pw", "rotated", replace=True)

    with pytest.raises(BindingError):
        shared.order(BOB, connection="warehouse")


def test_a_manager_cannot_take_another_secret_of_the_owner(shared: Team) -> None:
    """A manager's description that names another secret of the owner's gets nothing."""
    shared.put_secret(ALICE, "private", "mine alone", replace=False)
    shared.share(ALICE, "connection", "warehouse", "analysts", permission="manage")

    shared.save_connection(BOB, "warehouse", BODY.replace("prod_pw", "private"))

    with pytest.raises(BindingError):
        shared.order(BOB, connection="warehouse")


def test_a_shared_secret_gets_no_new_target_by_itself(shared: Team) -> None:
    """A connection that its owner saves later widens a share only when the credential is entered again."""
    other = BODY.replace("sales", "payroll")
    shared.save_connection(ALICE, "payroll", other)
    with pytest.raises(BindingError):
        shared.order(BOB, description=other)

    shared.put_secret(ALICE, "prod_pw", VALUE, replace=True)

    assert shared.order(BOB, description=other).target.database == "payroll"


def test_write_access_needs_a_yes(shared: Team) -> None:
    """Without it the refusal says what can no longer be promised; with it the order may write."""
    with pytest.raises(WriteShareError, match="password"):
        shared.share(ALICE, "connection", "warehouse", "analysts", access="write")
    assert shared.order(BOB, connection="warehouse").access == "read"

    shared.share(ALICE, "connection", "warehouse", "analysts", access="write", confirmed=True)

    assert shared.order(BOB, connection="warehouse").access == "write"


@pytest.mark.parametrize(
    "body",
    [
        "postgresql://app:%secret prod_pw@db.example.com/sales",
        "postgresql://app:%secret prod_pw@db.example.com/sales?sslmode=prefer",
        "mysql://app:%secret prod_pw@db.example.com/sales",
        # Their drivers do not know the word, and send all in clear.
        "clickhouse://app:%secret prod_pw@db.example.com/sales?sslmode=verify-full",
        "clickhouse+native://app:%secret prod_pw@db.example.com/sales?sslmode=require",
        "trino://app:%secret prod_pw@db.example.com/sales?sslmode=verify-full",
        "oracle://app:%secret prod_pw@db.example.com/?service_name=sales&sslmode=require",
        "mssql://app:%secret prod_pw@db.example.com/sales?sslmode=verify-full",
        "databricks://token:%secret prod_pw@db.example.com/?http_path=/sql/1&sslmode=require",
        # Or are told what does not hold.
        "clickhouse://app:%secret prod_pw@db.example.com/sales?secure=true&verify=false",
        "clickhouse+native://app:%secret prod_pw@db.example.com/sales?secure=true&verify=false",
        "trino://app:%secret prod_pw@db.example.com/sales?http_scheme=http",
        "oracle://app:%secret prod_pw@db.example.com/?service_name=sales",
        'type = "http"\nurl = "http://api.example.com/v1"\ntoken = %secret prod_pw',
    ],
)
def test_unencrypted_targets_are_not_shared(analysts: Team, body: str) -> None:
    """A credential does not cross a network in clear because somebody forgot to say how."""
    analysts.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    analysts.save_connection(ALICE, "open", body)

    with pytest.raises(NotAllowedError, match=r"not encrypted|in clear"):
        analysts.share(ALICE, "connection", "open", "analysts")


def test_a_target_that_was_added_to_a_shared_secret_has_to_be_safe_too(shared: Team) -> None:
    """It is bound when its owner enters the value again; a member gets it only to encrypted targets."""
    elsewhere = "postgresql://app:%secret prod_pw@other.example.com/sales?sslmode=prefer"
    shared.save_connection(ALICE, "second", elsewhere)
    shared.put_secret(ALICE, "prod_pw", VALUE, replace=True)

    assert shared.order(ALICE, connection="second").value == VALUE
    with pytest.raises(NotAllowedError, match=r"not encrypted|in clear"):
        shared.order(BOB, description=elsewhere)


@pytest.mark.parametrize(
    "body",
    [
        "postgresql://app:%secret prod_pw@127.0.0.1/sales",
        "postgresql://app:%secret prod_pw@db.example.com/sales?sslmode=disable",
        "mysql://app:%secret prod_pw@db.example.com/sales?ssl_ca=/etc/ca.pem&ssl_verify_identity=true",
        'type = "https"\nurl = "https://api.example.com/v1"\nauth = "header"\nheader = "X-Key"\ntoken = %secret prod_pw',
        "clickhouse+native://app:%secret prod_pw@db.example.com/sales?secure=true",
        "trino://app:%secret prod_pw@db.example.com/sales?http_scheme=https",
        "mssql://app:%secret prod_pw@db.example.com/sales?sslmode=require",
        "oracle://app:%secret prod_pw@db.example.com/?service_name=sales&sslmode=disable",
        "snowflake://app:%secret prod_pw@account/sales?warehouse=w&role=r",
        "databricks://token:%secret prod_pw@db.example.com/?http_path=/sql/1.0/warehouses/a1&catalog=main",
    ],
)
def test_what_may_be_shared(analysts: Team, body: str) -> None:
    """This host, encrypted targets, and targets of which the owner says that their network is trusted."""
    analysts.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    assert analysts.save_connection(ALICE, "house", body)

    analysts.share(ALICE, "connection", "house", "analysts")

    assert analysts.order(BOB, connection="house").value == VALUE


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("sqlite:////tmp/x.db", "opened in the notebook"),
        ("duckdb:///x.db", "opened in the notebook"),
        ("sftp://app:%secret prod_pw@files.example.com/data", "has no links to single files"),
        ("abfs://sales@account.dfs.core.windows.net/?sas_token=%secret prod_pw", "a SAS token is none"),
        ("abfs://sales@account.dfs.core.windows.net/?connection_string=%secret prod_pw", "does not take 'connection_string'"),
        ("gs://sales?service_account_key=%secret prod_pw&endpoint_url=http://gcs.example.com", "not encrypted for sure"),
        ("s3://A:%secret prod_pw@sales?region=eu-central-1&session_token=%secret prod_pw", "this key is temporary"),
        ("s3://ASIAX:%secret prod_pw@sales?region=eu-central-1", "this key is temporary"),
        ("s3://A:%secret prod_pw@sales?region=eu-central-1&role_arn=arn:aws:iam::1:role/r", "does not take 'role_arn'"),
        ('type = "s3"\nbucket = "b"\nregion = "eu-central-1"\nprofile = "p"', "does not take 'profile'"),
        ("s3://A:%secret prod_pw@sales?endpoint_url=http://minio.example.com:9000", "not encrypted for sure"),
    ],
)
def test_what_is_not_shared(analysts: Team, body: str, why: str) -> None:
    """It can be saved, and is not lent; the reason is said."""
    analysts.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    analysts.save_connection(ALICE, "file", body)

    with pytest.raises(NotAllowedError, match=why):
        analysts.share(ALICE, "connection", "file", "analysts")


def test_a_secret_without_targets_is_not_shared(analysts: Team) -> None:
    """Nobody could use it; the hint says how to save a connection."""
    analysts.put_secret(ALICE, "lonely", VALUE, replace=False)

    with pytest.raises(BindingError, match="lonely"):
        analysts.share(ALICE, "secret", "lonely", "analysts")


def test_deleting_a_secret_ends_its_shares(shared: Team) -> None:
    """A later secret of that name, or with its id, is nobody else's."""
    shared.delete_secret(ALICE, "prod_pw")
    shared.put_secret(CAROL, "prod_pw", "carols", replace=False)

    with pytest.raises(NoSuchConnectionError):
        shared.order(BOB, description=BODY)
    assert shared.secrets(BOB) == []


def test_replacing_keeps_id_shares_and_targets(shared: Team) -> None:
    """A rotated password works at once for all, and nothing is shared anew."""
    before = shared.secrets(BOB)[0]

    assert shared.put_secret(ALICE, "prod_pw", "rotated", replace=True)

    after = shared.secrets(BOB)[0]
    assert (after.id, after.targets, after.groups) == (before.id, before.targets, before.groups)
    assert shared.order(BOB, description=BODY).value == "rotated"


def test_renaming_keeps_shares_and_targets(shared: Team) -> None:
    """Members use it by its new name."""
    shared.rename_secret(ALICE, "prod_pw", "sales_pw")

    assert shared.order(BOB, description=BODY.replace("prod_pw", "sales_pw")).value == VALUE
    with pytest.raises(NoSuchConnectionError):
        shared.order(BOB, description=BODY)


def test_connections_follow_a_renamed_secret(shared: Team) -> None:
    """Members open what is shared with them as before, after a new value too; the record says so of each connection."""
    shared.save_connection(ALICE, "lake", "duckdb:///lake.duckdb")
    order = shared.order(BOB, connection="warehouse")

    assert shared.rename_secret(ALICE, "prod_pw", "sales pw") == ["warehouse"]

    body = BODY.replace("prod_pw", '"sales pw"')
    assert shared.permitted(order)
    assert shared.connection_body(BOB, "warehouse") == body
    assert shared.order(BOB, connection="warehouse").value == VALUE
    assert [one.unfixed for one in (*shared.connections(ALICE), *shared.connections(BOB))] == ["", "", ""]
    assert ("save", "prod_pw is renamed to sales pw") in [(one.action, one.detail) for one in shared.log(ALICE, "warehouse")]
    shared.put_secret(ALICE, "sales pw", "rotated", replace=True)
    assert shared.order(BOB, connection="warehouse").value == "rotated"


def test_a_connection_that_a_manager_saved_follows_too(shared: Team) -> None:
    """Who saved it stays as it was: a new value of its owner's still does not follow a manager to another server."""
    shared.share(ALICE, "connection", "warehouse", "analysts", permission="manage")
    shared.save_connection(BOB, "warehouse", BODY.replace("sales", "elsewhere"))

    assert shared.rename_secret(ALICE, "prod_pw", "new_pw") == ["warehouse"]
    shared.put_secret(ALICE, "new_pw", "rotated", replace=True)

    assert "elsewhere" in shared.connection_body(BOB, "warehouse")
    with pytest.raises(BindingError):
        shared.order(BOB, connection="warehouse")


def test_others_connections_do_not_follow_a_renamed_secret(shared: Team) -> None:
    """Neither what a member has described with it, nor what calls a secret of his own so."""
    shared.save_connection(BOB, "mine", BODY)
    shared.put_secret(CAROL, "prod_pw", "carols", replace=False)
    shared.save_connection(CAROL, "hers", BODY)

    shared.rename_secret(ALICE, "prod_pw", "new_pw")

    assert (shared.connection_body(BOB, "mine"), shared.connection_body(CAROL, "hers")) == (BODY, BODY)
    assert shared.order(CAROL, connection="hers").value == "carols"


def test_a_description_that_a_new_name_makes_too_long(shared: Team) -> None:
    """Then nothing is renamed."""
    shared.save_connection(ALICE, "long", BODY + " # " + "${secret:prod_pw}" * 3_500)

    with pytest.raises(InvalidNameError, match="too long"):
        shared.rename_secret(ALICE, "prod_pw", "a longer name")

    assert [one.name for one in shared.secrets(ALICE)] == ["prod_pw"]
    assert shared.order(BOB, connection="warehouse").value == VALUE


def test_lists_show_owner_sharer_groups_mode_and_targets(shared: Team) -> None:
    """Each side sees what concerns it, and no value."""
    theirs, own = shared.secrets(BOB)[0], shared.secrets(ALICE)[0]
    place = "postgresql://app@db.example.com:5432/sales"

    assert (theirs.owner, theirs.shared_by, theirs.groups, theirs.mode) == ("alice", "alice", ["analysts"], "brokered")
    assert (own.owner, own.shared_by, own.groups, own.mode) == ("alice", "", ["analysts"], "in this kernel")
    assert theirs.targets == own.targets == [place]
    connection = shared.connections(BOB)[0]
    assert (connection.kind, connection.target, connection.permission, connection.access) == (
        "postgresql",
        place,
        "use",
        "read",
    )
    assert connection.secrets == ["prod_pw"]
    assert shared.connection_body(BOB, "warehouse") == BODY


def test_hub_groups_count_until_somebody_is_removed_here(shared: Team) -> None:
    """A member by the Hub's word uses; removed here he stays out, also of a new broker that the Hub tells the same."""
    dave = Caller("dave", frozenset({"analysts"}), vouched_by="hub")
    order = shared.order(dave, connection="warehouse")
    assert shared.permitted(order)

    shared.remove_member(ALICE, "analysts", "dave")

    assert not shared.permitted(order)
    with pytest.raises(NoSuchConnectionError):
        shared.order(dave, connection="warehouse")
    shared.add_member(ALICE, "analysts", "dave")
    assert shared.order(dave, connection="warehouse").value == VALUE


def test_a_group_of_the_hub_can_be_shared_with(analysts: Team) -> None:
    """Its members share with it although nobody made it here."""
    erin = Caller("erin", frozenset({"ops"}), vouched_by="hub")
    frank = Caller("frank", frozenset({"ops"}), vouched_by="hub")
    analysts.put_secret(erin, "prod_pw", VALUE, replace=False)
    analysts.save_connection(erin, "warehouse", BODY)

    analysts.share(erin, "connection", "warehouse", "ops")

    assert analysts.order(frank, connection="warehouse").owner == "erin"
