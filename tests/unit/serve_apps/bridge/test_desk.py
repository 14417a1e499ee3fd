"""The switch of the move from v2, over all gateways."""

from contextlib import asynccontextmanager

import pytest

from cartrita.clock import SystemClock
from cartrita.egress.policy import named_by_operators
from cartrita.egress.transport import GuardedTransport
from cartrita.errors import ConfigurationInvalid
from cartrita.protocol.principal import Principal, Role
from serve_apps.bridge.canary.desk import MigrationDesk, Wishes, at_work, plan_of
from serve_apps.bridge.canary.sharing import Plan, Sharing
from serve_apps.bridge.canary.upstream import Upstream
from serve_apps.bridge.loop import Bridge
from serve_apps.bridge.table import load
from tests.support.bridged import bridged
from tests.support.moves import books_in_memory, desk_without_v2

ROOT = Principal("root", "root", Role.ADMIN)


def upstream(url):
    return Upstream(url, GuardedTransport(named_by_operators()), SystemClock())


@asynccontextmanager
async def desks(number=2):
    books = books_in_memory()
    made = []
    for _ in range(number):
        desk = MigrationDesk(books, Wishes("http://v2"), load, SystemClock(), look=0.01)
        made.append(desk)
    plans = [
        Plan(upstream("http://127.0.0.1:9"), 0.5, lambda desk=desk: desk.rolled_back)
        for desk in made
    ]
    async with at_work(made[0], plans[0]), at_work(made[-1], plans[-1]):
        yield books, made


async def test_a_rollback_holds_everywhere_when_it_returns():
    async with desks() as (books, (one, other)):
        told = await one.turn(ROOT, "too slow", rolled_back=True)
        assert (told["rolledBack"], told["reason"], told["by"]) == (True, "too slow", "root")
        assert other.plan.rolled_back()
        await other.turn(ROOT, "", rolled_back=False)
        assert not one.plan.rolled_back()
        actions = [entry.action for entry in await books.audit.entries(10, None)]
    assert actions == ["BRIDGE_RESUME", "BRIDGE_ROLLBACK"]


async def test_a_gateway_that_comes_later_knows_it_before_it_serves():
    async with desks(1) as (books, (one,)):
        await one.turn(ROOT, "", rolled_back=True)
        late = MigrationDesk(books, Wishes("http://v2"), load, SystemClock())
        plan = Plan(upstream("http://127.0.0.1:9"), 0.5, lambda: late.rolled_back)
        async with at_work(late, plan):
            assert late.rolled_back


async def test_without_a_v2_there_is_nothing_to_go_back_to():
    desk = desk_without_v2(SystemClock())
    with pytest.raises(ConfigurationInvalid, match=r"migration\.v2_url"):
        await desk.turn(ROOT, "", rolled_back=True)
    assert not (await desk.turn(ROOT, "", rolled_back=False))["rolledBack"]


async def test_administrators_see_and_turn_it_over_http():
    async with bridged(Sharing(Bridge(), plan_of)) as api:
        root, user = await api.admin(), await api.user("a@b.example")
        where = "/v3/admin/bridge"
        assert (await api.http.get(where, headers=user)).status_code == 403
        state = (await api.http.get(where, headers=root)).json()
        assert (state["v2Url"], state["share"], state["comparisons"]) == (None, 1.0, [])
        turned = await api.http.put(where, json={"rolledBack": True}, headers=root)
        assert turned.status_code == 501
        routes = (await api.http.get(f"{where}/routes", headers=root)).json()["routes"]
        states = {row["route"]: row["state"] for row in routes}
        assert states["POST /api/chat"] == "served"
        assert states["POST /api/auth/emergency-login"] == "refused"
        cleared = await api.http.delete(f"{where}/comparisons", headers=root)
        assert cleared.status_code == 204
