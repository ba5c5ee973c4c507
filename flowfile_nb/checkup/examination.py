"""All checks, one after another; one that fails says so, and the others go on."""

from __future__ import annotations

import os

from flowfile_nb.backend import Finding
from flowfile_nb.checkup.database import database
from flowfile_nb.checkup.files import permissions
from flowfile_nb.checkup.key import master_key
from flowfile_nb.checkup.record import last_backup, record_of_uses
from flowfile_nb.checkup.rows import grants, handed_over, overrides, readable, twice
from flowfile_nb.checkup.subject import Subject
from flowfile_nb.errors import FlowfileNbError


def check_up(subject: Subject) -> list[Finding]:
    """Return the findings, the good ones too. Nothing is raised, whatever state the store is in."""
    findings: list[Finding] = []
    for topic, check in _CHECKS:
        try:
            findings += check(subject)
        except FlowfileNbError as error:
            findings.append(Finding(topic, error.message, ok=False, remedy=error.hint))
        except Exception as error:  # noqa: BLE001 - a check that fails is a finding, and must not hide the others
            # A foreign error's text can hold anything; its class cannot.
            findings.append(Finding(topic, f"could not be checked: {type(error).__name__}", ok=False, remedy=_REPORT))
    # One broken database is one finding, though several checks stumble over it.
    return list({(finding.state, finding.remedy): finding for finding in reversed(findings)}.values())[::-1]


def _mode(subject: Subject) -> list[Finding]:
    return [Finding("mode", subject.environ.get("FLOWFILE_MODE", "local user"))]


def _places(subject: Subject) -> list[Finding]:
    paths = subject.paths
    catalog = "" if os.path.exists(paths.catalog) else ", which is not there"
    return [Finding("paths", f"key and our database in {paths.directory}; Flowfile's catalog {paths.catalog}{catalog}")]


_REPORT = "the other findings may say why; if none does, please report it"
_CHECKS = (
    ("mode", _mode),
    ("paths", _places),
    ("master key", master_key),
    ("permissions", permissions),
    ("store", database),
    ("secrets", readable),
    ("stored twice", twice),
    ("moved to Flowfile", handed_over),
    ("shares", grants),
    ("environment", overrides),
    ("log", record_of_uses),
    ("last backup", last_backup),
)
