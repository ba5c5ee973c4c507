"""
What IPython and `logging` keep: history, caches, logs, `%store`, crash reports. Nothing of it gets a value.

Inputs are cleaned in `inputs`, for they hold more than known values; everything else here is masked.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from typing import Any

from flowfile_nb.core.names import quoted
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.errors import UsageError
from flowfile_nb.notebook.messages import masked_content, masked_tree
from flowfile_nb.notebook.wrapping import Wrapping

_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({})))


class Records:
    """
    The wrappers round all that keeps something.

    Args:
        shell: The IPython shell.
        redactor: The values to mask.
        clean: Returns both forms of a cell's source as they may be kept.
    """

    def __init__(self, shell: Any, redactor: Redactor, clean: Callable[[str, str], tuple[str, str]]) -> None:
        self._shell = shell
        self._redactor = redactor
        self._clean = clean
        self._wrappings = list(self._all())
        self._store_type: type | None = None
        self._known = 0

    def install(self) -> None:
        """Put the wrappers in."""
        for wrapping in self._wrappings:
            wrapping.install()
        self._guard_store()

    def uninstall(self) -> None:
        """Put back what was there."""
        for wrapping in reversed(self._wrappings):
            wrapping.uninstall()
        if self._store_type is not None and type(self._shell.db).__base__ is self._store_type:
            self._shell.db.__class__ = self._store_type

    def after_cell(self, count: int) -> None:
        """Mask what a cell has left in IPython's caches: `Out[count]` if it is text, and what `%notebook` writes."""
        namespace = self._shell.user_ns
        cached = namespace.get("_oh", {})
        result = cached.get(count)
        masked = self._masked(result) if isinstance(result, (str, bytes)) else result
        if masked is not result:
            cached[count] = masked
            for name in [f"_{count}", "_", "__", "___"]:
                if namespace.get(name) is result:
                    namespace[name] = masked
            hook = self._shell.displayhook
            for name in ("_", "__", "___"):
                if getattr(hook, name, None) is result:
                    setattr(hook, name, masked)
        self._mask_outputs(count)

    def _mask_outputs(self, count: int) -> None:
        """Mask the outputs that IPython 9 remembers, in place: of this cell, and of all if more is known since the last one."""
        history, mask = self._shell.history_manager, self._redactor.mask
        known, self._known = self._known, len(self._redactor.patterns)
        remembered, exceptions = getattr(history, "outputs", None) or {}, getattr(history, "exceptions", None) or {}
        counts = [count] if known == self._known else list({*remembered, *exceptions})
        for output in (output for number in counts if number in remembered for output in remembered[number]):
            stream = output.bundle.get("stream")
            if isinstance(stream, list):
                text = "".join(stream)
                masked = mask(text)
                if masked is not text:
                    stream[:] = [masked]
            else:
                output.bundle = masked_content("display_data", {"data": output.bundle}, mask)["data"]
        for number in counts:
            if number in exceptions:
                exceptions[number] = masked_content("error", exceptions[number], mask)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redactor.mask(value)
        return self._redactor.mask_bytes(value) if isinstance(value, bytes) else value

    def _all(self) -> Iterator[Wrapping]:
        shell, mask = self._shell, self._redactor.mask
        history = shell.history_manager
        if history is not None:
            yield Wrapping(history, "store_output", self._store_output)
        if getattr(shell, "logger", None) is not None:
            yield Wrapping(shell.logger, "log", self._log)
            yield Wrapping(
                shell.logger, "log_write", lambda write: lambda data, kind="input": write(mask(data) if data else data, kind)
            )
        report = getattr(getattr(shell, "parent", None), "crash_handler", None)
        if report is not None:
            yield Wrapping(report, "make_report", lambda make: lambda traceback: mask(make(traceback)))
        yield Wrapping(logging.Logger, "handle", self._handle)
        yield Wrapping(logging.Handler, "format", _masking_result(mask))
        yield Wrapping(logging.Formatter, "formatException", _masking_result(mask))

    def _store_output(self, store: Callable[[int], None]) -> Callable[[int], None]:
        def store_output(line_num: int) -> None:
            shown = self._shell.history_manager.output_hist_reprs
            if line_num in shown:
                shown[line_num] = self._masked(shown[line_num])
            store(line_num)

        return store_output

    def _log(self, log: Callable[[str, str], None]) -> Callable[[str, str], None]:
        def log_clean(line_mod: str, line_ori: str) -> None:
            # IPython calls it for each cell; it writes after `%logstart` only.
            if self._shell.logger.log_active:
                log(*self._clean(line_mod, line_ori))

        return log_clean

    def _handle(self, handle: Callable[[Any, logging.LogRecord], None]) -> Callable[[Any, logging.LogRecord], None]:
        def handle_masked(logger: Any, record: logging.LogRecord) -> None:
            # Before any handler sees it: some send the record itself, with the extras in it.
            mask = self._redactor.mask
            try:
                text = record.getMessage()
            except Exception:  # noqa: BLE001 - arguments that do not fit are reported by the handler, as ever
                text = ""
            masked = mask(text)
            if masked is not text:
                record.msg, record.args = masked, None
            for name, item in vars(record).items():
                if name not in _OF_EVERY_RECORD:
                    setattr(record, name, masked_tree(item, mask))
            handle(logger, record)

        return handle_masked

    def _guard_store(self) -> None:
        """Have `%store` refuse what holds a value: it is a file on disk."""
        kept = getattr(self._shell, "db", None)
        if type(kept) is dict or kept is None:
            return
        redactor, plain = self._redactor, type(kept)

        def set_item(db: Any, key: str, value: Any) -> None:
            try:
                pickled = pickle.dumps(value)
            except Exception:  # noqa: BLE001 - what cannot be pickled is for the store to refuse
                pickled = b""
            for hit in redactor.find(pickled):
                raise UsageError(
                    f"not stored: it holds the value of secret {hit.name!r}, and %store writes it to disk in clear",
                    hint=f"store the Secret, which is kept by its name:  x = %secret {quoted(hit.name)}   then  %store x",
                )
            plain.__setitem__(db, key, value)

        guarded = type(plain.__name__, (plain,), {"__setitem__": set_item, "__module__": plain.__module__})
        kept.__class__ = guarded
        self._store_type = plain


def _masking_result(mask: Callable[[str], str]) -> Callable[[Any], Any]:
    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def masking(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            return mask(result) if isinstance(result, str) else result

        return masking

    return wrap
