"""What a broker for object storage is without each of its defences: as in `weak`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flowfile_nb.broker.answers import Sender
from flowfile_nb.broker.engines.s3 import S3
from flowfile_nb.broker.orders_desk import OrdersDesk
from flowfile_nb.broker.storage import links
from tests.attacks.replacing import put


def any_object() -> None:
    """A share of a part of a bucket is one of all that the key opens."""
    put(links, "lies_within", lambda root, path: True)
    real = links.Links.__init__

    def made(self: Any, target: Any, store: Any) -> None:
        real(self, target, store)
        self._any = store

    put(links.Links, "__init__", made)
    execute = links.Links.execute

    def asked(self: Any, statement: str, parameters: Any, access: Any) -> Any:
        self._bucket = self._any._bucket = statement.rpartition(" ")[2].partition("/")[0]
        return execute(self, statement, parameters, access)

    put(links.Links, "execute", asked)


def any_beginning() -> None:
    """Whatever begins as the prefix does is below it."""
    put(links, "lies_within", lambda root, path: path.startswith(root))


def undecoded() -> None:
    """Only how a name stands is looked at, and not how it may be read on its way."""
    put(links, "lies_within", lambda root, path: path == root or path.startswith(f"{root}/"))


def signs_writing() -> None:
    """A share for reading gets links for writing."""
    real = links.require_permitted
    put(links, "require_permitted", lambda root, method, path, access: real(root, method, path, "write"))


def lasting_links() -> None:
    """A link is good for a week, or for as long as a member asks."""
    put(links, "LINK_S", 7 * 24 * 3600)
    real = links.Links.execute
    put(links.Links, "execute", lambda self, statement, parameters, access: real(self, statement, None, access))


def links_of_text() -> None:
    """A name is put into a link as it stands."""

    def sign(self: Any, method: str, key: str, seconds: int) -> links.Link:
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        target = self._target
        request = AWSRequest(method, f"http://{target.host}:{target.port}/{self._bucket}/{key}")
        key_ = Credentials(target.username, self._value)
        S3SigV4QueryAuth(key_, "s3", target.options["region"], expires=seconds).add_auth(request)
        return links.Link(request.prepare().url)

    put(S3, "sign", sign)


def remembers_orders() -> None:
    """What was permitted once is permitted for ever."""
    real = OrdersDesk.order
    known: dict[tuple[str, Any], Any] = {}

    def order(self: Any, caller: Any, *, connection: Any = None, description: Any = None) -> Any:
        key = caller.name, connection or str(description)
        if key not in known:
            known[key] = real(self, caller, connection=connection, description=description)
        return known[key]

    put(OrdersDesk, "order", order)
    put(OrdersDesk, "permitted", lambda self, order: True)


def talkative() -> None:
    """The broker's log has what was answered."""
    real = Sender.send

    async def send(self: Any, data: bytes) -> None:
        logging.getLogger("flowfile_nb.broker").warning("answered %r", data)
        await real(self, data)

    put(Sender, "send", send)


STORAGE_WEAKNESSES: tuple[Callable[[], None], ...] = (
    *(any_object, any_beginning, undecoded, signs_writing, lasting_links, links_of_text, remembers_orders, talkative),
)
