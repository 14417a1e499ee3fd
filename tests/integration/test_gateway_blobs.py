"""Large things go in and come out as streams, to their owner alone."""

import hashlib

import pytest

from cartrita.clock import ManualClock, new_id
from cartrita.storage.blobs import Due
from cartrita.storage.disk_blobs import DiskBlobs
from tests.support.gateway import assert_headers, assert_problem, running_gateway
from tests.support.stage import Echo

DATA = bytes(range(256)) * 1000


@pytest.fixture
async def api():
    async with running_gateway(max_blob=2 << 20, max_body=10_000) as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


async def put(api, who, data=DATA, kind="application/octet-stream"):
    return await api.http.post("/v3/blobs", content=data, headers={**who, "content-type": kind})


async def test_what_is_put_in_comes_out(api, alice):
    answer = await put(api, alice, kind="image/png")

    assert answer.status_code == 201
    about = answer.json()
    assert (about["size"], about["contentType"]) == (len(DATA), "image/png")
    assert about["sha256"] == hashlib.sha256(DATA).hexdigest()
    path = answer.headers["location"]
    assert (await api.http.get(f"{path}/about", headers=alice)).json() == about
    shown = await api.http.get(path, headers=alice)
    assert (shown.status_code, shown.content) == (200, DATA)
    assert shown.headers["content-type"] == "image/png"
    assert shown.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in shown.headers["content-security-policy"]
    assert_headers(shown)


async def test_a_blob_is_never_changed_on_the_way(api, alice):
    text = b'{"a": 1}' * 500
    path = (await put(api, alice, text, "text/plain")).headers["location"]

    headers = {**alice, "accept": "application/msgpack", "accept-encoding": "gzip"}
    shown = await api.http.get(path, headers=headers)

    assert shown.content == text
    assert "content-encoding" not in shown.headers


async def test_it_may_come_in_pieces_of_unknown_number(api, alice):
    async def pieces():
        for at in range(0, len(DATA), 1000):
            yield DATA[at : at + 1000]

    path = (await put(api, alice, pieces())).headers["location"]
    assert (await api.http.get(path, headers=alice)).content == DATA


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=255990-", 255_990, 256_000),
        ("bytes=-7", 255_993, 256_000),
        ("bytes=255999-999999", 255_999, 256_000),
    ],
)
async def test_a_part_can_be_had(api, alice, asked, start, end):
    path = (await put(api, alice)).headers["location"]

    shown = await api.http.get(path, headers={**alice, "range": asked})

    assert (shown.status_code, shown.content) == (206, DATA[start:end])
    assert shown.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"


async def test_there_are_no_bytes_behind_the_end(api, alice):
    path = (await put(api, alice)).headers["location"]

    answer = await api.http.get(path, headers={**alice, "range": "bytes=256000-"})

    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */256000"


async def test_who_has_it_already_is_told_so(api, alice):
    path = (await put(api, alice)).headers["location"]
    tag = (await api.http.head(path, headers=alice)).headers["etag"]

    again = await api.http.get(path, headers={**alice, "if-none-match": tag})

    assert (again.status_code, again.content) == (304, b"")


async def test_to_others_it_does_not_exist(api, alice):
    path = (await put(api, alice)).headers["location"]

    for who in (await api.user("bob@example.org"), await api.admin()):
        for answer in (
            await api.http.get(path, headers=who),
            await api.http.get(f"{path}/about", headers=who),
            await api.http.delete(path, headers=who),
        ):
            assert_problem(answer, 404, "AUTHORIZATION_FAILED")
    assert_problem(await api.http.get(path), 401, "AUTHENTICATION_FAILED")
    assert (await api.http.get(path, headers=alice)).status_code == 200


async def test_what_is_dropped_is_gone(api, alice):
    path = (await put(api, alice)).headers["location"]

    assert (await api.http.delete(path, headers=alice)).status_code == 204
    assert_problem(await api.http.get(path, headers=alice), 404, "AUTHORIZATION_FAILED")
    assert_problem(await api.http.delete(path, headers=alice), 404, "AUTHORIZATION_FAILED")
    assert not list((api.stand.folder / "blobs").glob("*/*"))


@pytest.mark.parametrize("kind", ["application/x-sh", "", "text", "text/<html>"])
async def test_other_types_are_refused(api, alice, kind):
    answer = await put(api, alice, b"x", kind)

    assert_problem(answer, 400, "INVALID_MESSAGE_FORMAT", "Content-Type")


