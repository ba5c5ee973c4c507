"""What the description of a Kafka cluster says, checked: by the names that a Kafka connection in Flowfile has."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from flowfile_nb.connections.keys import Key, names_of
from flowfile_nb.connections.spec import Spec, TableSpec
from flowfile_nb.core.references import names_in
from flowfile_nb.errors import ConnectionSpecError

PROPERTIES = {
    "bootstrap_servers": "bootstrap.servers",
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_username": "sasl.username",
    "sasl_password": "sasl.password",
    "ssl_ca_location": "ssl.ca.location",
    "ssl_cert_location": "ssl.certificate.location",
    "ssl_key_pem": "ssl.key.pem",
    "ssl_key_password": "ssl.key.password",
}
REGISTRY = {"schema_registry_url": "url", "schema_registry_user_info": "basic.auth.user.info"}
_ELSEWHERE = dict.fromkeys(("broker", "brokers", "host", "hosts", "servers"), "bootstrap_servers")
_TABLES = {"extra_config"}
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_LOGIN = ("security_protocol", ("", "SASL_PLAINTEXT", "SASL_SSL"))
_CERTIFICATE = ("security_protocol", ("", "SSL", "SASL_SSL"))
KEYS = (
    Key("bootstrap_servers", required=True, example="broker.example.com:9092"),
    Key("security_protocol", choices=_PROTOCOLS),
    Key("sasl_mechanism", choices=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), when=_LOGIN),
    Key("sasl_username", example="app", when=_LOGIN),
    Key("sasl_password", secret=True, when=_LOGIN),
    Key("ssl_ca_location", "CA file", example="/etc/ssl/ca.pem", when=_CERTIFICATE),
    Key("ssl_cert_location", "Certificate file", when=_CERTIFICATE),
    Key("ssl_key_pem", "Private key (PEM)", secret=True, when=_CERTIFICATE),
    Key("ssl_key_password", "Password of that key", secret=True, when=_CERTIFICATE),
    Key("schema_registry_url", example="https://registry.example.com"),
    Key("schema_registry_user_info", "Schema registry's user:password", secret=True),
    Key("extra_config", in_form=False),
)
_EXAMPLE = (
    'type = "kafka",  bootstrap_servers = "broker.example.com:9092",  sasl_mechanism = "PLAIN",  sasl_password = %secret NAME'
)


def described(spec: Spec) -> dict[str, Any]:
    """Return what a description says, checked. Raises ConnectionSpecError."""
    if not isinstance(spec, TableSpec):
        raise ConnectionSpecError("a Kafka connection is described by its parts, not by a URL", hint=_EXAMPLE)
    parts = {key: item for key, item in spec.parts.items() if key != "type"}
    _check_keys(parts)
    return parts


def _check_keys(parts: Mapping[str, Any]) -> None:
    known = names_of(KEYS)
    for key, item in parts.items():
        if key not in known:
            named = key.lower().replace(".", "_")
            near = [_ELSEWHERE[named]] if named in _ELSEWHERE else get_close_matches(named, known, 1)
            raise ConnectionSpecError(
                f"a Kafka connection has no key {key!r}",
                hint=f"did you mean {near[0]!r}?" if near else f'librdkafka\'s own:  [extra_config]  then  "{key}" = …',
            )
        if not isinstance(item, Mapping if key in _TABLES else str):
            raise ConnectionSpecError(f"the value of {key!r} is of the wrong kind", hint=_EXAMPLE)
    if not parts.get("bootstrap_servers") or names_in(parts["bootstrap_servers"]):
        # As a URL's host: values go where the description says.
        raise ConnectionSpecError("a Kafka connection needs bootstrap_servers, in clear", hint=_EXAMPLE)
    protocol = parts.get("security_protocol", _PROTOCOLS[0])
    if protocol not in _PROTOCOLS:
        raise ConnectionSpecError("security_protocol is none that is known", hint=f"known are {', '.join(_PROTOCOLS)}")
    if "SASL" not in protocol and "security_protocol" in parts and "sasl_password" in parts:
        raise ConnectionSpecError(
            f"there is a sasl_password, and security_protocol {protocol!r} would not use it",
            hint='security_protocol = "SASL_SSL"',
        )
    for key in parts.get("extra_config", {}):
        if key in PROPERTIES.values():
            ours = next(name for name, its in PROPERTIES.items() if its == key)
            raise ConnectionSpecError(f"{key!r} in extra_config has a key of its own", hint=f"{ours} = …")
