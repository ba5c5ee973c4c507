"""A real PostgreSQL that takes encrypted connections only; the one that the other tests use is built without TLS."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.certificates import self_signed
from tests.support.processes import ended_after, free_port, wait_for_port

_NOBODY = 65534
_PASSWORD = "p@ss/word"


class EncryptedPostgres(NamedTuple):
    """A running server, its login, and the file of the authority that signed its certificate (for `localhost`)."""

    port: int
    user: str
    password: str
    root: Path


def programs() -> Path | None:
    """Return the folder with the newest PostgreSQL server of this machine, where Debian puts them; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def running_encrypted_postgres() -> Iterator[EncryptedPostgres]:
    """Start the server on a free port of this machine alone, and stop it at the end."""
    folder_of_programs = programs()
    assert folder_of_programs is not None
    with tempfile.TemporaryDirectory(prefix="flowfile_nb_tls_") as temporary:
        folder = Path(temporary)
        made = self_signed(folder)
        password_file = folder / "password"
        password_file.write_text(_PASSWORD, encoding="utf-8")
        as_nobody: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            as_nobody = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            for path in (folder, *folder.iterdir()):
                os.chown(path, _NOBODY, _NOBODY)
        data, log, port = folder / "data", folder / "server.log", free_port()
        quiet: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL, **as_nobody}
        with log.open("wb") as output:
            subprocess.run(
                [folder_of_programs / "initdb", "-D", data, "-U", "app", "-A", "scram-sha-256", f"--pwfile={password_file}"],
                check=True,
                stdout=output,
                stderr=output,
                **quiet,
            )
            (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n", encoding="utf-8")
            settings = {
                "listen_addresses": "127.0.0.1",
                "port": port,
                "unix_socket_directories": "",
                "ssl": "on",
                "ssl_cert_file": made.certificate,
                "ssl_key_file": made.key,
                "fsync": "off",
            }
            options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            server = subprocess.Popen(
                [folder_of_programs / "postgres", "-D", data, *options], stdout=output, stderr=output, **quiet
            )
            with ended_after(server):
                wait_for_port(server, port, 60, log)
                yield EncryptedPostgres(port, "app", _PASSWORD, made.certificate)
