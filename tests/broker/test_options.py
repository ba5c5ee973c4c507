"""Which options of a description an owner, or a member who describes a target, may say."""

from __future__ import annotations

import pytest

from flowfile_nb.broker.definitions import definition_of
from flowfile_nb.broker.team import Team
from flowfile_nb.errors import NotAllowedError
from tests.broker.conftest import ALICE, BOB, BODY, VALUE

_PLAIN = "postgresql://app:%secret prod_pw@127.0.0.1:5432/sales?"
_TLS = "postgresql://app:%secret prod_pw@db.example.com:5432/sales?sslmode=verify-full&"
_MYSQL = "mysql://app:%secret prod_pw@127.0.0.1:3306/sales?"

REFUSED = [
    *(_PLAIN + option for option in ("require_auth=none", "require_auth=password", "require_auth=md5", "require_auth=gss")),
    *(_TLS + option for option in ("require_auth=none", "require_auth=scram-sha-256,none", "require_auth=!password")),
    *(_PLAIN + option for option in ("gssencmode=prefer", "gssencmode=require", "gssdelegation=1", "krbsrvname=evil")),
    *(_PLAIN + option for option in ("channel_binding=disable", "service=other", "servicefile=/tmp/x", "passfile=/tmp/x")),
    *(
        _PLAIN + option
        for option in ("options=-c%20search_path%3Dbobs", "sslkey=/tmp/x", "sslcert=/tmp/x", "sslcertmode=allow")
    ),
    *(
        _PLAIN + option
        for option in ("scram_client_key=x", "ssl_min_protocol_version=TLSv1", "hostaddr=10.0.0.1", "replication=database")
    ),
    *(
        _PLAIN + option
        for option in ("sslrootcert=relative.pem", "client_encoding=latin1", "fallback_application_name=x", "sslsni=0")
    ),
    *(
        _PLAIN + option
        for option in ("connect_timeout=0", "connect_timeout=99999", "keepalives=0", "sslmode=verify-fulll", "nonsense=1")
    ),
    *(
        _MYSQL + option
        for option in ("read_default_file=/etc/my.cnf", "init_command=SELECT", "unix_socket=/tmp/x", "tls_version=TLSv1")
    ),
    *(
        _MYSQL + option
        for option in ("local_infile=1", "client_flag=128", "auth_plugin_map=x", "ssl_verify_identity=maybe", "nonsense=1")
    ),
    *(_MYSQL + option for option in ("sslmode=verify-fulll", "ssl_mode=VERIFY_EVERYTHING")),
]

TAKEN = [
    _TLS + "sslrootcert=/etc/ssl/ca.pem&sslcrl=/etc/ssl/crl.pem&channel_binding=require&ssl_min_protocol_version=TLSv1.3",
    _TLS + "require_auth=password",
    _TLS + "require_auth=scram-sha-256,md5",
    _PLAIN + "require_auth=scram-sha-256&application_name=reports&connect_timeout=5&target_session_attrs=read-only",
    _PLAIN + "keepalives_idle=30&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=30000",
    _MYSQL + "charset=utf8mb4&ssl_ca=/etc/ssl/ca.pem&ssl_verify_identity=true",
    _MYSQL + "ssl_mode=VERIFY_IDENTITY",
]


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_not_known_to_be_harmless_is_refused(body: str) -> None:
    """With an error that says the option's name, never its value, and what to do."""
    with pytest.raises(NotAllowedError) as refused:
        definition_of(body)

    assert refused.value.hint
    assert body.rpartition("=")[2] not in refused.value.message


@pytest.mark.parametrize("body", TAKEN)
def test_what_makes_a_connection_no_less_safe_is_taken(body: str) -> None:
    """Also what makes it safer, and how long something is waited for."""
    assert definition_of(body).secret == "prod_pw"


def test_what_was_saved_before_is_refused_when_it_is_used(shared: Team) -> None:
    """A description of an older broker, in which an option was passed over, is not used as if it said nothing."""
    loose = BODY + "&options=-csearch_path%3Dbobs"
    assert not shared.save_connection(ALICE, "loose", loose)
    shared.put_secret(ALICE, "prod_pw", VALUE, replace=True)

    for caller, given in ((ALICE, {"connection": "loose"}), (BOB, {"description": loose})):
        with pytest.raises(NotAllowedError, match="'options'"):
            shared.order(caller, **given)
