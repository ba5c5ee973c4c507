"""
A broker without one of its defences, in a process of its own: `python -m tests.attacks.weak WEAKNESS serve …`.

Nothing of this is in the package: each weakness replaces one function of a running broker.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

from flowfile_nb.broker import (
    connections_desk,
    desk,
    directory,
    guests,
    handlers,
    orders_desk,
    process,
    schemas,
    secrets_desk,
    sharing,
)
from flowfile_nb.broker.engines import literals, postgresql
from flowfile_nb.broker.grants import reachable
from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.pool import Pool
from flowfile_nb.broker.running import Running
from flowfile_nb.broker.sessions import Sessions
from flowfile_nb.broker.tables import SECRET, secrets
from flowfile_nb.broker.tokens_desk import TokensDesk
from flowfile_nb.broker.turns import Turns
from flowfile_nb.broker.uses_desk import UsesDesk
from flowfile_nb.core.crypto import token_owner
from flowfile_nb.errors import NotAllowedError
from tests.attacks.replacing import put
from tests.attacks.weak_apis import API_WEAKNESSES
from tests.attacks.weak_storage import STORAGE_WEAKNESSES

_REPOSITORY = os.path.abspath(os.path.join(__file__, "..", "..", ".."))


def reads_write() -> None:
    """Statements of a share for reading run as those of one for writing."""
    real = postgresql.PostgreSQL.execute
    put(
        postgresql.PostgreSQL, "execute", lambda self, statement, parameters, access: real(self, statement, parameters, "write")
    )


def any_target() -> None:
    """A shared secret goes wherever a description says."""

    def described(self: Any, caller: Caller, definition: Any) -> Any:
        rows = self._usable(caller, SECRET, definition.secret)
        if not rows:
            return None
        row = rows[0]
        return orders_desk._Found(row, row.credential, row.name, row.binding, definition.target, "described", True)

    put(orders_desk.OrdersDesk, "_described", described)
    put(orders_desk.OrdersDesk, "_still", lambda *_: True)
    put(orders_desk, "require_binding", lambda *_: None)


def unproved_rows() -> None:
    """What is stored is taken at its word: nothing proves that it belongs together."""
    put(orders_desk, "require_binding", lambda *_: None)
    put(orders_desk.OrdersDesk, "_still", lambda *_: True)
    real = secrets_desk.unseal
    put(secrets_desk, "unseal", lambda keys, token, owner: real(keys, token, token_owner(token) or owner))


def all_manage() -> None:
    """Whoever may use a connection may manage it."""
    for module in (connections_desk, sharing):
        put(module, "manageable", lambda row, rows: True)


def all_admins() -> None:
    """Everybody is an administrator."""

    def find(connection: Any, caller: Caller) -> Any:
        who = real(connection, caller)
        return who and who._replace(is_admin=True)

    real = directory.find_who
    put(desk, "find_who", find)


def no_owners() -> None:
    """A secret is anybody's who knows its name."""

    def own(connection: Any, owner_id: int, name: str) -> Any:
        from sqlalchemy import select

        return connection.execute(select(secrets).where(secrets.c.name == name).order_by(secrets.c.id).limit(1)).one_or_none()

    for module in (desk, secrets_desk):
        put(module, "own_secret", own)


def reveals_shared() -> None:
    """The value of what somebody may use is shown to him."""

    def reveal(self: Any, caller: Caller, name: str) -> str:
        keys = self._keys()
        with self._looking(caller) as (connection, who):
            row = reachable(connection, who, SECRET, name)[0]
        return str(keys.decrypt_secret(row.encrypted_value, row.of))

    put(secrets_desk.SecretsDesk, "reveal_own", reveal)


def credulous() -> None:
    """A token counts wherever it stands, a proxy's word counts, and so does a form of another page."""
    real = handlers.ApiHandler._identified

    async def identified(self: Any) -> Caller:
        request = self.request
        if texts := request.query_arguments.pop("token", None):
            request.headers["Authorization"] = f"Bearer {texts[0].decode()}"
        elif cookie := self.get_cookie("token"):
            request.headers["Authorization"] = f"Bearer {cookie}"
        elif name := request.headers.get("X-Forwarded-User"):
            return Caller(name)
        request.headers.setdefault("X-Flowfile-Nb-Wire", "1")
        if request.method != "GET":
            request.headers["Content-Type"] = "application/json"
        request.headers["X-Flowfile-Nb-Wire"] = "1"
        return await real(self)

    put(handlers.ApiHandler, "_identified", identified)


