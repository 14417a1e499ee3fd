"""What is too large to travel inline: it goes as a blob, and a reference takes its place."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from cartrita.channel.frames import pack, unpack
from cartrita.errors import (
    CartritaError,
    ConfigurationInvalid,
    InvalidMessage,
    InvalidParameters,
    ResourceLimitExceeded,
    ServiceUnavailable,
)
from cartrita.journal import TaskRecord
from cartrita.protocol.task import MAX_TIMEOUT_MS
from cartrita.storage.blobs import CHUNK, Blob, Blobs

MARK = "$blob"
"""The one field of a reference. No model has a field of this name."""

FIELD = f"parameters.{MARK}"

JSON, MSGPACK = "application/json", "application/msgpack"
KINDS = (JSON, MSGPACK)
"""Media types that parameters may be referred to in."""

UNCLAIMED = 2.0 * MAX_TIMEOUT_MS / 1000
"""Seconds after which what was put in for a task is dropped if there is no such task; no task is
accepted later than its deadline, which is one day away at most."""

STORE_TIMEOUT = 20.0
"""Seconds that reading or writing one blob may take."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much goes where, in bytes.

    Attributes:
        parameters: Of a task; beyond them parameters go into a blob.
        result: Beyond them a result does.
        referenced: Parameters in a blob may take so many.
        kept: A result in a blob may take so many.
        inline: What cannot be kept in a blob stays where it is up to so many.
    """

    parameters: int = 256 * 1024
    result: int = 256 * 1024
    referenced: int = 16 * 1024 * 1024
    kept: int = 64 * 1024 * 1024
    inline: int = 1024 * 1024


class Spill:
    """Puts large parameters and results into blobs of their task's owner, and reads them back.

    Args:
        blobs: Where they go.
        shared: Whether every process of the instance sees the same blobs.
    """

    def __init__(self, blobs: Blobs, sizes: Sizes | None = None, *, shared: bool = True) -> None:
        self._blobs, self._sizes, self._shared = blobs, sizes or Sizes(), shared

    async def lighten(self, record: TaskRecord) -> TaskRecord:
        """Return a record as it is journaled: with parameters that are small, or referred to.

        Raises:
            InvalidParameters: They are a reference to what cannot be parameters.
            ResourceLimitExceeded: They are too large.
            CartritaError: The blobs cannot be used.
        """
        named = reference_in(record.params)
        if named is not None:
            return await self._claimed(record, named)
        record.packed = record.pack()
        if len(record.packed) <= self._sizes.parameters:
            return record
        size = len(pack(record.params))
        if size <= self._sizes.parameters:
            return record
        try:
            reference = await self._put(record, record.params)
        except CartritaError:
            if size > self._sizes.inline:
                raise
            return record
        return replace(record, params=reference, packed=b"")

    async def _claimed(self, record: TaskRecord, blob_id: str) -> TaskRecord:
        """Check what parameters refer to; what goes with another task is copied for this one."""
        owner = record.principal.user
        async with self._limit():
            blob = await self._blobs.find(owner, blob_id)
            if blob is None:
                raise _wrong(f"There is no blob {blob_id!r} of yours.", "is not a blob of yours")
            _check(blob, self._sizes.referenced)
            if blob.task not in (None, record.task_id):
                parts = self._blobs.read(owner, blob, 0, blob.size)
                blob = await self._blobs.write(owner, blob.kind, parts, record.task_id)
        return replace(record, params=refer(blob), packed=b"")

    async def forgo(self, record: TaskRecord) -> None:
        """Drop what was put in for a task that was certainly not accepted."""
        named = reference_in(record.params)
        if named is None:
            return
        owner = record.principal.user
        with suppress(CartritaError):  # a sweep will find it
            async with self._limit():
                blob = await self._blobs.find(owner, named)
                if blob is not None and blob.task == record.task_id:
                    await self._blobs.remove(owner, named)

    async def result(self, record: TaskRecord, result: dict[str, Any]) -> dict[str, Any]:
        """Return a result as it travels: itself if it is small, or a reference.

        Raises:
            ResourceLimitExceeded: It is too large even for a blob.
            CartritaError: The blobs cannot be used, and it is too large for anything else.
        """
        size = len(pack(result))
        if size <= self._sizes.result:
            return result
        if size > self._sizes.kept:
            raise ResourceLimitExceeded(
                f"The result takes {size} bytes; the limit is {self._sizes.kept} "
                "(`blobs.max_bytes`)."
            )
        try:
            return await self._put(record, result)
        except CartritaError:
            if size > self._sizes.inline:
                raise
            return result

    async def _put(self, record: TaskRecord, value: Any) -> dict[str, Any]:
        kind, data = _written(value)
        async with self._limit():
            blob = await self._blobs.write(
                record.principal.user, kind, _parts(data), record.task_id
            )
        return refer(blob)

    async def opened(self, owner: str, value: dict[str, Any]) -> dict[str, Any]:
        """Return what a value refers to, or itself if it is no reference.

        Raises:
            InvalidParameters: It is gone, or not what it should be.
            ResourceLimitExceeded: It is too large.
            CartritaError: The blobs cannot be used.
        """
        named = reference_in(value)
        if named is None:
            return value
        async with self._limit():
            blob = await self._blobs.find(owner, named)
            if blob is None:
                raise _wrong(f"The blob {named!r} is gone.", "is gone")
            _check(blob, max(self._sizes.referenced, self._sizes.kept))
            parts = self._blobs.read(owner, blob, 0, blob.size)
            data = b"".join([part async for part in parts])
        return await asyncio.to_thread(_read, blob, data)

    @asynccontextmanager
    async def _limit(self) -> AsyncIterator[None]:
        """Use the blobs, if that makes sense, and not for ever."""
        if not self._shared:
            raise ConfigurationInvalid(
                "Large things cannot be passed between nodes (`channel.tcp`) by blobs that each "
                "keeps for itself: set `blobs.s3_bucket`, or `blobs.directory` to a folder that "
                "all nodes share."
            )
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                yield
        except TimeoutError:
            raise ServiceUnavailable("The blobs take too long to answer.", retry_after=5) from None


def refer(blob: Blob) -> dict[str, Any]:
    """Return what takes a blob's place."""
    return {
        MARK: {"id": blob.id, "size": blob.size, "contentType": blob.kind, "sha256": blob.digest}
    }


