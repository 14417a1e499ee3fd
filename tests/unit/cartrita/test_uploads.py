"""Tests of cartrita/uploads.py."""

from uuid import UUID

import pytest

from cartrita import uploads
from cartrita.clock import ManualClock
from cartrita.errors import (
    AuthorizationFailed,
    NotFound,
    RateLimitExceeded,
    ResourceLimitExceeded,
)
from cartrita.storage.memory_blobs import InMemoryBlobs
from cartrita.storage.memory_uploads import InMemoryUploads
from cartrita.storage.uploads import Which
from cartrita.uploads import LIFETIME, MARK, REMEMBERED, Uploads, token_of


class Desk:
    """Uploads, and what they are kept in."""

    def __init__(self):
        self.clock = ManualClock(1_000_000.0)
        self.blobs = InMemoryBlobs(self.clock, 1 << 20)
        self.uploads = Uploads(self.blobs, InMemoryUploads(), self.clock)

    async def put(self, owner="ann", data=b"data"):
        async def parts():
            yield data

        return await self.uploads.put(owner, "a.png", "image/png", parts())

    async def bytes_of(self, upload):
        return b"".join([part async for part in self.uploads.read(upload)])


@pytest.fixture
def desk():
    return Desk()


async def test_a_file_is_found_by_its_token_for_half_an_hour(desk):
    made = await desk.put()
    token = token_of(made)
    assert token == f"{MARK}{made.id}"
    assert made.expires_at == desk.clock.now() + 1800
    for named in (token, str(made.id)):
        assert await desk.uploads.find("ann", named) == made
    assert await desk.bytes_of(made) == b"data"
    desk.clock.advance(LIFETIME)
    with pytest.raises(NotFound, match="expired"):
        await desk.uploads.find("ann", token)


async def test_nobody_else_may_use_or_revoke_it(desk):
    token = token_of(await desk.put())
    for act in (desk.uploads.find, desk.uploads.revoke):
        with pytest.raises(AuthorizationFailed) as refused:
            await act("bob", token)
        assert not isinstance(refused.value, NotFound)
    assert await desk.uploads.page("bob", Which(desk.clock.now()), 10, 0) == ([], 0)
    assert await desk.uploads.find("ann", token)


async def test_what_is_revoked_is_gone_with_its_bytes(desk):
    made = await desk.put()
    assert await desk.uploads.revoke("ann", token_of(made)) == made
    with pytest.raises(NotFound):
        await desk.uploads.revoke("ann", token_of(made))
    assert await desk.blobs.find("ann", made.blob) is None
    with pytest.raises(NotFound):
        await desk.bytes_of(made)


@pytest.mark.parametrize("token", ["", "hfbin:", "hfbin:nothing", f"hfbin:{UUID(int=7)}"])
async def test_a_token_of_nothing_is_not_found(desk, token):
    with pytest.raises(NotFound):
        await desk.uploads.find("ann", token)


async def test_too_large_a_file_leaves_nothing(desk, monkeypatch):
    monkeypatch.setattr(uploads, "LARGEST", 3)
    with pytest.raises(ResourceLimitExceeded):
        await desk.put()
    assert await desk.uploads.page("ann", Which(desk.clock.now()), 10, 0) == ([], 0)


async def test_one_owner_has_so_many_that_live(desk, monkeypatch):
    monkeypatch.setattr(uploads, "MOST", 2)
    for _ in range(2):
        await desk.put()
    with pytest.raises(RateLimitExceeded) as refused:
        await desk.put()
    assert refused.value.retry_after
    await desk.put("bob")
    desk.clock.advance(LIFETIME)
    await desk.put()


async def test_what_expired_long_ago_is_forgotten_with_its_bytes(desk):
    made = await desk.put()
    desk.clock.advance(LIFETIME + REMEMBERED + 1)
    await desk.put("bob")
    assert await desk.blobs.find("ann", made.blob) is None
    assert await desk.uploads.page("ann", Which(desk.clock.now(), "include"), 10, 0) == ([], 0)
