"""The databases go away and come back, under the real gateway and the real tree."""

import asyncio

import pytest

from cartrita.clock import new_id
from cartrita.rate import Quota
from cartrita.storage.postgres import lane
from tests.support.database import running_services
from tests.support.durable_gateway import Server, durable_gateway
from tests.support.gateway import PASSWORD, assert_problem

pytestmark = [pytest.mark.database, pytest.mark.chaos]

LATER = {"Prefer": "respond-async"}
MAIL = "ada@example.org"


@pytest.fixture(scope="module")
def own_services(tmp_path_factory):
    """Run servers that these tests may stop."""
    with running_services(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest.fixture
def postgres(own_services):
    return Server(own_services)


@pytest.fixture
def valkey(own_services):
    return Server(own_services, "valkey")


@pytest.fixture
async def api(own_services, monkeypatch):
    """Run a gateway that remembers for minutes whose token it saw."""
    monkeypatch.setattr(lane, "PATIENCE", 0.3)
    with own_services.fresh_database() as url:
        quotas = (Quota("principal", 1000, 60.0), None)
        options = {"revocation_ttl": 300.0, "quotas": quotas}
        async with durable_gateway(url, own_services.redis_url, **options) as running:
            yield running


@pytest.fixture
async def ada(api):
    who = await api.user(MAIL)
    assert (await api.run(who=who)).status_code == 200
    return who


async def runs(api, who, text="hello", **fields):
    answer = await api.run("test.echo", {"text": text}, who=who, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "COMPLETED"
    return answer.json()


async def refused(answer):
    """Check that nobody says yes, and that it says when to come again."""
    found = await asyncio.wait_for(answer, 30)
    document = assert_problem(found, 503, "SERVICE_UNAVAILABLE")
    assert document["retryable"] is True
    assert int(found.headers["retry-after"]) >= 1
    return document


def everything(api, who, task_id, stranger, **fields):
    """Return one request of every kind that needs the database; `fields` are of new tasks."""
    http, where = api.http, f"/v3/tasks/{task_id}"
    login = {"email": MAIL, "password": PASSWORD}
    other = {"email": "eve@example.org", "password": PASSWORD}
    return {
        "create": api.run(who=who, **fields),
        "create with a key": api.run(who=who, headers={"Idempotency-Key": "new"}, **fields),
        "create for later": api.run(who=who, headers=LATER, **fields),
        "look": http.get(where, headers=who),
        "look and wait": http.get(f"{where}?wait=5", headers=who),
        "list": http.get("/v3/tasks", headers=who),
        "cancel": http.delete(where, headers=who),
        "events": http.get(f"{where}/events", headers=who),
        "a token not seen before": http.get("/v3/catalog", headers=stranger),
        "login": http.post("/auth/login", json=login),
        "register": http.post("/auth/register", json=other),
        "refresh": http.post("/auth/refresh", json={"refreshToken": "none"}),
        "me": http.get("/auth/me", headers=who),
        "ready": http.get("/readyz"),
    }


async def test_while_postgres_is_away_nothing_is_accepted_and_nothing_is_made_up(
    api, ada, postgres
):
    task_id = (await runs(api, ada))["taskId"]
    stranger = await api.admin()
    await postgres.stop()

    requests = everything(api, ada, task_id, stranger)
    for name, answer in requests.items():
        document = await refused(answer)
        assert document["detail"], name
    health = await api.http.get("/health")
    assert health.status_code == 503
    assert health.json()["services"]["postgres"] == {"ok": False}
    for alive in ("/livez", "/startupz"):
        assert (await api.http.get(alive)).status_code == 200

    await postgres.start()
    found = await api.http.get(f"/v3/tasks/{task_id}", headers=ada)
    assert found.json()["result"] == {"text": "hello", "attempt": 1}
    await runs(api, ada)
    assert (await api.http.get("/v3/catalog", headers=stranger)).status_code == 200
    await ready(api)


async def ready(api):
    """Wait until the last look at the databases is no longer remembered."""
    async with asyncio.timeout(20):
        while True:
            if (await api.http.get("/readyz")).status_code == 200:
                return
            await asyncio.sleep(0.1)


async def test_work_under_way_waits_for_postgres_and_goes_on_by_itself(api, ada, postgres):
    stage = api.stand.stage
    waiting = asyncio.create_task(api.run("test.hold", {"text": "a"}, who=ada))
    later = await api.run("test.hold", {"text": "b"}, who=ada, headers=LATER)
    assert {await stage.begun(), await stage.begun()} == {"a", "b"}
    await postgres.stop()
    stage.release.set()  # both end now, and nobody can know
    await refused(api.run(who=ada))
    assert not waiting.done()
    await refused(api.http.get(later.headers["location"], headers=ada))

    await postgres.start()
    answer = await asyncio.wait_for(waiting, 20)
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")
    ended = await api.http.get(f"{later.headers['location']}?wait=10", headers=ada)
    assert ended.json()["status"] == "COMPLETED"
    assert sorted(stage.played) == ["a", "b"]


async def test_a_task_that_may_not_run_twice_does_not_start_without_a_record_of_it(
    api, ada, postgres
):
    stage = api.stand.stage
    holding = [
        asyncio.create_task(api.run("test.hold", {"text": str(n)}, who=ada)) for n in range(8)
    ]
    for _ in holding:
        await stage.begun()
    once = await api.run("test.once", {"text": "once"}, who=ada, timeout=3000, headers=LATER)
    assert once.status_code == 202
    await postgres.stop()
    stage.release.set()  # there is a place for it now
    await refused(api.run(who=ada))
    await asyncio.sleep(3)  # the deadline of the task, which waits for the journal
    await postgres.start()

    ended = await api.http.get(f"{once.headers['location']}?wait=10", headers=ada)
    assert (ended.json()["status"], ended.json()["errorCode"]) == ("TIMEOUT", "TASK_TIMEOUT")
    assert "once" not in stage.played
    assert {answer.status_code for answer in await asyncio.gather(*holding)} == {200}
    await runs(api, ada)


async def listed(api, who, count):
    """Wait until the list of tasks, which follows a moment later, tells of so many ends."""
    async with asyncio.timeout(20):
        while True:
            answer = await api.http.get("/v3/tasks?limit=200", headers=who)
            if answer.status_code == 200:
                found = [task["status"] for task in answer.json()["tasks"]]
                if found.count("COMPLETED") == count:
                    return
            else:  # the last kill may have been a moment ago
                assert_problem(answer, 503, "SERVICE_UNAVAILABLE")
            await asyncio.sleep(0.1)


async def test_what_was_accepted_is_done_though_postgres_is_killed_under_load(api, ada, postgres):
    texts = [str(number) for number in range(150)]
    away = 0

    async def submit(text):
        nonlocal away
        task_id = new_id()
        while True:
            answer = await api.run("test.echo", {"text": text}, who=ada, taskId=task_id)
            if answer.status_code == 200:
                return answer.json()
            assert_problem(answer, 503, "SERVICE_UNAVAILABLE")
            away += 1
            await asyncio.sleep(0.05)

    async def client(mine):
        return [await submit(text) for text in mine]

    async def kills():
        for _ in range(3):
            await asyncio.sleep(0.3)
            await postgres.kill()

    told, _ = await asyncio.gather(
        asyncio.gather(*(client(texts[first::15]) for first in range(15))), kills()
    )
    answers = [answer for some in told for answer in some]
    assert {answer["status"] for answer in answers} == {"COMPLETED"}
    assert sorted(int(answer["result"]["text"]) for answer in answers) == list(range(150))
    await listed(api, ada, 151)


async def test_a_postgres_that_hangs_is_away_too(api, ada, postgres):
    task_id = (await runs(api, ada))["taskId"]
    stranger = await api.admin()
    await postgres.pause()
    try:
        # Whether a task that was sent to it was accepted is unknown, up to the task's deadline.
        requests = everything(api, ada, task_id, stranger, timeout=3000)
        requests.pop("events").close()  # it begins, and is cut off
        answers = await asyncio.gather(*map(refused, requests.values()), return_exceptions=True)
    finally:
        postgres.resume()
    assert [
        name for name, a in zip(requests, answers, strict=True) if isinstance(a, Exception)
    ] == []
    await runs(api, ada)
    await ready(api)


async def test_without_valkey_everything_goes_on_and_health_says_so(api, ada, valkey):
    await valkey.stop()
    for _ in range(3):
        await runs(api, ada)
    health = await api.http.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["services"]["redis"] == {"ok": False}
    assert (await api.http.get("/readyz")).status_code == 200
    await valkey.start()
    await runs(api, ada)


async def test_a_valkey_that_was_flushed_and_killed_has_lost_nothing_that_matters(api, ada, valkey):
    stage = api.stand.stage
    holding = asyncio.create_task(api.run("test.hold", {"text": "a"}, who=ada))
    await stage.begun()
    await valkey.kill()
    task_id = (await runs(api, ada))["taskId"]
    assert (await api.http.get(f"/v3/tasks/{task_id}", headers=ada)).status_code == 200
    stage.release.set()
    assert (await asyncio.wait_for(holding, 10)).json()["status"] == "COMPLETED"
