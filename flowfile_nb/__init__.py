"""
Use a credential in a notebook without it ever showing up.

    %load_ext flowfile_nb
    %secret set prod_pw
    %%connect warehouse
    postgresql://app:%secret prod_pw@db.example.com:5432/sales

In Python: `secrets`, `connect`, `panel`, and `Secret`; see README.md.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

    from flowfile_nb.connecting import connect
    from flowfile_nb.core.secret import Secret
    from flowfile_nb.errors import FlowfileNbError
    from flowfile_nb.notebook.panel import panel
    from flowfile_nb.session import secrets

__all__ = ["FlowfileNbError", "Secret", "connect", "load_ipython_extension", "panel", "secrets", "unload_ipython_extension"]

# Loading the extension must cost a millisecond, so each of these is imported when it is first asked for.
_HOMES = {
    "FlowfileNbError": "flowfile_nb.errors",
    "Secret": "flowfile_nb.core.secret",
    "connect": "flowfile_nb.connecting",
    "panel": "flowfile_nb.notebook.panel",
    "secrets": "flowfile_nb.session",
}
_STATE = "_flowfile_nb"
# One of them is in each cell that could have a value in it which our magics refuse, or take: `%sercet set …`, too.
_OURS = ("secret", "connect", " set ")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        what = f"module {__name__!r} has no attribute {name!r}"
        if name.startswith("_"):
            raise AttributeError(what)
        from flowfile_nb.errors import NoSuchAttributeError

        raise NoSuchAttributeError(what, hint=f'a secret is  {__name__}.secrets["prod_pw"];  there are connect, panel, secrets')
    if name == "panel" and sys.platform == "emscripten":
        # Before anything is imported that a browser's Python may not have.
        from flowfile_nb.session import require_platform

        require_platform()
    from importlib import import_module

    from flowfile_nb.loading import uncollected

    with uncollected():
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add `%secret`, `%connect` and `%%connect` to a shell: `%load_ext flowfile_nb`. Refused in browser-only Python."""
    if sys.platform == "emscripten":
        from flowfile_nb.session import require_platform

        require_platform()
    if _STATE in vars(shell):
        return
    # Not above: a script need not have IPython.
    from types import SimpleNamespace

    from IPython.core.completer import context_matcher
    from IPython.core.magic import no_var_expand

    register: Any = shell.register_magic_function  # IPython's annotation of it is wrong
    register(no_var_expand(_secret), "line", "secret")
    register(no_var_expand(_connect), "line_cell", "connect")
    shell.Completer.custom_matchers.append(context_matcher()(_match))
    shell.events.register("pre_run_cell", _before_cell)
    # Kept on the shell, as they were registered: an autoreload of this module would make others of them.
    vars(shell)[_STATE] = SimpleNamespace(
        match=_match,
        before_cell=_before_cell,
        history=_watch_inputs(shell) if shell.history_manager is not None else None,
        errors=_watch_errors(shell),
        guard=None,
        watch=None,
    )
    session = sys.modules.get("flowfile_nb.session")
    if session is not None and session.redactor() is not None:
        from flowfile_nb.extension import guard_outputs

        guard_outputs(session.redactor())
    inputs = [] if shell.history_manager is None else shell.history_manager.input_hist_raw
    # The cell that loads us is remembered already; a value may stand below.
    if inputs and any(word in inputs[-1] for word in _OURS):
        from flowfile_nb.notebook.remembered import clean_last

        clean_last(shell)
    # The cell that loads us may also set something; else the setting is there from the next cell on, which is quicker.
    if inputs and "FlowfileNb" in inputs[-1]:
        from flowfile_nb.extension import watch_cells

        watch_cells(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take out what `load_ipython_extension` put in: `%unload_ext flowfile_nb`."""
    from flowfile_nb.extension import unload

    unload(shell)


# The hooks. They are here because importing a second module would take as long as all of the loading.


def _secret(line: str) -> Any:
    """Store, list and use secrets:  %secret?  is the help page."""
    from flowfile_nb.extension import secret

    return secret(line)


def _connect(line: str, cell: str | None = None) -> Any:
    """Open a connection with secrets by name, and bind it to a variable:  %%connect?  is the help page."""
    from flowfile_nb.extension import connect

    return connect(line, cell)


def _help_page(magic: str) -> str:
    from flowfile_nb import extension

    return str(getattr(extension, magic).__doc__)


# What IPython asks for the text of `%secret?`.
vars(_secret)["getdoc"] = lambda: _help_page("secret")
vars(_connect)["getdoc"] = lambda: _help_page("connect")


def _before_cell(info: Any) -> None:
    from flowfile_nb.extension import before_cell

    before_cell(info)


def _watch_inputs(shell: InteractiveShell) -> Any:
    """Keep values out of `In`, `_ih`, `_i*` and history.sqlite: they all come from one method."""
    history: Any = shell.history_manager
    store_inputs = history.store_inputs

    def store_clean_inputs(line_num: int, source: str, source_raw: str | None = None) -> None:
        # Where this module's magics were never used, no value is known and none can have been refused.
        # `%sercet set …` is none of ours, and has a value in it all the same.
        if "flowfile_nb.session" in sys.modules or any(word in source for word in _OURS):
            from flowfile_nb.notebook.inputs import clean

            source, source_raw = clean(shell, source, source_raw)
        store_inputs(line_num, source, source_raw)

    history.store_inputs = store_clean_inputs
    return store_clean_inputs


def _watch_errors(shell: InteractiveShell) -> Any:
    """Show an error of a connection that was opened earlier in a few lines."""
    show: Any = shell.showtraceback

    def show_short(*args: Any, **options: Any) -> None:
        # While it is being handled; `%tb` asks again later, and gets all of it.
        if args or "flowfile_nb.connections" not in sys.modules or sys.exc_info()[1] is None:
            show(*args, **options)
            return
        from flowfile_nb.notebook.later_errors import show as show_later

        show_later(shell, lambda: show(**options))

    shell.showtraceback = show_short  # type: ignore[method-assign]
    return show_short


def _match(context: CompletionContext) -> Any:
    """Complete verbs, names, kinds, keys and files on the lines of our magics and below `%%connect`; nothing elsewhere."""
    line = context.text_until_cursor
    in_body = context.cursor_line > 0 and context.full_text.lstrip().startswith("%%connect")
    if not in_body and "secret" not in line and "connect" not in line:
        return {"completions": []}
    from flowfile_nb.notebook.completion import complete

    return complete(line, context.full_text.split("\n")[: context.cursor_line] if in_body else [])
