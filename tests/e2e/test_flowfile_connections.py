"""Connections that were saved by the real Flowfile, opened here by their names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.errors import ConnectionFailedError, UsageError
from notebooks.throwaway import Postgres
from tests.support.flowfile import PYTHON, Flowfile, Service, running_flowfile, running_service
from tests.support.s3 import REGION, running_s3
from tests.support.shell import Shell

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not PYTHON, reason="FLOWFILE_NB_FLOWFILE_PYTHON is not set"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def flowfile(home: Path) -> Iterator[Flowfile]:
    """Flowfile's own Python interface on this home."""
    with running_flowfile(home) as flowfile:
        yield flowfile


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    """Flowfile's service on this home."""
    with running_service(home) as service:
        yield service


def test_a_database_connection_saved_in_its_interface(service: Service, shell: Shell, postgres: Postgres) -> None:
    """Saved over HTTP as its dialog does, opened, changed there, opened again, deleted there."""
    saved = {
        "connection_name": "warehouse",
        "database_type": "postgresql",
        "host": postgres.host,
        "port": postgres.port,
        "database": postgres.database,
        "username": postgres.user,
        "password": "wrong",
        "ssl_enabled": False,
    }
    service.ask("POST", "/db_connection_lib", saved)

    shell.run("%connect")
    assert "saved in Flowfile" in repr(shell.result)
    shell.run("%connect warehouse")
    assert isinstance(shell.error, ConnectionFailedError)
    service.ask("PUT", "/db_connection_lib", {**saved, "password": postgres.password})
    shown = shell.run("%connect warehouse")
    assert "Connected: warehouse = postgresql://app@" in shown
    shell.run("import pandas as pd; pd.read_sql('SELECT 42 AS answer', warehouse)['answer'][0]")
    assert shell.result == 42
    assert postgres.password not in shown + shell.shown

    service.ask("DELETE", "/db_connection_lib?connection_name=warehouse")
    shell.run("%connect -x warehouse")
    shell.run("%connect warehouse")
    assert isinstance(shell.error, UsageError)


def test_deleting_a_secret_says_which_of_its_connections_use_it(flowfile: Flowfile, shell: Shell, tmp_path: Path) -> None:
    """The secret of a connection is one of the list; whoever deletes it is told what it breaks."""
    flowfile(
        "save_database",
        connection_name="files",
        database_type="sqlite",
        username="",
        password="x",
        database=str(tmp_path / "a.db"),
    )

    assert "It was used by files" in shell.run("%secret delete files --yes") + shell.run("%secret list")
    # What has no password needs none.
    connecting.open_flowfiles("files").native.dispose()


def test_its_cloud_connections(flowfile: Flowfile, shell: Shell) -> None:
    """S3 against a real server; Azure and Google as the libraries are given them."""
    with running_s3() as s3:
        flowfile(
            "save_cloud",
            connection_name="lake",
            storage_type="s3",
            auth_method="access_key",
            aws_region=REGION,
            aws_access_key_id=s3.key_id,
            aws_secret_access_key=s3.key,
            endpoint_url=s3.url,
            aws_allow_unsafe_html=True,
        )
        assert "Connected: lake = s3:// at" in shell.run("%connect lake")
        shell.run("lake.cat('sales/answer.csv')")
        assert shell.result == b"answer\n42\n"

    flowfile(
        "save_cloud",
        connection_name="blobs",
        storage_type="adls",
        auth_method="access_key",
        azure_account_name="account",
        azure_account_key="a2V5",
    )
    blobs = connecting.open_flowfiles("blobs", test=False).native
    assert blobs.service_client._credential_policy.account_key == "a2V5"

    key = json.dumps({"type": "service_account", "client_email": "a@b", "private_key": "canary", "token_uri": "https://x"})
    flowfile(
        "save_cloud",
        connection_name="objects",
        storage_type="gcs",
        auth_method="service_account",
        gcs_project_id="project",
        gcs_service_account_key=key,
    )
    objects = connecting.open_flowfiles("objects", test=False).native
    assert objects.project == "project"
    assert fnb.secrets["objects_gcs_service_account_key"].get_secret_value() == key
    shell.run("%connect")
    assert [name in repr(shell.result) for name in ("lake", "blobs", "objects")] == [True] * 3