def reference_in(value: dict[str, Any]) -> str | None:
    """Return the id of the blob that a value refers to; None where it does not.

    Raises:
        InvalidParameters: It is half a reference.
    """
    if MARK not in value:
        return None
    told = value[MARK]
    named = told.get("id") if isinstance(told, dict) else told
    if len(value) > 1 or not _is_id(named):
        raise _wrong(
            f"A reference is {{{MARK!r}: <id>}} and nothing beside it.", "is not a reference"
        )
    return str(UUID(named))


def plainly(value: dict[str, Any]) -> dict[str, Any]:
    """Return a value as itself, and a reference as its id alone: what a digest is made of."""
    named = reference_in(value)
    return value if named is None else {MARK: named}


def _is_id(text: Any) -> bool:
    try:
        return isinstance(text, str) and bool(UUID(text))
    except ValueError:
        return False


def _check(blob: Blob, most: int) -> None:
    if blob.kind not in KINDS:
        raise _wrong(
            f"The blob {blob.id!r} is of the type {blob.kind!r}, not {' or '.join(KINDS)}.",
            f"must be of the type {' or '.join(KINDS)}",
        )
    if blob.size > most:
        raise ResourceLimitExceeded(
            f"The blob {blob.id!r} takes {blob.size} bytes; the limit is {most} "
            "(`limits.referenced_parameters_bytes`).",
            fields=[(FIELD, f"may take {most} bytes")],
        )


def _wrong(message: str, field: str) -> InvalidParameters:
    return InvalidParameters(message, fields=[(FIELD, field)])


def _written(value: Any) -> tuple[str, bytes]:
    """Return a value's form and its bytes: JSON, or MessagePack for what JSON has no form for."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return JSON, text.encode()
    except (TypeError, ValueError):
        return MSGPACK, pack(value)


def _read(blob: Blob, data: bytes) -> dict[str, Any]:
    if hashlib.sha256(data).hexdigest() != blob.digest:
        raise ServiceUnavailable(f"The blob {blob.id!r} was damaged where it is kept.")
    try:
        value = from_json(data, allow_inf_nan=False) if blob.kind == JSON else unpack(data)
    except (ValueError, InvalidMessage) as error:
        raise _wrong(f"The blob {blob.id!r} cannot be read: {error}", "cannot be read") from error
    if not isinstance(value, dict):
        raise _wrong(f"The blob {blob.id!r} holds no object.", "must hold an object")
    return value


async def _parts(data: bytes) -> AsyncIterator[bytes]:
    for place in range(0, len(data), CHUNK):
        yield data[place : place + CHUNK]
