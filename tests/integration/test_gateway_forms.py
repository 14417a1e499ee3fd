"""The forms in which the gateway reads and writes: MessagePack, gzip, marks of documents."""

import gzip

import msgpack
import pytest
import zstandard

from tests.support.gateway import running_gateway

PACKED = "application/msgpack"
ECHO = {"taskType": "system.echo", "parameters": {"payload": [1, "é", None, 2.5]}}


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


async def ask(api, who, method, path, value=None, **headers):
    """Ask in MessagePack for an answer in MessagePack."""
    told = {"accept": PACKED, **who, **headers}
    content = None
    if value is not None:
        content, told["content-type"] = msgpack.packb(value), PACKED
    answer = await api.http.request(method, path, content=content, headers=told)
    assert answer.headers["content-type"] == PACKED
    return answer, msgpack.unpackb(answer.content)


async def test_a_task_goes_in_and_out_in_messagepack(api, alice):
    answer, body = await ask(api, alice, "POST", "/v3/tasks", ECHO)

    assert answer.status_code == 200
    assert body["status"] == "COMPLETED"
    assert body["result"] == {"payload": ECHO["parameters"]["payload"]}


async def test_every_kind_of_route_speaks_it(api, alice):
    account = {"email": "bob@example.org", "password": "a good long password"}
    _, session = await ask(api, {}, "POST", "/auth/register", account)
    _, batch = await ask(api, alice, "POST", "/v3/tasks/batch", {"tasks": [ECHO, ECHO]})
    task_id = batch["results"][0]["taskId"]
    _, shown = await ask(api, alice, "GET", f"/v3/tasks/{task_id}?wait=10")
    _, listed = await ask(api, alice, "GET", "/v3/tasks")
    _, catalog = await ask(api, alice, "GET", "/v3/catalog")
    health, _ = await ask(api, {}, "GET", "/health")

    assert session["user"]["email"] == "bob@example.org"
    assert shown["status"] == "COMPLETED"
    assert len(listed["tasks"]) == 2
    assert "system.echo" in [entry["taskType"] for entry in catalog["tasks"]]
    assert health.status_code == 200


async def test_refusals_come_in_it_and_are_the_same_as_in_json(api, alice):
    wrong = {"taskType": "bench.shape", "parameters": {"itemCount": 0}}
    answer, body = await ask(api, alice, "POST", "/v3/tasks", wrong)
    plain = await api.http.post("/v3/tasks", json=wrong, headers=alice)

    assert answer.status_code == plain.status_code == 422
    ours = {"traceId": None}
    assert body | ours == plain.json() | ours


async def test_what_cannot_be_read_is_refused(api, alice):
    headers = {**alice, "content-type": PACKED}

    answer = await api.http.post("/v3/tasks", content=b"\xc1", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_MESSAGE_FORMAT")


async def test_a_body_over_the_limit_is_refused_in_either_form():
    async with running_gateway(max_body=2000) as api:
        alice = await api.user("alice@example.org")
        big = {"taskType": "system.echo", "parameters": {"payload": "x" * 3000}}
        answer, body = await ask(api, alice, "POST", "/v3/tasks", big)

    assert (answer.status_code, body["code"]) == (413, "RESOURCE_LIMIT_EXCEEDED")


@pytest.mark.parametrize("path", ["/v3/catalog", "/openapi.json"])
async def test_a_document_is_sent_once(api, alice, path):
    first = await api.http.get(path, headers=alice)
    tag = first.headers["etag"]

    for known in (tag, f'"other", {tag}', "*"):
        again = await api.http.get(path, headers={**alice, "if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    other = await api.http.get(path, headers={**alice, "if-none-match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize(
    ("coding", "opened"), [("gzip", gzip.decompress), ("zstd", zstandard.decompress)]
)
async def test_what_is_long_comes_compressed_to_who_takes_it(api, alice, coding, opened):
    async with api.http.stream(
        "GET", "/v3/catalog", headers={**alice, "accept-encoding": coding}
    ) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    plain = await api.http.get("/v3/catalog", headers={**alice, "accept-encoding": "identity"})

    assert answer.headers["content-encoding"] == coding
    assert "content-encoding" not in plain.headers
    assert opened(raw) == plain.content


async def test_the_trace_goes_in_and_out(api, alice):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    known = await api.run(who=alice, headers={"traceparent": trace})
    fresh = await api.http.get("/livez")

    assert known.headers["traceparent"] == trace
    assert known.json()["traceId"] == trace[3:35]
    assert fresh.headers["traceparent"].startswith("00-")
