"""What every log of commands promises."""

import asyncio
from dataclasses import replace

import pytest

from cartrita.errors import ServiceUnavailable
from cartrita.storage.memory_runtime import InMemoryAudit
from cartrita.storage.postgres.runtime import PostgresAudit
from cartrita.storage.runtime import AuditEntry
from tests.support.records import NOW


def entry(action="RESTART", **changes):
    made = AuditEntry(NOW + 0.25, "ada", action, "intelligence/0", "ok", {"by": 1})
    return replace(made, **changes)


async def noted(audit, *entries):
    for one in entries:
        await audit.note(one)


class AuditContract:
    """Subclass it with a fixture `audit`."""

    async def test_at_first_it_is_empty(self, audit):
        assert await audit.entries(10, None) == []

    async def test_an_entry_reads_back_as_it_was_noted(self, audit):
        given = entry(detail={"pool": {"least": 1, "ö": [None, True, 1.5]}}, outcome="'; --")
        await audit.note(given)
        (found,) = await audit.entries(10, None)
        assert replace(found, id=0) == given
        assert found.id > 0

    async def test_the_newest_comes_first_whatever_its_time(self, audit):
        await noted(audit, entry("A"), entry("B", at=NOW - 60), entry("C"))
        assert [found.action for found in await audit.entries(10, None)] == ["C", "B", "A"]

    async def test_pages_follow_one_another_without_gap_or_repeat(self, audit):
        await noted(audit, *(entry(str(number)) for number in range(7)))
        pages, before = [], None
        while page := await audit.entries(3, before):
            pages.append([found.action for found in page])
            before = page[-1].id
        assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]

    async def test_a_page_is_no_other_for_what_is_noted_meanwhile(self, audit):
        await noted(audit, entry("A"), entry("B"))
        (last,) = await audit.entries(1, None)
        await audit.note(entry("C"))
        assert [found.action for found in await audit.entries(5, last.id)] == ["A"]

    async def test_a_bound_of_any_size_is_no_error(self, audit):
        await audit.note(entry())
        assert len(await audit.entries(5, 10**30)) == 1
        assert await audit.entries(5, 0) == []
        assert await audit.entries(0, None) == []

    async def test_many_at_once_are_all_noted(self, audit):
        await asyncio.gather(*(audit.note(entry(str(number))) for number in range(20)))
        found = await audit.entries(100, None)
        assert {one.action for one in found} == {str(number) for number in range(20)}
        ids = [one.id for one in found]
        assert ids == sorted(set(ids), reverse=True)

    @pytest.mark.parametrize("odd", ["a\x00b", "a\ud800b"])
    async def test_no_text_keeps_an_entry_out_of_the_log(self, audit, odd):
        await audit.note(entry(target=odd, detail={odd: [odd, float("nan")], "by": 2}))
        (found,) = await audit.entries(10, None)
        assert (found.actor, found.action, found.detail["by"]) == ("ada", "RESTART", 2)
        assert found.target[0] + found.target[-1] == "ab"


class TestInMemoryAudit(AuditContract):
    """Keeps it in a list."""

    @pytest.fixture
    def audit(self):
        return InMemoryAudit()


@pytest.mark.database
class TestPostgresAudit(AuditContract):
    """Keeps it in a table."""

    @pytest.fixture
    def audit(self, pool):
        return PostgresAudit(pool)

    async def test_a_lost_server_is_said_in_our_words(self, pool, audit):
        await pool.close()
        with pytest.raises(ServiceUnavailable):
            await audit.note(entry())
        with pytest.raises(ServiceUnavailable) as caught:
            await audit.entries(1, None)
        assert caught.value.retry_after
