"""
What object_storage.ipynb stands on: a server of the S3 protocol (moto's) in this kernel, which goes away with it.

Nothing here is needed to use flowfile_nb. It answers as `s3.example.com`, being the proxy that the environment names: so the
notebook's cells look like yours, and nothing leaves this machine.
"""

from __future__ import annotations

import csv
import logging
import os
import urllib.request
from importlib.resources import files
from typing import Any

import boto3
import pandas as pd

ENDPOINT = "http://s3.example.com"
_started: list[Any] = []


def start_practice_s3() -> None:
    """
    Start a server with one bucket, `penguins`: 344 measured near Palmer Station (Horst, Hill and Gorman 2020, CC0), by year.

    Its key is random, and handed over as a company might: in the environment variables `PRACTICE_KEY_ID` and
    `PRACTICE_PASSWORD`. From then on it looks at who asks.
    """
    while _started:
        # All cells are run again.
        _started.pop().stop()
    os.environ.pop("http_proxy", None)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ.update(S3_IGNORE_SUBDOMAIN_BUCKETNAME="true", AWS_EC2_METADATA_DISABLED="true")
    # Imported here: it reads the variable when it is loaded.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _started.append(server)
    url = "http://{}:{}".format(*server.get_host_and_port())
    _post(f"{url}/moto-api/reset-auth", b"inf")
    _post(f"{url}/moto-api/reset", b"")
    key = _key(url)
    _fill(_client("s3", url, key))
    _post(f"{url}/moto-api/reset-auth", b"0")
    os.environ.update(PRACTICE_KEY_ID=key["AccessKeyId"], PRACTICE_PASSWORD=key["SecretAccessKey"], http_proxy=url, no_proxy="")
    print(f"{ENDPOINT} is answered by this notebook's kernel.")


def start_bucket() -> int:
    """
    Start a server on this machine with the bucket `penguins`, to which a team's broker signs links; return its port.

    It takes any key and any link: this server knows signatures in a header alone.
    """
    # Imported here, and after the variable: it takes a moment.
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    _fill(_client("s3", f"http://{host}:{port}", {"AccessKeyId": "practice", "SecretAccessKey": "practice"}))
    return int(port)


def _key(url: str) -> dict[str, str]:
    iam = _client("iam", url, {"AccessKeyId": "nobody", "SecretAccessKey": "nothing"})
    iam.create_user(UserName="notebook")
    policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    iam.put_user_policy(UserName="notebook", PolicyName="all", PolicyDocument=policy)
    key: dict[str, str] = iam.create_access_key(UserName="notebook")["AccessKey"]
    return key


def _fill(s3: Any) -> None:
    s3.create_bucket(Bucket="penguins")
    text = files("palmerpenguins").joinpath("data/penguins.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    for year in ("2007", "2008", "2009"):
        frame = pd.DataFrame([row for row in rows if row["year"] == year])
        s3.put_object(Bucket="penguins", Key=f"{year}/penguins.parquet", Body=frame.to_parquet())


def _client(service: str, url: str, key: dict[str, str]) -> Any:
    login = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", **login)


def _post(url: str, body: bytes) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(url, data=body, headers={"Content-Type": "text/plain"}, method="POST")).close()
