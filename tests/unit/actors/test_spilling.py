"""Large parameters and results on their way through a tree."""

import asyncio
from dataclasses import replace

import pytest

from actors.hosting import Limits
from cartrita.catalog import Catalog
from cartrita.clock import ManualClock, SystemClock, new_id
from cartrita.errors import IdempotencyMismatch, InvalidParameters, QueueFull
from cartrita.journal import TaskRecord
from cartrita.spill import Sizes, Spill
from cartrita.storage.blobs import Due
from cartrita.storage.memory_blobs import InMemoryBlobs
from tests.support.records import ADA, EVE, record
from tests.support.stage import Echo, begin, host_with, request, stage_tree, submit
from tests.support.troupe import Caller

SIZES = Sizes(parameters=2000, result=2000, referenced=50_000)
LONG = "x" * 5000
CATALOG = Catalog.of([Echo, Caller])


@pytest.fixture
def blobs():
    return InMemoryBlobs(ManualClock(), 1 << 20)


@pytest.fixture
async def tree(stage, blobs):
    async with stage_tree(stage, CATALOG, spill=Spill(blobs, SIZES)) as running:
        yield running


@pytest.fixture
def sweep(blobs, tree):
    """Give a function that drops everything that may be dropped."""

    async def now():
        late = 2 * SystemClock().now()
        return await blobs.sweep(Due(late, late, tree.tables.remembered))

    return now


async def recorded(tree, answer):
    """Return the record of a task as the journal has it."""
    return TaskRecord.from_wire((await tree.tables.story(answer["taskId"]))[0].data)


def kept(blobs):
    return [blob for blob, _ in blobs._kept.values()]


async def put(blobs, data, owner="ada", kind="application/json"):
    async def parts():
        yield data

    return await blobs.write(owner, kind, parts())


async def test_what_is_large_is_in_the_journal_by_reference_only(tree, door, blobs):
    answer = await submit(door, text=LONG)
    assert answer["status"] == "COMPLETED"
    given, story = (await recorded(tree, answer)).params, await tree.tables.story(answer["taskId"])
    result = story[-1].data["result"]
    assert set(given) == set(result) == {"$blob"}
    assert answer["result"] == result
    assert all(len(str(event.data)) < 2000 for event in story)
    spill = Spill(blobs, SIZES)
    assert await spill.opened("ada", given) == {"text": LONG}
    assert await spill.opened("ada", result) == {"text": LONG, "attempt": 1}
    assert {blob.task for blob in kept(blobs)} == {answer["taskId"]}


async def test_readers_of_its_events_see_the_same_reference(door, blobs):
    answer = await submit(door, text=LONG)
    events = [event async for event in door.events(answer["taskId"], ADA)]
    assert events[-1]["data"]["result"] == answer["result"]


async def test_what_is_small_makes_no_blob(door, blobs):
    assert (await submit(door, text="hi"))["result"] == {"text": "hi", "attempt": 1}
    assert kept(blobs) == []


async def test_parameters_may_be_a_blob_of_one_s_own(door, blobs):
    blob = await put(blobs, b'{"text": "from afar", "when": "2026-11-26T00:00:00Z"}')
    for given in (blob.id, {"id": blob.id}):
        answer = await door.submit(request(parameters={"$blob": given}), ADA, wait=True)
        assert answer["result"]["text"] == "from afar"
    with pytest.raises(InvalidParameters, match="no blob"):
        await door.submit(request(parameters={"$blob": blob.id}), EVE, wait=True)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'{"text": 5}', "parameters.text"),
        (b'{"nothing": 5}', "parameters.nothing"),
        (b'{"number": "5"}', "parameters.number"),
        (b"[]", "parameters.$blob"),
    ],
)
async def test_a_blob_that_does_not_fit_fails_its_task_by_name(door, blobs, data, field):
    blob = await put(blobs, data)
    answer = await door.submit(request(parameters={"$blob": blob.id}), ADA, wait=True)
    assert (answer["status"], answer["errorCode"]) == ("FAILED", "INVALID_PARAMETERS")
    assert field in answer["errorMessage"] or "object" in answer["errorMessage"]


async def test_what_goes_with_one_task_can_be_given_to_another_that_outlives_it(
    door, tree, blobs, sweep, stage
):
    first = await submit(door, text=LONG)
    given = (await recorded(tree, first)).params
    second = asyncio.create_task(
        door.submit(request("test.hold", parameters=given), ADA, wait=True)
    )
    await stage.begun()
    del tree.tables.stories[first["taskId"]]
    assert await sweep() == 2
    stage.release.set()
    answer = await second
    assert answer["status"] == "COMPLETED"
    assert {blob.task for blob in kept(blobs)} == {answer["taskId"]}


