"""What `import` takes: on a magic's line and on the command line the same."""

from __future__ import annotations

import argparse

EXAMPLE = (
    "PATH [NAME …] | --env | --keyring SERVICE USERNAME   [--all] [--replace] [--prefix TEXT]"
    " [--clean | --delete] [--dry-run] [--yes]"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.epilog = f"{parser.prog} {EXAMPLE}"
    parser.add_argument(
        "words", nargs="*", metavar="PATH [NAME …]", help="a file, and the names of the credentials in it to take"
    )
    parser.add_argument("--as", dest="kind", choices=("env", "ini", "toml", "airflow"), help="the file's format")
    parser.add_argument("--env", action="store_true", help="take the variables FLOWFILE_SECRET_…, not a file")
    parser.add_argument("--keyring", nargs=2, metavar=("SERVICE", "USERNAME"), help="take an entry of the keychain, not a file")
    parser.add_argument("--prefix", default="", metavar="TEXT", help="put it before each name")
    parser.add_argument("--all", action="store_true", help="take plain settings, too")
    parser.add_argument("--replace", action="store_true", help="also where another value is stored under the name")
    parser.add_argument("--clean", action="store_true", help="then put references in place of the values in the file")
    parser.add_argument("--delete", action="store_true", help="then delete the file")
    parser.add_argument("--dry-run", action="store_true", help="show what would be stored, and store nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
