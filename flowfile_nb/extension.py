"""
What the hooks of `%load_ext flowfile_nb` lead to, imported when one of them first has something to do; and `%unload_ext`.

The hooks themselves are in the package's `__init__`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from flowfile_nb.loading import uncollected

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_STATE = "_flowfile_nb"


def secret(line: str) -> Any:
    """Store, list and use secrets. A value is never an argument.

    %secret                       the panel; where no widgets are shown, a table
    %secret NAME                  a Secret:  pw = %secret prod_pw
    %secret get NAME              the same, for a name that is also a verb
    %secret set NAME              ask for the value, hidden, and store it
        --replace                 replace the value; shares and connections stay
        --if-missing              do nothing where it is stored: for a cell that runs again
        --file PATH               take it from a file (the line break behind a single line is dropped)
        --env VAR                 take it from an environment variable
        --generate [LENGTH]       make a random one (default 32 characters)
    %secret undo NAME             put back what --replace has replaced: once, for 7 days;  asks, and  --yes  does not ask
    %secret list                  a table: name, owner, shared by, age, last used
    %secret rename OLD NEW        the value, its shares and your saved connections stay
    %secret delete NAME…          says what uses it, and asks;  --yes  does not ask
    %secret env NAME [VAR]        put one value into os.environ of this kernel, on purpose
    %secret import PATH           take credentials out of a .env file, JupySQL's connections.ini, Streamlit's secrets.toml or
                                  Airflow's connections.json into the store: shows what it found, asks, stores
        NAME…                     only these;  --all  plain settings, too;  --prefix TEXT  before each name
        --replace                 also where another value is stored under the name
        --clean | --delete        then put references in place of the values; or delete the file
        --dry-run | --yes         only show; or do not ask
        --as env|ini|toml|airflow where the file's name does not tell
    %secret import --env          the variables FLOWFILE_SECRET_…;  --keyring SERVICE USERNAME  an entry of the keychain
    %secret scan                  find stored values in this folder (as git sees it) and in IPython's history
    %secret scan PATH…            in files and whole folders: sources, outputs, widget state, checkpoints, logs, …
        --fix                     mask outputs, metadata and widget state of notebooks, after a backup; never sources
        --staged                  in what git is about to commit
    %secret log [NAME]            who read or changed it, when, from which notebook; never the value
        --last N                  so many entries (default 30);  --clear  deletes the record
    %secret backup PATH           one file with secrets, groups, connections and the master key; asks for its passphrase
        --overwrite               take the place of a file of that name
        --passphrase-env VAR      take the passphrase from an environment variable
    %secret restore PATH          show what a backup would add, ask, and add it; nothing is overwritten
        --replace                 where values differ, take the backup's; ids, shares and connections stay, and undo works
        --yes, --passphrase-env VAR
    %secret rotate-key            make another master key and re-encrypt everything, after a backup whose passphrase it asks for
        --dry-run                 say what would be done
        --backup PATH             where the backup goes;  --passphrase-env VAR  in a headless run
        --no-backup               without one: asks, and  --yes  does not ask
        --new-key-env VAR         where the key is given (FLOWFILE_MASTER_KEY): the new one, in a variable
    %secret share NAME --group GROUP   in a team: let a group use it, without seeing it, towards the targets of your saved
                                  connections and nowhere else
        --write                   also to change data: says what cannot be promised then, and asks;  --yes  does not ask
    %secret share NAME            with whom it is shared;  %secret unshare NAME --group GROUP   ends that, and what runs by it
    %secret groups                who is in which group
        create | delete GROUP     an admin creates one:  --description TEXT
        add | remove GROUP USER…  --role member, manager or owner;  role GROUP USER ROLE  changes it
        leave GROUP
    %secret doctor                what is in use, and how to mend what is wrong
        --fix                     mend what is safe to mend: permissions, shares of what is gone, names stored twice

    Once a value was read or stored here, outputs show  [secret:NAME]  in its place. That is a seat belt against accidents: code
    that changes a value on purpose (a slice, reversed, encrypted), files of other processes and screenshots are beyond it.
    A cell that holds a stored value in clear:  %config FlowfileNb.cell_source = "warn" | "refuse" | "off"

    Quotes round a name with spaces:  %secret "my name"
    In a connection write  %secret NAME  or  ${secret:NAME};  see %%connect?
    Headless, nobody is asked: set  FLOWFILE_SECRET_<NAME>  instead.
    In a container of Flowfile's without a master key,  %secret  shows how to make one.
    No record of uses is kept with  FLOWFILE_NB_LOG=off  in the environment, or  %config FlowfileNb.access_log = False
    """
    from flowfile_nb.notebook import magics

    return magics.secret(_shell(), line)


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
        --replace                 where the name is a variable already; else you are asked
        --no-test                 do not open it once now
        --as FORM                 duckdb, adbc or ibis in place of the engine; duckdb or polars for places for files; uri is a
                                  text that holds the value
        --timeout SECONDS         how long to wait for the server (default 10); interrupting the cell works, too
        --debug                   show the driver's own error as well, with known values masked; and later errors of what is
                                  bound with all of their traceback, which else  %tb  shows

    Other kinds, with Tab after  type = "  or in the first line:
    postgresql://app:%secret pw@db.example.com/sales?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem
    mysql://app:%secret pw@db.example.com/sales?ssl_ca=/etc/ssl/ca.pem         (mariadb:// too)
    mssql://app:%secret pw@db.example.com/sales
    mssql+pyodbc:///?odbc_connect=Driver={FreeTDS};Server=db.example.com;UID=app;PWD=%secret pw
    oracle://app:%secret pw@db.example.com:1521/?service_name=sales
    sqlite:////home/me/data.db    duckdb:////home/me/data.duckdb    duckdb:///:memory:
    clickhouse://app:%secret pw@db.example.com/sales
    trino://app:%secret pw@trino.example.com:443/catalog/schema
    type = "snowflake"   account = "ab12345"   username = "app"   database = "sales"   schema = "public"
                         private_key = %secret rsa_key   private_key_passphrase = %secret phrase     (or a password)
    type = "bigquery"    project = "my-project"   dataset = "sales"   credentials_json = %secret account
    type = "databricks"  host = "adb-1.azuredatabricks.net"   http_path = "/sql/1.0/…"   token = %secret pat
    s3://AKIA…:%secret key@bucket/prefix?region=eu-central-1      (or endpoint_url=https://…)
    gs://bucket/prefix?service_account_key=%secret google_key
    abfs://container@account.dfs.core.windows.net/path?account_key=%secret azure_key
    sftp://me:%secret pw@files.example.com:22/path                (or private_key=%secret ssh_key)
    https://api.example.com/v1?api_key=%secret key
    type = "https"       url = "https://api.example.com/v1"   token = %secret key     (or username and password; header and
                         token; parameter and token; token_url, client_id and client_secret)
    type = "kafka"       bootstrap_servers = "broker:9092"   sasl_mechanism = "PLAIN"   sasl_username = "app"
                         sasl_password = %secret pw
    Each key stands on a line of its own. Any argument of a driver: a table  [connect_args]  at the end; a reference may stand
    in each value. The pool's options:  [engine].

    %connect                      a table: what is open, saved, or in the project's connections.toml; which secrets are missing
    %connect NAME                 open one by its name, with the options above; also one that was saved in Flowfile
                                  (S3, Azure, Google: a filesystem)
    %connect NAME --edit          put its description into a cell
    %connect NAME --delete        forget a saved one: asks;  --yes  does not. Its secrets stay
    %connect -x NAME              close one
    %connect NAME --export [PATH] write a saved one into connections.toml; without NAME, all.  --yes  replaces without asking

    %connect NAME --share GROUP   in a team: let a group open it;  --write  also to change data,  --manage  also to change it;
                                  without GROUP: with whom it is shared, and for what
    %connect NAME --unshare GROUP   ends that, and what runs by it
    One that is shared with you opens by its name. The broker has the credential: an engine sends statements to it, a filesystem
    gets links to single objects from it, a client has it send the requests.

    connections.toml has one table for each connection, holds no values and is there to be committed: everybody brings their own
    secrets. It is looked for in the notebook's folder and above it up to the project's root (.git or pyproject.toml);
    --file PATH  takes another. A saved one comes before a project's of the same name. A project's is shown before its first use
    and after each change, and you are asked;  --trust  says yes, for a headless run.

    The variable is a SQLAlchemy Engine:  pandas.read_sql("select 1", warehouse)
    For  s3, gs, abfs, sftp  it is an fsspec filesystem:  pandas.read_parquet("s3://bucket/a.parquet", filesystem=lake)
    For  https://…  it is an httpx.Client, for  type = "kafka"  a maker of confluent-kafka's clients.
    The password is read from the store at each new database connection, never kept in the engine: a replaced one is used by the
    next connection, and idle ones are dropped. What --as duckdb, adbc, ibis has open is looked at before each cell: without its
    secret it is cut off; with another one DuckDB attaches anew, ADBC and Ibis are closed and say so. Sent to another process, a
    connection opens anew with that one's own secrets.
    """
    from flowfile_nb.notebook import connect_verb

    return connect_verb.connect(_shell(), line, cell)


