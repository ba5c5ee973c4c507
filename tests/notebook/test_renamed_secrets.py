"""A connection that is open goes on with a secret that is renamed, and says the present name: against real servers."""

from __future__ import annotations

import pickle

import pytest

import flowfile_nb as fnb
from notebooks.throwaway import Postgres
from tests.connections.test_described_storage import toml
from tests.support.http_server import Answer, running
from tests.support.s3 import running_s3
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore:The 'future.infer_string' option", "ignore:fetch_arrow_table")  # Ibis does
USES = {
    "": "w.dispose()\nassert pd.read_sql('SELECT 42 AS a', w)['a'].to_list() == [42]",
    "--as adbc": "assert pl.read_database('SELECT 42 AS a', w)['a'].to_list() == [42]",
    "--as ibis": "assert 'pg_class' in w.list_tables(database='pg_catalog')",
}


@pytest.fixture
def url(shell: Shell, postgres: Postgres) -> str:
    """A database whose password is the secret `old`."""
    fnb.secrets["old"] = postgres.password
    shell.run("import pandas as pd, polars as pl")
    return f"postgresql://app:%secret old@{postgres.host}:{postgres.port}/{postgres.database}"


@pytest.mark.parametrize("form", USES)
def test_it_goes_on_and_says_the_present_name(shell: Shell, url: str, form: str) -> None:
    """After the secret is renamed, after another gets the former name, after it is replaced, and after it is gone."""
    shell.run(f"%%connect w {form}\n{url}")
    shell.run("%secret rename old 'sales pw'")
    fnb.secrets["old"] = "another's"

    shell.run(USES[form])
    assert shell.error is None, shell.shown

    fnb.secrets["sales pw"] = "wrong"
    replaced = shell.run(USES[form])
    assert "'sales pw'" in replaced
    del fnb.secrets["sales pw"]
    gone = shell.run(USES[form]) if form == "" else ""
    assert form or "no secret named 'sales pw'" in gone
    for shown in (replaced, gone):
        assert "'old'" not in shown
        assert "set old" not in shown
    assert form or '%secret set "sales pw" --replace' in replaced


@pytest.mark.parametrize("form", ["--as adbc", "--as ibis"])
def test_what_keeps_its_login_says_the_present_name(shell: Shell, url: str, form: str) -> None:
    """When the secret is gone."""
    shell.run(f"%%connect w {form}\n{url}")
    shell.run("%secret rename old new")
    del fnb.secrets["new"]

    shown = shell.run(USES[form])

    assert "its secret 'new' is not there any more\nhint: add it:  %secret set new " in shown


def test_renamed_twice_and_back(shell: Shell, url: str) -> None:
    """Two secrets that change their names with each other are no trouble either."""
    fnb.secrets["other"] = "another's"
    shell.run(f"%%connect w\n{url}")

    for old, new in (("old", "between"), ("other", "old"), ("between", "other")):
        shell.run(f"%secret rename {old} {new}")
        shell.run(USES[""])
        assert shell.error is None, shell.shown

    assert shell.run("%secret rename other back").splitlines() == [
        "Renamed other to back.",
        "w stays open, and from now on by the new name.",
        "In the cell that opens w, write  ${secret:back}",
    ]


def test_the_table_and_the_saved_one(shell: Shell, url: str) -> None:
    """What is saved follows, so what is open is what it says; the table has the present name."""
    shell.run(f"%%connect w --save\n{url}")
    shell.run(f"%%connect scratch\n{url}")
    shell.run("%secret rename old new")

    shell.run("%connect")

    rows = {line.split()[0]: line for line in shell.displayed.splitlines() + shell.shown.splitlines() if line.strip()}
    for name in ("w", "scratch"):
        assert " open " in rows[name]
        assert "new" in rows[name]
    assert "missing" not in shell.displayed + shell.shown


def test_one_that_is_sent_elsewhere_says_the_present_name(shell: Shell, url: str) -> None:
    """The other process knows nothing of the former one."""
    shell.run(f"%%connect w\n{url}")
    shell.run("import flowfile_nb as fnb\nparts = fnb.connect(type='sqlite', database='${secret:old}', test=False)")
    shell.run("%secret rename old new")

    for name in ("w", "parts"):
        sent = pickle.dumps(shell.real.user_ns[name])
        assert b"${secret:new}" in sent
        assert b"secret:old" not in sent
    arrived = pickle.loads(pickle.dumps(shell.real.user_ns["w"]))
    arrived.connect().close()
    arrived.dispose()


def test_a_reference_in_the_place_that_is_told(shell: Shell, url: str, postgres: Postgres) -> None:
    """A user's name from a secret: what is shown of the place has the present name."""
    fnb.secrets["who"] = postgres.user
    shell.run(f"%%connect w\n{url.replace('app:', '%secret who:')}")
    shell.run("%secret rename who user")
    fnb.secrets["old"] = "wrong"

    shown = shell.run(USES[""])

    assert "could not open postgresql://${secret:user}@127.0.0.1" in shown
    assert "'user' (stored" in shown


def test_an_api_and_a_bucket(shell: Shell) -> None:
    """Their refusals name the present one, and what replaces it."""
    with running() as service, running_s3() as s3:
        fnb.secrets["old"] = s3.key
        shell.run(f'%%connect api\ntype = "http"\nurl = "{service.url}/v1"\ntoken = %secret old')
        shell.run(f"%%connect lake\n{toml(s3, prefix='').replace('lake_key', 'old')}")
        assert shell.error is None, shell.shown
        shell.run("%secret rename old new")
        assert "answer.csv" in repr(shell.run("lake.ls('sales', refresh=True)")) + repr(shell.result)
        fnb.secrets["new"] = "wrong"
        service.answer = lambda request: Answer(401)

        of_api = shell.run("api.get('me').raise_for_status()")
        of_bucket = shell.run("lake.ls('sales', refresh=True)")

    for shown in (of_api, of_bucket):
        assert "with secret 'new' (stored just now)" in shown
        assert "%secret set new --replace" in shown
        assert "old" not in shown
