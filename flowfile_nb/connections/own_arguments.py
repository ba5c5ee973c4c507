"""What BigQuery, Snowflake, Trino and ODBC get of a description, whose dialects would lose some of it or use it too early."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast
from urllib.parse import quote_plus

from flowfile_nb.connections.dialects import Arguments, Reveal, mapped
from flowfile_nb.core.references import StandIns, fill, names_in, reference
from flowfile_nb.errors import ConnectionFailedError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Dialect


def arguments(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    """Return what `dialects.arguments` does for one of them."""
    build = _BUILDERS.get(dialect.name) or _BUILDERS[dialect.driver]
    return build(dialect, url, reveal)


def engine_url(url: URL) -> URL:
    """Return what `dialects.engine_url` does for one of them."""
    if url.get_backend_name() == "bigquery":
        # Else its client would be made now, with credentials that are still references.
        kept = {key: item for key, item in url.query.items() if not key.startswith("credentials_")}
        return url.set(query={**kept, "user_supplied_client": "true"})
    if url.get_backend_name() == "snowflake":
        return _without_late_options(url)
    return _without_authority(url)[0]


def _pyodbc(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    from flowfile_nb.connections import odbc

    given = url.query.get("odbc_connect")
    if isinstance(given, str):
        marked = StandIns(given)
        positional, named = dialect.create_connect_args(url.set(query={**url.query, "odbc_connect": marked.text}))
        return (odbc.filled(positional[0], marked.restore, reveal),), dict(named)
    words = _Words(url)
    positional, named = dialect.create_connect_args(mapped(url, words.mark_whole))
    return (odbc.filled(positional[0], words.restore, reveal),), dict(named)


def _trino(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    url, authority = _without_authority(url)
    # It splits the database at `/` and undoes a URL's encoding in what it gets, and in no other part of the URL.
    encoded = mapped(url, lambda text: fill(text, reveal), lambda text: fill(text, lambda name: quote_plus(reveal(name))))
    positional, named = dialect.create_connect_args(encoded)
    if "auth" in named and not named.get("allow_insecure_auth"):
        # It would send no login in clear, and take every port but 443 for one without TLS.
        named = {"http_scheme": "https", **named}
    return tuple(positional), {**named, **authority}


def _without_authority(url: URL) -> tuple[URL, dict[str, str]]:
    """Return a URL of Trino without an authority's file, which its dialect would read as JSON; and that as an argument."""
    verify = url.query.get("verify")
    if url.get_backend_name() != "trino" or not isinstance(verify, str) or verify in {"true", "false"}:
        return url, {}
    return url.difference_update_query(["verify"]), {"verify": verify}


def _snowflake(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    words = _Words(url)
    # How it splits the database, and which options it takes in the URL, differs between its versions.
    positional, named = dialect.create_connect_args(mapped(_without_late_options(url), words.mark))
    named = {key: fill(words.restore(item), reveal) if isinstance(item, str) else item for key, item in named.items()}
    named |= {key: fill(item, reveal) for key, item in _late_options(url).items()}
    key = named.get("private_key")
    if isinstance(key, str) and "-----BEGIN" in key:
        named["private_key"] = _der(key, named.pop("private_key_passphrase", None))
    return tuple(positional), named


def _late_options(url: URL) -> dict[str, str]:
    """Return what the dialect does not get: values of secrets, and files that it takes as an argument of the driver only."""
    late = {"private_key_file", "token_file_path"}
    return {key: item for key, item in url.query.items() if isinstance(item, str) and (key in late or names_in(item))}


def _without_late_options(url: URL) -> URL:
    return url.difference_update_query(list(_late_options(url)))


class _Words:
    """Words of letters and digits in place of a URL's references, which any dialect passes on as they are."""

    def __init__(self, url: URL) -> None:
        self._begin = "fnbsecret"
        while self._begin in url.render_as_string(hide_password=False):
            self._begin += "q"
        self._texts: list[str] = []

    def mark(self, text: str) -> str:
        """Return *text* with a word for each reference."""
        return fill(text, lambda name: self._word(reference(name)))

    def mark_whole(self, text: str) -> str:
        """Return one word for all of *text*, if it holds a reference."""
        return self._word(text) if names_in(text) else text

    def restore(self, text: str) -> str:
        """Return *text* with what the words stand for."""
        return re.sub(rf"{self._begin}(\d+)x", lambda match: self._texts[int(match[1])], text)

    def _word(self, text: str) -> str:
        self._texts.append(text)
        return f"{self._begin}{len(self._texts) - 1}x"


def _der(pem: str, passphrase: str | None) -> bytes:
    """Return a private key as Snowflake's driver takes it in all of its versions."""
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(pem.encode(), None if passphrase is None else passphrase.encode())
    except (ValueError, TypeError):
        raise ConnectionFailedError(
            "the private_key is no key in PEM form, or its passphrase is not the right one",
            hint="store the file:  %secret set NAME --file rsa_key.p8   and give  private_key_passphrase = %secret OTHER",
        ) from None
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _bigquery(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    filled = mapped(url, lambda text: fill(text, reveal))
    query = {key: item for key, item in filled.query.items() if key != "user_supplied_client"}
    if (account := query.pop("credentials_json", None)) is not None:
        query["credentials_base64"] = base64.b64encode(cast("str", account).encode()).decode()
    # A dialect of its own, thrown away after: it keeps credentials among its attributes.
    positional, named = type(dialect)().create_connect_args(filled.set(query=query))
    return tuple(positional), dict(named)


_BUILDERS: dict[str, Callable[[Dialect, URL, Reveal], Arguments]] = {
    "bigquery": _bigquery,
    "pyodbc": _pyodbc,
    "trino": _trino,
    "snowflake": _snowflake,
}
