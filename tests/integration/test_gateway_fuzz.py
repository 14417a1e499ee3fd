"""Whatever is sent, the gateway answers for it: never a defect of ours, always a document."""

import json
import re

import msgpack
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cartrita.protocol.command import CommandName, CommandRequest
from tests.support.gateway import assert_headers, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

fuzz = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

FIELDS = [
    "taskType", "task_type", "parameters", "priority", "timeout", "deadline", "taskId",
    "delivery", "sessionId", "workspaceId", "budget", "preferences", "preferredAgent",
    "metadata",
]  # fmt: skip
LISTS = ["status", "taskType", "sessionId", "since", "limit", "cursor"]
PARAMETERS = ["payload", "itemCount", "ratio", "colour", "parts", "mainPart", "partName"]

text = st.text() | st.sampled_from(["\x00", "\ud800", "é" * 300, "AT_MOST_ONCE", "2099-01-01"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([1000, 5, 0, -1, 10**25, 1e308])
    | text
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(text | st.sampled_from(PARAMETERS), inner, max_size=4)
    ),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(FIELDS, anything),
        "taskType": st.sampled_from(["system.echo", "bench.shape", "bench.fail"]) | anything,
        "parameters": st.dictionaries(st.sampled_from(PARAMETERS), anything, max_size=4),
        "priority": st.integers(-1, 11) | anything,
        "extra": anything,
    },
)
BRIDGED = ["task_id", "parameters", "metadata", "preferred_agent", "priority", "deadline"]
bridged = st.fixed_dictionaries(
    {"task_type": st.sampled_from(["system.echo", "bench.fail"]) | anything},
    optional={
        **dict.fromkeys(BRIDGED, anything),
        "metadata": st.dictionaries(text, anything, max_size=3),
        "parameters": st.dictionaries(st.sampled_from(PARAMETERS), anything, max_size=3),
    },
)
commands = st.fixed_dictionaries(
    {},
    optional={
        "command": st.sampled_from([*CommandName]) | text,
        "target": st.sampled_from(["tree", "system/0", "nowhere"]) | text,
        "arguments": anything
        | st.dictionaries(
            st.sampled_from(["by", "to", "grace", "cancel", "pool", "logLevel"]), anything
        ),
        "extra": anything,
    },
)


def _packed(value):
    """Return a value as MessagePack, as far as it has such a form."""
    try:
        return msgpack.packb(value)
    except (ValueError, OverflowError):
        return msgpack.packb(str(value)[:50].encode("utf-8", "replace"))


