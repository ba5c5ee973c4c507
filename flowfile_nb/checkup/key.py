"""The master key: which one, from where, and whether it is the store's own."""

from __future__ import annotations

from flowfile_nb.backend import Finding
from flowfile_nb.checkup.subject import Subject
from flowfile_nb.storage.master_key import key_source, read_master_key


def master_key(subject: Subject) -> list[Finding]:
    """Return which key is in use, or what is wrong with it."""
    source = key_source(subject.paths, subject.environ)
    store = subject.store
    expected = store.fact("key_id")
    made = store.fact("key_home") or store.tokens(1) or read_master_key(subject.paths, subject.environ)
    if not made:
        return [Finding("master key", f"none yet; it is made with the first secret, in {source}"), *_home(subject)]
    key_id = subject.key.keychain().key_id
    if subject.key.is_pending:
        state = f"{key_id} from {source}; a rotation to another key was cut short, and cannot be finished now"
        remedy = "make the key's folder writable, or wait for the process that is at it: the next read finishes it"
        return [Finding("master key", state, ok=False, remedy=remedy), *_home(subject)]
    # The one before the last rotation: it was cut short when all but this record was done; the next write sets that right.
    if expected not in (None, key_id, subject.key.previous_id):
        state = f"{key_id} from {source}, but the store is written with {expected}"
        return [Finding("master key", state, ok=False, remedy="put the key with that id back; nothing is written until then")]
    return [Finding("master key", f"{key_id} from {source}"), *_home(subject)]


def _home(subject: Subject) -> list[Finding]:
    if not subject.paths.keychain:
        return []
    return [Finding("key home", "the OS keychain, which Flowfile cannot read: its own secrets are not used here")]