def remembers_tokens() -> None:
    """What a token was good for once it is good for always."""
    real = TokensDesk.caller_of_token
    known: dict[str, Caller] = {}

    def remembered(self: Any, text: str, scope: str = "use") -> Caller:
        if text not in known:
            known[text] = real(self, text, scope)
        return known[text]

    put(TokensDesk, "caller_of_token", remembered)
    put(orders_desk.OrdersDesk, "_token_holds", lambda *_: True)


def lax() -> None:
    """A request may hold anything."""
    put(
        schemas,
        "require_fields",
        lambda given, schema: {name: given.get(name, field.default) for name, field in schema.items()},
    )
    put(schemas, "_once", dict)


def deaf() -> None:
    """What is taken back while it is in use is not noticed."""

    async def never(self: Any) -> None:
        await asyncio.Event().wait()

    for watch in ("_follow_store", "_follow_clock"):
        put(Running, watch, never)


def telltale() -> None:
    """A connection that is there and not the caller's has an answer of its own."""
    from sqlalchemy import select

    from flowfile_nb.broker.tables import connections

    real = orders_desk.OrdersDesk._saved

    def saved(self: Any, caller: Caller, name: str) -> Any:
        found = real(self, caller, name)
        with self._store.asking() as connection:
            if found is None and connection.execute(select(connections.c.id).where(connections.c.name == name)).first():
                raise NotAllowedError(f"the connection {name!r} is not yours")
        return found

    put(orders_desk.OrdersDesk, "_saved", saved)


def anybody_cancels() -> None:
    """Whoever knows a statement's id cancels it."""

    async def cancel(self: Any, query_id: str, caller: str) -> bool:
        owners = [owner for owner, number in self._running if number == query_id]
        return any([await real(self, query_id, owner) for owner in owners])

    real = Sessions.cancel
    put(Sessions, "cancel", cancel)


def shares_superusers() -> None:
    """What an account may do at its server is not looked at when it is shared."""
    put(postgresql.PostgreSQL, "problems", lambda self: [])


def boundless() -> None:
    """A request may be as large, and a caller's statements as many, as somebody likes."""
    put(handlers, "MAX_BODY_BYTES", 10**12)
    put(Pool, "_make_room", lambda self, order: None)


def untidy() -> None:
    """What a statement holds and has set in its session stays there."""

    def rolled_back(self: Any, cursor: Any) -> None:
        if cursor is not None:
            cursor.close()
        self._plain("ROLLBACK")

    put(postgresql.PostgreSQL, "_reset", rolled_back)


def repeats_words() -> None:
    """A member is shown in the record what he has asked, as it is written down."""
    put(
        UsesDesk,
        "log",
        lambda self, caller, name="": self._audit.of(caller.name, name) if name else self._audit.around(caller.name),
    )


def reads_at_once() -> None:
    """What a caller begins to say is read, however much else of his is read already."""

    async def take(self: Any, name: str) -> None:
        """Wait for nobody."""

    put(Turns, "take", take)
    put(Turns, "leave", lambda self, name: None)


def masks_own_words() -> None:
    """What the broker itself says of a statement is masked as a driver's words are."""
    real = literals.StatementError
    put(literals, "StatementError", lambda message, hint="", clean=False: real(message, hint))


def patient() -> None:
    """A connection is kept open for whoever says nothing on it."""
    put(guests.Guests, "arrive", lambda self, stream: True)


WEAKNESSES: dict[str, Callable[[], None]] = {
    act.__name__: act
    for act in (
        *API_WEAKNESSES,
        *STORAGE_WEAKNESSES,
        *(reads_write, any_target, unproved_rows, all_manage, all_admins, no_owners, reveals_shared, credulous),
        *(remembers_tokens, lax, deaf, telltale, anybody_cancels, shares_superusers, boundless, patient, untidy),
        *(repeats_words, masks_own_words, reads_at_once),
    )
}


def _weaken_workers(weakness: str) -> None:
    """Have the sessions' processes weakened, too."""
    real = asyncio.create_subprocess_exec

    async def start(*command: str, **options: Any) -> Any:
        assert command[1:] == ("-I", "-m", "flowfile_nb.broker.worker"), command
        options["env"] = {**options["env"], "PYTHONPATH": _REPOSITORY}
        return await real(sys.executable, "-m", "tests.attacks.weak", weakness, "worker", **options)

    process.asyncio.create_subprocess_exec = start  # type: ignore[attr-defined]


def main() -> int:
    """Run a weakened broker, or a worker of one."""
    weakness, *arguments = sys.argv[1:]
    WEAKNESSES[weakness]()
    if arguments == ["worker"]:
        from flowfile_nb.broker.worker import main as work

        return work()
    _weaken_workers(weakness)
    from flowfile_nb.__main__ import main as run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
