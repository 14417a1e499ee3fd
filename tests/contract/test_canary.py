"""The bridge beside a v2 that still runs: a real server on a real socket."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import httpx
import pytest

from cartrita.bridge.share import place_of
from cartrita.clock import SystemClock
from cartrita.egress.policy import named_by_operators
from cartrita.egress.transport import GuardedTransport
from cartrita.rate import Quota
from cartrita.storage.circuits import FAILURES
from cartrita.storage.memory_bridge import InMemoryComparisons
from serve_apps.bridge.canary.shadow import Findings, Shadow
from serve_apps.bridge.canary.sharing import Plan, Sharing
from serve_apps.bridge.canary.upstream import Upstream
from serve_apps.bridge.loop import Bridge
from serve_apps.bridge.table import Refused, Row, Table
from tests.support.api_server import serving, short_folder
from tests.support.bridged import Talker, bridged
from tests.support.gateway import Stand
from tests.support.site import HANG, Reply, data, moved, site

TABLE = Table(
    [
        Row(route="GET /api/plain", page="{n: `1`, from: query.q}"),
        Row(route="GET /api/migration", page="{n: `1`}"),
        Row(route="GET /api/counted", page="{n: `1`}", counted=True),
        Row(route="GET /api/items/{id}", page="{id: path.id}"),
        Row(route="GET /api/spoken", task="system.echo", auth="user", takes="{payload: query.q}"),
        Row(route="GET /api/mine", page="{mine: user.id}", auth="user"),
        Row(route="POST /api/said", page="{said: body.text}"),
        Row(route="POST /api/auth/login", page="{token: 't'}"),
        Row(route="GET /api/someday", later="multimodal"),
        Row(route="GET /api/tuning", page="{n: `1`}", auth="user"),
    ],
    [
        Refused(route="GET /api/items/secret/door", status=404, why="a back door"),
        Refused(route="GET /api/tuning", status=401, why="it was open"),
    ],
)


@dataclass
class Beside:
    """A gateway beside a v2."""

    v2: object
    plan: Plan
    http: httpx.AsyncClient | None = None
    api: object = None
    kept: InMemoryComparisons = field(default_factory=InMemoryComparisons)

    async def get(self, path, **headers):
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get(path, headers=told)

    async def compared(self):
        """Wait until all is compared and return the rows by their routes."""
        await self.plan.shadow.settled()
        await self.plan.shadow.findings.write()
        return {row.route: row for row in await self.kept.all()}


def by(answer):
    return answer.headers["x-bridge-served-by"]


def upstream(url, silence=5.0):
    transport = GuardedTransport(named_by_operators())
    return Upstream(url, transport, SystemClock(), connect=1.0, silence=silence)


@asynccontextmanager
async def beside(pages=None, *, shadow=False, room=10, waits=5.0, silence=5.0, **plan):
    """Run a v2 with such pages, and a gateway whose bridge has the table above."""
    kept, stand = InMemoryComparisons(), plan.pop("stand", {})
    compares = Shadow(Findings(kept, SystemClock()), room, waits) if shadow else None
    async with site(pages or {}) as v2:
        told = {"share": 0.0, "rolled_back": lambda: False, "shadow": compares, **plan}
        made = Beside(v2, Plan(upstream(v2.url, silence), **told), kept=kept)
        running = asyncio.create_task(compares.run()) if compares else None
        older = Sharing(Bridge(table=TABLE), lambda _: made.plan)
        async with bridged(older, **stand) as api:
            made.http, made.api = api.http, api
            yield made
        if running:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        await made.plan.upstream.aclose()


async def test_v2s_answer_comes_as_it_is():
    page = Reply(
        b'{"n": 2, "x": 1}', 201, "application/json", {"x-own": "1", "keep-alive": "timeout=5"}
    )
    async with beside({"/api/items/a%20b": page}) as it:
        answer = await it.get("/api/items/a%20b?q=1&q=%2F", accept="*/*", authorization="Bearer x")
    assert (answer.status_code, answer.content, by(answer)) == (201, page.body, "v2")
    assert answer.headers["x-own"] == "1"
    assert not {"keep-alive", "connection"} & set(answer.headers)
    (visit,) = it.v2.visits
    assert visit.target == "/api/items/a%20b?q=1&q=%2F"
    assert visit.headers["host"] == f"127.0.0.1:{it.v2.port}"
    assert visit.headers["authorization"] == "Bearer x"
    assert visit.headers["x-forwarded-host"] == "cartrita.test"


@pytest.mark.parametrize("path", ["/api/migration", "/api/migration/"])
async def test_the_guide_is_never_v2s_to_give(path):
    async with beside(rolled_back=lambda: True) as it:
        assert (await it.get(path)).json() == {"n": 1}
    assert it.v2.visits == []


async def test_a_body_goes_on_as_it_came():
    async with beside({"/api/said": lambda visit: data({"got": visit.body.decode()})}) as it:
        answer = await it.http.post("/api/said", json={"text": "ö" * 10_000})
    assert answer.json()["got"] == '{"text":"' + "ö" * 10_000 + '"}'


async def test_a_redirect_of_v2s_is_the_clients_to_follow():
    async with beside({"/api/plain": moved("http://169.254.169.254/")}) as it:
        answer = await it.get("/api/plain")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://169.254.169.254/")
    assert len(it.v2.visits) == 1


async def test_a_caller_stays_on_their_side():
    async with beside({"/api/plain": data({})}) as it:
        for share in (0.3, 0.7):
            it.plan = replace(it.plan, share=share)
            for number in range(30):
                key = f"session:{number}"
                sides = {by(await it.get("/api/plain", x_session_id=str(number))) for _ in range(2)}
                assert sides == {"bridge" if place_of(key) < share else "v2"}


async def test_the_bridge_can_be_asked_for_its_own_answer():
    async with beside({"/api/plain": data({})}) as it:
        answer = await it.get("/api/plain?q=a", x_bridge_answer="bridge")
    assert answer.json() == {"n": 1, "from": "a"}
    assert it.v2.visits == []


async def test_a_v2_that_is_this_instance_is_no_loop():
    with short_folder() as folder:
        made = Beside(None, None)
        older = Sharing(Bridge(table=TABLE), lambda _: made.plan)
        stand = Stand(folder, agents=(Talker,))
        with serving(stand.application(older=older)) as url:
            made.plan = Plan(upstream(url), 0.0, lambda: False)
            async with httpx.AsyncClient(base_url=url) as http:
                answer = await http.get("/api/plain")
            assert (answer.json()["n"], by(answer)) == (1, "v2")


@pytest.mark.parametrize(
    "path",
    [
        "/api/items/secret/door",
        "/api/items/Secret/DOOR",
        "/api/nothing",
        "/api//plain",
        "/api/items/..",
        "/api/items/%2e%2e",
        "/api/items/a%5cb",
        "/api/plain/",
    ],
)
@pytest.mark.parametrize("rolled_back", [False, True])
async def test_what_is_no_row_of_ours_never_reaches_v2(path, rolled_back):
    async with beside(rolled_back=lambda: rolled_back) as it:
        await it.get(path)
        allowed = [] if path != "/api/plain/" else it.v2.visits
        assert it.v2.visits == allowed


async def test_what_is_refused_without_a_token_never_reaches_v2():
    async with beside({"/api/tuning": data({})}, rolled_back=lambda: True) as it:
        answer = await it.get("/api/tuning")
    assert answer.status_code == 401
    assert it.v2.visits == []


async def test_what_the_bridge_has_not_yet_is_v2s():
    async with beside({"/api/someday": data({"some": "day"})}, share=1.0) as it:
        assert (await it.get("/api/someday")).json() == {"some": "day"}


async def test_until_all_is_the_bridges_v2_signs_in():
    async with beside({"/api/auth/login": data({"token": "v2"})}, share=0.999) as it:
        answer = await it.http.post("/api/auth/login", json={})
        assert answer.json() == {"token": "v2"}
        it.plan = replace(it.plan, share=1.0)
        assert (await it.http.post("/api/auth/login", json={})).json()["token"] != "v2"


async def test_who_has_a_token_of_v3_is_the_bridges_until_a_rollback():
    rolled_back = []
    async with beside(
        {"/api/mine": data({"error": "who?"}, 401)}, rolled_back=lambda: bool(rolled_back)
    ) as it:
        who = await it.api.user("a@b.example")
        assert by(await it.http.get("/api/mine", headers=who)) == "bridge"
        rolled_back.append(True)
        answer = await it.http.get("/api/mine", headers=who)
    assert (answer.status_code, by(answer)) == (401, "v2")
    assert "authorization" not in it.v2.visits[0].headers


class TestAway:
    """While v2 cannot be reached."""

    async def test_the_bridge_answers_or_says_so(self):
        async with beside() as it:
            it.plan = replace(it.plan, upstream=upstream("http://127.0.0.1:9"))
            assert by(await it.get("/api/plain")) == "bridge"
            posted = await it.http.post("/api/said", json={"text": "a"})
            assert (posted.json(), by(posted)) == ({"said": "a"}, "bridge")
            it.plan = replace(it.plan, refuses=True)
            answer = await it.get("/api/plain")
        assert (answer.status_code, by(answer)) == (503, "v2")
        assert answer.headers["retry-after"]
        assert answer.json()["error"] == answer.json()["message"] == "v2 cannot be reached now."

    async def test_after_a_rollback_nobody_else_answers(self):
        async with beside(rolled_back=lambda: True) as it:
            it.plan = replace(it.plan, upstream=upstream("http://127.0.0.1:9"))
            assert (await it.get("/api/plain")).status_code == 503

    async def test_what_v2_may_have_done_is_not_done_again(self):
        async with beside({"/api/said": HANG}, silence=0.05) as it:
            answer = await it.http.post("/api/said", json={"text": "a"})
        assert (answer.status_code, by(answer)) == (502, "v2")
        assert answer.json()["message"] == "v2 did not answer in time."
        assert len(it.v2.visits) == 1

    async def test_what_only_reads_is_answered_by_the_bridge(self):
        async with beside({"/api/plain": HANG}, silence=0.05) as it:
            assert by(await it.get("/api/plain")) == "bridge"

    async def test_a_v2_that_fails_again_and_again_is_left_alone(self):
        async with beside({"/api/plain": HANG}, silence=0.02, refuses=True) as it:
            for _ in range(FAILURES):
                assert (await it.get("/api/plain")).status_code == 502
            assert it.plan.upstream.away
            assert (await it.get("/api/plain")).status_code == 503
            assert len(it.v2.visits) == FAILURES

    async def test_what_callers_send_wrong_is_no_failure_of_v2s(self):
        """Else anybody could keep everybody from v2."""
        async with beside({"/api/plain": data({})}) as it:
            for _ in range(FAILURES):
                odd = await it.http.get("/api/plain", headers=[(b"x-odd", b"a\x00b")])
                assert odd.status_code == 400
            assert not it.plan.upstream.away
            assert by(await it.get("/api/plain")) == "v2"

    async def test_v2_does_not_see_a_credential_of_v3(self):
        async with beside({"/api/plain": data({})}) as it:
            answer = await it.get("/api/plain", authorization="Bearer x", x_api_key="ctk_secret")
            assert by(answer) == "bridge"
            it.plan = replace(it.plan, rolled_back=lambda: True)
            assert by(await it.get("/api/plain", authorization="x", x_api_key="ctk_secret")) == "v2"
        assert "ctk_secret" not in str([visit.headers for visit in it.v2.visits])

    async def test_an_error_of_v2s_is_an_answer(self):
        async with beside({"/api/plain": data({"error": "x"}, 500)}) as it:
            for _ in range(FAILURES + 1):
                assert (await it.get("/api/plain")).json() == {"error": "x"}

    async def test_metadata_services_are_no_v2(self):
        async with beside(refuses=True) as it:
            it.plan = replace(it.plan, upstream=upstream("http://169.254.169.254"))
            answer = await it.get("/api/plain")
        assert answer.status_code == 503
        assert "migration.v2_url" in answer.json()["message"]


class TestShadow:
    """The other side is asked, too."""

    async def test_what_is_different_is_counted_and_shown(self):
        pages = {"/api/plain": data({"n": "one", "from": None, "more": 1})}
        async with beside(pages, shadow=True, share=1.0) as it:
            answer = await it.get("/api/plain")
            assert by(answer) == "bridge"
            row = (await it.compared())["GET /api/plain"]
        assert (row.same, row.different, row.failed) == (0, 1, 0)
        assert [found["where"] for found in row.sample["differences"]] == ["$.more", "$.n"]
        assert row.sample["answered"] == "bridge"

    @pytest.mark.parametrize("share", [0.0, 1.0])
    async def test_either_side_can_be_the_other(self, share):
        async with beside(
            {"/api/plain": data({"n": 5, "from": "v"})}, shadow=True, share=share
        ) as it:
            await it.get("/api/plain?q=a")
            row = (await it.compared())["GET /api/plain"]
        assert (row.same, row.different, row.failed) == (1, 0, 0)

    async def test_nobody_waits_for_it(self):
        async with beside({"/api/plain": HANG}, shadow=True, share=1.0, room=3, waits=0.1) as it:
            for _ in range(10):
                assert (await it.get("/api/plain")).status_code == 200
            row = (await it.compared())["GET /api/plain"]
        assert row.failed + row.left_out == 10
        assert row.left_out >= 5

    async def test_what_changes_something_is_done_twice_only_if_that_is_wished(self):
        async with beside({"/api/said": data({"said": "b"})}, shadow=True, share=1.0) as it:
            await it.http.post("/api/said", json={"text": "a"})
            assert await it.compared() == {}
            it.plan = replace(it.plan, twice=True)
            answer = await it.http.post("/api/said", json={"text": "a"})
            assert answer.json() == {"said": "a"}
            assert (await it.compared())["POST /api/said"].same == 1
            assert it.v2.visits[0].json == {"text": "a"}
            it.plan = replace(it.plan, share=0.0)
            await it.http.post("/api/said", json={"text": "a"})
            assert (await it.compared())["POST /api/said"].same == 2

    async def test_a_task_is_not_run_for_the_sake_of_a_comparison(self):
        pages = {"/api/spoken": data({"payload": "a"})}
        async with beside(pages, shadow=True) as it:
            assert by(await it.get("/api/spoken?q=a")) == "v2"
            assert await it.compared() == {}

    async def test_what_v2_cannot_know_is_not_asked_of_it(self):
        async with beside(shadow=True, share=1.0, twice=True) as it:
            who = await it.api.user("a@b.example")
            await it.http.get("/api/plain", headers=who)
            await it.http.post("/api/auth/login", json={})
            assert await it.compared() == {}
            assert it.v2.visits == []

    async def test_it_costs_nobody_a_part_of_their_quota(self):
        stand = {"visitors": (Quota("address", 1, 60.0), None)}
        async with beside({"/api/counted": data({"n": 3})}, shadow=True, stand=stand) as it:
            for _ in range(3):
                await it.get("/api/counted")
            assert (await it.compared())["GET /api/counted"].same == 3


class TestOverASocket:
    """What only a real server shows."""

    @asynccontextmanager
    async def served(self, pages):
        with short_folder() as folder:
            async with site(pages) as v2:
                plan = Plan(upstream(v2.url), 0.0, lambda: False)
                older = Sharing(Bridge(table=TABLE), lambda _: plan)
                with serving(Stand(folder, agents=(Talker,)).application(older=older)) as url:
                    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
                        yield v2, http

    async def test_parts_come_as_v2_sends_them(self):
        page = Reply(kind="text/event-stream", pieces=lambda: [b"data: 1\n\n"], stays=True)
        async with (
            self.served({"/api/plain": page}) as (_, http),
            http.stream("GET", "/api/plain") as answer,
        ):
            assert await anext(answer.aiter_raw()) == b"data: 1\n\n"

    async def test_when_the_client_leaves_v2_is_let_go(self):
        async with self.served({"/api/plain": HANG}) as (v2, http):
            with pytest.raises(httpx.ReadTimeout):
                await http.get("/api/plain", timeout=0.2)
            async with asyncio.timeout(5):
                await asyncio.gather(*v2._handlers)
