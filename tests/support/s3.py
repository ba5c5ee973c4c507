"""A real server of the S3 protocol, moto's, that checks each signature, for one test session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import boto3

from tests.support.processes import ended_after, free_port, wait_for_port

REGION = "eu-central-1"


class S3Server(NamedTuple):
    """A running server, and one key that it knows; the bucket `sales` has one file."""

    url: str
    key_id: str
    key: str
    role: str
    """The ARN of a role that the key's owner may assume."""

    def admin(self, service: str = "s3") -> Any:
        """Return a client of AWS's own library with the key."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.key,
        )


@contextmanager
def running_s3(**environ: str) -> Iterator[S3Server]:
    """Start a server on a free port of this machine alone, and stop it at the end. *environ* are more of its variables."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="flowfile_nb_s3_") as folder:
        log = Path(folder) / "server.log"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environ}, stdout=output, stderr=output)
        with ended_after(process):
            wait_for_port(process, port, 60, log)
            yield _prepared(S3Server(f"http://127.0.0.1:{port}", "nobody", "nothing", ""))


def _prepared(server: S3Server) -> S3Server:
    iam = server.admin("iam")
    user = iam.create_user(UserName="app")["User"]["Arn"]
    policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    iam.put_user_policy(UserName="app", PolicyName="all", PolicyDocument=policy)
    key = iam.create_access_key(UserName="app")["AccessKey"]
    may_assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": user}}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [may_assume]})
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName="reader", PolicyName="all", PolicyDocument=policy)
    ready = server._replace(key_id=key["AccessKeyId"], key=key["SecretAccessKey"], role=role)
    ready.admin().create_bucket(Bucket="sales", CreateBucketConfiguration={"LocationConstraint": REGION})
    ready.admin().put_object(Bucket="sales", Key="answer.csv", Body=b"answer\n42\n")
    # From now on it looks at who asks.
    switch = urllib.request.Request(
        f"{server.url}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}, method="POST"
    )
    urllib.request.urlopen(switch).close()
    return ready
