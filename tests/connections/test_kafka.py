"""Kafka with the real client library, and the broker that it carries for tests."""

from __future__ import annotations

import base64
import copy
import pickle
import ssl
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
import trustme
from confluent_kafka.admin import AdminClient

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.errors import (
    ConnectionFailedError,
    ConnectionSpecError,
    FlowfileNbError,
    LiteralPasswordError,
    NoSuchSecretError,
)
from tests.support.dumb_server import answering, silent
from tests.support.http_server import Answer, running
from tests.support.kafka_broker import running_broker
from tests.support.shell import Shell

CANARY = "hunter2 canary/@:?#&=ü\"'"
BODY = """
type = "kafka"
bootstrap_servers = "broker.example.com:9092,other.example.com:9092"
sasl_mechanism = "SCRAM-SHA-512"
sasl_username = "app"
sasl_password = %secret kafka_pw
ssl_ca_location = "/etc/ssl/ca.pem"
[extra_config]
"client.id" = "nb"
"enable.auto.commit" = false
"""


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of librdkafka's own broker, which keeps what is sent to it in memory."""
    host = confluent_kafka.Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    yield next(f"{found.host}:{found.port}" for found in host.list_topics(timeout=10).brokers.values())
    host.flush(10)


class Spy:
    """Makes the real client and keeps what it was made with. The file of authorities need not be there."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.given: list[dict[str, Any]] = []

    def __call__(self, config: dict[str, Any]) -> Any:
        self.given.append(config)
        return self.client({**config, "ssl.ca.location": "probe", "log_level": 0})


@pytest.mark.parametrize("client", [confluent_kafka.Consumer, confluent_kafka.Producer, AdminClient])
def test_the_clients_receive_the_values(client: Any) -> None:
    """Each client is made with librdkafka's names and the value, and the library takes every one of them."""
    fnb.secrets["kafka_pw"] = CANARY
    kafka, spy = fnb.connect(BODY, test=False), Spy(client)

    made = kafka.made(spy, {"group.id": "readers"})

    assert isinstance(made, client)
    assert spy.given == [
        {
            "bootstrap.servers": "broker.example.com:9092,other.example.com:9092",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "app",
            "sasl.password": CANARY,
            "ssl.ca.location": "/etc/ssl/ca.pem",
            "client.id": "nb",
            "enable.auto.commit": "false",
            "group.id": "readers",
        }
    ]


def test_late_binding() -> None:
    """A replaced secret is used by the next client; after a deleted one there is none."""
    fnb.secrets["kafka_pw"] = "first"
    kafka, spy = fnb.connect(BODY, test=False), Spy(confluent_kafka.Producer)
    kafka.made(spy)

    fnb.secrets["kafka_pw"] = "second"
    kafka.made(spy)
    del fnb.secrets["kafka_pw"]
    with pytest.raises(NoSuchSecretError):
        kafka.made(spy)

    assert [config["sasl.password"] for config in spy.given] == ["first", "second"]


def test_the_object_shows_no_value() -> None:
    """As text, as a mapping, in its attributes and copied there are references only; sent elsewhere it opens anew."""
    fnb.secrets["kafka_pw"] = CANARY
    kafka = fnb.connect(BODY.replace("/etc/ssl/ca.pem", "probe"), test=False)
    producer = kafka.producer({"log_level": 0})

    assert "hunter2" not in f"{kafka!r} {kafka} {dict(kafka)} {vars(kafka)} {producer!r}"
    assert kafka["sasl.password"] == "${secret:kafka_pw}"
    data = pickle.dumps(kafka)
    assert "hunter2" not in repr(data)
    assert "hunter2" not in repr(vars(copy.deepcopy(kafka)))
    fnb.secrets["kafka_pw"] = "second"
    loaded, spy = pickle.loads(data), Spy(confluent_kafka.Producer)
    loaded.made(spy)
    assert spy.given[0]["sasl.password"] == "second"


