"""Files that are handed in for half an hour, as v2's clients do it."""

import pytest

from cartrita import uploads
from tests.support.bridged import bridged

UPLOAD, LIST, REVOKE = "/api/hf/upload", "/api/hf/list", "/api/hf/revoke"


@pytest.fixture
async def api():
    async with bridged() as api:
        api.ann, api.bob = await api.user("ann@b.example"), await api.user("bob@b.example")
        yield api


async def put(api, who=None, data=b"data", name="a.png", kind="image/png"):
    files = {"file": (name, data, kind)}
    return await api.http.post(UPLOAD, files=files, headers=who or api.ann)


async def listed(api, who=None, **query):
    return (await api.http.get(LIST, headers=who or api.ann, params=query)).json()


async def test_a_file_gets_a_token_that_is_good_for_half_an_hour(api):
    answer = await put(api)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["success"] is True
    assert body["token"].startswith("hfbin:")
    assert (body["size"], body["mime_type"], body["filename"]) == (4, "image/png", "a.png")
    assert body["persisted"] is True
    upload = await api.stand.uploads.find(await user_of(api, api.ann), body["token"])
    assert upload.expires_at - upload.created_at == 1800
    assert b"".join([part async for part in api.stand.uploads.read(upload)]) == b"data"


async def user_of(api, who):
    return (await api.stand.identity.admit(who["Authorization"].removeprefix("Bearer "))).user


async def test_lists_are_ones_own_by_kind_and_by_expiry(api):
    for name, kind in (("a.png", "image/png"), ("b.wav", "audio/wav")):
        await put(api, name=name, kind=kind)
    await put(api, api.bob)
    body = await listed(api)
    assert (body["success"], body["total"], body["limit"], body["offset"]) == (True, 2, 50, 0)
    assert [row["filename"] for row in body["data"]] == ["b.wav", "a.png"]
    assert (await listed(api, mime="image"))["total"] == 1
    assert (await listed(api, limit=1, offset=1))["data"][0]["filename"] == "a.png"
    assert (await listed(api, limit=999))["limit"] == 200
    api.stand.clock.advance(uploads.LIFETIME)
    assert (await listed(api))["total"] == 0
    only = await listed(api, expired="only")
    assert (only["total"], only["data"][0]["expired"]) == (2, True)
    for query in ({"expired": "x"}, {"mime": "\0"}, {"limit": "0"}):
        assert (await api.http.get(LIST, headers=api.ann, params=query)).status_code == 400


async def test_revoking_is_for_the_owner_and_tells_whose_it_is_not(api):
    token = (await put(api)).json()["token"]
    foreign = await api.http.delete(f"{REVOKE}/{token}", headers=api.bob)
    assert (foreign.status_code, foreign.json()["error"]) == (403, "Forbidden")
    done = await api.http.delete(f"{REVOKE}/{token}", headers=api.ann)
    assert (done.status_code, done.json()) == (200, {"success": True, "revoked": token})
    for gone in (token, "hfbin:nothing"):
        again = await api.http.delete(f"{REVOKE}/{gone}", headers=api.ann)
        assert (again.status_code, again.json()["error"]) == (404, "Not found")


async def test_what_is_missing_too_large_or_too_many_is_told_by_its_status(api, monkeypatch):
    missing = await api.http.post(UPLOAD, files={}, data={"a": "b"}, headers=api.ann)
    assert (missing.status_code, missing.json()["error"]) == (400, "No file uploaded")
    monkeypatch.setattr(uploads, "LARGEST", 3)
    large = await put(api)
    assert (large.status_code, large.json()["error"]) == (413, "File too large")
    monkeypatch.setattr(uploads, "MOST", 1)
    assert (await put(api, data=b"x")).status_code == 200
    many = await put(api, data=b"x")
    assert (many.status_code, many.json()["error"]) == (429, "Too many uploads")
    assert int(many.headers["retry-after"]) > 0
    assert (await put(api, api.bob, data=b"x")).status_code == 200


async def test_status_tells_what_may_be_uploaded(api):
    await put(api)
    body = (await api.http.get("/api/hf/status", headers=api.ann)).json()
    assert body["uploads"] == {
        "active": 1,
        "max_items": 200,
        "max_bytes": 50 << 20,
        "ttl_seconds": 1800,
    }


@pytest.mark.parametrize("path", [LIST, "/api/hf/status"])
async def test_nothing_is_told_without_a_token(api, path):
    assert (await api.http.get(path)).status_code == 401
    assert (await api.http.post(UPLOAD, files={"file": b"x"})).status_code == 401