async def test_who_tries_a_task_again_takes_its_parameters_along(door, tree, blobs, sweep):
    first = await submit(door, text=LONG)
    past = await recorded(tree, first)
    now = tree.clock.now()
    again = replace(past, task_id=new_id(), accepted_at=now, deadline=now + 20, packed=b"")
    assert (await door.resubmit(again))["taskId"] == again.task_id
    del tree.tables.stories[first["taskId"]]
    assert await sweep() == 2
    answer = await door.get(again.task_id, ADA, wait=5)
    assert answer["status"] == "COMPLETED"


async def test_a_repeat_is_the_same_task_and_another_payload_is_not(door, blobs):
    first = await submit(door, text=LONG, key="k")
    again = await submit(door, text=LONG, key="k")
    assert again == first
    assert {blob.task for blob in kept(blobs)} == {first["taskId"]}  # the repeat's is gone
    with pytest.raises(IdempotencyMismatch):
        await submit(door, text=f"{LONG}x", key="k")
    assert {blob.task for blob in kept(blobs)} == {first["taskId"]}


async def test_a_repeat_under_its_id_leaves_the_first_one_s_parameters_alone(
    door, tree, blobs, stage
):
    task_id = new_id()
    held = begin(door, "test.hold", LONG, task_id=task_id)
    await stage.begun()
    with pytest.raises(IdempotencyMismatch):
        await submit(door, "test.hold", f"{LONG}y", task_id=task_id)
    twin = begin(door, "test.hold", LONG, task_id=task_id)
    stage.release.set()
    assert (await held) == (await twin)
    given = (await recorded(tree, {"taskId": task_id})).params
    assert await Spill(blobs, SIZES).opened("ada", given) == {"text": LONG}


async def test_a_small_setting_later_does_not_change_what_a_repeat_is(stage, blobs):
    async with stage_tree(stage, CATALOG) as plain:
        first = await submit(plain.door, text=LONG, key="k")
        tables = plain.tables
    async with stage_tree(stage, CATALOG, tables=tables, spill=Spill(blobs, SIZES)) as tree:
        assert await submit(tree.door, text=LONG, key="k") == first


async def test_what_agents_give_each_other_is_whole(door, blobs):
    answer = await submit(door, "call.echo", text=LONG)
    assert answer["status"] == "COMPLETED"
    result = await Spill(blobs, SIZES).opened("ada", answer["result"])
    assert result["text"] == f"heard {LONG}"


async def test_it_is_kept_as_long_as_its_task_and_no_longer(door, tree, blobs, sweep, stage):
    held = begin(door, "test.hold", LONG)
    await stage.begun()
    assert await sweep() == 0
    stage.release.set()
    answer = await held
    assert await sweep() == 0
    assert len(kept(blobs)) == 2
    del tree.tables.stories[answer["taskId"]]
    assert await sweep() == 2
    assert kept(blobs) == []


async def test_what_was_put_in_for_nothing_is_swept(blobs, sweep):
    await Spill(blobs, SIZES).lighten(record(params={"text": LONG}))
    assert len(kept(blobs)) == 1
    assert await sweep() == 1


async def test_a_task_that_lost_its_host_reads_its_parameters_again(tree, door, stage, blobs):
    held = begin(door, "test.hold", LONG)
    await stage.begun()
    (task_id,) = {blob.task for blob in kept(blobs)}
    await host_with(tree, task_id).kill()
    assert await stage.begun() == LONG
    stage.release.set()
    assert (await held)["status"] == "COMPLETED"


async def test_what_was_put_in_for_a_task_that_is_refused_is_dropped(stage, blobs):
    limits = Limits(queue=1, concurrency=1)
    async with stage_tree(stage, CATALOG, limits=limits, spill=Spill(blobs, SIZES)) as tree:
        held = begin(tree.door, "test.hold", LONG)
        await stage.begun()
        waits = await submit(tree.door, "test.hold", LONG, wait=False)
        with pytest.raises(QueueFull):
            await submit(tree.door, "test.hold", LONG)
        assert len(kept(blobs)) == 2
        stage.release.set()
        assert (await held)["status"] == "COMPLETED"
        assert (await tree.door.get(waits["taskId"], ADA, wait=5))["status"] == "COMPLETED"