def unload(shell: InteractiveShell) -> None:
    """Take out of *shell* what `load_ipython_extension` put in."""
    loaded = vars(shell).pop(_STATE, None)
    if loaded is None:
        return
    for kind, name in (("line", "secret"), ("line", "connect"), ("cell", "connect")):
        shell.magics_manager.magics[kind].pop(name, None)
    shell.Completer.custom_matchers.remove(loaded.match)
    shell.events.unregister("pre_run_cell", loaded.before_cell)
    if panels := sys.modules.get("flowfile_nb.notebook.panel_watch"):
        panels.unwatch(shell)
    if loaded.guard is not None and not loaded.guard.problem:
        _tell_after_cell(shell)
    for part in (loaded.guard, loaded.watch):
        if part is not None:
            part.uninstall()
    # Where another extension has wrapped ours since, ours stays underneath: taking it out would take out theirs.
    history = cast("Any", shell.history_manager)
    if loaded.history is not None and history.store_inputs is loaded.history:
        del history.store_inputs
    if shell.showtraceback is loaded.errors:
        del shell.showtraceback


def _tell_after_cell(shell: InteractiveShell) -> None:
    """Say at the end of this cell that outputs are not masked any more: `%reload_ext` has put the guard back in by then."""

    def tell(result: Any) -> None:
        shell.events.unregister("post_run_cell", tell)
        if _STATE not in vars(shell):
            told = "flowfile_nb: outputs are not masked any more, nor are inputs.  %load_ext flowfile_nb   masks them again"
            print(told, file=sys.stderr)

    shell.events.register("post_run_cell", tell)


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


def before_cell(info: Any) -> None:
    """Have guard, open connections and watch look at the cell that is about to run."""
    shell = _shell()
    loaded = vars(shell)[_STATE]
    if loaded.guard is not None:
        loaded.guard.before_cell()
    if (later := sys.modules.get("flowfile_nb.connections.later")) is not None:
        later.begin_cell()
    # Where one of these two is not loaded, nothing of that kind is open.
    if (pooled := sys.modules.get("flowfile_nb.connections.pooled")) is not None:
        pooled.drop_outdated()
    if "flowfile_nb.connections.held" in sys.modules:
        from flowfile_nb.notebook.held_notice import look_after

        look_after(shell, info.raw_cell)
    with uncollected():
        if loaded.watch is None:
            watch_cells(shell)
        loaded.watch.look_at(info.raw_cell)


def watch_cells(shell: InteractiveShell) -> None:
    """Look for stored values in each cell of *shell*, and make the setting for that known to `%config`."""
    from flowfile_nb.notebook.cell_watch import CellWatch

    watch = vars(shell)[_STATE].watch = CellWatch(shell)
    watch.install()


def _shell() -> InteractiveShell:
    from IPython import get_ipython

    return cast("InteractiveShell", get_ipython())
