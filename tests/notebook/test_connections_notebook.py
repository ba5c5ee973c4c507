"""A notebook full of connections that work and fail, run and saved by nbclient: no value in it, nor in what is left of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from flowfile_nb.vault import Vault
from notebooks.throwaway import Postgres
from tests.canary.values import seen
from tests.support.http_server import Answer, running
from tests.support.kernel import LocalKernelManager
from tests.support.s3 import running_s3

TOKEN = "t0k-en/+%&='\"\\-ü"
# Cells, with an empty line between.
WORKING = r"""
%load_ext flowfile_nb
import copy, logging, pickle, traceback, warnings
import flowfile_nb as fnb, pandas as pd, sqlalchemy as sa
from IPython.display import display

%%connect warehouse --save
postgresql://app:%secret pg@HOST:PORT/DATABASE

pd.read_sql('SELECT current_user AS me', warehouse)

display(warehouse, warehouse.url, vars(warehouse), warehouse.url.render_as_string(hide_password=False), warehouse.dialect)

with warehouse.connect() as c:
    driver = c.connection.driver_connection
    print(driver.info.dsn, driver.info.password, vars(c), driver)

open('engine.pickle', 'wb').write(pickle.dumps(warehouse))
copy.copy(warehouse)

%%connect uri --as uri --replace
postgresql://app:%secret pg@HOST:PORT/DATABASE

print(uri)
uri

sa.create_engine(uri.replace('postgresql', 'postgresql+psycopg')).url.password

%%connect headers
type = "http"
url = "API"
[headers]
X-Key = %secret token

headers.get('x').text

%%connect api
type = "http"
url = "API/v1"
token = %secret token

answer = api.get('me')
display(answer, answer.request.headers, vars(answer.request), answer.headers, answer.text, vars(api))

logging.basicConfig(level=0, force=True)
api.get('debug')
logging.getLogger().setLevel(30)

%%connect query
API/v1?api_key=%secret token

answer = query.get('x')
print(answer.url, answer.request.url, answer.text)

%%connect lake
type = "s3"
bucket = "sales"
endpoint_url = "S3"
access_key_id = "KEY_ID"
secret_access_key = %secret s3key

display(lake, vars(lake), lake.ls('sales'), lake.storage_options)
lake.s3._request_signer._credentials.get_frozen_credentials

%%connect duck
duckdb:///:memory:

%connect

%secret list

fnb.panel()

%connect --export

print(f"{fnb.secrets['pg']:plain} {fnb.secrets['pg']:url} {fnb.secrets['pg']:plain}".encode().hex())

warnings.warn(fnb.secrets['pg'].get_secret_value())

try:
    fnb.connect('postgresql://nobody:${secret:pg}@HOST:PORT/x')
except Exception as error:
    display(vars(error), error.__cause__, error.__context__)
    traceback.print_exc()

%connect?

_ih, _oh

%history -n
"""
FAILING = r"""
%%connect bad
postgresql://nobody:%secret pg@HOST:PORT/DATABASE

%%connect bad --debug
postgresql://nobody:%secret pg@HOST:PORT/DATABASE

%%connect bad --debug
postgresql://app:%secret token@HOST:PORT/DATABASE

%%connect bad
postgresql://app:%secret pg@HOST:PORT/%secret token

%%connect bad --debug
mysql://app:%secret pg@HOST:PORT/x

%%connect bad --debug --timeout 1
mssql://app:%secret pg@HOST:PORT/x

%%connect bad --debug
type = "postgresql"
host = "HOST"
port = PORT
password = %secret pg
sslrootcert = %secret token
sslmode = "verify-full"

%%connect bad
type = "postgresql"
host = "HOST"
hsot = %secret token

%%connect bad
https://%secret token@127.0.0.1:1/v1

%%connect bad --debug
type = "http"
url = "API"
test_path = "refused"
token = %secret token

%%connect bad --debug
type = "s3"
bucket = "sales"
endpoint_url = "S3"
access_key_id = "KEY_ID"
secret_access_key = %secret pg

api.get('refused').raise_for_status()

lake.open('sales/nothing.csv')

pd.read_sql('SELECT * FROM nowhere', warehouse)

%xmode Verbose
1 / 0

pd.read_sql('SELECT * FROM nowhere', warehouse, params={'a': fnb.secrets['pg'].get_secret_value()})

value = fnb.secrets['pg'].get_secret_value()
with warehouse.connect() as c:
    c.execute(sa.text('SELECT :a FROM nowhere'), {'a': value})

%tb
1 / 0

with warehouse.connect() as c:
    c.exec_driver_sql(f"SELECT '{fnb.secrets['token'].get_secret_value()!r}' FROM nowhere")

f"{fnb.secrets['pg']}"

fnb.connect('postgresql://app:' + fnb.secrets['pg'].get_secret_value() + '@HOST/x')

fnb.secrets['s3key'] = 'another one'
lake.invalidate_cache()
lake.ls('sales')
"""


def cells_of(text: str, places: dict[str, str]) -> list[str]:
    """Return the cells of a text, with the servers' places filled in."""
    for name, place in places.items():
        text = text.replace(name.upper(), place)
    return text.strip().split("\n\n")


def test_no_value_in_the_notebook_and_in_what_is_left(home: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell did what it should, and what was shown of the values is their names."""
    folder = home / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    vault = Vault({"FLOWFILE_SECURE_STORAGE_PATH": str(home / ".config/flowfile")})
    with running_s3() as s3, running() as http:
        http.answer = lambda request: Answer(401 if "refused" in request.path else 200, body=repr(request.headers).encode())
        values = {"pg": postgres.password, "token": TOKEN, "s3key": s3.key}
        for name, value in values.items():
            vault.set(name, value, replace=False)
        places = {"host": postgres.host, "port": str(postgres.port), "database": postgres.database}
        places |= {"api": http.url, "s3": s3.url, "key_id": s3.key_id}
        working, failing = cells_of(WORKING, places), cells_of(FAILING, places)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in [*working, *failing]])
        with warnings.catch_warnings():
            # nbclient's own business.
            warnings.simplefilter("ignore")
            history = str(home / "history.sqlite")
            client = NotebookClient(
                notebook,
                kernel_manager_class=LocalKernelManager,
                kernel_name="python3",
                allow_errors=True,
                timeout=120,
                ipython_hist_file=history,
            )
            client.execute()

    failed = [cell.source for cell in notebook.cells if any(output.output_type == "error" for output in cell.outputs)]
    assert failed == failing
    assert notebook.metadata.widgets
    short = next(
        str(cell.outputs) for cell in notebook.cells if cell.source == "pd.read_sql('SELECT * FROM nowhere', warehouse)"
    )
    assert "sqlalchemy.inspect(warehouse).get_table_names();  %tb  shows the whole traceback" in short
    assert "site-packages" not in short
    text = nbformat.writes(notebook)
    Path("saved.ipynb").write_text(text, encoding="utf-8")
    assert min(text.count(f"[secret:{name}]") for name in ("pg", "token")) >= 2
    files = {str(path): path.read_bytes().decode("utf-8", "replace") for path in home.rglob("*") if path.is_file()}
    assert {"saved.ipynb", "history.sqlite", "engine.pickle", "connections.toml"} <= {Path(path).name for path in files}
    for name, value in values.items():
        places = {**{cell.source: str(cell) for cell in notebook.cells}, **files}
        for form in (value, value.encode().decode("latin-1")):
            assert [place for place, found in places.items() if seen(form, [found])] == [], name
