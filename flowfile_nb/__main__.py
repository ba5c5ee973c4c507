"""`python -m flowfile_nb`: what works without a notebook."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from flowfile_nb.errors import FlowfileNbError, UsageError

FAILED, INTERRUPTED = 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse quotes what it did not understand, which might be a value: only our own words are shown.
        raise UsageError("this command line was not understood", hint=f"{self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: its own, 2 after an error, 130 after Ctrl+C."""
    for stream in (sys.stdout, sys.stderr):
        # A path may hold what this terminal cannot show.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except FlowfileNbError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Nobody reads any more, as with `| head`. Python would complain when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print("Interrupted: what was not searched may hold values.", file=sys.stderr)
        return INTERRUPTED
    return status


def _run(arguments: Sequence[str] | None) -> int:  # noqa: PLR0911 - one for each command
    parser = _Parser(prog="python -m flowfile_nb", description="Secrets for notebooks; what works without a notebook.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    scan = commands.add_parser("scan", help="search files for the values of your secrets")

    doctor = commands.add_parser("doctor", help="show where key and store are, and how to mend what is wrong")
    importing = commands.add_parser("import", help="take credentials out of a file into the store")
    new_key = commands.add_parser("new-key", help="make a master key for Flowfile's docker mode: the line for .env")

    serve = commands.add_parser("serve", help="run a team's broker")
    token = commands.add_parser("token", help="make, list and revoke tokens of a team's broker")

    from flowfile_nb.broker import command as broker
    from flowfile_nb.checkup import command as checkup
    from flowfile_nb.importing.options import add_options
    from flowfile_nb.lifecycle import new_key as key_command
    from flowfile_nb.scan import command

    command.add_options(scan)
    checkup.add_options(doctor)
    add_options(importing)
    key_command.add_options(new_key)
    broker.add_options(serve, token)
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 0

    if args.command == "new-key":
        return key_command.run(args, os.environ, sys.stdout)

    if args.command == "serve":
        return broker.run_serve(args, os.environ)
    if args.command == "token":
        return broker.run_token(args, os.environ, sys.stdout)

    from flowfile_nb import session

    if args.command == "doctor":
        vault = session.vault()
        return checkup.run(args, vault.mend, vault.findings)
    if args.command == "import":
        from flowfile_nb.importing.command import run
        from flowfile_nb.importing.keeper import Keeper

        return run(args, Keeper(session.team_in_use() or session.vault(), session.store, session.learn))

    from flowfile_nb.scan.history import ipython_histories

    return command.run(args, session.backend(), ipython_histories(dict(os.environ)))


if __name__ == "__main__":
    sys.exit(main())
