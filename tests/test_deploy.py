"""What `.deploy` has to copy fits together, and fits the program: without an engine, cluster or Hub. More in `tests/e2e`."""

from __future__ import annotations

import argparse
import io
import json
import re
import shlex
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from traitlets.config.loader import PyFileConfigLoader

from flowfile_nb.broker import command
from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.lifecycle import new_key
from tests.support.front import Front

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / ".deploy"
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "flowfile_nb").rglob("*.py"))
# Of others' programs that are named there.
FOREIGN_FLAGS = {"--system", "--shell", "--no-cache-dir", "--uid", "--interval", "--timeout"}
FOREIGN_VARIABLES = {"FLOWFILE_NB_HUB_TOKEN"}  # JupyterHub's configuration reads it


def serve_parser() -> argparse.ArgumentParser:
    """The options of `serve`, as the program has them."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add_options(parser, argparse.ArgumentParser())
    return parser


def compose() -> dict[str, Any]:
    """The compose file."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8")))


def dockerfile() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what stands behind them."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def instruction(name: str) -> str:
    """The last of a kind, which is the one that counts."""
    return [rest for word, rest in dockerfile() if word == name][-1]


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a systemd unit, with lines that go on put together."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "systemd" / name).read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def hub_config(monkeypatch: pytest.MonkeyPatch) -> Any:
    """JupyterHub's configuration, as its own loader reads it."""
    monkeypatch.setenv("FLOWFILE_NB_HUB_TOKEN", "token-of-the-broker")
    return PyFileConfigLoader("jupyterhub_config.py", str(DEPLOY)).load_config()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_options_and_variables_are_the_programs(path: Path) -> None:
    """Whatever is named there, `serve` takes or the code reads: nothing was renamed behind it."""
    text = path.read_text(encoding="utf-8")
    keys = argparse.ArgumentParser()
    new_key.add_options(keys)
    known = {*serve_parser()._option_string_actions, *keys._option_string_actions, *FOREIGN_FLAGS}

    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    variables = set(re.findall(r"\b(?:FLOWFILE|JUPYTERHUB)_[A-Z_]+\b", text)) - FOREIGN_VARIABLES

    assert flags <= known, flags - known
    assert not {name for name in variables if name not in SOURCES}


def test_the_images_command_is_one_that_serve_takes() -> None:
    """Entry point and command together: TLS, its own folder, as a module that nobody's folder stands before."""
    program, *given = json.loads(instruction("ENTRYPOINT")) + json.loads(instruction("CMD"))

    assert (program, given[:4]) == ("python", ["-I", "-m", "flowfile_nb", "serve"])
    args = serve_parser().parse_args(given[4:])
    assert (args.host, args.port) == ("0.0.0.0", int(instruction("EXPOSE")))
    assert args.directory == instruction("VOLUME")
    secrets = compose()["secrets"]
    for file in (args.tls_cert, args.tls_key):
        assert Path(file).parent == Path("/run/secrets")
        assert Path(file).name in secrets


def test_the_image_is_made_of_what_is_there() -> None:
    """What it copies is in the repository; its user is not root, owns its folder alone, and cannot change what it runs."""
    copied = [source for word, rest in dockerfile() if word == "COPY" for source in shlex.split(rest)[:-1]]
    installed, made = next(rest for word, rest in dockerfile() if word == "RUN").split("&&", 1)
    order = [word for word, _ in dockerfile()]

    assert all((ROOT / source).exists() for source in copied)
    assert "'/src[team]'" in installed
    assert f"useradd --system --uid 10001 --shell /usr/sbin/nologin {instruction('USER')}" in made
    assert f"-o {instruction('USER')} -g {instruction('USER')} -m 0700 {instruction('VOLUME')}" in made
    assert order.index("RUN") < order.index("USER")


