"""What every effect ledger promises."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from cartrita.clock import new_id
from cartrita.effects import Finding
from cartrita.errors import ServiceUnavailable, StaleEpoch
from cartrita.ledger import Past
from cartrita.storage.postgres import effects as module
from cartrita.storage.postgres.effects import PostgresLedger
from tests.support.database import free_ports
from tests.support.effects import (
    BEGUN,
    DONE,
    NOT_DONE,
    SENT,
    UNKNOWN,
    InMemory,
    InPostgres,
    Shard,
    intent,
)
from tests.support.records import record


class LedgerContract(Shard):
    """Subclass it with fixtures `taken` and `book`."""

    async def test_an_effect_is_begun_and_ends_with_what_came_of_it(self, ledger, book):
        one = intent()
        assert await ledger.begin(one) == Finding(BEGUN)
        assert await ledger.end(one, SENT, of=BEGUN) == SENT
        row = await book.find(one.id)
        assert (row.id, row.task_id, row.task_type) == (one.id, one.task_id, "test.echo")
        assert (row.user, row.tenant, row.name, row.key) == ("ada", "ada", "email", "ada")
        assert (row.state, row.result, row.attempt) == (DONE, {"receipt": 7}, 1)
        assert row.begun_at <= row.ended_at
        assert row.settled_by is None

    @pytest.mark.parametrize(
        "result",
        [None, 0, 1.5, "nul \x00, ö and \ud800", [1, [True]], {"a": {"b": None}}, "x" * 60_000],
    )
    async def test_a_result_is_kept_as_it_was_given(self, ledger, book, result):
        one = intent()
        await ledger.begin(one)
        await ledger.end(one, Finding.done(result), of=BEGUN)
        assert await ledger.begin(replace(one, attempt=2)) == Finding.done(result)
        assert (await book.find(one.id)).result == result

    async def test_a_later_attempt_finds_what_was_done(self, ledger):
        one = intent()
        await ledger.begin(one)
        await ledger.end(one, SENT, of=BEGUN)
        for attempt in (1, 2, 3):
            assert await ledger.begin(replace(one, attempt=attempt)) == SENT

    async def test_what_was_not_done_may_be_begun_again(self, ledger):
        one = intent()
        for attempt in (1, 2, 2):
            again = replace(one, attempt=attempt)
            assert await ledger.begin(again) == Finding(BEGUN)
            assert await ledger.end(again, Finding.not_done(), of=BEGUN) == Finding.not_done()

    async def test_asking_again_changes_nothing(self, ledger, book):
        one = intent()
        assert [await ledger.begin(one) for _ in range(3)] == [Finding(BEGUN)] * 3
        begun = (await book.find(one.id)).begun_at
        assert [await ledger.end(one, SENT, of=BEGUN) for _ in range(3)] == [SENT] * 3
        assert (await book.find(one.id)).begun_at == begun

    async def test_what_another_attempt_had_begun_is_unknown(self, ledger, book):
        one = intent()
        await ledger.begin(one)
        later = replace(one, attempt=2)
        assert await ledger.begin(later) == Finding.unknown()
        assert await ledger.begin(later) == Finding.unknown()
        assert (await book.find(one.id)).state is UNKNOWN

    async def test_what_another_attempt_had_begun_is_not_this_one_s_to_end(self, ledger):
        one = intent()
        await ledger.begin(one)
        assert await ledger.end(replace(one, attempt=2), SENT, of=BEGUN) == Finding(BEGUN)
        await ledger.begin(replace(one, attempt=2))
        assert await ledger.end(one, SENT, of=BEGUN) == Finding.unknown()
        assert await ledger.end(one, SENT, of=UNKNOWN) == Finding.unknown()

    @pytest.mark.parametrize("found", [SENT, Finding.not_done(), Finding.unknown()])
    async def test_whoever_asked_last_may_say_what_became_of_it(self, ledger, book, found):
        one, later = intent(), intent()
        later = replace(one, attempt=2)
        await ledger.begin(one)
        await ledger.begin(later)
        assert await ledger.end(later, found, of=UNKNOWN) == found
        assert (await book.find(one.id)).settled_by == "probe"

    async def test_one_that_takes_back_its_question_says_nothing_of_what_was_before(self, ledger):
        one = intent()
        await ledger.begin(one)
        later = replace(one, attempt=2)
        await ledger.begin(later)
        assert await ledger.end(later, Finding.not_done(), of=BEGUN) == Finding.unknown()

    async def test_an_attempt_that_gives_up_leaves_it_unknown(self, ledger):
        one = intent()
        await ledger.begin(one)
        assert await ledger.end(one, Finding.unknown(), of=BEGUN) == Finding.unknown()
        assert await ledger.begin(replace(one, attempt=2)) == Finding.unknown()

    async def test_the_end_of_what_was_never_begun_is_that_it_was_not_done(self, ledger, book):
        one = intent()
        assert await ledger.end(one, Finding.not_done(), of=BEGUN) == Finding.not_done()
        assert await book.find(one.id) is None

    async def test_names_and_keys_and_tasks_tell_effects_apart(self, ledger):
        task, other = record(), record()
        asked = [
            intent(task),
            intent(task, key="eve"),
            intent(task, name="letter"),
            intent(other),
        ]
        for one in asked:
            assert await ledger.begin(one) == Finding(BEGUN)
            assert await ledger.end(one, SENT, of=BEGUN) == SENT
        assert len({one.id for one in asked}) == len(asked)

    async def test_a_task_that_tries_another_again_shares_its_effects(self, ledger):
        first = record()
        again = record(root=first.task_id)
        await ledger.begin(intent(first))
        await ledger.end(intent(first), SENT, of=BEGUN)
        assert await ledger.begin(intent(again)) == SENT

    async def test_answers_come_in_the_order_of_the_calls(self, ledger):
        one, seen = intent(), []
        asked = [
            ledger.begin(one),
            ledger.end(one, Finding.not_done(), of=BEGUN),
            ledger.begin(one),
            ledger.end(one, SENT, of=BEGUN),
            ledger.begin(replace(one, attempt=2)),
        ]
        for place, future in enumerate(asked):
            future.add_done_callback(lambda _, place=place: seen.append(place))
        found = await asyncio.gather(*asked)
        assert [finding.state for finding in found] == [BEGUN, NOT_DONE, BEGUN, DONE, DONE]
        assert seen == [0, 1, 2, 3, 4]

    async def test_many_at_once_are_written(self, ledger, book):
        intents = [intent(key=str(number)) for number in range(1200)]
        found = await asyncio.gather(*(ledger.begin(one) for one in intents))
        assert found == [Finding(BEGUN)] * 1200
        await asyncio.gather(*(ledger.end(one, SENT, of=BEGUN) for one in intents))
        rows = await book.page(None, DONE, 2000, None)
        assert {row.id for row in rows} == {one.id for one in intents}

    async def test_whoever_lost_the_shard_neither_begins_nor_ends(self, taken, book):
        _, zombie = await taken("system/0")
        begun, other = intent(), intent()
        await zombie.begin(begun)
        _, ledger = await taken("system/0")
        for asked in (
            zombie.begin(other),
            zombie.begin(begun),
            zombie.end(begun, SENT, of=BEGUN),
        ):
            with pytest.raises(StaleEpoch, match="'system/0'"):
                await asked
        assert await book.find(other.id) is None
        assert await ledger.begin(begun) == Finding.unknown()  # the same attempt's number

    async def test_another_shard_s_epoch_does_not_matter(self, taken):
        _, ledger = await taken("system/0")
        await taken("system/1")
        await taken("system/1")
        assert await ledger.begin(intent()) == Finding(BEGUN)

    async def test_a_new_owner_learns_what_there_is(self, taken):
        _, ledger = await taken("system/0")
        task = record()
        begun, done, denied, doubted = (intent(task, key=key) for key in "abcd")
        for one in (begun, done, denied, doubted, intent()):
            await ledger.begin(one)
        await ledger.end(done, SENT, of=BEGUN)
        await ledger.end(denied, Finding.not_done(), of=BEGUN)
        await ledger.end(doubted, Finding.unknown(), of=BEGUN)
        _, successor = await taken("system/0")
        found = await successor.past([task.task_id, new_id()])
        assert list(found) == [task.task_id]
        assert sorted(found[task.task_id], key=lambda past: past.id) == sorted(
            [
                Past(begun.id, "email", UNKNOWN),
                Past(done.id, "email", DONE),
                Past(denied.id, "email", NOT_DONE),
                Past(doubted.id, "email", UNKNOWN),
            ],
            key=lambda past: past.id,
        )

    async def test_a_closed_ledger_refuses(self, ledger):
        await ledger.close()
        with pytest.raises(ServiceUnavailable):
            await ledger.begin(intent())
        with pytest.raises(ServiceUnavailable):
            await ledger.end(intent(), SENT, of=BEGUN)


class TestInMemoryLedger(InMemory, LedgerContract):
    """Lies beside the journal in memory."""


@pytest.mark.database
class TestPostgresLedger(InPostgres, LedgerContract):
    """Lies beside the journal's tables."""

    async def test_a_shard_without_effects_has_no_connection_for_them(self, ledger, sql):
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%ledger%' AND datname = current_database()"  # noqa: E501
        assert await sql.fetchval(count) == 0
        await ledger.begin(intent())
        assert await sql.fetchval(count) == 1

    async def test_what_waits_goes_into_one_transaction(self, ledger, monkeypatch):
        sizes, send = [], PostgresLedger._send

        async def noted(self, batch):
            sizes.append(len(batch))
            return await send(self, batch)

        monkeypatch.setattr(PostgresLedger, "_send", noted)
        await asyncio.gather(*(ledger.begin(intent()) for _ in range(50)))
        assert sizes == [50]

    async def test_a_beginning_that_nobody_waits_for_is_taken_back(self, ledger, book):
        first, second = intent(), intent()
        waits = ledger.begin(first)
        left = ledger.begin(second)
        left.cancel()
        await waits
        await ledger.begin(intent())
        assert await book.find(second.id) is None

    async def test_a_lost_connection_is_made_good(self, ledger, book, sql, monkeypatch):
        monkeypatch.setattr(module, "PAUSE", 0.01)
        one = intent()
        await ledger.begin(one)
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'cartrita ledger%' AND datname = current_database()"  # noqa: E501
        for number in itertools.count():
            await sql.execute(kill)
            if number == 5:
                break
            found = await asyncio.wait_for(ledger.end(one, Finding.not_done(), of=BEGUN), 5)
            assert found == Finding.not_done()
            assert await asyncio.wait_for(ledger.begin(one), 5) == Finding(BEGUN)

    async def test_a_commit_that_was_not_answered_is_sent_again(self, ledger, book, monkeypatch):
        monkeypatch.setattr(module, "PAUSE", 0.01)
        lost, send = [], PostgresLedger._send

        async def swallowed(self, batch):
            found = await send(self, batch)
            if len(lost) < 2:
                lost.append(found)
                raise ConnectionResetError
            return found

        monkeypatch.setattr(PostgresLedger, "_send", swallowed)
        one, other = intent(), intent()
        asked = [ledger.begin(one), ledger.begin(other), ledger.end(one, SENT, of=BEGUN)]
        found = await asyncio.wait_for(asyncio.gather(*asked), 5)
        assert lost[0] == [Finding(BEGUN), Finding(BEGUN), SENT]
        assert found[1:] == [Finding(BEGUN), SENT]
        assert (await book.find(one.id)).result == SENT.result

    async def test_a_bad_entry_fails_alone(self, ledger):
        good, bad, fine = intent(), intent(key="nul \x00"), intent()
        told = await asyncio.gather(
            *(ledger.begin(one) for one in (good, bad, fine)), return_exceptions=True
        )
        assert told[::2] == [Finding(BEGUN)] * 2
        assert "refused" in str(told[1])

    async def test_beyond_its_bound_it_refuses_beginnings_and_takes_ends(self, ledger, monkeypatch):
        monkeypatch.setattr(module, "MOST_WAITING", 1)
        one = intent()
        first, second = ledger.begin(one), ledger.begin(intent())
        third = ledger.end(one, SENT, of=BEGUN)
        with pytest.raises(ServiceUnavailable, match="behind"):
            await second
        assert await first == Finding(BEGUN)
        assert await third == SENT

    async def test_a_ledger_whose_server_is_away_learns_nothing(self):
        (port,) = free_ports(1)
        ledger = PostgresLedger(f"postgresql://x@127.0.0.1:{port}/x", "system/0", 1)
        with pytest.raises(ServiceUnavailable):
            await ledger.past([new_id()])
