"""What is large goes as a blob, and comes back as it was."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartrita.channel.frames import pack
from cartrita.clock import ManualClock, new_id
from cartrita.errors import (
    ConfigurationInvalid,
    InvalidParameters,
    ResourceLimitExceeded,
    ServiceUnavailable,
)
from cartrita.spill import Sizes, Spill, _read, _written, plainly, reference_in
from cartrita.storage.blobs import Blob
from cartrita.storage.memory_blobs import InMemoryBlobs
from tests.support.records import EVE, record

SIZES = Sizes(parameters=1000, result=1000, referenced=5000, kept=8000, inline=4000)
LARGE = {"text": "x" * 2000}
HUGE = {"text": "x" * 6000}


class Away:
    """A store that cannot be reached."""

    async def write(self, owner, kind, parts, task=None):
        raise ServiceUnavailable("away")

    async def find(self, owner, blob_id):
        raise ServiceUnavailable("away")


@pytest.fixture
def blobs():
    return InMemoryBlobs(ManualClock(), 1 << 20)


@pytest.fixture
def spill(blobs):
    return Spill(blobs, SIZES)


async def put(blobs, data, owner="ada", kind="application/json", task=None):
    async def parts():
        yield data if isinstance(data, bytes) else json.dumps(data).encode()

    return await blobs.write(owner, kind, parts(), task)


def told(blob):
    return {"id": blob.id, "size": blob.size, "contentType": blob.kind, "sha256": blob.digest}


class TestParameters:
    async def test_small_ones_travel_with_their_task(self, spill, blobs):
        task = record()
        assert await spill.lighten(task) is task
        assert task.packed == pack(task.to_wire())

    async def test_large_ones_go_into_a_blob_of_the_task_and_its_owner(self, spill, blobs):
        task = record(params=LARGE)
        light = await spill.lighten(task)
        blob = await blobs.find("ada", reference_in(light.params))
        assert light.params == {"$blob": told(blob)}
        assert (blob.task, blob.kind) == (task.task_id, "application/json")
        assert len(light.pack()) < 1000
        assert light.digest == task.digest
        assert await spill.opened("ada", light.params) == LARGE

    async def test_what_is_large_beside_them_does_not_make_them_so(self, spill):
        task = record(metadata={"note": "x" * 2000})
        assert await spill.lighten(task) is task

    async def test_what_a_user_put_in_stays_where_it_is(self, spill, blobs):
        blob = await put(blobs, LARGE)
        light = await spill.lighten(record(params={"$blob": blob.id}))
        assert light.params == {"$blob": told(blob)}
        assert await spill.opened("ada", light.params) == LARGE

    async def test_what_goes_with_another_task_is_copied_for_this_one(self, spill, blobs):
        theirs = await put(blobs, LARGE, task=new_id())
        task = record(params={"$blob": told(theirs)})
        light = await spill.lighten(task)
        ours = await blobs.find("ada", reference_in(light.params))
        assert (ours.task, ours.digest) == (task.task_id, theirs.digest)
        assert ours.id != theirs.id
        again = await spill.lighten(light)
        assert again.params == light.params

    @pytest.mark.parametrize(
        "params",
        [
            {"$blob": 5},
            {"$blob": "../../etc/passwd"},
            {"$blob": {"size": 5}},
            {"$blob": None},
            {"$blob": new_id(), "text": "x"},
        ],
    )
    async def test_half_a_reference_is_refused(self, spill, params):
        with pytest.raises(InvalidParameters) as raised:
            await spill.lighten(record(params=params))
        assert raised.value.fields[0].field == "parameters.$blob"

    async def test_other_people_s_blobs_are_not_there(self, spill, blobs):
        blob = await put(blobs, LARGE)
        for params in ({"$blob": blob.id}, {"$blob": new_id()}):
            with pytest.raises(InvalidParameters, match="no blob"):
                await spill.lighten(record(params=params, principal=EVE))

    async def test_type_and_size_are_bounded(self, spill, blobs):
        text, long = await put(blobs, b"hi", kind="text/plain"), await put(blobs, HUGE)
        with pytest.raises(InvalidParameters, match="text/plain"):
            await spill.lighten(record(params={"$blob": text.id}))
        with pytest.raises(ResourceLimitExceeded, match="referenced_parameters_bytes"):
            await spill.lighten(record(params={"$blob": long.id}))

    async def test_what_was_put_in_for_a_refused_task_is_dropped(self, spill, blobs):
        light = await spill.lighten(record(params=LARGE))
        await spill.forgo(light)
        assert await blobs.find("ada", reference_in(light.params)) is None

    async def test_what_a_user_put_in_outlives_a_refusal(self, spill, blobs):
        blob = await put(blobs, LARGE)
        await spill.forgo(await spill.lighten(record(params={"$blob": blob.id})))
        await spill.forgo(record())
        assert await blobs.find("ada", blob.id) == blob

    @pytest.mark.parametrize("kind", ["away", "apart"])
    async def test_where_nothing_can_be_kept_they_travel_as_far_as_they_fit(self, blobs, kind):
        spill = Spill(Away(), SIZES) if kind == "away" else Spill(blobs, SIZES, shared=False)
        task = record(params=LARGE)
        assert await spill.lighten(task) is task
        with pytest.raises((ServiceUnavailable, ConfigurationInvalid)):
            await spill.lighten(record(params=HUGE))
        with pytest.raises((ServiceUnavailable, ConfigurationInvalid)):
            await spill.lighten(record(params={"$blob": new_id()}))
        await spill.forgo(record(params={"$blob": new_id()}))


class TestResults:
    async def test_small_ones_are_as_they_are(self, spill):
        result = {"text": "hi"}
        assert await spill.result(record(), result) is result

    @pytest.mark.parametrize(
        ("result", "kind"),
        [
            (LARGE, "application/json"),
            ({"text": "é" * 1000, "n": [1.5, None]}, "application/json"),
            ({"data": b"\xff" * 2000}, "application/msgpack"),
            ({"text": "x" * 2000, "n": float("inf")}, "application/msgpack"),
        ],
    )
    async def test_large_ones_become_references(self, spill, blobs, result, kind):
        task = record()
        light = await spill.result(task, result)
        blob = await blobs.find("ada", light["$blob"]["id"])
        assert light == {"$blob": told(blob)}
        assert (blob.kind, blob.task) == (kind, task.task_id)
        assert await spill.opened("ada", light) == result

    async def test_they_are_bounded(self, spill):
        with pytest.raises(ResourceLimitExceeded, match=r"blobs\.max_bytes"):
            await spill.result(record(), {"text": "x" * 9000})

    async def test_no_result_is_lost_for_want_of_a_blob_as_far_as_it_fits(self):
        spill = Spill(Away(), SIZES)
        assert await spill.result(record(), LARGE) is LARGE
        with pytest.raises(ServiceUnavailable):
            await spill.result(record(), HUGE)

    async def test_nodes_that_share_no_blobs_say_which_settings_would(self, blobs):
        spill = Spill(blobs, SIZES, shared=False)
        with pytest.raises(ConfigurationInvalid, match=r"blobs\.s3_bucket.*blobs\.directory"):
            await spill.result(record(), HUGE)


class TestOpening:
    async def test_what_is_no_reference_is_itself(self, spill):
        value = {"text": "hi"}
        assert await spill.opened("ada", value) is value

    @pytest.mark.parametrize(
        "data", [b"", b"{", b"[1]", b"null", b'{"a": NaN}', b"[" * 5000, b'{"a": "\xff"}']
    )
    async def test_what_cannot_be_parameters_is_refused(self, spill, blobs, data):
        blob = await put(blobs, data)
        with pytest.raises(InvalidParameters):
            await spill.opened("ada", {"$blob": blob.id})

    async def test_what_is_gone_or_somebody_else_s_is_refused(self, spill, blobs):
        blob = await put(blobs, LARGE)
        with pytest.raises(InvalidParameters, match="gone"):
            await spill.opened("eve", {"$blob": blob.id})

    async def test_what_was_damaged_is_not_taken_for_the_truth(self):
        blob = Blob(new_id(), "application/json", 2, "0" * 64, 0.0)
        with pytest.raises(ServiceUnavailable, match="damaged"):
            _read(blob, b"{}")


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False)
    | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=50)
@given(st.dictionaries(st.text(), _PLAIN))
def test_every_plain_value_comes_back_as_it_was(value):
    kind, data = _written(value)
    blob = Blob(new_id(), kind, len(data), hashlib.sha256(data).hexdigest(), 0.0)
    found = _read(blob, data)
    assert pack(found) == pack(value)


def test_a_reference_is_digested_by_its_id_alone():
    blob_id = new_id()
    assert plainly({"$blob": {"id": blob_id, "size": 5}}) == {"$blob": blob_id}
    assert plainly({"$blob": blob_id.upper()}) == {"$blob": blob_id}
    assert plainly({"text": "x"}) == {"text": "x"}
