"""What every implementation of the port UploadBook promises."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from cartrita.clock import new_id, new_uuid
from cartrita.storage.memory_uploads import InMemoryUploads
from cartrita.storage.postgres.uploads import PostgresUploads
from cartrita.storage.uploads import Upload, Which

NOW = 1_700_000_000.0


class UploadBookContract:
    """Subclass it with a fixture `book`."""

    @pytest.fixture
    def owner(self):
        return f"ann-{new_id()}"

    def upload(self, owner, *, at=NOW, lasts=60.0, **more):
        told = {"blob": new_id(), "name": "näme 🎉.png", "kind": "image/png", "size": 3} | more
        return Upload(id=new_uuid(), owner=owner, created_at=at, expires_at=at + lasts, **told)

    async def add(self, book, owner, **more):
        made = self.upload(owner, **more)
        assert await book.add(made, 100)
        return made

    async def test_one_comes_back_as_it_was_till_it_is_removed(self, book, owner):
        made = await self.add(book, owner)
        assert await book.find(made.id) == made
        assert await book.remove(made.id)
        assert not await book.remove(made.id)
        assert await book.find(made.id) is None

    async def test_lists_are_of_one_owner_newest_first(self, book, owner):
        made = [await self.add(book, owner, at=NOW + n) for n in range(3)]
        await self.add(book, f"{owner}-b")
        assert await book.page(owner, Which(NOW), 2, 0) == ([made[2], made[1]], 3)
        assert await book.page(owner, Which(NOW), 2, 2) == ([made[0]], 3)

    async def test_lists_tell_what_expired_from_what_did_not(self, book, owner):
        gone = await self.add(book, owner, lasts=10)
        here = await self.add(book, owner, at=NOW + 1)
        for expired, wanted in (
            ("include", [here, gone]),
            ("only", [gone]),
            ("exclude", [here]),
        ):
            which = Which(NOW + 10, expired)
            assert await book.page(owner, which, 10, 0) == (wanted, len(wanted))

    async def test_lists_are_of_a_kind_or_of_its_family(self, book, owner):
        made = await self.add(book, owner)
        await self.add(book, owner, kind="imagery/x")
        for kind in ("image/png", "image"):
            assert await book.page(owner, Which(NOW, kind=kind), 10, 0) == ([made], 1)
        assert await book.page(owner, Which(NOW, kind="image/p"), 10, 0) == ([], 0)

    async def test_there_is_room_for_so_many_that_live_even_at_once(self, book, owner):
        assert await book.add(self.upload(owner, at=NOW - 100), 3)  # has expired
        ends = await asyncio.gather(*(book.add(self.upload(owner), 3) for _ in range(8)))
        assert sum(ends) == 3
        assert await book.add(self.upload(f"{owner}-b"), 3)

    async def test_what_expired_long_ago_is_dropped_and_told(self, book, owner):
        # Each below the times of every other test's, which may share the table.
        gone = [await self.add(book, owner, at=1_000.0 + n, lasts=1) for n in range(2)]
        here = await self.add(book, owner)
        dropped = [one for _ in range(2) for one in await book.drop(2_000.0, 1)]
        assert {one.id for one in dropped} == {one.id for one in gone}
        assert await book.drop(2_000.0, 1) == []
        assert await book.find(here.id) == replace(here)


class TestInMemory(UploadBookContract):
    @pytest.fixture
    def book(self):
        return InMemoryUploads()


class TestPostgres(UploadBookContract):
    @pytest.fixture
    async def book(self, services):  # owners of their own, so one database does for all
        url = services.postgres_url
        async with asyncpg.create_pool(url, min_size=0, max_size=4) as pool:
            yield PostgresUploads(pool)
