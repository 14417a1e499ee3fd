"""What everything that keeps blobs promises."""

import hashlib
import json

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from cartrita.clock import ManualClock, SystemClock, new_id
from cartrita.errors import ConfigurationInvalid, ResourceLimitExceeded, ServiceUnavailable
from cartrita.storage.blobs import CHUNK, Due
from cartrita.storage.disk_blobs import DiskBlobs
from cartrita.storage.memory_blobs import InMemoryBlobs
from cartrita.storage.s3_blobs import S3Blobs
from tests.support.api_server import serving
from tests.support.s3 import bucket_at, s3_server, unfinished_uploads

QUOTA = 16 << 20
DATA = bytes(range(256)) * 1000
HOUR = 3600.0


async def pieces(data=DATA, size=10_000, error=None):
    for place in range(0, len(data), size):
        yield data[place : place + size]
    if error:
        raise error


async def read(blobs, owner, blob, start=0, size=None):
    size = blob.size - start if size is None else size
    return b"".join([part async for part in blobs.read(owner, blob, start, size)])


class BlobsContract:
    """Subclass it with fixtures `blobs`, whose quota is `QUOTA` and whose clock is `clock`."""

    @pytest.fixture
    def clock(self):
        return ManualClock(SystemClock().now())

    @pytest.fixture
    def sweep(self, blobs, clock):
        """Give a function that drops what is older than some hours and whose tasks are gone."""

        async def after(hours, *living, grace=None):
            asked = []

            async def tell(task_ids):
                asked.extend(task_ids)
                return [task_id for task_id in task_ids if task_id in living]

            # Ids are minted in real time, so what is looked at is not the store's clock.
            now = SystemClock().now() + HOUR
            before = now - hours * HOUR
            dropped = await blobs.sweep(Due(before, now - (grace or hours) * HOUR, tell))
            return dropped, sorted(asked)

        return after

    async def test_what_is_put_in_comes_out(self, blobs, clock):
        blob = await blobs.write("ada", "image/png", pieces())
        assert (blob.kind, blob.size, blob.task) == ("image/png", len(DATA), None)
        assert blob.digest == hashlib.sha256(DATA).hexdigest()
        assert blob.created_at == clock.now()
        assert await blobs.find("ada", blob.id) == blob
        assert await read(blobs, "ada", blob) == DATA

    async def test_what_is_long_comes_out_whole_and_in_parts(self, blobs):
        data = DATA * 50  # more than S3 takes at once
        blob = await blobs.write("ada", "text/plain", pieces(data, size=CHUNK // 3))
        assert await read(blobs, "ada", blob) == data
        for start, size in ((0, 1), (len(data) - 7, 7), (CHUNK - 1, 6 * CHUNK), (5 << 20, 2)):
            assert await read(blobs, "ada", blob, start, size) == data[start : start + size]

    async def test_it_may_be_empty(self, blobs):
        blob = await blobs.write("ada", "text/plain", pieces(b""))
        assert (await blobs.find("ada", blob.id)).size == 0
        assert await read(blobs, "ada", blob) == b""

    async def test_others_do_not_see_it(self, blobs):
        blob = await blobs.write("ada", "text/plain", pieces())
        assert await blobs.find("eve", blob.id) is None
        assert await blobs.remove("eve", blob.id) is False
        assert await blobs.find("ada", blob.id)

    async def test_what_is_removed_is_gone(self, blobs):
        task = new_id()
        for of in (None, task):
            blob = await blobs.write("ada", "text/plain", pieces(), of)
            assert await blobs.remove("ada", blob.id) is True
            assert await blobs.find("ada", blob.id) is None
            assert await blobs.remove("ada", blob.id) is False
        assert await blobs.find("ada", new_id()) is None

    async def test_it_knows_the_task_that_it_belongs_to(self, blobs):
        blob = await blobs.write("ada", "application/json", pieces(), task := new_id())
        assert blob.task == task
        assert await blobs.find("ada", blob.id) == blob
        assert await read(blobs, "ada", blob) == DATA

    async def test_the_room_of_an_owner_is_bounded_and_his_alone(self, blobs):
        most, little = b"x" * (QUOTA // 2 - 2048), b"x" * 5000  # disk counts what tells of them
        first = await blobs.write("ada", "text/plain", pieces(most, CHUNK))
        with pytest.raises(ResourceLimitExceeded, match="room"):
            await blobs.write("ada", "text/plain", pieces(most + little, CHUNK))
        await blobs.write("ada", "text/plain", pieces(most, CHUNK), new_id())
        await blobs.write("eve", "text/plain", pieces(most, CHUNK))
        with pytest.raises(ResourceLimitExceeded, match="room"):
            await blobs.write("ada", "text/plain", pieces(little))
        await blobs.remove("ada", first.id)
        await blobs.write("ada", "text/plain", pieces(little))

    async def test_what_breaks_off_leaves_nothing(self, blobs, sweep):
        for data in (DATA, DATA * 50):
            with pytest.raises(ZeroDivisionError):
                await blobs.write("ada", "text/plain", pieces(data, error=ZeroDivisionError()))
        await blobs.write("ada", "text/plain", pieces(b"x" * QUOTA, CHUNK))  # all is free

    async def test_what_a_user_put_in_goes_when_it_is_old(self, blobs, sweep):
        blob = await blobs.write("ada", "text/plain", pieces())
        assert await sweep(2) == (0, [])
        assert await blobs.find("ada", blob.id)
        assert await sweep(0.5) == (1, [])
        assert await blobs.find("ada", blob.id) is None
        assert await sweep(0.5) == (0, [])

    async def test_what_belongs_to_a_task_goes_with_it_however_old(self, blobs, sweep):
        kept, gone = new_id(), new_id()
        stays = await blobs.write("ada", "text/plain", pieces(), kept)
        goes = [await blobs.write(who, "text/plain", pieces(), gone) for who in ("ada", "ada")]
        assert await sweep(0.5, kept, grace=2) == (0, [])  # it may be accepted yet
        assert await sweep(2, kept, grace=0.5) == (2, sorted([kept, gone]))
        assert await blobs.find("ada", stays.id) == stays
        assert [await blobs.find("ada", blob.id) for blob in goes] == [None, None]
        assert await sweep(2, kept, grace=0.5) == (0, [kept])


class TestInMemoryBlobs(BlobsContract):
    """In a dictionary."""

    @pytest.fixture
    def blobs(self, clock):
        return InMemoryBlobs(clock, QUOTA)


class TestDiskBlobs(BlobsContract):
    """In a folder."""

    @pytest.fixture
    def blobs(self, clock, tmp_path):
        return DiskBlobs(tmp_path / "blobs", clock, QUOTA)

    async def test_what_an_older_version_kept_is_found(self, blobs, tmp_path):
        blob = await blobs.write("ada", "text/plain", pieces())
        (about,) = (tmp_path / "blobs").glob("*/*.json")
        told = json.loads(about.read_text())
        del told["task"]
        about.write_text(json.dumps(told))
        assert await blobs.find("ada", blob.id) == blob


@pytest.fixture(scope="module")
def server():
    with s3_server() as endpoint:
        yield endpoint


class TestS3Blobs(BlobsContract):
    """In a bucket of a real server."""

    @pytest.fixture
    def blobs(self, clock, server):
        return S3Blobs(bucket_at(server, prefix=f"tests/{new_id()}"), clock, QUOTA)

    async def test_another_node_sees_the_same(self, blobs, server, clock):
        blob = await blobs.write("ada", "text/plain", pieces())
        elsewhere = S3Blobs(blobs._bucket, clock, QUOTA)
        assert await elsewhere.find("ada", blob.id) == blob
        assert await read(elsewhere, "ada", blob) == DATA

    async def test_another_prefix_is_another_world(self, blobs, server, clock, sweep):
        blob = await blobs.write("ada", "text/plain", pieces())
        other = S3Blobs(bucket_at(server, prefix=f"tests/{new_id()}"), clock, QUOTA)
        assert await other.find("ada", blob.id) is None

    async def test_an_upload_that_breaks_off_is_given_up_on_the_server(self, blobs, server):
        with pytest.raises(ZeroDivisionError):
            await blobs.write("ada", "text/plain", pieces(DATA * 50, error=ZeroDivisionError()))
        assert unfinished_uploads(server) == 0

    @pytest.mark.parametrize(
        ("name", "setting"), [("nobody-made-it", "blobs.s3_bucket"), ("x", "blobs.s3_bucket")]
    )
    async def test_a_bucket_that_is_not_there_is_named(self, server, clock, name, setting):
        blobs = S3Blobs(bucket_at(server, name), clock, QUOTA)
        for act in (blobs.write("ada", "text/plain", pieces()), blobs.find("ada", new_id())):
            with pytest.raises(ConfigurationInvalid, match=setting):
                await act

    async def test_a_server_that_is_away_is_named(self, clock):
        blobs = S3Blobs(bucket_at("http://127.0.0.1:1"), clock, QUOTA)
        for act in (
            blobs.write("ada", "text/plain", pieces()),
            blobs.find("ada", new_id()),
            blobs.remove("ada", new_id()),
        ):
            with pytest.raises(ServiceUnavailable, match=r"blobs\.s3_endpoint") as raised:
                await act
            assert raised.value.retry_after

    async def test_credentials_that_are_refused_are_named(self, clock):
        async def refuse(request):
            return Response("<Error><Code>AccessDenied</Code></Error>", 403)

        app = Starlette(routes=[Route("/{path:path}", refuse)])
        with serving(app) as endpoint:
            blobs = S3Blobs(bucket_at(endpoint), clock, QUOTA)
            with pytest.raises(ConfigurationInvalid, match=r"blobs\.s3_key"):
                await blobs.find("ada", new_id())
