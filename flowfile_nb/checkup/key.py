"""The master key: which one, from where, and whether it is the store's own."""

from __future__ import annotations

import os

from flowfile_nb.backend import Finding
from flowfile_nb.checkup.subject import Subject
from flowfile_nb.storage.master_key import key_source


def master_key(subject: Subject) -> list[Finding]:
    """Return which key is in use, or what is wrong with it."""
    source = key_source(subject.paths, subject.environ)
    if not subject.store.tokens(1) and source == subject.paths.key_store and not os.path.exists(source):
        return [Finding("master key", "none yet; it is made with the first secret")]
    key_id = subject.key.keychain().key_id
    expected = subject.store.fact("key_id")
    if expected not in (None, key_id):
        state = f"{key_id} from {source}, but the store is written with {expected}"
        return [Finding("master key", state, ok=False, remedy="put the key with that id back; nothing is written until then")]
    return [Finding("master key", f"{key_id} from {source}")]
