"""What of a storage is shared: which place a description fixes, and which names lie within it."""

from __future__ import annotations

import sys

import pytest

from flowfile_nb.broker.definitions import definition_of, place
from flowfile_nb.broker.engines import OpeningError, engine_of
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.storage.names import lies_within


@pytest.mark.parametrize(
    ("body", "shown", "options"),
    [
        (
            "s3://AKIA:%secret k@sales/2026?region=eu-central-1",
            "s3://AKIA@s3.eu-central-1.amazonaws.com:443/sales/2026",
            {"region": "eu-central-1", "addressing_style": "virtual"},
        ),
        (
            "s3://AKIA:%secret k@a.b.c?region=cn-north-1",
            "s3://AKIA@s3.cn-north-1.amazonaws.com.cn:443/a.b.c",
            {"region": "cn-north-1", "addressing_style": "path"},
        ),
        (
            (
                'type = "s3"\nbucket = "sales"\nprefix = "a/b"\nendpoint_url = "http://127.0.0.1:9000"\naccess_key_id = "me"\n'
                "secret_access_key = %secret k"
            ),
            "s3://me@127.0.0.1:9000/sales/a/b",
            {"region": "us-east-1", "addressing_style": "path"},
        ),
    ],
)
def test_what_a_description_fixes(body: str, shown: str, options: dict[str, str]) -> None:
    """Endpoint, key ID, bucket and prefix; the region, and how the bucket stands in a link."""
    found = definition_of(body)

    assert (place(found.target), found.target.options, found.secret) == (shown, options, "k")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (
            "abfs://sales@account.dfs.core.windows.net/2026?account_key=%secret k",
            "abfs://account@account.blob.core.windows.net:443/sales/2026",
        ),
        ("az://sales?account=account&account_key=%secret k", "abfs://account@account.blob.core.windows.net:443/sales"),
        ("gs://sales/2026?service_account_key=%secret k&project=p", "gs://storage.googleapis.com:443/sales/2026"),
    ],
)
def test_what_a_description_of_azure_or_google_fixes(body: str, shown: str) -> None:
    """Account, endpoint, container or bucket, and prefix."""
    found = definition_of(body)

    assert (place(found.target), found.target.tls, found.secret) == (shown, "verify-full", "k")


@pytest.mark.parametrize(
    ("body", "module", "extra"),
    [
        ("s3://A:%secret k@sales?region=eu-central-1", "botocore.config", "s3"),
        ("az://sales?account=account&account_key=%secret k", "azure.storage.blob", "azure"),
        ("gs://sales?service_account_key=%secret k", "google.cloud.storage", "gcs"),
    ],
)
def test_a_library_that_the_broker_lacks(body: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is named to a member as what the broker's operator installs, not as something of the member's own."""
    monkeypatch.setitem(sys.modules, module, None)
    engine = engine_of(definition_of(body).target, "value", Limits())

    with pytest.raises(OpeningError, match=rf"the broker lacks .* who runs it installs  flowfile-nb\[{extra}\]"):
        engine.open()


WITHIN = ["", "/a.csv", "/a%2Fb", "/x=https%3A%2F%2Fexample.com/f", "/ü ß", "/50%", "//a", "/a/", "/..a/b..", "/a;b"]
OUTSIDE = [
    *("sales/database", "sales/dat", "sales", "other/data/a", "/sales/data/a", "sales//data/a", "Sales/data/a", ""),
    *("sales/data/../other", "sales/data/./a", "sales/data/..", "sales/data/a/../../other", "sales/data/..;x/other"),
    *("sales/data/%2e%2e/other", "sales/data/%252e%252e/x", "sales/data/%2e%2e%2fother", "sales/data/..%2fother"),
    *("sales/data\\..\\other", "sales/data/%5c..%5cother", "sales/data/a%00", "sales/data/a\r\nHost: x", "sales/data/a%0d%0a"),
    *("sales%2fdata/a", "sales/data/%25252525252525252e%25252525252525252e/x", "sales/data/ .. /x"),
]


@pytest.mark.parametrize("rest", WITHIN)
def test_names_within(rest: str) -> None:
    """What lies below the root, however odd."""
    assert lies_within("sales/data", f"sales/data{rest}")


@pytest.mark.parametrize("path", OUTSIDE)
def test_names_outside(path: str) -> None:
    """Others, and whatever somebody on the way might read as others."""
    assert not lies_within("sales/data", path)
