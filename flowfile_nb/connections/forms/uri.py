"""`--as uri`: the whole URL as a text, with the value in it. For libraries that take nothing else, and on request only."""

from __future__ import annotations

from urllib.parse import quote

from flowfile_nb.connections import dialects
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.database_url import url_of
from flowfile_nb.connections.spec import Spec
from flowfile_nb.core.references import fill


def text_of(spec: Spec, reveal: Access) -> str:
    """
    Return a database's URL with values, each encoded for its place: `postgresql://app:p%40ss@db.example.com/sales`.

    Raises:
        ConnectionSpecError: If the description does not make a database URL.
    """
    url = url_of(spec)

    def encoded(text: str | None) -> str:
        return quote(fill(text or "", reveal), safe="")

    # Not SQLAlchemy's own rendering: it leaves blanks and `+` as they are, which others read otherwise.
    user = encoded(url.username) + (f":{encoded(str(url.password))}" if url.password is not None else "")
    host = fill(url.host or "", reveal)
    place = (f"[{host}]" if ":" in host else host) + (f":{url.port}" if url.port else "")
    name = fill(url.database or "", lambda name: quote(reveal(name), safe=""))
    pairs = [(key, item) for key, items in url.normalized_query.items() for item in items]
    query = "&".join(f"{quote(key, safe='')}={encoded(item)}" for key, item in pairs)
    return f"{url.get_backend_name()}://{f'{user}@' if user else ''}{place}/{name}{f'?{query}' if query else ''}"


class Uri:
    """A URL as a `str`. Masked in outputs as every value is; whatever else is done with it is up to its user."""

    note = "It is a text that holds the value itself. It is masked in outputs; do not save it."

    def __init__(self) -> None:
        self._place = ""

    def make(self, spec: Spec, reveal: Access) -> str:
        """Return the text; nothing is opened. Raises as `text_of`."""
        self._place = dialects.place_of(url_of(spec))
        return text_of(spec, reveal)

    def check(self, connection: str) -> None:
        """Do nothing: who takes the text opens it."""

    def untried(self, connection: str) -> tuple[str, str]:
        """Return that nothing was opened."""
        return "Bound", "a text: who takes it opens it"

    def target(self, connection: str) -> str:
        """Return where it leads, without user's password and options."""
        return self._place

    def close(self, connection: str) -> None:
        """Do nothing."""
