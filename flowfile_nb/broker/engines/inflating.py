"""What a server compresses although it was asked not to: nothing can be looked for in it before that is undone."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from flowfile_nb.broker.engines import ExchangeError

_PIECE_BYTES = 64 * 1024
_NOT_ENCODED = "the API's answer is not encoded as it says, or was cut off"


def decoded(encoding: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """
    Undo an encoding of an answer's body, a piece at a time: a small answer may become a very large one.

    Raises:
        ExchangeError: If it is another one, or the body is not encoded so, or ends early.
    """
    coming = iter(pieces)
    first = next(coming, None)
    if first is None:
        # A HEAD has no body that could be encoded, nor has the answer that nothing has changed.
        return
    pieces = chain([first], coming)
    word = encoding.strip().lower()
    if word in {"", "identity"}:
        yield from pieces
        return
    if word not in {"gzip", "x-gzip", "deflate"}:
        raise ExchangeError("the API's answer is in an encoding that the broker cannot look into; it is not handed on")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        for piece in pieces:
            left = piece
            while left:
                if inflater.eof:
                    # One may follow another.
                    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
                yield inflater.decompress(left, _PIECE_BYTES)
                left = inflater.unconsumed_tail or inflater.unused_data
        yield inflater.flush()
    except zlib.error as error:
        raise ExchangeError(_NOT_ENCODED, "DecodingError", str(error)) from None
    if not inflater.eof:
        raise ExchangeError(_NOT_ENCODED, "DecodingError", "it ends early")
