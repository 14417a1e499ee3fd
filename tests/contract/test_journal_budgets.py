"""No budget is overdrawn, and every reservation is settled exactly."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from cartrita.clock import SystemClock, new_id
from cartrita.journal import Settlement, Verdict
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus
from tests.support.journals import Durable, admitted
from tests.support.records import ADA, EVE, end, record

PRICE = 1_000_000
"""Billionths of a dollar."""


def priced(text="hello", **changes):
    return record(text, **{"reserve_nano": PRICE, "reserve_tokens": 10} | changes)


@pytest.mark.database
class TestBudgets(Durable):
    @pytest.fixture
    def budget(self, sql):
        """Give a function that sets a budget."""

        async def put(name, usd=None, tokens=None, **fields):
            columns = {"id": name, "max_nano_usd": usd, "max_tokens": tokens} | fields
            marks = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
            await sql.execute(
                f"INSERT INTO budgets ({', '.join(columns)}) VALUES ({marks})", *columns.values()
            )

        return put

    @pytest.fixture
    def balance(self, sql):
        """Give a function that tells what is used and what is reserved of a budget."""

        async def get(name="user:ada"):
            row = await sql.fetchrow("SELECT * FROM budgets WHERE id = $1", name)
            used = (row["used_nano_usd"], row["used_tokens"])
            return used, (row["reserved_nano_usd"], row["reserved_tokens"])

        return get

    @pytest.mark.parametrize("limit", ["usd", "tokens"])
    async def test_exactly_what_fits_is_admitted_though_two_writers_admit_at_once(
        self, opened, budget, balance, limit
    ):
        room = {"usd": 37 * PRICE + PRICE // 2} if limit == "usd" else {"tokens": 379}
        await budget("user:ada", **room)
        writers = [await opened(shard) for shard in ("system/0", "intelligence/0")]
        tasks = [priced(str(number)) for number in range(60)]
        verdicts = await asyncio.gather(
            *(writers[place % 2].admit(task) for place, task in enumerate(tasks))
        )
        kinds = Counter(verdict.kind for verdict in verdicts)
        assert kinds == {"accepted": 37, "budget": 23}
        assert {v.budget for v in verdicts if v.kind == "budget"} == {"user:ada"}
        assert await balance() == ((0, 0), (37 * PRICE, 370))

    async def test_one_batch_does_not_overdraw_either(self, journal, budget, balance):
        await budget("user:ada", 3 * PRICE)
        verdicts = await asyncio.gather(*(journal.admit(priced()) for _ in range(10)))
        assert [verdict.kind for verdict in verdicts] == ["accepted"] * 3 + ["budget"] * 7
        assert await balance() == ((0, 0), (3 * PRICE, 30))

    async def test_an_end_settles_exactly_what_was_used_and_frees_the_rest(
        self, journal, budget, balance
    ):
        await budget("user:ada", 10 * PRICE, 100)
        tasks = [priced(str(number)) for number in range(10)]
        await asyncio.gather(*(journal.admit(task) for task in tasks))
        used = [Settlement(number, number % 3) for number in range(8)]
        ends = [journal.append(end(task), one) for task, one in zip(tasks, used, strict=False)]
        ends.append(journal.append(end(tasks[8], TaskStatus.CANCELLED), Settlement()))
        assert all(await asyncio.gather(*ends))
        total = (sum(one.nano_usd for one in used), sum(one.tokens for one in used))
        assert await balance() == (total, (PRICE, 10))

    async def test_an_end_that_comes_again_settles_nothing(self, journal, budget, balance):
        await budget("user:ada", 10 * PRICE)
        (task,) = await admitted(journal, priced())
        assert await journal.append(end(task), Settlement(5, 1))
        assert not await journal.append(end(task), Settlement(500, 100))
        assert await balance() == ((5, 1), (0, 0))

    async def test_room_that_is_given_back_is_used(self, journal, budget):
        await budget("user:ada", PRICE)
        (first,) = await admitted(journal, priced())
        assert (await journal.admit(priced())).kind == "budget"
        await journal.append(end(first), Settlement())
        await admitted(journal, priced())

    async def test_a_task_must_fit_its_user_s_and_its_tenant_s_budget(
        self, journal, budget, balance
    ):
        await budget("user:ada", 100 * PRICE)
        await budget("tenant:lab", PRICE)
        lab = Principal("ada", "lab")
        await admitted(journal, priced(principal=lab))
        refused = await journal.admit(priced(principal=lab))
        assert (refused.kind, refused.budget) == ("budget", "tenant:lab")
        assert await balance("user:ada") == ((0, 0), (PRICE, 10))
        assert await balance("tenant:lab") == ((0, 0), (PRICE, 10))
        await admitted(journal, priced(principal=Principal("ada", "home")))

    async def test_without_a_budget_there_is_no_bound_and_free_tasks_need_none(
        self, journal, budget, balance
    ):
        await budget("user:eve", 0, 0)
        await admitted(journal, priced(principal=ADA), record(principal=EVE))
        assert (await journal.admit(priced(principal=EVE))).kind == "budget"
        assert await balance("user:eve") == ((0, 0), (0, 0))

    async def test_a_task_that_comes_again_is_known_though_no_room_is_left(
        self, journal, budget, balance
    ):
        await budget("user:ada", PRICE)
        (task,) = await admitted(journal, priced(idempotency_key="k"))
        assert (await journal.admit(task)).kind == "known"
        assert (await journal.admit(priced(idempotency_key="k"))).kind == "known"
        assert await balance() == ((0, 0), (PRICE, 10))

    async def test_twins_reserve_once(self, journal, budget, balance):
        await budget("user:ada", 10 * PRICE)
        task = priced()
        verdicts = await asyncio.gather(*(journal.admit(task) for _ in range(3)))
        assert [verdict.kind for verdict in verdicts] == ["accepted", "known", "known"]
        assert await balance() == ((0, 0), (PRICE, 10))
        await journal.append(end(task), Settlement(1, 1))
        assert await balance() == ((1, 1), (0, 0))

    async def test_a_key_that_was_refused_for_its_budget_can_be_used_again(
        self, journal, budget, sql
    ):
        await budget("user:ada", 0)
        first = priced(idempotency_key="k")
        assert (await journal.admit(first)).kind == "budget"
        assert (await journal.admit(priced("other", idempotency_key="k"))).kind == "budget"
        await sql.execute("UPDATE budgets SET max_nano_usd = $1", 10 * PRICE)
        await admitted(journal, replace(first, task_id=new_id()))
        assert (await journal.admit(first)).kind == "known"

    async def test_of_keyed_twins_in_one_batch_without_room_none_holds_the_key(
        self, journal, budget, sql
    ):
        await budget("user:ada", 0)
        twins = [priced(idempotency_key="k") for _ in range(2)]
        verdicts = await asyncio.gather(*(journal.admit(task) for task in twins))
        assert [verdict.kind for verdict in verdicts] == ["budget", "budget"]
        assert await sql.fetchval("SELECT count(*) FROM idempotency_keys") == 0

    async def test_a_period_that_is_over_begins_anew(self, journal, budget, balance, sql):
        await budget(
            "user:ada", PRICE, period=timedelta(seconds=60), used_nano_usd=PRICE, used_tokens=7
        )
        await sql.execute("UPDATE budgets SET resets_at = now() + interval '30 seconds'")
        refused = await journal.admit(priced())
        assert refused.kind == "budget"
        assert refused.resets_at == pytest.approx(SystemClock().now() + 30, abs=20)
        await sql.execute("UPDATE budgets SET resets_at = now() - interval '90 seconds'")
        await admitted(journal, priced())
        assert await balance() == ((0, 0), (PRICE, 10))
        assert await sql.fetchval(
            "SELECT resets_at - now() BETWEEN interval '0' AND interval '60 seconds' FROM budgets"
        )

    async def test_an_expired_key_is_forgotten(self, journal, sql):
        (first,) = await admitted(journal, record(idempotency_key="k"))
        await sql.execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
        (second,) = await admitted(journal, record("other", idempotency_key="k"))
        again = await journal.admit(record("other", idempotency_key="k"))
        assert again == Verdict("known", second.task_id)
        assert first.task_id != second.task_id
