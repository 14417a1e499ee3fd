"""Where people look at effects and decide about the unknown."""

import pytest

from actors.effectdesk import EffectDesk
from cartrita.clock import ManualClock, iso, new_id
from cartrita.effects import LARGEST_RESULT, Finding
from cartrita.errors import EffectSettled, InvalidParameters, NotFound, ResourceLimitExceeded
from cartrita.protocol.principal import Principal, Role
from cartrita.storage.memory_effects import InMemoryEffectBook, InMemoryLedger
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.memory_runtime import InMemoryAudit
from tests.support.effects import BEGUN, SENT, doubtful, intent
from tests.support.records import ADA, EVE, record

ROOT = Principal("root", "root", Role.ADMIN)


@pytest.fixture
def tables():
    return JournalTables()


@pytest.fixture
def audit():
    return InMemoryAudit()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def desk(tables, audit, clock):
    return EffectDesk(InMemoryEffectBook(tables, clock), audit, clock)


@pytest.fixture
async def ledger(tables):
    return InMemoryLedger(tables, "system/0", await InMemoryJournal(tables, "system/0").open())


async def test_owners_see_theirs_and_administrators_all(desk, tables):
    ours, theirs = await doubtful(tables), await doubtful(tables, "eve")
    assert [row["effectId"] for row in await desk.list(ADA)] == [ours]
    assert {row["effectId"] for row in await desk.list(ROOT)} == {ours, theirs}
    (row,) = await desk.list(EVE)
    assert (row["name"], row["key"], row["user"], row["state"]) == (
        "email",
        "ada",
        "eve",
        "unknown",
    )
    assert (row["attempt"], row["settledBy"], row["result"]) == (1, None, None)


async def test_each_state_is_a_list_of_its_own(desk, ledger):
    for key, finding in (("a", SENT), ("b", Finding.not_done()), ("c", None)):
        one = intent(key=key)
        await ledger.begin(one)
        if finding:
            await ledger.end(one, finding, of=BEGUN)
    found = {state: await desk.list(ADA, state) for state in ("done", "not_done", "begun")}
    assert {state: [row["key"] for row in rows] for state, rows in found.items()} == {
        "done": ["a"],
        "not_done": ["b"],
        "begun": ["c"],
    }
    assert found["begun"][0]["endedAt"] is None
    assert found["done"][0]["result"] == SENT.result
    assert await desk.list(ADA) == []


@pytest.mark.parametrize("decision", [("done", {"receipt": 1}), ("done", None), ("not_done", None)])
@pytest.mark.parametrize("who", [ADA, ROOT])
async def test_a_decision_holds_and_is_noted(desk, tables, audit, clock, who, decision):
    effect, (outcome, result) = await doubtful(tables), decision
    clock.advance(10)
    row = await desk.resolve(effect, who, outcome, result)
    assert (row["state"], row["result"], row["settledBy"]) == (outcome, result, who.user)
    assert row["endedAt"] == iso(clock.now())
    assert await desk.list(ROOT) == []
    (entry,) = await audit.entries(5, None)
    assert (entry.actor, entry.action, entry.target) == (who.user, "RESOLVE_EFFECT", effect)
    assert (entry.outcome, entry.detail["taskId"]) == (outcome, row["taskId"])


async def test_a_second_decision_is_refused_and_noted(desk, tables, audit):
    effect = await doubtful(tables)
    await desk.resolve(effect, ADA, "done")
    with pytest.raises(EffectSettled, match="done, by ada") as refused:
        await desk.resolve(effect, ROOT, "not_done")
    assert refused.value.fields[0].field == "effectId"
    (second, _) = await audit.entries(5, None)
    assert (second.actor, second.outcome) == ("root", "refused: done before")


async def test_what_an_attempt_is_at_is_not_decided(desk, ledger):
    one = intent()
    await ledger.begin(one)
    with pytest.raises(EffectSettled, match="is at work"):
        await desk.resolve(one.id, ADA, "done")
    await ledger.end(one, SENT, of=BEGUN)
    with pytest.raises(EffectSettled, match="done, by its task"):
        await desk.resolve(one.id, ADA, "done")


async def test_what_is_somebody_elses_is_not_found(desk, tables, audit):
    theirs = await doubtful(tables, "eve")
    for effect in (theirs, new_id()):
        with pytest.raises(NotFound):
            await desk.resolve(effect, ADA, "done")
    assert [row["effectId"] for row in await desk.list(EVE)] == [theirs]
    assert await audit.entries(5, None) == []


async def test_what_cannot_be_a_result_is_refused(desk, tables):
    effect = await doubtful(tables)
    with pytest.raises(InvalidParameters) as refused:
        await desk.resolve(effect, ADA, "not_done", 1)
    assert refused.value.fields[0].field == "result"
    with pytest.raises(ResourceLimitExceeded):
        await desk.resolve(effect, ADA, "done", "x" * LARGEST_RESULT)
    assert len(await desk.list(ADA)) == 1


async def test_a_long_list_comes_in_pages(desk, ledger):
    for _ in range(5):
        one = intent(record())
        await ledger.begin(one)
        await ledger.end(one, Finding.unknown(), of=BEGUN)
    first = await desk.list(ADA, limit=3)
    rest = await desk.list(ADA, limit=3, before=first[-1]["effectId"])
    ids = [row["effectId"] for row in (*first, *rest)]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 5
