"""
100,000 secrets: what a user does with a store stays usable.

No time by itself is asserted, only how work grows: what looks at one secret may take a few times as long as among ten; what
looks at all, a few times a hundred times as long as for a thousand. Each figure is processor time, which other
programs do not count into, and the best of several, taken in turn. The quick form only does it all.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flowfile_nb.errors import NoSuchSecretError
from tests.benchmarks.measure import rounds
from tests.benchmarks.places import fill, inside_own, name_of, new_home, private_vault, value_of
from tests.reliability.counts import Plan, Tally, as_json

_FACTOR = 4
"""What a hundred times as much may cost beyond a hundred times, and one secret beyond none: caches are smaller than stores."""

Action = Callable[[Any, int], Any]


def crowded(plan: Plan) -> Iterator[Tally]:
    """Use a store of 100,000 secrets beside one of 1,000 and one of 10."""
    large, small, few = plan.pick((100_000, 1_000, 10), (2_000, 200, 10))
    with new_home() as home:
        yield Tally(
            **inside_own("tests.reliability.crowded:use_stores", home, large=large, small=small, few=few, times=plan.pick(5, 1))
        )


def use_stores(large: int, small: int, few: int, times: int) -> dict[str, Any]:
    """Do everything in each store; return the tally."""
    tally = Tally(f"{large:,} secrets")
    vaults = {count: private_vault(Path(f"store-{count}").absolute()) for count in (large, small, few)}
    for count, vault in vaults.items():
        fill(vault, count)
    notes = []
    for action, base, allowed in (
        (_read, few, _FACTOR),
        (_add_and_delete, few, _FACTOR),
        (_open_panel, small, large / small * _FACTOR),
        (_list, small, large / small * _FACTOR),
        (_complete, small, large / small * _FACTOR),
        (_mistype, small, large / small * _FACTOR),
        (_check_up, small, large / small * _FACTOR),
    ):
        many, fewer = rounds(times, _timed(action, vaults[large], large), _timed(action, vaults[base], base))
        ratio = min(many) / min(fewer)
        tally.tried += 1
        name = action.__name__.strip("_").replace("_", " ")
        if times > 1 and ratio > allowed:
            tally.wrong.append(f"{name}: {ratio:.1f} times as long as with {base:,}; at most {allowed:.0f}")
        notes.append(f"{name} {min(many) * 1e3:.0f} ms ({ratio:.1f}x)")
    messages = {count: _panel_messages(vault) for count, vault in vaults.items()}
    if {len(sent) for sent in messages.values()} != {1}:
        tally.wrong.append("the panel sends more messages for more secrets")
    sizes = {count: len(json.dumps(sent)) / count for count, sent in messages.items()}
    if sizes[large] > 1.2 * sizes[small]:
        tally.wrong.append(f"the panel's message has {sizes[large]:.0f} bytes for each secret instead of {sizes[small]:.0f}")
    tally.note = f"against {small:,} (one secret: {few}): {', '.join(notes)}; panel: 1 message, {sizes[large]:.0f} B a name"
    return as_json(tally)


def _timed(action: Action, vault: Any, count: int) -> Callable[[int], float]:
    def clocked(number: int) -> float:
        from flowfile_nb import session

        session.use_backend(vault)
        start = time.process_time()
        action(vault, count)
        return time.process_time() - start

    return clocked


def _read(vault: Any, count: int) -> None:
    from flowfile_nb import secrets

    for number in range(count - 10, count):
        name = name_of(number)
        if secrets[name].get_secret_value() != value_of(name):
            raise AssertionError(f"{name} reads wrong")


def _add_and_delete(vault: Any, count: int) -> None:
    del count
    for _ in range(20):
        vault.set("one more", "value", replace=False)
        vault.delete("one more")


def _list(vault: Any, count: int) -> None:
    from flowfile_nb.notebook import magics

    table = magics.secret(SimpleNamespace(user_ns={}), "list")  # type: ignore[arg-type] # all that is asked
    if len(table.rows) != count or name_of(count - 1) not in repr(table):
        raise AssertionError("the list is not whole")


def _open_panel(vault: Any, count: int) -> None:
    (sent,) = _panel_messages(vault)
    if len(sent["names"]) != count:
        raise AssertionError("the panel is not whole")


def _panel_messages(vault: Any) -> list[Any]:
    """Open the panel as a front end does, and return what it is sent as it comes out of JSON."""
    from flowfile_nb import session
    from flowfile_nb.notebook import panel

    sent: list[Any] = []

    class Widget:
        def send(self, content: Any, buffers: Any = None) -> None:
            sent.append(json.loads(json.dumps(content)))

    session.use_backend(vault)
    panel._as_text()
    panel._handle(Widget(), {"op": "list", "id": 1}, ())  # type: ignore[arg-type]
    return sent


def _complete(vault: Any, count: int) -> None:
    from flowfile_nb.notebook.completion import complete

    found = complete(f"%secret get {name_of(count - 1)[:-1]}")["completions"]
    if name_of(count - 1) not in [completion.text for completion in found]:
        raise AssertionError("Tab does not offer what is there")


def _mistype(vault: Any, count: int) -> None:
    wrong = name_of(count - 1) + "x"
    try:
        vault.require(wrong)
    except NoSuchSecretError as error:
        if name_of(count - 1) not in error.hint:
            raise AssertionError("the nearest name is not the suggested one") from None


def _check_up(vault: Any, count: int) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        findings = vault.findings()
    if ("secrets", f"{count:,}") not in [(finding.topic, finding.state) for finding in findings]:
        raise AssertionError("doctor does not count all")
