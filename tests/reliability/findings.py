"""Texts that fuzzing has found a fault with, by target. Each is tried again by the ordinary tests, for good."""

from __future__ import annotations

FINDINGS: dict[str, list[str]] = {
    "connect_body": [
        # RecursionError from the TOML parser.
        'type = "x"\nquery = ' + "[" * 5_000,
        # ValueError from int(): more than 4,300 digits.
        'type = "x"\nport = ' + "1" * 5_000,
        # Took the square of its length.
        "@db.example.com" + "${secret:" * 20_000,
        "'" + "\r\n" * 20_000,
        "postgresql://" + " " * 20_000 + "x",
        # U+2028 in a name was taken for the end of a line.
        "postgresql://app:${secret:a\u2028b}@db.example.com/sales",
    ],
    # UnicodeEncodeError from quoting half of a surrogate pair.
    "connection_url": ["duckdb:///\udcff\udcff", "sqlite:///\ud800?x=%secret prod_pw"],
    # ValueError from int().
    "references": ["%secret a fnbref" + "0" * 5_000 + "x", "fnbref" + "12" * 5_000 + "x"],
    # IndexError: the empty name among those that were close.
    "names": ["", "prod_pw\u2028"],
    "secret_line": ["set prod_pw hunter2-canary\\"],
    "cell_source": [
        # Took two to the power of its length: each pair of backslashes could be read in two ways.
        "get_ipython().run_line_magic('secret', '" + "\\" * 16_000,
        "%secret" + " " * 16_000 + "\\",
        # The value stayed: a backslash at the very end was no end of a line.
        "%secret set prod_pw hunter2-canary\\",
    ],
    # ValueError from int().
    "tokens": ["$ffsec$1$" + "9" * 5_000 + "$gAAAAABl", "$ffsec$1$" + "٣" * 20 + "$gAAAAABl"],
    # RecursionError from JSON; UnicodeEncodeError for half of a surrogate pair.
    "key_files": ["[" * 20_000, '{"master_key": "\\ud800"}', "\ud800"],
}
