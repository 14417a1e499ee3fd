"""What every journal and every book of budgets promise about money."""

import asyncio

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from cartrita.clock import SystemClock, new_id
from cartrita.cost.budget import Bill, Ceiling, Defaults, Line, Period, Spending
from cartrita.errors import ServiceUnavailable
from cartrita.journal import Settlement
from cartrita.protocol.principal import Principal
from cartrita.storage.budgets import Spent
from cartrita.storage.memory_budgets import InMemoryBudgets
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.postgres.budgets import PostgresBudgets
from cartrita.storage.postgres.journal import PostgresJournal
from tests.support.journals import Durable
from tests.support.records import ADA, end, record

USER, TENANT = "user:ada", "tenant:ada"
DAILY = Ceiling(100, 50, Period.DAY)
NOBODY = Defaults()
BOTH = Defaults({"user": DAILY, "session": Ceiling(30)})


def priced(nano=10, tokens=5, **fields):
    return record(**{"reserve_nano": nano, "reserve_tokens": tokens, **fields})


def with_ceiling(nano=10, tokens=0, **fields):
    """Return a task whose caller set a ceiling."""
    task_id = new_id()
    return priced(nano, tokens, task_id=task_id, tree=task_id, **fields)


def billed(nano, tokens, *lines, who=ADA):
    return Settlement(nano, tokens, Bill(who.user, who.tenant, "poet", "test.echo", lines))


