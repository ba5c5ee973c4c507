"""
`--as polars`: what Polars reads a place for files with by itself, quicker than through Python: `pl.scan_parquet(path, **lake)`.

Polars takes a function that returns the login, and calls it when it opens what it scans. So the login is in no argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.azure import Azure
from flowfile_nb.connections.forms.polars_errors import explain, is_for_another
from flowfile_nb.connections.forms.polars_places import LASTS_S, Provider, Source, source_of
from flowfile_nb.connections.gcs import GoogleStorage
from flowfile_nb.connections.later import Teller
from flowfile_nb.connections.object_storage import ObjectStorage, Place
from flowfile_nb.connections.s3 import S3
from flowfile_nb.connections.spec import Spec, scheme_of
from flowfile_nb.connections.storage_parts import Credentials
from flowfile_nb.errors import ConnectionSpecError

_FAMILIES: dict[str, type[S3 | GoogleStorage | Azure]] = {
    "s3": S3,
    "gs": GoogleStorage,
    "gcs": GoogleStorage,
    "abfs": Azure,
    "abfss": Azure,
    "az": Azure,
}


class PolarsOptions(Mapping[str, Any]):
    """The arguments of `pl.scan_parquet` and its like: `storage_options`, without a value, and `credential_provider`."""

    def __init__(self, source: Source, credentials: Credentials, place: Place, storage: ObjectStorage) -> None:
        self._source, self._credentials, self._place = source, credentials, place
        self._teller = Teller(
            self,
            lambda error: None if is_for_another(error, source) else explain(error, storage, place),
            # Without a login of ours nothing is asked of us when Polars scans.
            LASTS_S if source.login is not None else None,
        )
        # Polars knows providers by identity, so a former one is kept: no other may get its place in memory.
        self._providers: list[tuple[list[object], Callable[[], Any]]] = []

    def __getitem__(self, key: str) -> Any:
        if key not in list(self):
            raise KeyError(key)
        self._teller.used()
        return dict(self._source.options) if key == "storage_options" else self._provider()

    def __iter__(self) -> Iterator[str]:
        yield "storage_options"
        if self._source.login is not None:
            yield "credential_provider"

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _provider(self) -> Callable[[], Any]:
        """Return what Polars asks for the login: another one, which it has not asked yet, where a secret has changed."""
        assert self._source.login is not None
        now = self._credentials.state()
        if not self._providers or self._providers[-1][0] != now:
            self._providers.append((now, Provider(self._source.login, self._teller)))
        return self._providers[-1][1]

    def __repr__(self) -> str:
        return f"<options of Polars for {self._place.text}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} are not pickled: open the connection where it is used:  %connect NAME --as polars")


class Polars:
    """A `PolarsOptions`."""

    def __init__(self) -> None:
        self._place = self.note = ""

    def make(self, spec: Spec, reveal: Access) -> PolarsOptions:
        """
        Return the options; nothing is opened.

        Raises:
            ConnectionSpecError: If it is no place for files that Polars reads, or a login that it does not take from here.
        """
        kind = scheme_of(spec).lower()
        if kind in {"sftp", "ssh"}:
            raise ConnectionSpecError(
                "Polars does not read SFTP by itself",
                hint="leave --as polars out:  pl.scan_pyarrow_dataset(pyarrow.dataset.dataset(path, filesystem=NAME))",
            )
        if kind not in _FAMILIES:
            raise ConnectionSpecError(
                "--as polars is for places for files", hint="leave it out:  pl.read_database(query, warehouse)"
            )
        family = _FAMILIES[kind]()
        parts = family.described(spec)
        credentials = Credentials(parts, reveal)
        family.take(parts, credentials)
        place = family.place(parts)
        self._place = place.text
        scheme = family.grammar.scheme
        root = "/".join(filter(None, [place.root or ("container" if scheme == "abfs" else "bucket"), place.path]))
        self.note = f'Use it so:  pl.scan_parquet("{scheme}://{root}/path.parquet", **{{variable}})'
        return PolarsOptions(source_of(scheme, parts, credentials), credentials, place, family)

    def check(self, connection: PolarsOptions) -> None:
        """Ask for the login once, so that one that cannot be read is said now; Polars asks the server."""
        if "credential_provider" in connection:
            connection["credential_provider"]()

    def untried(self, connection: PolarsOptions) -> tuple[str, str]:
        """Return that nothing was opened."""
        return "Bound", "Polars asks the server when it scans"

    def target(self, connection: PolarsOptions) -> str:
        """Return where it leads."""
        return self._place

    def close(self, connection: PolarsOptions) -> None:
        """Do nothing: nothing is open."""
