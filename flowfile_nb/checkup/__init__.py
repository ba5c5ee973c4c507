"""What `%secret doctor` looks at: key, files, database, rows, and the record of uses. Looking changes nothing."""

from __future__ import annotations

from flowfile_nb.checkup.examination import check_up
from flowfile_nb.checkup.mending import mend
from flowfile_nb.checkup.subject import Subject

__all__ = ["Subject", "check_up", "mend"]