class BudgetContract:
    """Subclass it with fixtures `opened`, which opens a shard's writer, and `book`."""

    @pytest.fixture
    async def journal(self, opened):
        return await opened(budgets=BOTH)

    async def test_a_budget_that_nobody_set_is_made_when_it_is_needed(self, journal, book):
        assert await book.find([USER]) == []
        assert (await journal.admit(priced())).kind == "accepted"
        (row,) = await book.find([USER, TENANT])
        assert (row.id, row.ceiling, row.own) == (USER, DAILY, False)
        assert (row.reserved_nano, row.reserved_tokens) == (10, 5)
        assert row.resets_at == Period.DAY.ends(SystemClock().now())

    async def test_free_tasks_need_no_budget(self, journal, book):
        assert (await journal.admit(record(session_id="s"))).kind == "accepted"
        assert await book.page(10, None) == []

    async def test_it_holds_no_more_than_its_default(self, journal, book):
        verdicts = [await journal.admit(priced(30)) for _ in range(4)]
        assert [one.kind for one in verdicts] == ["accepted"] * 3 + ["budget"]
        assert verdicts[3].budget == USER
        assert verdicts[3].resets_at == Period.DAY.ends(SystemClock().now())

    async def test_it_follows_the_settings_until_somebody_sets_it(self, opened, journal, book):
        await journal.admit(priced(30))
        other = await opened("intelligence/0", budgets=Defaults({"user": Ceiling(35)}))
        assert (await other.admit(priced(10))).kind == "budget"
        (row,) = await book.find([USER])
        assert (row.ceiling, row.resets_at) == (Ceiling(35), None)
        set_to = await book.put(USER, Ceiling(60, None, Period.TOTAL))
        assert (set_to.own, set_to.reserved_nano, set_to.ceiling) == (True, 30, Ceiling(60))
        assert (await other.admit(priced(10))).kind == "accepted"
        assert await book.reset(USER, Ceiling(35))
        assert not await book.reset(USER, Ceiling(35))
        assert (await other.admit(priced(1))).kind == "budget"

    async def test_what_is_used_counts_though_a_budget_is_set_anew(self, journal, book):
        task = priced(50, 5)
        await journal.admit(task)
        await journal.append(end(task), Settlement(40, 3))
        row = await book.put(USER, Ceiling(45, None, Period.DAY))
        assert (row.used_nano, row.used_tokens) == (40, 3)
        assert (await journal.admit(priced(6))).kind == "budget"
        assert (await journal.admit(priced(5))).kind == "accepted"

    async def test_pressure_is_how_full_the_fullest_was_before(self, journal, book):
        await book.put(TENANT, Ceiling(40))
        told = [(await journal.admit(priced(10, 20))).pressure for _ in range(2)]
        assert told == [0.0, 0.4]
        assert (await journal.admit(record())).pressure == 0.0

    async def test_whoever_takes_a_task_up_learns_how_full_the_fullest_is_beside_it(
        self, opened, journal, book
    ):
        await book.put(TENANT, Ceiling(40, None, Period.DAY))
        tasks = [priced(10, 20), priced(10, 20), record()]
        for task in tasks:
            await journal.admit(task)
        successor = await opened(budgets=BOTH)
        found = {task.task_id: full async for task, _, full in successor.unfinished()}
        assert [found[task.task_id] for task in tasks] == [0.4, 0.4, 0.0]  # of 50 tokens

        await successor.append(end(tasks[0]), Settlement(30, 3))
        assert [full async for *_, full in successor.unfinished()] == [0.75, 0.0]

    async def test_a_session_has_a_budget_where_the_settings_say_so(self, journal, book):
        kinds = [(await journal.admit(priced(session_id="a, b"))).kind for _ in range(4)]
        assert kinds == ["accepted"] * 3 + ["budget"]
        (row,) = await book.find(["session:ada/a, b"])
        assert (row.reserved_nano, row.ceiling) == (30, Ceiling(30))
        assert (await journal.admit(priced(session_id="c"))).kind == "accepted"

    async def test_children_spend_their_caller_s_ceiling(self, opened, journal, book):
        root = with_ceiling(10, max_usd=25e-9)
        assert (await journal.admit(root)).pressure == 0.0
        other = await opened("intelligence/0")
        child = priced(10, tree=root.task_id, parent=root.task_id)
        assert (await other.admit(child)).pressure == 0.4
        refused = await journal.admit(priced(10, tree=root.task_id, parent=root.task_id))
        tree = f"task:{root.task_id}"
        assert (refused.kind, refused.budget, refused.resets_at) == ("budget", tree, 0.0)
        await other.append(end(child), Settlement(3, 0))
        await journal.append(end(root), Settlement(10, 0))
        (row,) = await book.find([tree])
        assert (row.used_nano, row.reserved_nano, row.ceiling) == (13, 0, Ceiling(25))
        assert tree not in [row.id for row in await book.page(10, None)]

    async def test_a_free_task_bounds_its_children_too(self, journal, book):
        root = with_ceiling(0, max_tokens=5)
        assert (await journal.admit(root)).kind == "accepted"
        assert (await journal.admit(priced(0, 5, tree=root.task_id))).kind == "accepted"
        assert (await journal.admit(priced(0, 1, tree=root.task_id))).kind == "budget"
        assert (await journal.admit(record(tree=root.task_id))).kind == "accepted"

    async def test_a_tree_that_does_not_begin_leaves_nothing_behind(self, journal, book):
        dear = with_ceiling(200, max_usd=1.0)
        assert (await journal.admit(dear)).budget == USER
        over = with_ceiling(10, max_usd=5e-9)
        assert (await journal.admit(over)).budget == f"task:{over.task_id}"
        assert await book.find([f"task:{dear.task_id}", f"task:{over.task_id}"]) == []
        (row,) = await book.find([USER])
        assert row.reserved_nano == 0

    async def test_a_repeat_begins_no_other_tree(self, journal, book):
        first = with_ceiling(10, max_usd=1.0, idempotency_key="k")
        again = with_ceiling(10, max_usd=1.0, idempotency_key="k")
        kinds = [(await journal.admit(one)).kind for one in (first, again, first)]
        assert kinds == ["accepted", "known", "known"]
        assert await book.find([f"task:{again.task_id}"]) == []
        (tree,) = await book.find([f"task:{first.task_id}"])
        assert tree.reserved_nano == 10

    async def test_what_was_charged_is_added_up_by_model_agent_user_and_day(self, journal, book):
        eve = Principal("eve", "eve")
        first, second, third = priced(50), priced(50, 5, principal=eve), priced(10)
        for task in (first, second, third):
            await journal.admit(task)
        a, b = Line("a", 0, 2, 0, 7, 5), Line("b", 1, 1, 0, 1, 2)
        await journal.append(end(first), billed(8, 7, a, b))
        await journal.append(end(first), billed(8, 7, a, b))  # an end that comes again
        await journal.append(end(second), billed(4, 0, Line("", 1, 0, 0, 4), who=eve))
        await journal.append(end(third), billed(0, 0, Line("", 1, 0, 1)))
        now = SystemClock().now()
        by = {
            name: await book.spent(Spent(name, None, now - 5, now + 5))
            for name in ("model", "agent", "user", "day")
        }
        assert by["model"] == [
            Spending("", 2, 0, 1, 4, 0), Spending("a", 0, 2, 0, 7, 5), Spending("b", 1, 1, 0, 1, 2)
        ]  # fmt: skip
        assert by["user"] == [Spending("ada", 2, 3, 1, 8, 7), Spending("eve", 1, 0, 0, 4, 0)]
        assert by["agent"] == [Spending("poet", 3, 3, 1, 12, 7)]
        assert [(row.nano_usd, len(row.name)) for row in by["day"]] == [(12, len("2026-11-26"))]
        assert await book.spent(Spent("user", "eve", now - 5, now + 5)) == by["user"][1:]
        assert await book.spent(Spent("user", None, now - 10 * 86_400, now - 5 * 86_400)) == []

    async def test_a_list_comes_in_pages(self, book):
        for name in ("user:b", "user:a", "tenant:x"):
            await book.put(name, Ceiling(1))
        names = [row.id for row in await book.page(2, None)]
        assert names == ["tenant:x", "user:a"]
        assert [row.id for row in await book.page(2, "user:a")] == ["user:b"]


