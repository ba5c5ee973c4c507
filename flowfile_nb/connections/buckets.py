"""What S3, Google and Azure have in common beside filesystems: buckets, asked for in the library's own event loop."""

from __future__ import annotations

import asyncio
import socket
from abc import abstractmethod
from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from flowfile_nb.connections.object_storage import ObjectStorage
from flowfile_nb.connections.timeouts import limit_s
from flowfile_nb.errors import ConnectionFailedError


class Buckets(ObjectStorage):
    """Places for files that a name of a bucket or container leads to."""

    @abstractmethod
    async def first(self, filesystem: Any, root: str, prefix: str) -> str | None:
        """Return the first name in a bucket that begins so, or None. It asks once, however much there is."""

    async def roots(self, filesystem: Any) -> None:
        """Ask for the buckets there are."""
        await filesystem._ls("", refresh=True)  # noqa: SLF001 - fsspec's way to ask within a time

    def ask(self, filesystem: Any) -> None:
        """Ask for what the description names, within the time that opening may take."""
        self._reach()
        question = asyncio.wait_for(self._question(filesystem), limit_s(self._credentials.access))
        asked = asyncio.run_coroutine_threadsafe(_awaited(question), filesystem.loop)
        try:
            asked.result()
        except KeyboardInterrupt:
            asked.cancel()
            raise

    def _reach(self) -> None:
        """Look whether anybody listens. The libraries try for a minute, and then say less of the reason."""
        url = urlsplit(self._place.server)
        host = url.hostname or ""
        if not host or (getproxies().get(url.scheme) and not proxy_bypass(host)):
            return
        port = url.port or (80 if url.scheme == "http" else 443)
        socket.create_connection((host, port), timeout=limit_s(self._credentials.access)).close()

    async def _question(self, filesystem: Any) -> None:
        root, path = self._place.root, self._place.path
        if not root:
            await self.roots(filesystem)
            return
        if not path:
            await self.first(filesystem, root, "")
            return
        for prefix in (f"{path}/", path):
            name = await self.first(filesystem, root, prefix)
            if name is not None and (name == path or name.startswith(f"{path}/")):
                return
        raise ConnectionFailedError(
            f"there is nothing at {self._place.text}",
            hint=f"check the path: its bucket {root!r} is there;  --no-test  opens it to write the first file",
        )


async def _awaited(question: Awaitable[None]) -> None:
    await question
