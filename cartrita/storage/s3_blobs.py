"""Keeps blobs in a bucket of an S3-compatible server, which all nodes share."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from cartrita.clock import Clock, minted_at, new_id
from cartrita.errors import (
    CartritaError,
    ConfigurationInvalid,
    MissingExtra,
    ServiceUnavailable,
)
from cartrita.storage.blobs import Blob, Due, Room, folder_of

_DATA, _ABOUT = "data", "about"
_PART = 5 << 20
"""Bytes of one part of an upload, the fewest that S3 takes; and the most held of a download."""

_PARTS_AT_ONCE = 2
_KEYS = 1000
"""Names in one piece of a listing, as the servers send them."""

_RETRIES = 2
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=100), timedelta(seconds=2)
_AGAIN = 5.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the blobs are.

    Attributes:
        endpoint: The server's address; None for Amazon's.
        key: None to find credentials as Amazon's tools do: environment, role of the machine.
        prefix: What all names begin with.
        timeout: Seconds that one request may take.
    """

    name: str
    endpoint: str | None
    region: str
    key: str | None
    secret: str | None
    prefix: str
    timeout: float


class S3Blobs:
    """Blobs as objects: `data/<owner>/<id>`, and `about/<owner>/<id>` which tells what they are.

    The latter is written last, so a blob is there whole or not at all. A blob that belongs to
    a task is `data/<owner>/<id>.<task>`, so that a listing tells a sweep all it must know.

    Args:
        quota: Bytes that one owner's blobs may take together. Uploads at the same time may go
            beyond it by what each of them holds.

    Raises:
        MissingExtra: The package that speaks to the server is not installed.
        ConfigurationInvalid: The settings are wrong.
    """

    def __init__(self, bucket: Bucket, clock: Clock, quota: int) -> None:
        try:
            import obstore  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtra(
                "`blobs.s3_bucket` needs another package: pip install 'cartrita[s3]'."
            ) from error
        self._bucket, self._clock, self._quota = bucket, clock, quota
        self._objects: Any = obstore
        self._store = _store(bucket)

    async def write(
        self, owner: str, kind: str, parts: AsyncIterator[bytes], task: str | None = None
    ) -> Blob:
        """Keep what comes, wholly or not at all."""
        folder = folder_of(owner)
        with self._told():
            room = Room(self._quota - await self._taken(folder))
            blob_id = new_id()
            data = _data(folder, blob_id, task)
            await self._objects.put_async(
                self._store,
                data,
                room.parts(parts),
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )
            blob = room.blob(blob_id, kind, self._clock.now(), task)
            about = json.dumps(asdict(blob)).encode()
            await self._objects.put_async(self._store, _about(folder, blob_id), about)
        return blob

    async def _taken(self, folder: str) -> int:
        return sum([entry["size"] async for entry in self._listed(f"{_DATA}/{folder}")])

    async def _listed(self, prefix: str) -> AsyncIterator[Any]:
        async for some in self._objects.list(self._store, prefix, chunk_size=_KEYS):
            for entry in some:
                yield entry

    async def find(self, owner: str, blob_id: str) -> Blob | None:
        """Return one of an owner's blobs."""
        with self._told():
            try:
                got = await self._objects.get_async(self._store, _about(folder_of(owner), blob_id))
                return Blob(**json.loads(bytes(await got.bytes_async())))
            except FileNotFoundError as error:
                if _NO_BUCKET in str(error):
                    raise
                return None

    async def read(self, owner: str, blob: Blob, start: int, size: int) -> AsyncIterator[bytes]:
        """Yield `size` bytes of a blob that was found, from `start` on."""
        path, end = _data(folder_of(owner), blob.id, blob.task), start + size
        for place in range(start, end, _PART):
            with self._told():
                part = await self._objects.get_range_async(
                    self._store, path, start=place, end=min(place + _PART, end)
                )
            yield bytes(part)

    async def remove(self, owner: str, blob_id: str) -> bool:
        """Drop one; False when there is none."""
        blob = await self.find(owner, blob_id)
        if blob is None:
            return False
        folder = folder_of(owner)
        await self._drop(folder, _data(folder, blob_id, blob.task), blob_id)
        return True

    async def _drop(self, folder: str, data: str, blob_id: str) -> None:
        with self._told():
            await self._objects.delete_async(self._store, _about(folder, blob_id))
            await self._objects.delete_async(self._store, data)

    async def sweep(self, due: Due) -> int:
        """Drop what is due, and what was never finished when its time comes."""
        found = []
        with self._told():
            async for entry in self._listed(_DATA):
                _, folder, name = entry["path"].split("/")
                blob_id, _, task = name.partition(".")
                if due.possible(minted_at(blob_id), task or None):
                    found.append(((folder, entry["path"], blob_id), task or None))
        gone = await due.certain(found)
        for one in gone:
            await self._drop(*one)
        return len(gone)

    async def close(self) -> None:
        """Nothing is held."""

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say of what the server or the way to it refuses which setting may be wrong."""
        from obstore.exceptions import (  # noqa: PLC0415 - an extra
            BaseError,
            PermissionDeniedError,
            UnauthenticatedError,
        )

        where = self._bucket.endpoint or "Amazon S3"
        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise ConfigurationInvalid(
                f"{where} refuses us the bucket {self._bucket.name!r}: "
                "see `blobs.s3_key` and `blobs.s3_secret`."
            ) from error
        except (BaseError, OSError) as error:
            raise self._failed(error, where) from error

    def _failed(self, error: Exception, where: str) -> CartritaError:
        if _NO_BUCKET in str(error):
            return ConfigurationInvalid(
                f"There is no bucket {self._bucket.name!r} at {where}: see `blobs.s3_bucket`."
            )
        return ServiceUnavailable(
            f"The blobs at {where} cannot be reached now: see `blobs.s3_endpoint`.",
            retry_after=_AGAIN,
        )


_NO_BUCKET = "NoSuchBucket"


def _data(folder: str, blob_id: str, task: str | None) -> str:
    return f"{_DATA}/{folder}/{blob_id}" + (f".{task}" if task else "")


def _about(folder: str, blob_id: str) -> str:
    return f"{_ABOUT}/{folder}/{blob_id}"


def _store(bucket: Bucket) -> Any:
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
    from obstore.store import S3Store  # noqa: PLC0415

    options: dict[str, Any] = {"region": bucket.region}
    if bucket.endpoint:
        options |= {"endpoint": bucket.endpoint, "virtual_hosted_style_request": False}
    if bucket.key and bucket.secret:
        options["credential_provider"] = _Credentials(bucket.key, bucket.secret)
    limit = timedelta(seconds=bucket.timeout)
    try:
        return S3Store(
            bucket.name,
            prefix=bucket.prefix or None,
            client_options={
                "allow_http": bool(bucket.endpoint and bucket.endpoint.startswith("http://")),
                "timeout": limit,
                "connect_timeout": limit,
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": limit,
                "backoff": {
                    "init_backoff": _FIRST_PAUSE,
                    "max_backoff": _LONGEST_PAUSE,
                    "base": 2,
                },
            },
            **options,
        )
    except (BaseError, ValueError) as error:
        raise ConfigurationInvalid(
            f"The bucket {bucket.name!r} cannot be used: see `blobs.s3_…`. {error}"
        ) from error


class _Credentials:
    """What the settings name, and nothing of the environment's beside it."""

    def __init__(self, key: str, secret: str) -> None:
        self._told = {"access_key_id": key, "secret_access_key": secret}

    def __call__(self) -> Any:
        return {**self._told, "token": None, "expires_at": None}
