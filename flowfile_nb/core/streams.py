"""Masking one stream of text or bytes that comes in pieces: a value cut in two by a flush is masked too."""

from __future__ import annotations

from flowfile_nb.core.redaction import Hit, Redactor

# From here on it pays to ask first whether the one value goes on, and not to search all of it with each new piece.
_LONG = 256


class _Cluster:
    """Values that overlap and become one mask, the last of them perhaps not complete."""

    __slots__ = ("end", "longest", "name", "start")

    def __init__(self, start: int, end: int, name: str, longest: int) -> None:
        self.start = start
        self.end = end
        self.name = name
        self.longest = longest

    def joined(self, hit: Hit) -> _Cluster:
        length = hit.end - hit.start
        name, longest = (hit.name, length) if length > self.longest else (self.name, self.longest)
        return _Cluster(self.start, max(self.end, hit.end), name, longest)

    def without(self, before: int) -> _Cluster:
        """Return where it stands when so many bytes before it are gone."""
        return _Cluster(max(0, self.start - before), self.end - before, self.name, self.longest)


class ByteMasker:
    """
    One stream of bytes, masked piece by piece. As `StreamMasker`, which is this for text.

    Args:
        redactor: The values to mask.
        always_hold: Hold back the end of every piece, as long as the longest form of a value, whatever it is. Needed where
            somebody who may not know the values chooses what the stream says: what is held only where a value begins like it
            would tell him by its delay how values begin. All values have to be learned before.

    >>> redactor = Redactor()
    >>> redactor.learn("pw", "hunter2")
    True
    >>> stream = ByteMasker(redactor, always_hold=True)
    >>> [stream.feed(b"Now that I am here"), stream.feed(b", hunter2!"), stream.release()]
    [b'', b'Now that', b' I am here, [secret:pw]!']
    """

    def __init__(self, redactor: Redactor, *, always_hold: bool = False) -> None:
        self._redactor = redactor
        self._hold = max(map(len, redactor.patterns), default=0) if always_hold else 0
        self._tail = b""
        self._out = 0
        self._cluster: _Cluster | None = None
        # The mask that what was let out last ends with: where in the tail its value begins, and the name in it.
        self._masked: tuple[int, str] | None = None

    @property
    def begun(self) -> bytes:
        """How a value may have begun: what is held back, and before it what was let out of it; in clear."""
        return self._tail

    @property
    def held(self) -> bytes:
        """What is held back, in clear; no longer than the longest form of any value."""
        return self._tail[self._out :]

    def feed(self, new: bytes) -> bytes:
        """Return what may go out now that *new* has come, masked."""
        data = self._tail + new
        if self._hold:
            cut = max(0, len(data) - self._hold)
            return self._let_out(data, self._redactor.matches(data), cut, cut)
        if len(self._tail) >= _LONG and self._redactor.goes_on(self._tail, new):
            self._tail = data
            return b""
        cut = self._redactor.undecided(data)
        matches = self._redactor.matches(data)
        if not self._tail and not matches and cut == len(new):
            return new
        return self._let_out(data, matches, cut, cut)

    def release(self) -> bytes:
        """
        Return what was held back: it goes out although it may be the beginning of a value.

        Masked is a complete value in it, and the beginning of one that is over half of it and 4 characters or more. But not
        where all is held: who chooses what the stream says would learn from half a value what he now has to know the whole for.
        """
        data = self._tail
        matches = self._redactor.matches(data)
        if not self._hold and (begun := self._redactor.begun(data)) is not None:
            matches = sorted([*matches, begun], key=lambda hit: (hit.start, -hit.end))
        return self._let_out(data, matches, self._redactor.undecided(data), len(data))

    def continued(self) -> ByteMasker:
        """Return what masks this stream where it goes on elsewhere: there, what is undecided here counts as let out."""
        other = ByteMasker(self._redactor)
        other._hold, other._tail, other._out = self._hold, self._tail, len(self._tail)
        return other

    def _let_out(self, data: bytes, matches: list[Hit], cut: int, decided: int) -> bytes:
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
            cluster = _Cluster(hit.start, hit.end, hit.name, hit.end - hit.start)
        if cluster and cluster.end <= decided:
            out = self._write(parts, data, out, cluster)
            cluster = None
        clear = cluster.start if cluster else decided
        if out < clear:
            parts.append(data[out:clear])
            out = clear
        self._tail = data[cut:]
        self._out = max(0, out - cut)
        self._cluster = cluster and cluster.without(cut)
        self._masked = self._masked and (self._masked[0] - cut, self._masked[1])
        return b"".join(parts)

    def _write(self, parts: list[bytes], data: bytes, out: int, cluster: _Cluster) -> int:
        if cluster.end <= out:
            return out
        parts.append(data[out : cluster.start])
        if self._masked == (cluster.start, cluster.name):
            # The beginning went out as a mask, which stands for the rest, too.
            mask = self._redactor.mask_for(cluster.name, data[out : cluster.end])
            parts.append(mask.removeprefix(self._redactor.mask_of(cluster.name)))
        else:
            parts.append(self._redactor.mask_for(cluster.name, data[cluster.start : cluster.end]))
        self._masked = (cluster.start, cluster.name)
        return cluster.end


class StreamMasker:
    """
    One stream of text, masked piece by piece.

    The end of a piece is held back if a value begins like that, so nothing is held as long as nothing looks like a value.
    What was let out since nothing followed for a while is remembered: in clear up to half of a value, masked what is more; if
    the rest comes, the rest is masked. So a value never gets through whole, and without `release` the pieces add up to what
    `Redactor.mask` makes of the whole text.

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
        self._bytes = ByteMasker(redactor)

    def continued(self) -> StreamMasker:
        """Return what masks this stream where it goes on elsewhere: there, what is undecided here counts as let out."""
        other = StreamMasker.__new__(StreamMasker)
        other._bytes = self._bytes.continued()  # noqa: SLF001 - of this class
        return other

    @property
    def begun(self) -> str:
        """How a value may have begun: what is held back, and before it what was let out of it; in clear."""
        return self._bytes.begun.decode("utf-8", "surrogatepass")

    @property
    def held(self) -> str:
        """What is held back, in clear; shorter than the longest form of any value."""
        return self._bytes.held.decode("utf-8", "surrogatepass")

    def feed(self, text: str) -> str:
        """Return what may go out now that *text* has come, masked."""
        new = text.encode("utf-8", "surrogatepass")
        out = self._bytes.feed(new)
        # Most texts hold nothing: they need not be decoded.
        return text if out is new else out.decode("utf-8", "surrogatepass")

    def release(self) -> str:
        """Return what was held back, most of a value in it masked: it goes out although it may be the beginning of one."""
        return self._bytes.release().decode("utf-8", "surrogatepass")