good = {"taskType": "system.echo", "parameters": {"payload": [1, {"a": "b"}]}, "priority": 5}
headers = st.dictionaries(
    st.sampled_from(
        ["idempotency-key", "prefer", "traceparent", "x-request-id", "content-encoding", "accept"]
    ),
    st.binary(max_size=80).map(lambda value: re.sub(rb"[\r\n\x00]", b"", value)),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api():
    async with running_gateway() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(api):
    return await api.user("alice@example.org")


def check(answer):
    """Accept any answer that is ours and knows what it says."""
    assert_headers(answer)
    assert "Traceback" not in answer.text
    if answer.status_code in {200, 202}:
        json.loads(answer.content, parse_constant=pytest.fail)
        return
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["code"] != "INTERNAL_ERROR"
    # A deadline in the past is the one thing in a body that answers 503, as the contract says.
    assert answer.status_code < 500 or document["reason"] == "DEADLINE_IMPOSSIBLE"


@fuzz
@given(body=st.binary(max_size=300))
async def test_any_bytes(api, alice, body):
    check(await api.send(body, alice))


@fuzz
@given(body=requests)
async def test_any_request(api, alice, body):
    check(await api.send(json.dumps(body).encode(), alice))


@fuzz
@given(body=anything)
async def test_any_json(api, alice, body):
    check(await api.send(json.dumps(body).encode(), alice))


@fuzz
@given(place=st.integers(0, 90), cut=st.integers(0, 10), put=st.binary(max_size=6))
async def test_a_good_request_with_a_few_bytes_changed(api, alice, place, cut, put):
    body = json.dumps(good).encode()

    check(await api.send(body[:place] + put + body[place + cut :], alice))


@fuzz
@given(told=headers)
async def test_any_headers(api, alice, told):
    lines = {"content-type": "application/json", **alice, **told}

    check(await api.http.post("/v3/tasks", content=json.dumps(good).encode(), headers=lines))


@fuzz
@given(task_id=text, wait=text)
async def test_any_task_id_and_wait(api, alice, task_id, wait):
    path = f"/v3/tasks/{_sendable(task_id).replace('/', '')}x"

    check(await api.http.get(path, params={"wait": _sendable(wait)}, headers=alice))


@fuzz
@given(cursor=st.binary(max_size=40), query=text)
async def test_any_cursor(api, alice, cursor, query):
    lines = {**alice, "last-event-id": re.sub(rb"[\r\n\x00]", b"", cursor)}
    path = "/v3/tasks/018bcfe5-6800-7000-8000-000000000001/events"

    for told in (lines, alice):
        answer = await api.http.get(path, params={"after": _sendable(query)}, headers=told)
        assert answer.status_code >= 400
        check(answer)


@fuzz
@given(limit=text, before=text)
async def test_any_page(api, alice, limit, before):
    asked = {"limit": _sendable(limit), "before": _sendable(before)}

    check(await api.http.get("/v3/quarantine", params=asked, headers=alice))
    check(await api.http.get("/v3/admin/audit", params=asked, headers=await api.admin()))


@fuzz
@given(body=st.binary(max_size=200) | (requests | anything).map(_packed))
async def test_any_messagepack(api, alice, body):
    check(await api.send(body, alice, content_type="application/msgpack"))


@fuzz
@given(place=st.integers(0, 60), cut=st.integers(0, 8), put=st.binary(max_size=6))
async def test_a_good_messagepack_with_a_few_bytes_changed(api, alice, place, cut, put):
    body = msgpack.packb(good)
    sent = body[:place] + put + body[place + cut :]

    check(await api.send(sent, alice, content_type="application/msgpack"))


@fuzz
@given(accept=st.binary(max_size=60) | st.sampled_from([b"application/msgpack;q=x", b",;,=;q"]))
async def test_any_accept(api, alice, accept):
    lines = {**alice, "accept": re.sub(rb"[\r\n\x00]", b"", accept), "accept-encoding": accept[:0]}

    answer = await api.http.get("/auth/me", headers=lines)

    assert answer.status_code == 200


@fuzz
@given(asked=st.dictionaries(st.sampled_from(LISTS), text, max_size=4))
async def test_any_list_of_tasks(api, alice, asked):
    told = {name: _sendable(value) for name, value in asked.items()}

    check(await api.http.get("/v3/tasks", params=told, headers=alice))


@fuzz
@given(body=st.fixed_dictionaries({"tasks": st.lists(requests | anything, max_size=4)}) | anything)
async def test_any_batch(api, alice, body):
    told = {"content-type": "application/json", **alice}

    answer = await api.http.post("/v3/tasks/batch", content=json.dumps(body).encode(), headers=told)

    check(answer)
    if answer.status_code == 200:
        verdicts = answer.json()["results"]
        assert len(verdicts) == len(body["tasks"])
        refusals = [item["problem"] for item in verdicts if not item["accepted"]]
        assert all(problem["code"] != "INTERNAL_ERROR" for problem in refusals)


@fuzz
@given(body=st.binary(max_size=50), kind=st.binary(max_size=30), blob=text, part=st.binary())
async def test_any_blob(api, alice, body, kind, blob, part):
    told = {**alice, "content-type": re.sub(rb"[\r\n\x00]", b"", kind)}
    answer = await api.http.post("/v3/blobs", content=body, headers=told)
    if answer.status_code != 201:
        check(answer)
    kept = await api.http.post(
        "/v3/blobs", content=body, headers={**alice, "content-type": "text/plain"}
    )
    asked = {**alice, "range": b"bytes=" + re.sub(rb"[\r\n\x00]", b"", part[:20])}

    shown = await api.http.get(kept.headers["location"], headers=asked)

    assert shown.status_code in {200, 206, 416}
    assert shown.status_code != 200 or shown.content == body
    check(await api.http.get(f"/v3/blobs/{_sendable(blob).replace('/', '')}x", headers=alice))


@fuzz
@given(body=bridged | anything, name=text)
async def test_any_bridged_task_and_agent(api, alice, body, name):
    told = {"content-type": "application/json", **alice}

    check(await api.http.post("/v3/mcp/bridge", content=json.dumps(body).encode(), headers=told))
    check(await api.http.get(f"/v3/agents/{_sendable(name).replace('/', '')}x", headers=alice))


@fuzz
@given(body=commands)
async def test_any_command(api, body):
    told = {"content-type": "application/json", **await api.admin()}

    answer = await api.http.post(
        "/v3/admin/commands", content=json.dumps(body).encode(), headers=told
    )

    check(answer)
    if answer.status_code == 200:
        command, target, arguments, _ = api.stand.bridge.orders[-1]
        CommandRequest(command=command, target=target, arguments=arguments).checked()


@fuzz
@given(token=st.binary(max_size=200).map(lambda value: re.sub(rb"[\r\n\x00]", b"", value)))
async def test_any_token(api, token):
    answer = await api.http.get("/auth/me", headers={"authorization": b"Bearer " + token})

    assert answer.status_code == 401
    check(answer)


def _sendable(value):
    return re.sub("[\x00-\x1f\x7f#?]", "", value.encode("utf-8", "ignore").decode())
