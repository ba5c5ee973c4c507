"""What is secret inside of a stored file of credentials is masked by itself, and what is not secret is not."""

from __future__ import annotations

import json

import pytest

from flowfile_nb.core.key_files import secrets_in
from flowfile_nb.core.redaction import Redactor
from tests.core.redaction_values import PEM

SERVICE_ACCOUNT = {
    "type": "service_account",
    "project_id": "a-project",
    "private_key_id": "0f3bc2d1e4",
    "private_key": PEM,
    "client_email": "app@a-project.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}


def masking(value: str) -> Redactor:
    redactor = Redactor()
    redactor.learn("key", value)
    return redactor


@pytest.mark.parametrize("indent", [None, 2])
def test_a_service_account(indent: int | None) -> None:
    """Its private key is masked as it is read; what everybody may know of it is not."""
    stored = json.dumps(SERVICE_ACCOUNT, indent=indent)
    redactor = masking(stored)

    assert redactor.mask(f"<{PEM}>") == "<[secret:key]>"
    assert redactor.mask(repr(json.loads(stored)["private_key"])) == "'[secret:key]'"
    for name in ("type", "project_id", "client_email", "token_uri"):
        assert redactor.mask(f"<{SERVICE_ACCOUNT[name]}>") == f"<{SERVICE_ACCOUNT[name]}>"


@pytest.mark.parametrize(
    "key",
    [
        *(
            "private_key",
            "privateKey",
            "client_secret",
            "password",
            "DB_PASSWORD",
            "token",
            "refresh_token",
            "secret",
            "apiKey",
        ),
        *("SecretAccessKey", "aws_secret_access_key", "x-api-key", "connection_string"),
    ],
)
def test_keys_of_secrets(key: str) -> None:
    """However they are written, and however deep they stand."""
    assert secrets_in(json.dumps({key: "hunter2"})) == ["hunter2"]
    assert secrets_in(json.dumps({"installed": [{key: ["hunter2", 1, None]}]})) == ["hunter2"]
    assert masking(json.dumps({"a": {key: "hunter2"}})).mask("say hunter2") == "say [secret:key]"


@pytest.mark.parametrize(
    "key", ["private_key_id", "token_uri", "token_type", "user", "password_hint", "secret_name", "client_id"]
)
def test_other_keys(key: str) -> None:
    """What is no secret stays to be read."""
    assert secrets_in(json.dumps({key: "hunter2"})) == []


@pytest.mark.parametrize(
    "value", ["hunter2", "", "{", '{"password": ', '["password"]', '"password"', '{"a": ' * 100_000, "{} password"]
)
def test_what_is_no_object(value: str) -> None:
    """Nothing is in it."""
    assert secrets_in(value) == []


def test_short_ones() -> None:
    """Under 4 characters they would hit everywhere."""
    assert masking('{"password": "abc", "token": "abcd"}').mask("abc abcd") == "abc [secret:key]"
