"""No text that leaves a worker holds the value it works with."""

from __future__ import annotations

from flowfile_nb.core.encodings import patterns_of

_MASK = "[secret]"


class Scrubber:
    """
    Removes one value from texts, in every form in which drivers and databases write it.

    Unlike the kernel's redactor it also takes out values of one, two or three characters: a mangled message is the lesser evil.
    """

    def __init__(self, value: str) -> None:
        forms = {form.decode("utf-8", "surrogatepass") for form in patterns_of(value)}
        for text in {value, value.strip()} - {""}:
            # As libpq's DSN, SQL and C write a text between quotes.
            forms |= {text, text.replace("\\", "\\\\").replace("'", "\\'"), text.replace("'", "''"), text.replace('"', '""')}
        self._forms = sorted(forms, key=len, reverse=True)

    def scrub(self, text: str) -> str:
        """Return *text* without the value."""
        for form in self._forms:
            text = text.replace(form, _MASK)
        return text
