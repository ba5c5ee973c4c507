"""
Kafka, as a `KafkaConfig`: what confluent-kafka's clients are made with, and values only while one is being made.

The library has no object for "a connection": each of its clients takes a dictionary of librdkafka's properties, and starts
threads when it is made. So the native object here makes them: `kafka.consumer({"group.id": "readers"})`, `kafka.producer()`,
`kafka.admin()`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.failures import explain
from flowfile_nb.connections.kafka_description import KEYS, PROPERTIES, REGISTRY, described
from flowfile_nb.connections.portable import make_portable
from flowfile_nb.connections.spec import Spec
from flowfile_nb.connections.timeouts import limit_s
from flowfile_nb.core.references import fill_all, names_in
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, FlowfileNbError, MissingDriverError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.schema_registry import SchemaRegistryClient

__all__ = ["KEYS", "KafkaConfig", "check", "close", "described", "make", "target"]

_NONE: Mapping[str, Any] = MappingProxyType({})


class KafkaConfig(Mapping[str, str]):
    """
    librdkafka's properties of one cluster, with references where values will be.

    As a mapping it is safe to print and to copy, and no client is made from it by accident: the references in it are no
    passwords. `consumer`, `producer` and `admin` make clients with values read from the store at that moment.
    """

    def __init__(self, properties: Mapping[str, str], registry: Mapping[str, str], reveal: Access) -> None:
        self._properties = dict(properties)
        self._registry = dict(registry)
        self.access = reveal

    def consumer(self, more: Mapping[str, Any], /) -> Consumer:
        """
        Return a `confluent_kafka.Consumer`.

        Args:
            more: The properties that are not the cluster's, as the library names them: `{"group.id": "readers"}`.

        Raises:
            NoSuchSecretError: If a secret was deleted since.
            ConnectionSpecError: If the library knows no such property, or does not take its value.
        """
        from confluent_kafka import Consumer

        return cast("Consumer", self.made(Consumer, more))

    def producer(self, more: Mapping[str, Any] = _NONE, /) -> Producer:
        """Return a `confluent_kafka.Producer`; arguments and errors as `consumer`."""
        from confluent_kafka import Producer

        return cast("Producer", self.made(Producer, more))

    def admin(self, more: Mapping[str, Any] = _NONE, /) -> AdminClient:
        """Return a `confluent_kafka.admin.AdminClient`; arguments and errors as `consumer`."""
        from confluent_kafka.admin import AdminClient

        return cast("AdminClient", self.made(AdminClient, more))

    def schema_registry(self) -> SchemaRegistryClient:
        """
        Return a `SchemaRegistryClient`, if the description has a `schema_registry_url`.

        Raises:
            MissingDriverError: If what it needs is not installed.
        """
        if "url" not in self._registry:
            raise ConnectionSpecError("this connection has no schema registry", hint='schema_registry_url = "https://…"')
        try:
            from confluent_kafka.schema_registry import SchemaRegistryClient
        except ModuleNotFoundError:
            raise _missing("confluent-kafka[schemaregistry]") from None

        return SchemaRegistryClient(fill_all(self._registry, self.access))

    def names(self) -> list[str]:
        """Return the names of the secrets in it, each once."""
        texts = [*self._properties.values(), *self._registry.values()]
        return list(dict.fromkeys(name for text in texts for name in names_in(text)))

    def made(self, client: Callable[[dict[str, Any]], Any], more: Mapping[str, Any] = _NONE, /) -> Any:
        """Return a client of another class, such as `SerializingProducer`; arguments and errors as `consumer`."""
        from confluent_kafka import KafkaException

        try:
            return client({**fill_all(self._properties, self.access), **more})
        except FlowfileNbError:
            raise
        except (KafkaException, ValueError, TypeError) as error:
            # The library's own text can quote the value of a property.
            raise _not_taken(error, [*self._properties, *more]) from None

    def __getitem__(self, key: str) -> str:
        return self._properties[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._properties)

    def __len__(self) -> int:
        return len(self._properties)

    def __repr__(self) -> str:
        return f"<KafkaConfig {self._properties['bootstrap.servers']}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not pickled: describe the connection where it is used")


def make(spec: Spec, reveal: Access) -> KafkaConfig:
    """
    Return what makes clients of a cluster; none is made yet.

    Raises:
        ConnectionSpecError: If a key is unknown, or of the wrong kind.
        MissingDriverError: If confluent-kafka is not installed.
    """
    try:
        import confluent_kafka  # noqa: F401 - said now and not at the first client
    except ModuleNotFoundError:
        raise _missing("flowfile-nb[kafka]") from None

    parts = described(spec)
    properties = {PROPERTIES[key]: item for key, item in parts.items() if key in PROPERTIES}
    properties.setdefault("security.protocol", "SASL_SSL" if "sasl.password" in properties else "PLAINTEXT")
    extra = {key: _text(item) for key, item in parts.get("extra_config", {}).items()}
    kafka = KafkaConfig(
        {**extra, **properties}, {REGISTRY[key]: item for key, item in parts.items() if key in REGISTRY}, reveal
    )
    make_portable(kafka, spec, reveal)
    return kafka


def check(kafka: KafkaConfig) -> None:
    """
    Ask a broker for the cluster's topics, which reads and changes nothing.

    Raises:
        ConnectionFailedError: If no broker answers in time, or it refuses.
    """
    from confluent_kafka import KafkaError, KafkaException

    said: list[KafkaError] = []
    limit = limit_s(kafka.access)
    # Its own log lines would be written past Jupyter, and repeated while it tries again; here they are told once. And it would
    # say less of a server that is silent than that.
    quiet = {"log_level": 0, "socket.connection.setup.timeout.ms": str(max(30_000, int(limit * 1000) + 1000))}
    admin = kafka.admin({"error_cb": said.append, **quiet})
    final = {KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION}  # noqa: SLF001 - the library's public codes
    deadline = time.monotonic() + limit
    while True:
        try:
            # In short pieces, so that it can be interrupted, and ends when the library knows that it will not succeed.
            admin.list_topics(timeout=0.2)
        except KafkaException:
            admin.poll(0)
            if time.monotonic() < deadline and final.isdisjoint(each.code() for each in said):
                continue
            raise _explained(said, kafka) from None
        return


def _explained(said: list[KafkaError], kafka: KafkaConfig) -> ConnectionFailedError:
    """Return our error for what librdkafka has told of its connections; it says nothing while it waits."""
    from confluent_kafka import KafkaError

    words = {
        KafkaError._AUTHENTICATION: "authentication failed",  # noqa: SLF001 - as above
        KafkaError._RESOLVE: "failed to resolve",  # noqa: SLF001 - as above
        # Alone it means that a broker was reached and hung up; last, so that any other reason counts.
        KafkaError._ALL_BROKERS_DOWN: "connection was closed",  # noqa: SLF001 - as above
    }
    # Without the place at the beginning: a host may be called anything.
    texts = [re.sub(r"^\w+://\S+:(?=\s)", "", each.str()) for each in said]
    codes = [words[each.code()] for each in said if each.code() in words]
    reason = " ".join([*texts, *codes]) or "timed out"
    return explain(ConnectionError(reason), target(kafka), kafka.names(), kafka.access, _unencrypted(kafka))


def _unencrypted(kafka: KafkaConfig) -> tuple[str, int] | None:
    """Return host and port of the first broker, where none of them is asked in TLS."""
    host, _, port = kafka["bootstrap.servers"].split(",")[0].strip().rpartition(":")
    return (host.strip("[]"), int(port)) if "SSL" not in kafka["security.protocol"] and port.isdigit() else None


def target(kafka: KafkaConfig) -> str:
    """Return where it leads: `kafka://broker.example.com:9092`."""
    return f"kafka://{kafka['bootstrap.servers']}"


def close(kafka: KafkaConfig) -> None:
    """Do nothing: the clients belong to who made them."""


def _text(item: Any) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)


def _not_taken(error: Exception, known: list[str]) -> FlowfileNbError:
    text = str(error)
    if "SASL mechanism" in text and "sasl.mechanism" not in known:
        return ConnectionSpecError(
            "the description does not say by which mechanism the sasl_password goes",
            hint='sasl_mechanism = "PLAIN"   or  "SCRAM-SHA-512": ask the administrator of the broker which',
        )
    key = next((key for key in sorted(known, key=len, reverse=True) if key in text), None)
    hint = "compare with librdkafka's CONFIGURATION.md"
    if key is None:
        return ConnectionFailedError(f"confluent-kafka raised {type(error).__name__}", hint=hint)
    what = "knows no property" if "No such configuration property" in text else "does not take the value of"
    return ConnectionSpecError(f"confluent-kafka {what} {key!r}", hint=hint)


def _missing(what: str) -> MissingDriverError:
    return MissingDriverError(
        "a Kafka connection needs a library that is not installed", hint=f"pip install '{what}'   and run the cell again"
    )
