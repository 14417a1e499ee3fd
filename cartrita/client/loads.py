"""Takes blobs apart and puts them together again, without a network."""

import asyncio
import io
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from mimetypes import guess_type
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from cartrita.client import calls
from cartrita.client.exchange import Exchange
from cartrita.client.models import BlobInfo
from cartrita.client.patience import Patience
from cartrita.client.problems import read
from cartrita.client.steps import Call, Flow, Lost, Reply
from cartrita.errors import ChannelLost, NetworkFailed, NotFound

CHUNK = 1 << 20
"""Bytes that are read at a time."""

KEPT = 60.0
"""Seconds a server may take to keep what it was sent."""

ANY = "application/octet-stream"
_PARTIAL = 206

Source = bytes | str | PathLike[str] | IO[bytes] | Iterable[bytes]
"""Bytes, the path of a file, an open binary file, or what yields the bytes."""

AsyncSource = Source | AsyncIterable[bytes]


class Load:
    """Something to be sent, whose digest is taken while it is read.

    Attributes:
        again: Whether it can be read twice, so that an upload can be repeated.
        size: Bytes, where that is known before.
        kind: Its media type.
    """

    def __init__(self, source: AsyncSource, kind: str | None) -> None:
        self._source: Any = fspath(source) if isinstance(source, PathLike) else source
        self._file = hasattr(source, "read")
        self._hash, self._begun = sha256(), False
        named = self._source if isinstance(self._source, str) else getattr(source, "name", None)
        guessed = guess_type(named)[0] if isinstance(named, str) else None
        self.kind = kind or guessed or ANY
        held = isinstance(self._source, bytes | str)
        self._start = _place(source) if self._file else None
        self.again = held or self._start is not None
        self.size = self._measured() if held else None

    def _measured(self) -> int:
        source = self._source
        return Path(source).stat().st_size if isinstance(source, str) else len(source)

    @property
    def digest(self) -> str:
        """Of what was read since it was begun last."""
        return self._hash.hexdigest()

    def parts(self) -> Iterator[bytes]:
        """Yield it from the beginning, when it is asked for the first part.

        Raises:
            ChannelLost: It was begun before, and can be read only once.
        """
        self._begin()
        for part in self._pieces():
            self._hash.update(part)
            yield part

    async def async_parts(self) -> AsyncIterator[bytes]:
        """Do the same for an event loop; files are read beside it."""
        self._begin()
        if isinstance(self._source, AsyncIterable):
            async for part in self._source:
                self._hash.update(part)
                yield part
            return
        pieces, end = self._pieces(), b""
        while part := await asyncio.to_thread(next, pieces, end):
            self._hash.update(part)
            yield part

    def _begin(self) -> None:
        if self._begun and not self.again:
            raise ChannelLost(
                "The upload was cut off, and what it reads from cannot be read again: begin anew."
            )
        self._hash, self._begun = sha256(), True

    def _pieces(self) -> Iterator[bytes]:
        source = self._source
        if isinstance(source, str):
            with open(source, "rb") as file:  # noqa: PTH123 - a text is a path, too
                yield from iter(lambda: file.read(CHUNK), b"")
        elif isinstance(source, bytes):
            yield from (source[at : at + CHUNK] for at in range(0, len(source), CHUNK))
        elif self._file:
            if self._start is not None:
                source.seek(self._start)
            yield from iter(lambda: source.read(CHUNK), b"")
        else:
            yield from (bytes(part) for part in source if part)


def _place(file: Any) -> int | None:
    """Return where an open file is read from; None if it cannot be read again."""
    seekable = getattr(file, "seekable", None)
    return int(file.tell()) if seekable and seekable() else None


