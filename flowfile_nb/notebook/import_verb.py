"""`%secret import`: the preview as a table, the questions at the front end."""

from __future__ import annotations

from argparse import Namespace

from flowfile_nb import session
from flowfile_nb.importing.flow import import_secrets, request_of
from flowfile_nb.importing.keeper import Keeper
from flowfile_nb.notebook.prompt import confirm
from flowfile_nb.notebook.table import Table


def import_(args: Namespace) -> None:
    """Import what the line names; see `importing.flow`."""
    import_secrets(
        request_of(args), Keeper(session.team_in_use() or session.vault(), session.store, session.learn), _AtTheFrontEnd()
    )


class _AtTheFrontEnd:
    def show(self, rows: list[tuple[str, str, str]], note: str) -> None:
        from IPython.display import display

        display(Table(("secret", "from", "what becomes of it"), rows, note))  # type: ignore[no-untyped-call]

    def say(self, text: str) -> None:
        print(text)

    def confirm(self, question: str, *, otherwise: str) -> bool:
        return confirm(question, otherwise=otherwise)