def test_the_health_check_knows_a_broker_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as it stands there against a real one with TLS, behind a prefix; against nothing it fails."""
    words = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for number, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(tmp_path / "cert.pem", append=number > 0)
    prefix = "/services/flowfile-secrets/"
    options = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"), "--prefix", prefix]
    front = Front(tmp_path / "broker", generate_master_key().decode(), options)
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", prefix)
    code = words[-1].replace(":8765", f":{front.port}")

    def ask() -> int:
        return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, timeout=60, check=False).returncode

    front.start()
    try:
        assert words[:3] == ["python", "-I", "-c"]
        assert ask() == 0
    finally:
        front.close()
    assert ask() != 0


def test_containers_can_do_no_more_than_they_need() -> None:
    """No port of the host, no right of root's, nothing written but in the volume; the store is in a network of two."""
    made = compose()
    broker, store = made["services"]["broker"], made["services"]["store"]

    assert (broker["read_only"], broker["cap_drop"], broker["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    assert [service for service in made["services"].values() if "ports" in service or "privileged" in service] == []
    assert broker["volumes"] == ["broker:" + instruction("VOLUME")]
    assert made["networks"]["store"] == {"internal": True}
    assert [name for name, service in made["services"].items() if "store" in service["networks"]] == ["broker", "store"]
    assert store["networks"] == ["store"]
    assert (ROOT / broker["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    assert (DEPLOY / broker["build"]["context"]).resolve() == ROOT


def test_no_secret_of_the_containers_has_a_default() -> None:
    """Each is asked for where it is missing, or comes from a file; the key's is where the broker looks for it."""
    made = compose()
    environment = {**made["services"]["broker"]["environment"], **made["services"]["store"]["environment"]}
    holds = {name: text for name, text in environment.items() if re.search("TOKEN|PASSWORD|STORE", name)}

    assert len(holds) == 3
    for name, text in holds.items():
        assert re.search(r"\$\{\w+:\?", text), name
    for name, secret in made["secrets"].items():
        assert secret == {"file": secret["file"]}, name
    assert set(made["services"]["broker"]["secrets"]) == set(made["secrets"])
    assert f'"/run/secrets/{next(iter(made["secrets"]))}"' in SOURCES


def test_systemds_command_is_one_that_serve_takes() -> None:
    """The broker takes the sockets that are passed, and gets its token as a credential and its key from a file of root's."""
    service = unit("flowfile-nb.service")

    program, *given = shlex.split(service["ExecStart"][0])
    args = serve_parser().parse_args(given[4:])

    assert given[:4] == ["-I", "-m", "flowfile_nb", "serve"]
    assert Path(program).is_absolute()
    assert (args.socket, args.fd, args.port) == (None, None, None)
    assert args.hub_token_file == f"%d/{service['LoadCredential'][0].partition(':')[0]}"
    assert service["EnvironmentFile"][0].startswith("/etc/")
    assert service["Requires"] == ["flowfile-nb.socket"]


def test_hub_sockets_and_kernels_mean_the_same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd listens, where the Hub sends to, where kernels look, and what the broker is called there."""
    config = hub_config(monkeypatch)
    (service,) = config.JupyterHub.services
    listens = unit("flowfile-nb.socket")["ListenStream"]
    args = serve_parser().parse_args(shlex.split(unit("flowfile-nb.service")["ExecStart"][0])[5:])
    environment = compose()["services"]["broker"]["environment"]

    assert config.Spawner.environment["FLOWFILE_NB_TEAM"] == f"unix:{listens[0]}"
    assert service["url"] == f"http://{listens[1]}"
    assert service["name"] == args.service == environment["JUPYTERHUB_SERVICE_NAME"]
    assert f"/services/{service['name']}/" == args.prefix == environment["JUPYTERHUB_SERVICE_PREFIX"]
    assert (args.port, json.loads(instruction("CMD"))[3]) == (None, listens[1].rpartition(":")[2])


def test_the_hubs_scopes_are_these_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel's token calls the broker and nothing else of the Hub's; the broker reads names and groups."""
    config = hub_config(monkeypatch)
    call = "access:services!service=flowfile-secrets"
    callers, broker = config.JupyterHub.load_roles

    assert config.Spawner.server_token_scopes == ["users:activity!user", "access:servers!server", call]
    assert config.Spawner.oauth_client_allowed_scopes == [call]
    assert (callers["scopes"], "groups" in callers) == ([call], True)
    assert broker["scopes"] == ["read:users:name", "read:users:groups"]
    assert (broker["services"], config.JupyterHub.services[0]["api_token"]) == ([broker["name"]], "token-of-the-broker")


def test_each_scope_has_its_reason() -> None:
    """A comment on its line, or on one before it within the same list."""
    text = (DEPLOY / "jupyterhub_config.py").read_text(encoding="utf-8")
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    scopes = [
        token for token in tokens if token.type == tokenize.STRING and re.match(r'"(?:read|users|access|admin):', token.string)
    ]

    assert len(scopes) == 4
    assert [scope.string for scope in scopes if not {scope.start[0], scope.start[0] - 1} & commented] == []
