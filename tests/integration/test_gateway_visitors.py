"""How often one may ask without a token, and how often a sign-in may fail."""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest

from cartrita.rate import Quota
from tests.support.api_server import short_folder
from tests.support.gateway import PASSWORD, Stand, assert_problem, spoken_to

ALICE = "alice@example.org"


@asynccontextmanager
async def gateway(addresses=None, failures=None, *, edge=True):
    quotas = (
        Quota("address", addresses, 60.0) if addresses else None,
        Quota("account", failures, 300.0) if failures else None,
    )
    with short_folder() as folder:
        async with spoken_to(Stand(folder, visitors=quotas, edge=edge)) as api:
            await api.user(ALICE)
            yield api


async def login(api, email=ALICE, password=PASSWORD, *, source=None):
    headers = {"X-Forwarded-For": source} if source else {}
    body = {"email": email, "password": password}
    return await api.http.post("/auth/login", json=body, headers=headers)


async def test_what_one_address_asks_without_a_token_has_a_limit():
    async with gateway(addresses=3) as api:
        session = await login(api, source="192.0.2.1")
        assert session.headers["ratelimit-policy"] == '"address";q=3;w=60'
        assert session.headers["ratelimit"].startswith('"address";r=2;t=')
        told = {"refreshToken": session.json()["refreshToken"]}
        source = {"X-Forwarded-For": "192.0.2.1"}
        assert (await api.http.post("/auth/refresh", json=told, headers=source)).status_code == 200
        assert (await api.http.post("/auth/register", json={}, headers=source)).status_code == 422
        for path in ("login", "refresh", "register"):
            refused = await api.http.post(f"/auth/{path}", json={}, headers=source)
            body = assert_problem(refused, 429, "RATE_LIMIT_EXCEEDED")
            assert (body["reason"], body["violated-policies"]) == ("ADDRESS_QUOTA", ["address"])
            assert re.fullmatch(r'"address";r=0;t=\d+', refused.headers["ratelimit"])
            assert int(refused.headers["retry-after"]) > 0
        assert (await login(api, source="192.0.2.2")).status_code == 200


async def test_signed_in_one_asks_on_ones_own_account():
    async with gateway(addresses=1) as api:
        session = await login(api)
        who = {"Authorization": f"Bearer {session.json()['token']}"}
        for _ in range(3):
            assert (await api.http.get("/auth/me", headers=who)).status_code == 200
        assert (await api.http.post("/auth/logout", headers=who)).status_code == 204


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "10.0.0.1, 192.0.2.1", True),  # the edge's word is the last
        ("192.0.2.1", "192.0.2.1, 10.0.0.1", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),  # one subscriber's
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("junk", "more junk", True),
    ],
)
async def test_an_address_is_what_the_edge_says_it_is(first, second, same):
    async with gateway(addresses=1) as api:
        assert (await login(api, source=first)).status_code == 200
        assert (await login(api, source=second)).status_code == (429 if same else 200)


async def test_where_there_is_no_edge_nobody_says_where_they_are():
    async with gateway(addresses=1, edge=False) as api:
        assert (await login(api, source="192.0.2.1")).status_code == 200
        assert (await login(api, source="192.0.2.2")).status_code == 429


async def test_sign_ins_to_one_account_fail_so_often_and_then_none_is_tried():
    async with gateway(failures=3) as api:
        for _ in range(3):
            assert_problem(await login(api, password="wrong one"), 401, "AUTHENTICATION_FAILED")
        for email in (ALICE, f" {ALICE.upper()} "):
            body = assert_problem(await login(api, email), 429, "RATE_LIMIT_EXCEEDED")
            assert (body["reason"], body["violated-policies"]) == ("ACCOUNT_QUOTA", ["account"])
        await api.user("bob@example.org")
        assert (await login(api, "bob@example.org")).status_code == 200


async def test_an_account_that_does_not_exist_is_not_told_apart():
    async with gateway(failures=1) as api:
        for email in (ALICE, "nobody@example.org", "no address"):
            assert_problem(await login(api, email, "wrong one"), 401, "AUTHENTICATION_FAILED")
            assert_problem(await login(api, email, "wrong one"), 429, "RATE_LIMIT_EXCEEDED")


async def test_sign_ins_that_succeed_count_for_nothing():
    async with gateway(failures=2) as api:
        for _ in range(5):
            assert (await login(api)).status_code == 200
        assert_problem(await login(api, password="wrong one"), 401, "AUTHENTICATION_FAILED")
        assert (await login(api)).status_code == 200


async def test_many_wrong_passwords_at_once_are_no_way_around():
    async with gateway(failures=3) as api:
        guesses = (login(api, password=f"wrong {number}") for number in range(20))
        codes = [answer.status_code for answer in await asyncio.gather(*guesses)]
        assert sorted(codes) == [401] * 3 + [429] * 17
