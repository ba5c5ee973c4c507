"""What needs a session at a database or an API: a statement, a request, cancelling it, trying a connection, and sharing one."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from flowfile_nb.broker import api_rules
from flowfile_nb.broker.api_definitions import is_api
from flowfile_nb.broker.engines import can_read, guarantee_of
from flowfile_nb.broker.model import Caller, Order, Outcome
from flowfile_nb.broker.refusals import error_of, told_of, unforeseen
from flowfile_nb.broker.routes import SHARE, USE, Route
from flowfile_nb.broker.schemas import TARGET, TEXT, Field, require_one_target
from flowfile_nb.broker.threads import in_thread
from flowfile_nb.core.parameters import from_json
from flowfile_nb.core.wire import error_frame
from flowfile_nb.errors import FlowfileNbError, NotAllowedError, UsageError

Fields = dict[str, Any]
Prepare = Callable[[Order], tuple[str, Any]]
Run = Callable[[Order, Any, Any], Awaitable[Outcome]]
_WARNING = "warning:"
_ASKED = "(the connection was tried)"
_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Request(Protocol):
    """What these need of a request: `handlers.ApiHandler`."""

    front: Any
    caller: Caller

    def begin_frames(self) -> None:
        """Begin an answer of frames."""

    async def send(self, data: bytes) -> None:
        """Hand on a frame, and return when the caller takes more."""

    def when_gone(self, act: Any) -> None:
        """Have *act* called if the caller hangs up."""


async def query(request: Request, fields: Fields) -> None:
    """Run one statement; the answer is frames."""
    parameters = from_json(fields["parameters"])

    def prepare(order: Order) -> tuple[str, str]:
        if is_api(order.target.kind):
            raise UsageError("this connection leads to an HTTP API, which takes no statements", hint='NAME.get("path")')
        return fields["statement"], fields["statement"]

    async def run(order: Order, statement: str, send: Any) -> Outcome:
        outcome: Outcome = await request.front.sessions.run(fields["id"], order, statement, parameters, send)
        return outcome

    await _use(request, fields, prepare, run)


async def ask_api(request: Request, fields: Fields) -> None:
    """Send one request to an API; the answer is frames."""

    def prepare(order: Order) -> tuple[str, dict[str, Any]]:
        if not is_api(order.target.kind):
            raise UsageError("this connection leads to a database, which takes no requests", hint="pandas.read_sql(…, NAME)")
        try:
            asked = api_rules.permitted(order.target, order.access, fields)
        except FlowfileNbError as error:
            tried = f"{fields['method']} {fields['path'][: api_rules.TOLD_PATH]}"
            request.front.team.refuse_use(request.caller, order, tried, type(error).__name__)
            raise
        return api_rules.told(asked), asked

    async def run(order: Order, asked: dict[str, Any], send: Any) -> Outcome:
        outcome: Outcome = await request.front.sessions.request(fields["id"], order, asked, send)
        return outcome

    await _use(request, fields, prepare, run)


async def _use(request: Request, fields: Fields, prepare: Prepare, run: Run) -> None:
    """
    Have a use permitted, write it down, make it, and write down how it ended.

    Args:
        request: Who asks.
        fields: What for.
        prepare: Returns what is written down of it, and what is asked; raises where the connection is not for that.
        run: Makes it.
    """
    import asyncio

    require_one_target(fields)
    if not fields["id"] or not set(fields["id"]) <= _ID_CHARACTERS:
        raise UsageError("the field 'id' holds letters, digits, - and _")
    front, caller, number = request.front, request.caller, fields["id"]

    def begin() -> tuple[Order, Any]:
        order: Order = front.team.order(caller, connection=fields["connection"], description=fields["description"])
        told, asked = prepare(order)
        front.team.begin_use(caller, order, number, told)
        return order, asked

    # In one go: each change to a thread and back is a wait, in every use.
    order, asked = await in_thread(begin)
    loop = asyncio.get_running_loop()
    request.begin_frames()
    request.when_gone(lambda: loop.create_task(front.sessions.cancel(number, caller.name)))
    outcome = Outcome("failed", 0, 0, 0.0, "BrokerError")
    try:
        with front.running.by(caller):
            outcome = await run(order, asked, request.send)
    except Exception as error:  # noqa: BLE001 - the answer has begun: its end must say that it is none
        failure = unforeseen(error)
        await request.send(error_frame(type(failure).__name__, failure.message, failure.hint))
    finally:
        await in_thread(front.team.end_use, caller, order, number, outcome)


async def cancel(request: Request, fields: Fields) -> Any:
    """Cancel a statement of the caller's own."""
    return {"cancelled": await request.front.sessions.cancel(fields["id"], request.caller.name)}


