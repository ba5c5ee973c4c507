"""The import from beginning to end: preview, question, storing, and then the source."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from typing import NamedTuple

from flowfile_nb.errors import DamagedSecretError, ImportSourceError, StoreError, UsageError
from flowfile_nb.importing import cleaning, wording
from flowfile_nb.importing.definitions import Definition, definitions
from flowfile_nb.importing.elsewhere import environment_fields, keychain_field
from flowfile_nb.importing.fields import Document
from flowfile_nb.importing.keeper import Keeper, Person
from flowfile_nb.importing.kinds import kind_of, read_document
from flowfile_nb.importing.naming import require_prefix
from flowfile_nb.importing.plan import IMPORTED, Choice, Item, State, make_plan
from flowfile_nb.importing.source import Source, delete_source, other_names, read_source, replace_source


class Request(NamedTuple):
    """What the user asks for."""

    words: Sequence[str]
    """The path, then names; names alone for the environment and the keychain."""
    environment: bool = False
    keychain: Sequence[str] | None = None
    """Service and user."""
    kind: str | None = None
    everything: bool = False
    replace: bool = False
    yes: bool = False
    dry_run: bool = False
    prefix: str = ""
    clean: bool = False
    delete: bool = False


def request_of(args: Namespace) -> Request:
    """Return what a parsed line asks for; see `options.add_options`."""
    return Request(
        words=args.words,
        environment=args.env,
        keychain=args.keyring,
        kind=args.kind,
        everything=args.all,
        replace=args.replace,
        yes=args.yes,
        dry_run=args.dry_run,
        prefix=args.prefix,
        clean=args.clean,
        delete=args.delete,
    )


def import_secrets(request: Request, keeper: Keeper, person: Person) -> None:
    """
    Import credentials: show what there is, ask, store each and read it back; only then touch the source.

    Raises:
        UsageError: If the request is contradictory, or names what is not there.
        ImportSourceError: If the source cannot be read, understood, rewritten or deleted, or has no credentials.
        MissingDriverError: If a library is needed.
        NoPromptError: In a headless run without `--yes`.
        StoreError: If the store cannot be written. The source is untouched then.
    """
    _require_together(request)
    source = None
    if request.environment:
        kind, document, names = "environment", Document(environment_fields(os.environ), []), request.words
    elif request.keychain:
        kind, document, names = "keychain", Document([keychain_field(*request.keychain)], []), request.words
    else:
        path, *names = request.words
        source = read_source(path)
        kind = request.kind or kind_of(path)
        document = read_document(source, kind)
    choice = Choice(names, request.everything or source is None, request.replace, require_prefix(request.prefix))
    stored = keeper.backend.stored
    items = make_plan(document.fields, choice, stored, connections_are_named=kind == "airflow")
    for item in items:
        if item.state not in {State.PLAIN, State.UNFIT}:
            # Before anything is shown: a key, a path or an error might hold it by accident.
            keeper.learn(item.name, item.piece.secret)
    found = definitions(kind, document.fields, items)
    fresh = _fresh(found, keeper, replace=request.replace)
    person.show(wording.rows(items, found, fresh, source), wording.remarks(document, items, request.prefix))
    if not any(item.state in IMPORTED for item in items):
        message, hint = wording.nothing(items, document, request)
        raise ImportSourceError(message, hint=hint)
    if request.dry_run:
        person.say("Nothing was changed: this was a dry run.")
        return
    new = [item for item in items if item.state in {State.NEW, State.REPLACE}]
    if new or fresh:
        line = wording.same_line(request.words, request)
        question = wording.question(new, fresh, source if request.clean else None)
        if not request.yes and not person.confirm(question, otherwise=f"{line} --yes"):
            person.say("Nothing was stored.")
            return
    _store(items, fresh, keeper)
    person.say(wording.stored(new, fresh))
    if source is not None:
        _finish(request, _Read(source, kind, document, items, found), person)
    else:
        person.say(wording.not_taken_away(kind))


class _Read(NamedTuple):
    source: Source
    kind: str
    document: Document
    items: list[Item]
    found: list[Definition]


def _require_together(request: Request) -> None:
    if request.clean and request.delete:
        raise UsageError("--clean and --delete exclude each other", hint="--clean keeps the file, with references in it")
    elsewhere = request.environment or bool(request.keychain)
    if request.environment and request.keychain:
        raise UsageError("--env and --keyring are two sources; one at a time", hint="%secret import --env")
    if elsewhere and (request.clean or request.delete or request.kind):
        raise UsageError("--clean, --delete and --as are for files", hint="%secret import .env --clean")
    if not elsewhere and not request.words:
        raise UsageError("what is to be imported?", hint="%secret import .env   or   --env   or   --keyring SERVICE USERNAME")


def _fresh(found: Sequence[Definition], keeper: Keeper, *, replace: bool) -> list[Definition]:
    saved = keeper.backend.connection_bodies()
    return [new for new in found if new.name not in saved or (replace and saved[new.name] != new.body)]


def _store(items: Sequence[Item], fresh: Sequence[Definition], keeper: Keeper) -> None:
    done = set()
    for item in items:
        if item.state in {State.NEW, State.REPLACE} and item.name not in done:
            keeper.store(item.name, item.piece.secret, replace=item.state is State.REPLACE)
            done.add(item.name)
    # All that is called stored from here on is proved to be there: what follows may take the source away.
    for item in items:
        if item.state in IMPORTED and _read_back(keeper, item.name) != item.piece.secret:
            raise StoreError(
                f"{item.name!r} does not read back from the store as it was written; the source is untouched",
                hint="%secret doctor   says what is wrong",
            )
    for definition in fresh:
        keeper.backend.save_connection(definition.name, definition.body)


def _read_back(keeper: Keeper, name: str) -> str | None:
    try:
        return keeper.backend.stored(name)
    except DamagedSecretError:
        return None


def _finish(request: Request, read: _Read, person: Person) -> None:
    """Offer to take the values out of the source; do it where that was said."""
    source, items = read.source, read.items
    to_replace = cleaning.replaceable(items)
    if request.delete:
        cleaning.require_deletable(source, read.document, items)
        again = wording.same_line(request.words, request)
        if request.yes or person.confirm(wording.delete_question(source, items), otherwise=f"{again} --yes"):
            others = other_names(source)
            delete_source(source)
            person.say(wording.deleted(source, items))
            person.say(wording.afterwards(items, read.found, others))
        else:
            person.say(f"Kept {source.path}. It still holds the values.")
        return
    agreed = request.clean or (
        not request.yes
        and bool(to_replace)
        and person.confirm(wording.clean_question(source, to_replace), otherwise=f"%secret import {source.path} --clean --yes")
    )
    if not agreed:
        person.say(wording.still_there(source, request))
        return
    if to_replace:
        data = cleaning.cleaned(source, read.kind, read.document, items)
        others = other_names(source)
        replace_source(source, data)
        left = cleaning.left_in(Source(source.path, data).text, items)
        person.say(wording.cleaned(read.kind, source, items, left))
        person.say(wording.afterwards(items, read.found, others))
    else:
        person.say(wording.still_there(source, request))