def test_a_message_there_and_back(broker: str, shell: Shell) -> None:
    """Against a broker: the check passes, and what a producer sends a consumer gets."""
    shown = shell.run(f'%%connect events\ntype = "kafka"\nbootstrap_servers = "{broker}"')
    assert f"events = kafka://{broker}" in shown
    events = shell.real.user_ns["events"]

    producer = events.producer()
    producer.produce("topic", b"hello")
    producer.flush(10)
    consumer = events.consumer({"group.id": "readers", "auto.offset.reset": "earliest"})
    consumer.assign([confluent_kafka.TopicPartition("topic", partition, 0) for partition in range(4)])
    message = next(message for _ in range(100) if (message := consumer.poll(1)) and not message.error())

    assert message.value() == b"hello"
    consumer.close()
    shell.run("%connect -x events")


def test_nobody_listens(capfd: pytest.CaptureFixture[str]) -> None:
    """Two lines, and nothing of the library's on the terminal behind Jupyter."""
    with pytest.raises(ConnectionFailedError, match="nothing listens") as caught:
        fnb.connect({"type": "kafka", "bootstrap_servers": "127.0.0.1:1"})

    assert len(str(caught.value).split("\n")) == 2
    assert capfd.readouterr().err == ""


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A broker's certificate for `localhost` and this machine's address; its authority is in `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


def opened(port: int, protocol: str, timeout_s: float | None = None, host: str = "127.0.0.1", **more: str) -> Any:
    """Open a broker with the stored password."""
    parts = {"type": "kafka", "bootstrap_servers": f"{host}:{port}", "security_protocol": protocol}
    if "SASL" in protocol:
        parts |= {"sasl_mechanism": "PLAIN", "sasl_username": "app", "sasl_password": "%secret kafka_pw"}
    return connecting.open_connection({**parts, **more}, timeout_s=timeout_s)


def test_a_password(tls: ssl.SSLContext, tmp_path: Path) -> None:
    """The right one opens, in clear and in TLS; another is told as that, with the secret's name."""
    fnb.secrets["kafka_pw"] = CANARY
    with running_broker("app", CANARY) as port, running_broker("app", CANARY, tls=tls) as secure:
        opened(port, "SASL_PLAINTEXT").close()
        opened(secure, "SASL_SSL", ssl_ca_location=str(tmp_path / "ca.pem")).close()
        fnb.secrets["kafka_pw"] = "another"
        with pytest.raises(ConnectionFailedError, match="refused the user or the password") as caught:
            opened(port, "SASL_PLAINTEXT")

    assert "with secret 'kafka_pw' (stored" in caught.value.message
    assert "%secret set kafka_pw --replace" in caught.value.hint


def test_what_is_wrong_is_told_apart(tls: ssl.SSLContext, tmp_path: Path) -> None:
    """TLS against a port without it and the other way round, a certificate, the kind of login, a name, and no answer."""
    fnb.secrets["kafka_pw"] = CANARY
    elsewhere = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(elsewhere)
    with running_broker("app", CANARY) as port, running_broker("app", CANARY, tls=tls) as secure, answering(silent) as mute:
        for attempt, words in (
            (lambda: opened(port, "SASL_SSL"), "that port answers without TLS"),
            (lambda: opened(secure, "SASL_PLAINTEXT"), "that port begins with TLS"),
            (lambda: opened(secure, "PLAINTEXT"), "that port begins with TLS"),
            (lambda: opened(secure, "SASL_SSL", ssl_ca_location=str(elsewhere)), "not signed by an authority that is trusted"),
            (lambda: opened(port, "SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256"), "takes another kind of login"),
            (lambda: opened(9092, "SASL_PLAINTEXT", host="no-such-host.invalid"), "there is no host of that name"),
            (lambda: opened(1, "SASL_PLAINTEXT"), "nothing listens on that host and port"),
            (lambda: opened(mute, "SASL_PLAINTEXT", 1), "the server did not answer in time"),
        ):
            with pytest.raises(ConnectionFailedError) as caught:
                attempt()
            assert words in caught.value.message
            assert len(str(caught.value).split("\n")) == 2
            assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ssl_key_pem": "%secret kafka_pw", "security_protocol": "SSL"}, "'ssl.key.pem'"),
        ({"extra_config": {"nosuch.thing": "%secret kafka_pw"}}, "no property 'nosuch.thing'"),
        ({"extra_config": {"acks": "%secret kafka_pw"}}, "value of 'acks'"),
    ],
)
def test_what_the_library_does_not_take(change: dict[str, Any], words: str) -> None:
    """Its message, which can quote a value, becomes two lines with the property's name."""
    fnb.secrets["kafka_pw"] = CANARY
    kafka = fnb.connect({"type": "kafka", "bootstrap_servers": "127.0.0.1:1", **change}, test=False)

    with pytest.raises(FlowfileNbError, match=words) as caught:
        kafka.producer({"log_level": 0})

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert len(str(caught.value).split("\n")) == 2


@pytest.mark.parametrize(
    ("description", "error", "words"),
    [
        ("kafka://broker:9092", ConnectionSpecError, "not by a URL"),
        ({"type": "kafka"}, ConnectionSpecError, "needs bootstrap_servers"),
        ({"type": "kafka", "bootstrap_servers": "%secret kafka_pw"}, ConnectionSpecError, "in clear"),
        ({"type": "kafka", "bootstrap_servers": ["a", "b"]}, ConnectionSpecError, "wrong kind"),
        (
            {"type": "kafka", "bootstrap_servers": "h", "sasl.password": "%secret kafka_pw"},
            ConnectionSpecError,
            "sasl_password",
        ),
        ({"type": "kafka", "bootstrap_servers": "h", "zzz": "1"}, ConnectionSpecError, "[extra_config]"),
        ({"type": "kafka", "bootstrap_servers": "h", "security_protocol": "TLS"}, ConnectionSpecError, "SASL_SSL"),
        (
            {"type": "kafka", "bootstrap_servers": "h", "security_protocol": "SSL", "sasl_password": "%secret kafka_pw"},
            ConnectionSpecError,
            "would not use it",
        ),
        (
            {"type": "kafka", "bootstrap_servers": "h", "extra_config": {"sasl.password": "%secret kafka_pw"}},
            ConnectionSpecError,
            "sasl_password = …",
        ),
        ({"type": "kafka", "bootstrap_servers": "h", "sasl_password": "abc"}, LiteralPasswordError, "sasl_password"),
    ],
)
def test_bad_input_has_two_lines(description: Any, error: type[FlowfileNbError], words: str) -> None:
    """Each wrong description is refused before a client is made."""
    fnb.secrets["kafka_pw"] = fnb.secrets["pw"] = CANARY

    with pytest.raises(error) as caught:
        fnb.connect(description)

    assert words in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2


def test_the_schema_registry() -> None:
    """Its client asks the registry with the value; without a URL there is none."""
    fnb.secrets["registry_pw"] = CANARY
    parts = {"type": "kafka", "bootstrap_servers": "h"}

    with running() as registry:
        registry.answer = lambda request: Answer(headers={"Content-Type": "application/json"}, body=b'["orders-value"]')
        more = {"schema_registry_url": registry.url, "schema_registry_user_info": "app:%secret registry_pw"}
        kafka = fnb.connect({**parts, **more}, test=False)
        with kafka.schema_registry() as client:
            assert client.get_subjects() == ["orders-value"]

    assert base64.b64decode(registry.last.headers["authorization"].removeprefix("Basic ")).decode() == f"app:{CANARY}"
    assert "hunter2" not in f"{kafka!r} {vars(kafka)}"
    with pytest.raises(ConnectionSpecError, match="no schema registry"):
        fnb.connect(parts, test=False).schema_registry()
