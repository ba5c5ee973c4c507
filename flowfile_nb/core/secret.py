"""A named secret that shows its name and never its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from flowfile_nb.errors import NoSuchAttributeError, SecretFormatError


class Secret:
    """
    A reference to a stored secret: its name, and one door to its value.

    The value is not kept here. `get_secret_value` reads it from the store each time, so a replaced secret takes effect at
    once and a deleted one stops. `repr` and `str` show the name; putting a Secret into text by accident raises.

    Args:
        name: The secret's name.
        reveal: Called with that name, returns the plaintext.

    >>> pw = Secret("prod_pw", lambda name: "p@ss:w/or d?#")
    >>> pw
    Secret('prod_pw')
    >>> f"postgresql://app:{pw:url}@db.example.com/sales"
    'postgresql://app:p%40ss%3Aw%2For%20d%3F%23@db.example.com/sales'
    """

    __slots__ = ("_reveal", "name")

    name: str

    def __init__(self, name: str, reveal: Callable[[str], str]) -> None:
        self.name = name
        self._reveal = reveal

    def get_secret_value(self) -> str:
        """
        Return the plaintext, read from the store now.

        Raises:
            NoSuchSecretError: If it was deleted since.
            StoreError: If the store cannot be read or decrypted.
        """
        return self._reveal(self.name)

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    if not TYPE_CHECKING:  # pragma: no branch
        # A type checker knows by itself what there is.

        def __getattr__(self, name: str) -> NoReturn:
            # `.value`, `.get()`, `.strip()`: what people try.
            what = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name.startswith("_"):
                raise AttributeError(what, name=name, obj=self)
            raise NoSuchAttributeError(what, hint="its text, on purpose:  get_secret_value()")

    def __format__(self, spec: str) -> str:
        if spec == "url":
            # Imported here, as hmac below: together they cost as much as all of a first read.
            from urllib.parse import quote

            return quote(self._reveal(self.name), safe="")
        if spec == "plain":
            return self._reveal(self.name)
        return self._refuse_text()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac

        # Constant time: how long a comparison takes must not tell how much of it agrees.
        return hmac.compare_digest(self._reveal(self.name).encode(), other._reveal(other.name).encode())

    # Equal by value, and a hash of the value would tell the value of a short one.
    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: object) -> NoReturn:
        self._refuse_text()

    __radd__ = __add__

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not pickled: pass its name, and look it up where it is used")

    def _refuse_text(self) -> NoReturn:
        # Imported here: only a mistake needs it.
        from flowfile_nb.core.references import reference

        connection = f"use %%connect with  {reference(self.name)}"
        raise SecretFormatError(
            f"{self!r} does not turn into text by itself",
            hint=f'{connection},  or  f"{{pw:url}}"  for a part of a URL,  or  pw.get_secret_value()',
        )
