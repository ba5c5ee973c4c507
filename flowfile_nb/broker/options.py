"""
Which options of a description an owner may fix, for the databases whose drivers take too many.

libpq alone has fifty. Some of them send a credential elsewhere (`service`), log in as the broker's own host does (`gssencmode`,
`sslkey`, `passfile`), have the server ask for no proof at all (`require_auth=none`), or set what a session may do (`options`).
So only those are taken that are known to do none of it, with the values for which that holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from flowfile_nb.errors import NotAllowedError

VERIFIED = {"verify-full", "verify-ca"}
_SCRAM = "scram-sha-256"
_FLAG = "0|1|false|true"
_FILE = "/.+"
_NUMBER = "[1-9][0-9]{0,3}"
# By name, an expression for the whole value. Source: PostgreSQL 18's manual, "Parameter Key Words"; MySQL's of PyMySQL.
_LIBPQ = {
    "sslrootcert": f"system|{_FILE}",
    "sslcrl": _FILE,
    "sslnegotiation": "postgres|direct",
    "ssl_min_protocol_version": "TLSv1\\.[23]",
    "channel_binding": "prefer|require",
    "gssencmode": "disable",
    "require_auth": _SCRAM,
    "connect_timeout": _NUMBER,
    "application_name": "[ -~]{1,255}",
    "keepalives": "1",
    "keepalives_idle": _NUMBER,
    "keepalives_interval": _NUMBER,
    "keepalives_count": _NUMBER,
    "tcp_user_timeout": "[1-9][0-9]{2,6}",
    "load_balance_hosts": "disable|random",
    "target_session_attrs": "any|read-write|read-only|primary|standby|prefer-standby",
}
# What a server may ask for instead where it is known for sure which server asks: a cloud's tokens are such passwords.
_VERIFIED_AUTH = f"(?:{_SCRAM}|md5|password)(?:,(?:{_SCRAM}|md5|password))*"
_PYMYSQL = {
    "charset": "utf8mb4|utf8mb3|utf8",
    "use_unicode": "1|true",
    "connect_timeout": _NUMBER,
    "ssl_ca": _FILE,
    "ssl_disabled": _FLAG,
    "ssl_verify_cert": _FLAG,
    "ssl_verify_identity": _FLAG,
    "ssl_check_hostname": _FLAG,
}
_TEXT = "[ -~]{1,255}"
_TAKEN = {
    "postgresql": _LIBPQ,
    "mysql": _PYMYSQL,
    "mariadb": _PYMYSQL,
    "clickhouse": {"secure": _FLAG, "verify": _FLAG},
    "clickhousedb": {"secure": _FLAG, "verify": _FLAG, "protocol": "https?"},
    "mssql": {"charset": r"[\w-]+", "tds_version": r"7\.[1-4]|8\.0", "appname": _TEXT},
    "oracle": {"service_name": r"[\w.$#-]+"},
    "trino": {"http_scheme": "https?", "source": _TEXT, "timezone": r"[\w/+-]+"},
    "snowflake": {"warehouse": _TEXT, "role": _TEXT},
    "databricks": {"http_path": r"/?[\w./-]+", "catalog": _TEXT, "schema": _TEXT},
}
# By what a driver is told to encrypt that does not know PostgreSQL's word for it. No more is believed of it.
_TOLD_BY = {
    "clickhouse": "?secure=true",
    "clickhousedb": "?secure=true",
    "mssql": "?sslmode=require  (its driver checks no certificate)",
    "trino": "?http_scheme=https",
    "snowflake": "nothing: it has no other way",
    "databricks": "nothing: it has no other way",
}
TLS_OPTIONS = ("sslmode", "ssl_mode", "ssl-mode")
_TLS_WORDS = {"disable", "allow", "prefer", "preferred", "require", *VERIFIED}


def require_options(kind: str, options: Mapping[str, str], tls: str) -> None:
    """
    Let pass what an owner may fix for a kind of database; of kinds that are not looked after here, anything.

    Args:
        kind: `postgresql`, `mysql` …
        options: By name.
        tls: How the connection is encrypted, in PostgreSQL's words.

    Raises:
        NotAllowedError: For an option or a value that is not known to be harmless.
    """
    taken = _TAKEN.get(kind)
    if taken is None:
        return
    if tls not in _TLS_WORDS:
        raise NotAllowedError(
            "how this connection shall be encrypted is not a word that is known; a driver would take it for less",
            hint="?sslmode=verify-full  (or verify-ca, require, prefer, disable)",
        )
    for name, text in options.items():
        if name in TLS_OPTIONS:
            raise NotAllowedError(
                f"the driver of {kind!r} does not know that {name}, so that the connection is not encrypted by it",
                hint=f"{_TOLD_BY.get(kind, 'its driver cannot be told')};  where the network is trusted:  ?sslmode=disable",
            )
        if name not in taken:
            raise NotAllowedError(
                f"the broker does not take the option {name!r} for {kind}: what is not known to be harmless is refused",
                hint=f"leave it out; known are {', '.join(sorted(taken))}",
            )
        expected = _VERIFIED_AUTH if name == "require_auth" and tls in VERIFIED else taken[name]
        if re.fullmatch(expected, text, re.ASCII) is None:
            raise NotAllowedError(f"the broker does not take that value of the option {name!r}", hint=_advice(name))


def libpq_options(options: Mapping[str, str]) -> dict[str, str]:
    """Return those of a target's options that libpq is given."""
    return {name: text for name, text in options.items() if name in _LIBPQ}


def _advice(name: str) -> str:
    if name == "require_auth":
        return "require_auth=scram-sha-256; over  sslmode=verify-full  also password or md5"
    return "leave it out, or see which values of it keep a connection as safe as it is"