class TestInMemory(BudgetContract):
    @pytest.fixture
    def tables(self):
        return JournalTables()

    @pytest.fixture
    def opened(self, tables):
        async def open_shard(shard="system/0", budgets=NOBODY):
            journal = InMemoryJournal(tables, shard, budgets=budgets)
            await journal.open()
            return journal

        return open_shard

    @pytest.fixture
    def book(self, tables):
        return InMemoryBudgets(tables.budgets)


@pytest.mark.database
class TestPostgres(Durable, BudgetContract):
    @pytest.fixture
    async def pool(self, database_url):
        async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as opened:
            yield opened

    @pytest.fixture
    def book(self, pool):
        return PostgresBudgets(pool)

    @pytest.fixture
    async def journal(self, opened):
        return await opened(budgets=BOTH)

    async def test_a_budget_goes_with_its_reservations_and_no_others(self, book, pool):
        for name in ("tenant:acme", "tenant:other"):
            await book.put(name, Ceiling(5))
            await pool.execute(
                "INSERT INTO reservations VALUES (gen_random_uuid(), $1, 1, 0)", name
            )
        await book.drop("tenant:acme")
        assert [row.id for row in await book.find(["tenant:acme", "tenant:other"])] == [
            "tenant:other"
        ]
        assert await pool.fetchval("SELECT count(*) FROM reservations") == 1

    async def test_a_database_that_is_away_is_unavailable(self, book, pool):
        await pool.expire_connections()
        pool.terminate()
        with pytest.raises(ServiceUnavailable):
            await book.find(["tenant:acme"])

    async def test_writers_that_make_the_same_budgets_at_once_do_not_wait_in_a_circle(
        self, opened, book
    ):
        shards = [await opened(f"system/{n}", budgets=BOTH) for n in range(3)]
        people = [Principal(f"u{n % 7}", f"t{n % 5}") for n in range(150)]
        tasks = [priced(1, 1, principal=who, session_id=who.tenant) for who in people]
        verdicts = await asyncio.gather(
            *(shards[place % 3].admit(task) for place, task in enumerate(tasks))
        )
        assert {verdict.kind for verdict in verdicts} == {"accepted"}
        rows = await book.page(50, None)
        assert sum(row.reserved_nano for row in rows if row.id.startswith("user:")) == 150

    async def test_budgets_of_trees_go_with_their_tasks_events(self, journal, pool):
        old, live = with_ceiling(1, max_usd=1.0), with_ceiling(1, max_usd=1.0)
        for task in (old, live):
            await journal.admit(task)
        await journal.append(end(old), Settlement(1, 0))
        forget = "SELECT forget_budgets(now() + interval '1 s', now() - interval '9 d', 100)"
        assert await pool.fetchval(forget) == 0
        await pool.execute("DELETE FROM task_events")
        assert await pool.fetchval(forget) == 1
        left = await pool.fetch("SELECT id FROM budgets WHERE id LIKE 'task:%'")
        assert [row["id"] for row in left] == [f"task:{live.task_id}"]


AMOUNTS = st.integers(0, 12)
CEILINGS = st.builds(
    Ceiling, st.none() | st.integers(0, 40), st.none() | st.integers(0, 40), st.sampled_from(Period)
)
OWNERS = st.sampled_from([USER, TENANT, "user:eve"])
PEOPLE = st.sampled_from([ADA, Principal("ada", "lab"), Principal("eve", "ada")])


