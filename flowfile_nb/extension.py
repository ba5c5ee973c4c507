"""
`%load_ext flowfile_nb` and its mirror image.

Loading must cost a millisecond, so this module imports nothing of ours: what a magic needs is imported when it is first used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from IPython.core.completer import context_matcher
from IPython.core.magic import no_var_expand

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

_STATE = "_flowfile_nb"


@no_var_expand
def secret(line: str) -> Any:
    """Store, list and use secrets. A value is never an argument.

    %secret                       the panel; where no widgets are shown, a table
    %secret NAME                  a Secret:  pw = %secret prod_pw
    %secret get NAME              the same, for a name that is also a verb
    %secret set NAME              ask for the value, hidden, and store it
        --replace                 replace the value; shares and connections stay
        --if-missing              do nothing where it is stored: for a cell that runs again
        --file PATH               take it from a file (one line break at the end is dropped)
        --env VAR                 take it from an environment variable
        --generate [LENGTH]       make a random one (default 32 characters)
    %secret list                  a table: name, owner, shared by, age
    %secret rename OLD NEW        the value and its shares stay
    %secret delete NAME…          says what uses it, and asks;  --yes  does not ask
    %secret env NAME [VAR]        put one value into os.environ of this kernel, on purpose
    %secret scan                  find stored values in this folder (as git sees it) and in IPython's history
    %secret scan PATH…            in files and whole folders: sources, outputs, widget state, checkpoints, logs, …
        --fix                     mask outputs, metadata and widget state of notebooks, after a backup; never sources
        --staged                  in what git is about to commit
    %secret doctor                what is in use, and how to mend what is wrong

    Once a value was read or stored here, outputs show  [secret:NAME]  in its place. That is a seat belt against accidents: code
    that changes a value on purpose (a slice, reversed, encrypted), files of other processes and screenshots are beyond it.
    A cell that holds a stored value in clear:  %config FlowfileNb.cell_source = "warn" | "refuse" | "off"

    Quotes round a name with spaces:  %secret "my name"
    In a connection write  %secret NAME  or  ${secret:NAME};  see %%connect?
    Headless, nobody is asked: set  FLOWFILE_SECRET_<NAME>  instead.
    """
    from flowfile_nb.notebook import magics

    return magics.secret(_shell(), line)


@no_var_expand
def connect(line: str, cell: str | None = None) -> Any:
    """Open a connection with secrets by name, and bind it to a variable.

    %%connect warehouse           the cell below it describes the connection:
    postgresql://app:%secret prod_pw@db.example.com:5432/sales

    %%connect warehouse           or by its parts, as TOML:
    type     = "postgresql"
    host     = "db.example.com"
    database = "sales"
    username = "app"
    password = %secret prod_pw

        --save                    keep the description (references only) for other notebooks
        --no-test                 do not open it once now
        --as FORM                 duckdb, adbc or ibis in place of the engine; uri is a text that holds the value

    %connect                      a table: what is open, and what is saved
    %connect NAME                 open a saved one
    %connect -x NAME              close one

    The variable is a SQLAlchemy Engine:  pandas.read_sql("select 1", warehouse)
    For  https://…  it is an httpx.Client, for  type = "kafka"  a maker of confluent-kafka's clients.
    The password is read from the store at each new database connection, never kept in the engine.
    """
    from flowfile_nb.notebook import magics

    return magics.connect(_shell(), line, cell)


class _Loaded:
    """What `load` has put into one shell. It is kept on the shell: an autoreload of this module would lose it here."""

    __slots__ = ("before_cell", "guard", "history", "match", "watch")

    def __init__(self) -> None:
        self.guard: Any = None
        self.watch: Any = None
        self.history: Any = None
        self.before_cell = _before_cell
        self.match = _match


def load(shell: InteractiveShell) -> None:
    """Put the magics, their completion, and the watch over inputs and outputs into *shell*."""
    if _STATE in vars(shell):
        return
    register: Any = shell.register_magic_function  # IPython's annotation of it is wrong
    register(secret, "line", "secret")
    register(connect, "line_cell", "connect")
    loaded = vars(shell)[_STATE] = _Loaded()
    shell.Completer.custom_matchers.append(loaded.match)
    loaded.history = _watch_inputs(shell) if shell.history_manager is not None else None
    shell.events.register("pre_run_cell", loaded.before_cell)
    session = sys.modules.get("flowfile_nb.session")
    if session is not None and session.redactor() is not None:
        guard_outputs(session.redactor())
    # The cell that loads us may also set something; else the setting is there from the next cell on, which is quicker.
    inputs = [] if shell.history_manager is None else shell.history_manager.input_hist_raw
    if inputs and "FlowfileNb" in inputs[-1]:
        _watch_cells(shell)


def unload(shell: InteractiveShell) -> None:
    """Take out of *shell* what `load` put in."""
    loaded = vars(shell).pop(_STATE, None)
    if loaded is None:
        return
    for kind, name in (("line", "secret"), ("line", "connect"), ("cell", "connect")):
        shell.magics_manager.magics[kind].pop(name, None)
    shell.Completer.custom_matchers.remove(loaded.match)
    shell.events.unregister("pre_run_cell", loaded.before_cell)
    for part in (loaded.guard, loaded.watch):
        if part is not None:
            part.uninstall()
    # Where another extension has wrapped ours since, ours stays underneath: taking it out would take out theirs.
    history = cast("Any", shell.history_manager)
    if loaded.history is not None and history.store_inputs is loaded.history:
        del history.store_inputs


def guard_outputs(redactor: Any) -> None:
    """Mask in all that the shell shows what *redactor* knows. Called when there is the first value to mask."""
    shell = _shell()
    loaded = vars(shell).get(_STATE) if shell is not None else None
    if loaded is None:
        return
    if loaded.guard is None:
        from flowfile_nb.notebook.guard import Guard

        loaded.guard = Guard(shell, redactor)
        loaded.guard.install()
    else:
        loaded.guard.adopt(redactor)


def _before_cell(info: Any) -> None:
    shell = _shell()
    loaded = vars(shell)[_STATE]
    if loaded.guard is not None:
        loaded.guard.before_cell()
    if loaded.watch is None:
        _watch_cells(shell)
    loaded.watch.look_at(info.raw_cell)


def _watch_cells(shell: InteractiveShell) -> None:
    from flowfile_nb.notebook.cell_watch import CellWatch

    watch = vars(shell)[_STATE].watch = CellWatch(shell)
    watch.install()


def _watch_inputs(shell: InteractiveShell) -> Any:
    """Keep values out of `In`, `_ih`, `_i*` and history.sqlite: they all come from one method."""
    history: Any = shell.history_manager
    store_inputs = history.store_inputs

    def store_clean_inputs(line_num: int, source: str, source_raw: str | None = None) -> None:
        # Where this module's magics were never used, no value is known and none can have been refused.
        if "flowfile_nb.session" in sys.modules or "secret" in source or "connect" in source:
            from flowfile_nb.notebook.inputs import clean

            source, source_raw = clean(shell, source, source_raw)
        store_inputs(line_num, source, source_raw)

    history.store_inputs = store_clean_inputs
    return store_clean_inputs


@context_matcher()  # type: ignore[untyped-decorator]
def _match(context: CompletionContext) -> Any:
    """Complete verbs, names and files on the lines of our magics, and say nothing about any other line."""
    line = context.line_with_cursor
    if "secret" not in line and "connect" not in line:
        return {"completions": []}
    from flowfile_nb.notebook.completion import complete

    return complete(line)


def _shell() -> InteractiveShell:
    from IPython import get_ipython

    return cast("InteractiveShell", get_ipython())