async def check(request: Request, fields: Fields) -> Any:
    """Try a connection."""
    require_one_target(fields)
    order = await in_thread(
        request.front.team.order, request.caller, connection=fields["connection"], description=fields["description"]
    )
    with request.front.running.by(request.caller):
        facts = await _asked(request, order)
    untried = api_rules.untried(order.target) if is_api(order.target.kind) else ""
    return {"ok": True, "server": facts["server"], "first_asked": facts.get("first_asked") or {}, "untried": untried}


async def share(request: Request, fields: Fields) -> Any:
    """Share something, if the account behind it is one that can be shared."""
    team, caller = request.front.team, request.caller
    warnings: list[str] = []
    guarantees: list[str] = []
    for name in await in_thread(_connections_behind, team, caller, fields["what"], fields["name"], changes=True):
        # That of a connection which is shared itself is known.
        told = name if fields["what"] == "secret" else ""
        with told_of(told):
            order = await in_thread(team.order, caller, connection=name, changes=True)
        kind = order.target.kind
        if fields["access"] == "read" and not can_read(kind):
            raise NotAllowedError(f"{name!r} is not shared for reading: {guarantee_of(kind, 'read')}", hint=_way_for(kind))
        guarantees.append(guarantee_of(kind, fields["access"]))
        if is_api(kind):
            # What a key may do at an API is not told in one way.
            continue
        with told_of(told), request.front.running.by(caller):
            problems = (await _asked(request, order))["problems"]
        refused = [problem for problem in problems if not problem.startswith(_WARNING)]
        if refused:
            raise NotAllowedError(
                f"the account of {name!r} cannot be shared: {'; '.join(refused)}",
                hint="have the database's administrator make an account that may do no more than the members shall",
            )
        warnings += [problem.removeprefix(_WARNING).strip() for problem in problems]
    named = {key: fields[key] for key in ("permission", "access", "confirmed")}
    await in_thread(team.share, caller, fields["what"], fields["name"], fields["group"], changes=True, **named)
    return {"warnings": warnings, "guarantees": [one for one in dict.fromkeys(guarantees) if one]}


def _way_for(kind: str) -> str:
    if kind == "clickhousedb":
        return "save it by ClickHouse's native protocol:  clickhouse+native://user:%secret NAME@host:9000/database"
    return "take a login of the database that may do no more than read, and share it with  --write"


def _connections_behind(team: Any, caller: Caller, what: str, name: str) -> list[str]:
    """Return to what something that is to be shared leads, by the names of the connections."""
    known = team.connections(caller)
    if what == "connection":
        found = [one for one in known if one.name == name][:1]
    else:
        found = [one for one in known if not one.shared_by and name in one.secrets]
    return [one.name for one in found]


async def _asked(request: Request, order: Order) -> dict[str, Any]:
    """Ask a database about itself and the login: a use of the credential like any other, so it is written down."""
    team, caller, number = request.front.team, request.caller, secrets.token_hex(8)
    await in_thread(team.begin_use, caller, order, number, _ASKED)
    outcome = Outcome("failed", 0, 0, 0.0, "BrokerError")
    try:
        facts: dict[str, Any] = await request.front.sessions.ask(order)
        error = facts.get("error")
        outcome = outcome._replace(state="failed" if error else "complete", detail=error["type"] if error else "")
    finally:
        await in_thread(team.end_use, caller, order, number, outcome)
    if error is not None:
        raise error_of(error)
    return facts


_ID = Field(max_characters=64)
USE_ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "query"): Route(
        {
            "id": _ID,
            **TARGET,
            "statement": TEXT,
            "parameters": Field((list, dict, type(None)), required=False),
        },
        query,
        USE,
    ),
    ("POST", "request"): Route(
        {
            "id": _ID,
            **TARGET,
            "method": Field(max_characters=16),
            "path": Field(max_characters=api_rules.MAX_TEXT),
            "query": Field(required=False, default="", max_characters=api_rules.MAX_TEXT),
            "headers": Field(list, required=False, default=[]),
            "body": TEXT._replace(required=False, default=""),
            "timeout_s": Field((int, float, type(None)), required=False),
        },
        ask_api,
        USE,
    ),
    ("POST", "query/cancel"): Route({"id": _ID}, cancel, USE),
    ("POST", "check"): Route(TARGET, check, USE),
    ("PUT", "shares"): Route(
        {
            **SHARE,
            "permission": Field(required=False, default="use", among=("use", "manage")),
            "access": Field(required=False, default="read", among=("read", "write")),
            "confirmed": Field(bool, required=False, default=False),
        },
        share,
    ),
}