class Agreement(RuleBasedStateMachine):
    """Both are told the same, in the same order, and must answer the same."""

    url, runner = "", None
    tasks = Bundle("tasks")

    def play(self, work):
        return self.runner.run(work)

    @initialize(user=st.none() | CEILINGS, session=st.none() | CEILINGS)
    def begin(self, user, session):
        kinds = {"user": user, "session": session}
        self.defaults = Defaults({kind: one for kind, one in kinds.items() if one})
        self.play(self.open(self.defaults))

    async def open(self, defaults):
        tables = JournalTables()
        self.pool = await asyncpg.create_pool(self.url, min_size=1, max_size=1)
        await self.pool.execute(
            "TRUNCATE task_events, tasks, idempotency_keys, reservations, budgets, usage"
        )
        self.journals = [
            InMemoryJournal(tables, "system/0", budgets=defaults),
            PostgresJournal(self.url, "system/0", budgets=defaults),
        ]
        self.books = [InMemoryBudgets(tables.budgets), PostgresBudgets(self.pool)]
        for journal in self.journals:
            await journal.open()

    def both(self, ask):
        async def ask_both():
            return [await ask(place) for place in (0, 1)]

        mine, theirs = self.play(ask_both())
        assert mine == theirs
        return theirs

    @rule(
        target=tasks, nano=AMOUNTS, tokens=AMOUNTS, who=PEOPLE,
        session=st.none() | st.just("s"), most=st.none() | st.integers(0, 20),
        key=st.none() | st.sampled_from("kl"),
    )  # fmt: skip
    def admit(self, nano, tokens, who, session, most, key):
        task_id = new_id()
        fields = {"max_usd": most / 10**9, "tree": task_id} if most is not None else {}
        task = priced(
            nano, tokens, task_id=task_id, principal=who, session_id=session,
            idempotency_key=key, **fields,
        )  # fmt: skip
        self.told(task)
        return task

    @rule(target=tasks, parent=tasks, nano=AMOUNTS, tokens=AMOUNTS)
    def call(self, parent, nano, tokens):
        if parent.tree and not self.play(self.books[0].find([f"task:{parent.tree}"])):
            return parent  # it was refused, and calls for nothing
        task = priced(nano, tokens, principal=parent.principal, tree=parent.tree)
        self.told(task)
        return task

    @rule(task=tasks)
    def repeat(self, task):
        self.told(task)

    def told(self, task):
        async def ask(place):
            verdict = await self.journals[place].admit(task)
            pressure = round(verdict.pressure or 0.0, 9)
            kept = (verdict.kind, verdict.task_id, verdict.budget)
            return (*kept, verdict.resets_at, pressure)

        self.both(ask)

    @rule(task=tasks, nano=AMOUNTS, tokens=AMOUNTS)
    def end(self, task, nano, tokens):
        async def ask(place):
            bill = billed(nano, tokens, Line("m", 1, 1, 0, nano, tokens), who=task.principal)
            return await self.journals[place].append(end(task), bill)

        if self.play(self.stands(task)):
            self.both(ask)

    async def stands(self, task):
        return task.task_id in self.journals[0]._tables.stories

    @rule(budget=OWNERS, ceiling=CEILINGS)
    def put(self, budget, ceiling):
        self.both(lambda place: self.books[place].put(budget, ceiling))

    @rule(budget=OWNERS)
    def reset(self, budget):
        default = self.defaults.of(budget)
        self.both(lambda place: self.books[place].reset(budget, default))

    def teardown(self):
        if hasattr(self, "pool"):
            try:
                self.compare()
            finally:
                self.play(self.close())

    def compare(self):
        """Look at all that both have in the end."""
        now = SystemClock().now()
        others = {USER, TENANT, "user:eve", "tenant:lab", "session:ada/s", "session:eve/s"}
        budgets = [*others, *self.journals[0]._tables.budgets.rows.keys() - others]
        self.both(lambda place: self.books[place].find(budgets))
        self.both(lambda place: self.books[place].spent(Spent("user", None, now - 9, now + 9)))

    async def close(self):
        for journal in self.journals:
            await journal.close()
        await self.pool.close()


@pytest.mark.database
def test_memory_and_postgres_agree_whatever_happens(database_url):
    with asyncio.Runner() as runner:
        machine = type("Machine", (Agreement,), {"url": database_url, "runner": runner})
        machine.TestCase.settings = settings(
            max_examples=12, stateful_step_count=25, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        machine.TestCase().runTest()
