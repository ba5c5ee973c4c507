"""A process that starts, reads one secret and ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.measure import NO_FLOWFILE, Effort, Row, rounds
from tests.benchmarks.places import environment, inside, inside_own, name_of, new_home, require, value_of

STORED = 1_000

_OURS = """
import sys, flowfile_nb
print(flowfile_nb.secrets[sys.argv[1]].get_secret_value())
"""
# The least that any program must do: no checks, no errors, nothing but the way from the name to the value.
_FLOOR = """
import sys, sqlite3
from base64 import urlsafe_b64encode
from hmac import digest
from cryptography.fernet import Fernet
name, database, directory, key = sys.argv[1:]
if not key:
    import json
    with open(directory + "/.secret_key", "rb") as file:
        seal = Fernet(file.read())
    with open(directory + "/flowfile.json.enc", "rb") as file:
        key = json.loads(seal.decrypt(file.read()))["master_key"]
user_key = digest(digest(b"flowfile-secrets-v1", key.encode(), "sha256"), b"user-1\\x01", "sha256")
query = "SELECT encrypted_value FROM secrets WHERE user_id = 1 AND name = ? ORDER BY id LIMIT 1"
(token,) = sqlite3.connect(database).execute(query, (name,)).fetchone()
print(Fernet(urlsafe_b64encode(user_key)).decrypt(token.rpartition("$")[2].encode()).decode())
"""
_FLOWFILE = """
import sys
from flowfile_core.secret_manager.secret_manager import decrypt_secret, get_encrypted_secret
print(decrypt_secret(get_encrypted_secret(1, sys.argv[1])).get_secret_value())
"""


def cold_read(effort: Effort) -> Iterator[Row]:
    """
    A whole process that reads one of 1,000 secrets. Goals: 1.15 of the floor; 0.02 of Flowfile's.

    The floor is an interpreter that imports sqlite3 and Fernet, derives the user's key, looks up and decrypts. There are two:
    one is handed the master key on its command line, the other reads it, as everybody must, from the two key files.
    """
    with new_home() as home:
        key, database = inside_own("tests.benchmarks.cold_read:make_store", home, count=STORED)
        directory = str(Path(database).parent)
        ours = _reader(home, sys.executable, _OURS)
        given = _reader(home, sys.executable, _FLOOR, database, directory, key)
        reads = _reader(home, sys.executable, _FLOOR, database, directory, "")
        rounds(effort.pick(3, 2, 0), ours, given, reads)
        mine, floor, whole_floor = rounds(effort.pick(61, 15, 1), ours, given, reads)
    yield Row("cold read / floor that reads the key files", mine, whole_floor, at_most=1.15)
    yield Row("cold read / floor that is given the key", mine, floor, at_most=1.15)
    name = "cold read / Flowfile's"
    if effort.flowfile is None:
        yield Row(name, missing=NO_FLOWFILE, at_most=0.02)
        return
    with new_home() as home:
        inside(effort.flowfile, "tests.benchmarks.places:make_flowfile_store", home, count=STORED)
        ours, theirs = _reader(home, sys.executable, _OURS), _reader(home, effort.flowfile, _FLOWFILE)
        rounds(1, ours, theirs)
        mine, peer = rounds(effort.pick(7, 3, 1), ours, theirs)
    yield Row(name, mine, peer, at_most=0.02)


def make_store(count: int) -> tuple[str, str]:
    """Store *count* secrets; return the master key, which protects nothing but them, and the database."""
    from flowfile_nb.vault import open_vault
    from tests.benchmarks.places import fill

    vault = open_vault()
    fill(vault, count)
    return vault.key.keychain()._master_key.decode(), vault.store.location


def _reader(home: Path, python: str, code: str, *arguments: str) -> Callable[[int], float]:
    surroundings = environment(home)

    def read(number: int) -> float:
        name = name_of(number * 389 % STORED)
        start = time.perf_counter()
        done = subprocess.run(
            [python, "-c", code, name, *arguments], env=surroundings, cwd=home, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        require(done.stdout == value_of(name) + "\n", f"a cold process did not read {name}: {done.stderr[-2000:]}")
        return seconds

    return read