class Fetch:
    """Something that is being fetched, across as many answers as it takes.

    Args:
        blob: What is to come.
        write: Takes each part.
        patience: Forgets its failures whenever something comes.
    """

    def __init__(
        self, blob: BlobInfo, write: Callable[[bytes], object], patience: Patience
    ) -> None:
        self.blob, self._write, self.patience = blob, write, patience
        self._hash, self._got, self._skip = sha256(), 0, 0

    @property
    def whole(self) -> bool:
        """Whether every byte has come."""
        return self._got >= self.blob.size

    def call(self) -> Call:
        """Return the call for what is missing."""
        part = {"Range": f"bytes={self._got}-"} if self._got else {}
        headers = {"Accept-Encoding": "identity", **part}
        return Call("GET", f"{calls.BLOBS}/{self.blob.blob_id}", headers=headers, streamed=True)

    def begin(self, reply: Reply) -> None:
        """Take an answer's head: one that is not a part begins from the beginning."""
        self._skip = 0 if reply.status == _PARTIAL else self._got

    def feed(self, part: bytes) -> None:
        """Take what came."""
        fresh = part[self._skip :]
        self._skip -= len(part) - len(fresh)
        if fresh:
            self.patience.succeeded()
            self._hash.update(fresh)
            self._got += len(fresh)
            self._write(fresh)

    def check(self) -> None:
        """Compare what came with what was kept.

        Raises:
            NetworkFailed: It is something else.
        """
        if self._hash.hexdigest() != self.blob.sha256:
            raise NetworkFailed(f"Blob {self.blob.blob_id!r} came damaged: fetch it again.")


class Flows:
    """What is said about blobs."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def upload(self, load: Load, parts: Callable[[], Any]) -> Flow[BlobInfo]:
        """Send something and check that it arrived as it was."""
        if not load.again:
            with suppress(NotFound):  # a token that is refused would cost the only try
                yield from self._exchange.ask(calls.ME)
        headers = {"Content-Type": load.kind}
        if load.size is not None:
            headers["Content-Length"] = str(load.size)
        call = Call(
            "POST", calls.BLOBS, headers=headers, timeout=KEPT, parts=parts, repeatable=load.again
        )
        blob = read(BlobInfo, (yield from self._exchange.ask(call)))
        if blob.sha256 != load.digest:
            yield from self.remove(blob.blob_id)
            raise NetworkFailed("The upload arrived damaged and was dropped: send it again.")
        return blob

    def about(self, blob_id: str | UUID) -> Flow[BlobInfo]:
        """Look at one."""
        reply = yield from self._exchange.ask(calls.blob("GET", blob_id, "/about"))
        return read(BlobInfo, reply)

    def remove(self, blob_id: str | UUID) -> Flow[bool]:
        """Drop one; False when there is none."""
        try:
            yield from self._exchange.ask(calls.blob("DELETE", blob_id))
        except NotFound:
            return False
        return True

    def fetch(self, blob_id: str | UUID, write: Callable[[bytes], object]) -> Flow[Fetch]:
        """Find out what there is to fetch."""
        blob = yield from self.about(blob_id)
        return Fetch(blob, write, self._exchange.patience())

    def open(self, fetch: Fetch) -> Flow[Reply]:
        """Ask for what is missing."""
        reply = yield from self._exchange.ask(fetch.call(), fetch.patience)
        fetch.begin(reply)
        return reply

    def resume(self, fetch: Fetch, lost: Lost) -> Flow[None]:
        """Wait before the rest is asked for."""
        yield fetch.patience.after(ChannelLost(lost.why), repeatable=True)


class Place:
    """Where something goes that is fetched: memory, an open file, or a path once it is whole.

    Attributes:
        done: Set when it is whole and right.
    """

    def __init__(self, to: str | PathLike[str] | IO[bytes] | None) -> None:
        self._path = Path(to) if isinstance(to, str | PathLike) else Path()
        self._draft = self._path.with_name(f"{self._path.name}.part") if self._path.name else None
        self._file: Any = io.BytesIO() if to is None else to
        self.done = False

    def __enter__(self) -> Callable[[bytes], object]:
        if self._draft is not None:
            self._file = self._draft.open("wb")
        write: Callable[[bytes], object] = self._file.write
        return write

    def __exit__(self, *_why: object) -> None:
        if self._draft is None:
            return
        self._file.close()
        if self.done:
            self._draft.replace(self._path)
        else:
            self._draft.unlink(missing_ok=True)

    def held(self) -> bytes:
        """Return what went to memory."""
        data: bytes = self._file.getvalue()
        return data
