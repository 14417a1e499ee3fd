"""Large things: sent and fetched in parts, each checked against its SHA-256."""

import asyncio
from os import PathLike
from typing import IO, overload
from uuid import UUID

from cartrita.client.exchange import Exchange
from cartrita.client.loads import AsyncSource, Fetch, Flows, Load, Place, Source
from cartrita.client.models import BlobInfo
from cartrita.client.players import AsyncPlayer, Player
from cartrita.client.steps import Broken, Lost


class Blobs:
    """A client's blobs, which are their owner's alone.

    blob = client.blobs.upload("report.pdf")
    client.blobs.download(blob.blob_id, "copy.pdf")
    """

    def __init__(self, play: Player, exchange: Exchange) -> None:
        self._play, self._flows = play, Flows(exchange)

    def upload(self, source: Source, content_type: str | None = None) -> BlobInfo:
        """Keep something; it is sent in parts, and need not fit into memory.

        Args:
            source: Bytes, the path of a file, an open binary file, or an iterable of bytes,
                which is the only one that a broken connection does not let us send again.
            content_type: Guessed from the name by default.

        Raises:
            ResourceLimitExceeded: It is too large, or your room is full.
            InvalidMessage: This type is not kept.
            NetworkFailed: It arrived damaged.
        """
        load = Load(source, content_type)
        return self._play(self._flows.upload(load, load.parts))

    @overload
    def download(self, blob_id: str | UUID) -> bytes: ...

    @overload
    def download(self, blob_id: str | UUID, to: str | PathLike[str] | IO[bytes]) -> BlobInfo: ...

    def download(
        self, blob_id: str | UUID, to: str | PathLike[str] | IO[bytes] | None = None
    ) -> bytes | BlobInfo:
        """Fetch something: to a file, or as bytes. A broken connection is taken up again.

        Args:
            blob_id: As `upload` named it.
            to: A path, where the file appears when it is whole, or an open binary file.

        Raises:
            NotFound: There is no such blob, or it is somebody else's.
            NetworkFailed: It came damaged.
        """
        place = Place(to)
        with place as write:
            fetch = self._play(self._flows.fetch(blob_id, write))
            while not fetch.whole:
                self._fetch(fetch)
            fetch.check()
            place.done = True
        return place.held() if to is None else fetch.blob

    def _fetch(self, fetch: Fetch) -> None:
        source = self._play(self._flows.open(fetch)).source
        lost = Lost("The blob ended before its end.", sent=True)
        try:
            for part in source.parts():
                fetch.feed(part)
        except Broken as broken:
            lost = broken.lost
        finally:
            source.close()
        if not fetch.whole:
            self._play(self._flows.resume(fetch, lost))

    def about(self, blob_id: str | UUID) -> BlobInfo:
        """Return a blob's size, type and digest; raises `NotFound`."""
        return self._play(self._flows.about(blob_id))

    def remove(self, blob_id: str | UUID) -> bool:
        """Drop a blob; False when there is none."""
        return self._play(self._flows.remove(blob_id))


class AsyncBlobs:
    """The same for an event loop. Files are read and written beside it."""

    def __init__(self, play: AsyncPlayer, exchange: Exchange) -> None:
        self._play, self._flows = play, Flows(exchange)

    async def upload(self, source: AsyncSource, content_type: str | None = None) -> BlobInfo:
        """Keep something; as `Blobs.upload`, and from an asynchronous iterable, too."""
        load = Load(source, content_type)
        return await self._play(self._flows.upload(load, load.async_parts))

    @overload
    async def download(self, blob_id: str | UUID) -> bytes: ...

    @overload
    async def download(
        self, blob_id: str | UUID, to: str | PathLike[str] | IO[bytes]
    ) -> BlobInfo: ...

    async def download(
        self, blob_id: str | UUID, to: str | PathLike[str] | IO[bytes] | None = None
    ) -> bytes | BlobInfo:
        """Fetch something; as `Blobs.download`."""
        place = Place(to)
        with place as write:
            fetch = await self._play(self._flows.fetch(blob_id, write))
            while not fetch.whole:
                await self._fetch(fetch)
            fetch.check()
            place.done = True
        return place.held() if to is None else fetch.blob

    async def _fetch(self, fetch: Fetch) -> None:
        source = (await self._play(self._flows.open(fetch))).source
        lost = Lost("The blob ended before its end.", sent=True)
        try:
            async for part in source.parts():
                await asyncio.to_thread(fetch.feed, part)
        except Broken as broken:
            lost = broken.lost
        finally:
            await source.close()
        if not fetch.whole:
            await self._play(self._flows.resume(fetch, lost))

    async def about(self, blob_id: str | UUID) -> BlobInfo:
        """Return a blob's size, type and digest; raises `NotFound`."""
        return await self._play(self._flows.about(blob_id))

    async def remove(self, blob_id: str | UUID) -> bool:
        """Drop a blob; False when there is none."""
        return await self._play(self._flows.remove(blob_id))
