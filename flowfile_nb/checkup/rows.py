"""The rows: which no key opens, which are hidden behind another of their name, who is wrongly said to share them."""

from __future__ import annotations

from flowfile_nb.backend import Finding
from flowfile_nb.checkup.subject import Subject
from flowfile_nb.core.names import environment_variable, quoted
from flowfile_nb.errors import FlowfileNbError, StoreError
from flowfile_nb.storage.handover import SUFFIX
from flowfile_nb.storage.upkeep import opened, orphaned_grants, stored_twice

_FIX = "%secret doctor --fix"
_PREFIX = "FLOWFILE_SECRET_"
_MOST = 20


def readable(subject: Subject) -> list[Finding]:
    """Return how many secrets there are, and each that cannot be decrypted. None is ever deleted for that."""
    rows = subject.store.rows(subject.user_id)
    findings = [Finding("secrets", f"{len(rows):,}")]
    try:
        keys = subject.key.keychain()
    except FlowfileNbError:
        return findings
    if subject.store.fact("key_id") not in (None, keys.key_id, subject.key.previous_id):
        # With a foreign key nothing opens: that is said once, with the key.
        return findings
    broken = []
    for row in rows:
        try:
            keys.decrypt_secret(row.token, row.owner_id)
        except StoreError:
            broken.append(row)
    for row in broken[:_MOST]:
        state, remedy = "cannot be decrypted", f"%secret set {quoted(row.name)} --replace  stores it anew"
        if subject.key.is_left_behind(row.token, row.owner_id):
            state = "still under the key from before the last rotation, and Flowfile cannot read it"
            remedy = "%secret rotate-key  puts it under the new one; so does reading it here"
        elif row.owner_id != subject.user_id:
            remedy = "ask its owner to store it anew"
        findings.append(Finding("secret", f"{row.name}: {state}", ok=False, remedy=remedy))
    if len(broken) > _MOST:
        state = f"and {len(broken) - _MOST:,} more cannot be decrypted"
        findings.append(Finding("secret", state, ok=False, remedy="mend these first, then ask again"))
    return findings


def twice(subject: Subject) -> list[Finding]:
    """Return the names with more than one row, and which row is used."""
    if subject.store.location is None:
        return []
    with opened(subject.store.location) as db:
        found = stored_twice(db, subject.user_id)
    remedy = f"{_FIX}  gives the hidden ones names of their own"
    return [
        Finding(
            "stored twice",
            f"{name}: row {used} is used, here and in Flowfile; hidden behind it: {', '.join(map(str, hidden))}",
            ok=False,
            remedy=remedy,
        )
        for name, used, hidden in found
    ]


def handed_over(subject: Subject) -> list[Finding]:
    """Return the secrets that got a suffix when they moved to Flowfile's catalog, where their name was taken."""
    findings = []
    for name in subject.store.names(subject.user_id):
        if name.endswith(SUFFIX):
            state = f"{name}: Flowfile had a secret of that name, so this one got the suffix when it moved there"
            choice = f"%secret rename {quoted(name)} NEW   or   %secret delete {quoted(name)}"
            findings.append(Finding("moved to Flowfile", state, ok=False, remedy=choice))
    return findings


def grants(subject: Subject) -> list[Finding]:
    """Return the shares of secrets, or with groups, that are gone."""
    if subject.store.location is None:
        return []
    with opened(subject.store.location) as db:
        orphaned = orphaned_grants(db)
    if not orphaned:
        return []
    shown = ", ".join(orphaned[:_MOST]) + ("" if len(orphaned) <= _MOST else f" and {len(orphaned) - _MOST:,} more")
    state = f"left behind: {shown}; a new secret or group may get that number, and would be shared"
    return [Finding("shares", state, ok=False, remedy=f"{_FIX}  deletes them")]


def overrides(subject: Subject) -> list[Finding]:
    """Return the variables that give a secret's value instead of the store; their names only."""
    given = sorted(variable for variable in subject.environ if variable.startswith(_PREFIX))
    if not given:
        return []
    names: dict[str, list[str]] = {variable: [] for variable in given}
    for name in subject.store.names(subject.user_id):
        if (variable := environment_variable(name)) in names:
            names[variable].append(name)
    findings = []
    for variable, found in names.items():
        means = f"overrides {' and '.join(found)}" if found else "gives a secret that is not stored"
        findings.append(Finding("environment", f"{variable} {means}"))
    return findings
