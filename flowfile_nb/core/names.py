"""Which names and values a secret may have, and what a mistyped name may have meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from flowfile_nb.errors import InvalidNameError, InvalidValueError, NoSuchSecretError

MAX_VALUE_BYTES = 512 * 1024
UNDO_DAYS = 7
"""For how long a value is kept that another has replaced."""
NOT_KEPT = "What was deleted is not kept."
_MANY = 5_000


def require_name(name: object) -> str:
    """
    Return *name* if a secret may be called that: any text that is not blank and has no control characters.

    Raises:
        InvalidNameError: Otherwise.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidNameError("a secret needs a name", hint="%secret set prod_pw")
    if not name.isprintable() and any(
        ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in name
    ):
        raise InvalidNameError(
            "a secret's name cannot hold line breaks or other control characters",
            hint="letters, digits, spaces and punctuation are fine:  %secret set prod_pw",
        )
    return name


def require_value(value: object) -> str:
    """
    Return *value* if it can be stored and reach a driver unchanged: text, 1 byte to 512 KiB in UTF-8, no NUL.

    Raises:
        InvalidValueError: Otherwise. The message holds a size at most, never the value.
    """
    if not isinstance(value, str):
        raise InvalidValueError(
            f"a secret's value is text, not {type(value).__name__}",
            hint=_as_text(value),
        )
    if not value:
        raise InvalidValueError("an empty value was not stored", hint="to remove a secret:  %secret delete NAME")
    if "\0" in value:
        raise InvalidValueError(
            "a value with a NUL character was not stored: no driver could be given it",
            hint="store binary data as base64 text",
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidValueError(
            "a value that is not valid Unicode was not stored (it has half of a surrogate pair)",
            hint="read it again with the right encoding",
        ) from None
    if size > MAX_VALUE_BYTES:
        raise InvalidValueError(
            f"a value of {size:,} bytes was not stored: the limit is {MAX_VALUE_BYTES:,}",
            hint="a secret is a credential; keep the data elsewhere, encrypted, and store its key here",
        )
    return value


def _as_text(value: object) -> str:
    if value is None:
        # What `os.environ.get` gives where there is none.
        return "there is none where it was taken from;  to remove a secret:  %secret delete NAME"
    if isinstance(value, (bytes, bytearray)):
        return "bytes become text with  value.decode()  or  base64.b64encode(value).decode()"
    if isinstance(value, (dict, list)):
        return "store each value under a name of its own, or all as one text:  json.dumps(value)"
    return "str(value)  makes text of it"


def environment_variable(name: str) -> str:
    """
    Return the variable that overrides secret *name*, as Flowfile spells it.

    >>> environment_variable("prod-db password")
    'FLOWFILE_SECRET_PROD_DB_PASSWORD'
    """
    # Asked at each use of a secret, and most names are what the pattern leaves as it is.
    usual = "__" not in name and name.isidentifier() and name.isascii()
    return "FLOWFILE_SECRET_" + (name if usual else re.sub("[^A-Za-z0-9]+", "_", name)).upper()


def overridden_by(environ: Mapping[str, str]) -> Callable[[str], bool]:
    """
    Return what tells whether a variable of *environ* overrides the secret of a name, at the moment when it is asked.

    >>> is_overridden = overridden_by({"FLOWFILE_SECRET_PROD_PW": "hunter2"})
    >>> is_overridden("prod_pw"), is_overridden("test_pw")
    (True, False)
    """
    # `os.environ` raises, and catches, where a variable is missing: a tenth of a warm read. The dictionary in it does not.
    # Its keys are bytes, but for Windows.
    inner, encode = getattr(environ, "_data", None), getattr(environ, "encodekey", str)
    if isinstance(inner, dict) and isinstance(encode(""), bytes):
        return lambda name: environment_variable(name).encode() in inner
    return lambda name: environment_variable(name) in environ


def quoted(name: str) -> str:
    """
    Return *name* as it is typed on a magic line.

    >>> quoted("prod_pw"), quoted("name with spaces")
    ('prod_pw', '"name with spaces"')
    """
    if re.fullmatch(r"\w+(?:[.-]\w+)*", name):
        return name
    return in_quotes(name)


def in_quotes(name: str) -> str:
    """Return *name* in quotes, as it may be typed on a magic line whether it needs them or not."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def suggest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that *name* most likely meant, or None."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    if len(by_folded) > _MANY:
        # Comparing takes some 10 µs a name.
        by_folded = {folded: name_ for folded, name_ in by_folded.items() if folded[:1] == name[:1].casefold()}
    near = nearest(name.casefold(), by_folded)
    return None if near is None else by_folded[near]


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """
    Return which of *known* a word is most likely a typing mistake of, or None.

    >>> nearest("databse", ["database", "host"])
    'database'
    """
    # Imported here: difflib is needed only where something went wrong.
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, known, 1, cutoff)), None)


def no_such_secret(name: str, known: Iterable[str], *, instead: str | None = None, attended: bool = True) -> NoSuchSecretError:
    """
    Return what is said of a name that nobody has.

    Args:
        name: The name.
        known: Those that somebody has; the nearest is named.
        instead: What the hint says in place of how to add it, where one would not: empty, or a sentence.
        attended: Whether somebody could be asked for the value; else the hint names the variable that gives it.
    """
    names = list(known)
    # What a reference without quotes says goes as far as the first blank.
    whole = next((one for one in names if one.startswith(f"{name} ")), None) if name.strip() else None
    close = suggest(name, names) if whole is None else None
    told = [f"did you mean {close!r}?  "] if close else []
    if whole is not None:
        told.append(f"a name with blanks stands in quotes:  %secret {quoted(whole)}   ")
    if instead is None and not attended and name.strip():
        told.append(f"In a headless run it is given by {environment_variable(name)};  stored:  %secret set {quoted(name)}")
        return NoSuchSecretError(f"no secret named {name!r}", hint="".join(told))
    if instead is None:
        told += [f"Add it:  %secret set {quoted(name)}   "] if name.strip() else []
    elif instead:
        told.append(f"{instead}  ")
    return NoSuchSecretError(f"no secret named {name!r}", hint="".join([*told, "List yours:  %secret list"]))