async def test_sizes_are_bounded_and_nothing_stays_of_what_was_refused(api, alice):
    async def endless():
        for _ in range(40):
            yield b"x" * 65_536

    too_long = b"x" * ((2 << 20) + 1)
    for answer in (
        await put(api, alice, too_long),  # says so
        await put(api, alice, endless()),  # does not
        await put(api, alice, b"x" * ((1 << 20) + 1)),  # fits, but not the owner's room
    ):
        assert_problem(answer, 413, "RESOURCE_LIMIT_EXCEEDED")
    assert not [file for file in (api.stand.folder / "blobs").glob("*/*") if file.is_file()]
    long_task = await api.run(who=alice, parameters={"payload": "x" * 10_000})
    assert_problem(long_task, 413, "RESOURCE_LIMIT_EXCEEDED")


async def test_uploads_that_a_crash_left_behind_are_swept(tmp_path):
    clock = ManualClock()
    blobs = DiskBlobs(tmp_path, clock, 1000)

    async def body():
        yield b"abc"

    async def nobody(task_ids):
        return ()

    young = await blobs.write("ada", "text/plain", body())
    unfinished = tmp_path / next(tmp_path.iterdir()).name / new_id()
    unfinished.write_bytes(b"half")

    clock.advance(1e10)  # the file's own time is the machine's
    assert await blobs.sweep(Due(young.created_at, 0, nobody)) == 0

    assert await blobs.find("ada", young.id) == young
    assert not unfinished.exists()


class TestSpilling:
    """Large parameters and results, over HTTP."""

    LONG = "x" * 400_000

    @pytest.fixture
    async def api(self):
        options = {"max_blob": 2 << 20, "max_body": 1 << 20, "room": 8 << 20}
        async with running_gateway(agents=(Echo,), **options) as running:
            yield running

    async def test_a_large_result_is_a_blob_of_the_task_s_owner(self, api, alice):
        answer = await api.run(who=alice, parameters={"payload": self.LONG})

        assert answer.status_code == 200
        told = answer.json()["result"]["$blob"]
        path = f"/v3/blobs/{told['id']}"
        shown = await api.http.get(path, headers=alice)
        assert shown.json() == {"payload": self.LONG}
        assert hashlib.sha256(shown.content).hexdigest() == told["sha256"]
        assert (len(shown.content), told["contentType"]) == (told["size"], "application/json")
        about = (await api.http.get(f"{path}/about", headers=alice)).json()
        assert about["taskId"] == answer.json()["taskId"]
        bob = await api.user("bob@example.org")
        assert_problem(await api.http.get(path, headers=bob), 404, "AUTHORIZATION_FAILED")

    async def test_what_belongs_to_a_task_cannot_be_dropped_before_its_end(self, api, alice):
        asynchronous = {"prefer": "respond-async"}
        held = await api.run("test.hold", {"text": self.LONG}, who=alice, headers=asynchronous)
        await api.stand.stage.begun()
        (about,) = (api.stand.folder / "blobs").glob("*/*.json")
        path = f"/v3/blobs/{about.stem}"

        refused = await api.http.delete(path, headers=alice)
        assert_problem(refused, 422, "INVALID_PARAMETERS", "blobId")
        await api.http.delete(held.headers["location"], headers=alice)
        await api.http.get(f"{held.headers['location']}?wait=5", headers=alice)
        assert (await api.http.delete(path, headers=alice)).status_code == 204
        assert_problem(await api.http.get(path, headers=alice), 404, "AUTHORIZATION_FAILED")

    async def test_a_result_can_be_given_to_the_next_task_as_it_is(self, api, alice):
        first = await api.run(who=alice, parameters={"payload": self.LONG})
        second = await api.run(who=alice, parameters=first.json()["result"])

        told = second.json()["result"]["$blob"]
        shown = await api.http.get(f"/v3/blobs/{told['id']}", headers=alice)
        assert shown.json() == {"payload": self.LONG}

    async def test_parameters_in_a_blob_are_looked_at_before_the_task_is_accepted(self, api, alice):
        text = (await put(api, alice, b"hello", "text/plain")).json()["blobId"]
        bob = await api.user("bob@example.org")
        for who, named in ((alice, text), (bob, text), (alice, new_id()), (alice, "x")):
            answer = await api.run(who=who, parameters={"$blob": named})
            assert_problem(answer, 422, "INVALID_PARAMETERS", "parameters.$blob")
