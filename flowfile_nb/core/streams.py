"""Masking one stream of text that comes in pieces: a value cut in two by a flush is masked too."""

from __future__ import annotations

from typing import NamedTuple

from flowfile_nb.core.redaction import Hit, Redactor

# From here on it pays to ask first whether the one value goes on, and not to search all of it with each new piece.
_LONG = 256


class _Cluster(NamedTuple):
    """Values that overlap and become one mask, the last of them perhaps not complete."""

    start: int
    end: int
    name: str
    longest: int

    def joined(self, hit: Hit) -> _Cluster:
        length = hit.end - hit.start
        name, longest = (hit.name, length) if length > self.longest else (self.name, self.longest)
        return _Cluster(self.start, max(self.end, hit.end), name, longest)


class StreamMasker:
    """
    One stream of text, masked piece by piece.

    The end of a piece is held back if a value begins like that, so nothing is held as long as nothing looks like a value.
    What was let out in clear since nothing followed for a while is remembered: if the rest comes, the rest is masked. So a
    value never gets through whole, and without `release` the pieces add up to what `Redactor.mask` makes of the whole text.

    Args:
        redactor: The values to mask.

    >>> redactor = Redactor()
    >>> redactor.learn("pw", "hunter2")
    True
    >>> stream = StreamMasker(redactor)
    >>> [stream.feed("I hun"), stream.feed("ter2!"), stream.feed("hun"), stream.release(), stream.feed("ter2")]
    ['I ', '[secret:pw]!', '', 'hun', '[secret:pw]']
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._tail = b""
        self._out = 0
        self._cluster: _Cluster | None = None

    @property
    def held(self) -> str:
        """What is held back, in clear; shorter than the longest form of any value."""
        return self._tail[self._out :].decode("utf-8", "surrogatepass")

    def feed(self, text: str) -> str:
        """Return what may go out now that *text* has come, masked."""
        new = text.encode("utf-8", "surrogatepass")
        if not self._tail:
            cut = self._redactor.undecided(new)
            matches = self._redactor.matches(new)
            if not matches and cut == len(new):
                return text
            return self._let_out(new, matches, cut, cut)
        data = self._tail + new
        if len(self._tail) >= _LONG and self._redactor.goes_on(self._tail, new):
            self._tail = data
            return ""
        cut = self._redactor.undecided(data)
        return self._let_out(data, self._redactor.matches(data), cut, cut)

    def release(self) -> str:
        """Return what was held back, a complete value in it masked: it goes out although it may be the beginning of a value."""
        data = self._tail
        return self._let_out(data, self._redactor.matches(data), self._redactor.undecided(data), len(data))

    def _let_out(self, data: bytes, matches: list[Hit], cut: int, decided: int) -> str:
        """Let out *data* up to *decided*, without what is out already, and keep it from *cut* on."""
        parts: list[bytes] = []
        out, cluster = self._out, self._cluster
        for hit in matches:
            if hit.start >= decided:
                break
            if cluster and hit.start < cluster.end:
                cluster = cluster.joined(hit)
                continue
            if cluster:
                out = self._write(parts, data, out, cluster)
            cluster = _Cluster(*hit, hit.end - hit.start)
        if cluster and cluster.end <= decided:
            out = self._write(parts, data, out, cluster)
            cluster = None
        clear = cluster.start if cluster else decided
        if out < clear:
            parts.append(data[out:clear])
            out = clear
        self._tail = data[cut:]
        self._out = max(0, out - cut)
        self._cluster = cluster and cluster._replace(start=max(0, cluster.start - cut), end=cluster.end - cut)
        return b"".join(parts).decode("utf-8", "surrogatepass")

    def _write(self, parts: list[bytes], data: bytes, out: int, cluster: _Cluster) -> int:
        if cluster.end <= out:
            return out
        parts += [data[out : cluster.start], self._redactor.mask_of(cluster.name)]
        return cluster.end
