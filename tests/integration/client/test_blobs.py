"""Tests of the clients' blobs: parts, digests, and wires that break."""

import io
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest

from cartrita import errors
from cartrita.client import AsyncClient, Client
from cartrita.clock import new_id, new_random
from tests.support.api_server import ADMIN
from tests.support.cutting import NEVER, wire

DATA = new_random(5).randbytes(700_000)


@pytest.fixture
def client(api):
    with Client(api, None, *ADMIN) as opened:
        yield opened


@pytest.mark.parametrize("form", ["bytes", "path", "file", "parts", "empty"])
def test_what_goes_up_comes_down(client, tmp_path, form):
    (tmp_path / "data.bin").write_bytes(DATA)
    data = b"" if form == "empty" else DATA
    with (tmp_path / "data.bin").open("rb") as file:
        sources = {
            "bytes": DATA,
            "path": tmp_path / "data.bin",
            "file": file,
            "parts": (DATA[at : at + 999] for at in range(0, len(DATA), 999)),
            "empty": b"",
        }
        blob = client.blobs.upload(sources[form])
    assert (blob.size, blob.sha256) == (len(data), sha256(data).hexdigest())
    assert client.blobs.download(blob.blob_id) == data
    assert client.blobs.download(blob.blob_id, tmp_path / "copy") == client.blobs.about(
        blob.blob_id
    )
    assert (tmp_path / "copy").read_bytes() == data
    assert client.blobs.remove(blob.blob_id) is True
    assert client.blobs.remove(blob.blob_id) is False


def test_the_type_is_guessed_or_told(client, tmp_path):
    (tmp_path / "notes.txt").write_text("é")
    assert client.blobs.upload(tmp_path / "notes.txt").content_type == "text/plain"
    assert client.blobs.upload(b"x", "image/png").content_type == "image/png"
    with pytest.raises(errors.InvalidMessage, match="not kept"):
        client.blobs.upload(b"x", "application/x-msdownload")


def test_what_is_too_large_is_refused(client):
    with pytest.raises(errors.ResourceLimitExceeded):
        client.blobs.upload(b"x" * ((1 << 20) + 1))


def test_a_blob_of_nobody_leaves_no_file(client, tmp_path):
    with pytest.raises(errors.NotFound):
        client.blobs.download(new_id(), tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_what_came_damaged_leaves_no_file(client, tmp_path, inside):
    blob = client.blobs.upload(b"good")
    (kept,) = [one for one in (inside.folder / "blobs").rglob("*") if _is(one, b"good")]
    kept.write_bytes(b"evil")
    with pytest.raises(errors.NetworkFailed, match="damaged"):
        client.blobs.download(blob.blob_id, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def _is(path, data):
    return path.is_file() and path.read_bytes() == data


@asynccontextmanager
async def over(api, allowed, trap=None):
    """Give a wire, and a client that is signed in and speaks over it."""
    async with AsyncClient(api, None, *ADMIN) as direct:
        await direct.me()
        token = direct._talk._exchange._sessions.read().token
    async with (
        wire([int(api.rpartition(":")[2])], allowed, trap) as cut,
        AsyncClient(cut.url, token) as client,
    ):
        yield cut, client


async def test_a_download_goes_on_where_the_wire_was_cut(api, tmp_path):
    randomness = new_random(3)
    async with AsyncClient(api, None, *ADMIN) as direct:
        blob = await direct.blobs.upload(DATA)
        async with over(api, lambda _: randomness.randint(50_000, 250_000)) as (cut, client):
            assert await client.blobs.download(blob.blob_id) == DATA
            assert await client.blobs.download(blob.blob_id, tmp_path / "copy") == blob
        await direct.blobs.remove(blob.blob_id)
    assert (tmp_path / "copy").read_bytes() == DATA
    assert cut.cuts >= 4


async def test_an_upload_is_sent_again_where_it_can_be(api):
    asked = []

    def allowed(line):
        asked.append(line.split()[0])
        return 0 if len(asked) == 1 else NEVER

    async with over(api, allowed) as (_, client):
        blob = await client.blobs.upload(io.BytesIO(b"again"))
        await client.blobs.remove(blob.blob_id)
    assert blob.sha256 == sha256(b"again").hexdigest()
    assert asked == ["POST", "POST"]


async def test_what_can_be_read_once_is_not_sent_twice(api):
    async def parts():
        yield b"one"
        yield b"two"

    async with AsyncClient(api, None, *ADMIN) as direct:
        assert (await direct.blobs.upload(parts())).size == 6
    async with over(api, lambda _: NEVER, b"POST") as (cut, client):
        with pytest.raises(errors.ChannelLost):
            await client.blobs.upload(parts())
    assert cut.cuts == 1
