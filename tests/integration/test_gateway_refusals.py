"""What the gateway does not take: each refusal says why, names the field, and leaves no trace."""

import gzip
import json

import pytest
import pytest_asyncio

from tests.support.gateway import MAX_BODY, assert_problem, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

ECHO = {"taskType": "system.echo", "parameters": {"payload": 1}}
ID = "018bcfe5-6800-7000-8000-000000000001"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate():
    async with running_gateway() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(gate):
    return await gate.user("alice@example.org")


@pytest.fixture
def api(gate):
    """Give the gateway, and see afterwards that nothing was written."""
    tables = gate.stand.tables
    before = (dict(tables.stories), dict(tables.keys))
    yield gate
    assert (tables.stories, tables.keys) == before


def echo(**fields):
    return json.dumps({**ECHO, **fields}).encode()


MALFORMED = {
    "empty": b"",
    "blank": b"  \n",
    "open": b"{",
    "trailing comma": b'{"taskType":"system.echo","parameters":{"payload":1,}}',
    "two values": echo() + echo(),
    "single quotes": b"{'taskType':'system.echo'}",
    "a comment": b'{"taskType":"system.echo",/* */"parameters":{"payload":1}}',
    "a byte order mark": b"\xef\xbb\xbf" + echo(),
    "UTF-16": json.dumps(ECHO).encode("utf-16"),
    "invalid UTF-8": b'{"taskType":"system.echo","parameters":{"payload":"\xff\xfe"}}',
    "overlong UTF-8": b'{"taskType":"system.echo","parameters":{"payload":"\xc0\xaf"}}',
    "a raw surrogate": b'{"taskType":"system.echo","parameters":{"payload":"\xed\xa0\x80"}}',
    "a lone high surrogate": b'{"taskType":"system.echo","parameters":{"payload":"\\ud800"}}',
    "a lone low surrogate": b'{"taskType":"system.echo","parameters":{"payload":"\\udc00 x"}}',
    "a surrogate in a name": b'{"taskType":"system.echo","parameters":{"\\ud800":1}}',
    "a raw control character": b'{"taskType":"system.echo","parameters":{"payload":"a\x00b"}}',
    "NaN": b'{"taskType":"system.echo","parameters":{"payload":NaN}}',
    "Infinity": b'{"taskType":"system.echo","parameters":{"payload":[Infinity]}}',
    "-Infinity": b'{"taskType":"system.echo","parameters":{"payload":{"a":-Infinity}}}',
    "a leading zero": b'{"taskType":"system.echo","parameters":{"payload":01}}',
    "hexadecimal": b'{"taskType":"system.echo","parameters":{"payload":0x1}}',
    "10,000 levels of lists": b'{"taskType":"system.echo","parameters":{"payload":'
    + b"[" * 10_000 + b"]" * 10_000 + b"}}",
    "10,000 levels of objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "10,000 open lists": b"[" * 10_000,
    "a number of 100,000 digits": b'{"taskType":"system.echo","parameters":{"payload":'
    + b"9" * 100_000 + b"}}",
    "gzip without saying so": gzip.compress(echo()),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
async def test_refuses_what_is_not_json(api, alice, name):
    answer = await api.send(MALFORMED[name], alice)

    assert_problem(answer, 400, "INVALID_MESSAGE_FORMAT")


async def test_a_name_twice_in_one_object_is_refused_by_name(api, alice):
    """Readers disagree about which one counts, so neither does."""
    outer = b'{"taskType":"system.echo","taskType":"bench.wait","parameters":{"payload":1}}'
    inner = b'{"taskType":"system.echo","parameters":{"payload":[{"x":1,"\\u0078":2}]}}'

    twice = await api.send(outer, alice)
    hidden = await api.send(inner, alice)

    assert_problem(twice, 400, "INVALID_MESSAGE_FORMAT", "taskType")
    assert_problem(hidden, 400, "INVALID_MESSAGE_FORMAT", "x")


async def test_a_field_in_both_spellings_is_refused(api, alice):
    answer = await api.send(echo(task_type="system.echo"), alice)

    assert_problem(answer, 422, "INVALID_PARAMETERS", "task_type")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "json", ""])
async def test_refuses_another_content_type(api, alice, kind):
    answer = await api.send(echo(), alice, content_type=kind)

    assert_problem(answer, 400, "INVALID_MESSAGE_FORMAT", "Content-Type")


async def test_refuses_a_body_without_a_content_type(api, alice):
    answer = await api.http.post("/v3/tasks", content=echo(), headers=alice)

    assert_problem(answer, 400, "INVALID_MESSAGE_FORMAT", "Content-Type")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
async def test_refuses_a_packed_body(api, alice, coding):
    answer = await api.send(gzip.compress(b" " * MAX_BODY), alice, content_encoding=coding)

    assert_problem(answer, 400, "INVALID_MESSAGE_FORMAT", "Content-Encoding")


async def test_refuses_a_body_over_the_limit_by_its_announced_length(api, alice):
    answer = await api.send(b" " * (MAX_BODY + 1), alice)

    assert_problem(answer, 413, "RESOURCE_LIMIT_EXCEEDED")
    assert answer.headers["connection"] == "close"


async def test_refuses_a_body_over_the_limit_that_comes_in_chunks(api, alice):
    sent = 0

    async def chunks():
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 65_536

    told = {"content-type": "application/json", **alice}
    answer = await api.http.post("/v3/tasks", content=chunks(), headers=told)

    assert_problem(answer, 413, "RESOURCE_LIMIT_EXCEEDED")
    assert sent == MAX_BODY // 65_536 + 1


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "9" * 5000, "+5", ""])
async def test_refuses_a_length_that_is_no_number(api, alice, length):
    answer = await api.send(b"{}", alice, content_length=length)

    assert_problem(answer, 400, "INVALID_MESSAGE_FORMAT")


WRONG = {
    "taskType": [None, 1, "", "a" * 256, "a\x00b", ["system.echo"]],
    "parameters": [None, 1, "x", [], [1]],
    "priority": [-1, 11, 5.5, "5", True, None, 10**30],
    "timeout": [999, 0, -1, 86_400_001, 1e3 + 0.5, "5000", 10**30],
    "deadline": ["tomorrow", "2099-01-01", 4_000_000_000, "2099-01-01T00:00:00", ""],
    "taskId": ["x", "", 1, ID[:-1], ID + "0", "../../etc/passwd"],
    "delivery": ["at_least_once", "", 1, "NEVER"],
    "sessionId": ["", "a" * 256, "a\nb", 1],
    "workspaceId": ["", "a" * 256, "\x7f", 1],
    "preferredAgent": ["", "a" * 256, 1],
    "budget.maxUsd": [-1, "1", 1e10],
    "budget.maxTokens": [-1, 1.5, 10**16, 10**30],
    "budget.maxEuro": [1],
    "preferences.qualityLevel": ["ultra", 1, ""],
    "preferences.streaming": ["yes", 1],
    "preferences.speed": [1],
    "metadata.key": [1, None, "a" * 4097, {"a": "b"}],
    "extraField": [1, None],
}


@pytest.mark.parametrize(
    ("field", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
async def test_names_the_field_that_is_wrong(api, alice, field, value):
    outer, _, inner = field.partition(".")
    body = echo(**{outer: {inner: value} if inner else value})

    answer = await api.send(body, alice)

    assert_problem(answer, 422, "INVALID_PARAMETERS", field)


@pytest.mark.parametrize("field", ["taskType", "parameters"])
async def test_names_the_field_that_is_missing(api, alice, field):
    body = {name: value for name, value in ECHO.items() if name != field}

    answer = await api.send(json.dumps(body).encode(), alice)

    assert_problem(answer, 422, "INVALID_PARAMETERS", field)


async def test_names_every_wrong_field_at_once(api, alice):
    answer = await api.send(b'{"priority":99,"taskId":7,"x":1}', alice)

    fields = ("taskType", "parameters", "priority", "taskId", "x")
    assert_problem(answer, 422, "INVALID_PARAMETERS", *fields)


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"', b"true"])
async def test_refuses_a_body_that_is_no_object(api, alice, body):
    assert_problem(await api.send(body, alice), 422, "INVALID_PARAMETERS", "body")


@pytest.mark.parametrize("metadata", [{"": "x"}, {"a" * 256: "x"}, {"a\x01": "x"}])
async def test_refuses_a_wrong_name_in_the_metadata(api, alice, metadata):
    answer = await api.send(echo(metadata=metadata), alice)

    [item] = answer.json()["errors"]
    assert item["field"].startswith("metadata.")
    assert_problem(answer, 422, "INVALID_PARAMETERS", item["field"])


async def test_refuses_too_much_metadata(api, alice):
    answer = await api.send(echo(metadata={str(n): "x" for n in range(65)}), alice)

    assert_problem(answer, 422, "INVALID_PARAMETERS", "metadata")


SHAPES = [
    ({}, ["parameters.itemCount"]),
    ({"itemCount": 0}, ["parameters.itemCount"]),
    ({"itemCount": 11}, ["parameters.itemCount"]),
    ({"itemCount": "1"}, ["parameters.itemCount"]),
    ({"itemCount": 1.5}, ["parameters.itemCount"]),
    ({"itemCount": True}, ["parameters.itemCount"]),
    ({"itemCount": 1, "ratio": 1.1}, ["parameters.ratio"]),
    ({"itemCount": 1, "colour": "blue"}, ["parameters.colour"]),
    ({"itemCount": 1, "parts": [{}]}, ["parameters.parts.0.partName"]),
    ({"itemCount": 1, "parts": [{"partName": ""}]}, ["parameters.parts.0.partName"]),
    ({"itemCount": 1, "parts": [{"partName": "a"}] * 6}, ["parameters.parts"]),
    ({"itemCount": 1, "mainPart": {"partName": "a", "b": 1}}, ["parameters.mainPart.b"]),
    ({"itemCount": 1, "secret": 1}, ["parameters.secret"]),
    ({"itemCount": 0, "ratio": -1}, ["parameters.itemCount", "parameters.ratio"]),
]


@pytest.mark.parametrize(("parameters", "fields"), SHAPES)
async def test_names_the_parameter_that_is_wrong(api, alice, parameters, fields):
    answer = await api.run("bench.shape", parameters, who=alice)

    document = assert_problem(answer, 422, "INVALID_PARAMETERS", *fields)
    assert "bench.shape" in document["detail"]


NUMBERS = {
    "parameters.payload": f'{{"payload":{10**19 * 2}}}',
    "parameters.payload.a.1": f'{{"payload":{{"a":[1,{-(2**63) - 1}]}}}}',
    "parameters.delayMs": f'{{"payload":1,"delayMs":{10**30}}}',
    "parameters.payload.0": '{"payload":[1e999]}',
    "parameters.payload.x": '{"payload":{"x":-1.5E+400}}',
}


@pytest.mark.parametrize("field", NUMBERS)
async def test_names_the_number_that_fits_no_machine_word(api, alice, field):
    answer = await api.send(
        b'{"taskType":"system.echo","parameters":%s}' % NUMBERS[field].encode(), alice
    )

    assert_problem(answer, 422, "INVALID_PARAMETERS", field)


@pytest.mark.parametrize("name", ["system.ech", "sytem.echo", "System.Echo"])
async def test_an_unknown_type_gets_the_nearest_names(api, alice, name):
    answer = await api.run(name, {}, who=alice)

    document = assert_problem(answer, 400, "INVALID_TASK_TYPE", "taskType")
    assert "'system.echo'" in document["detail"]
    assert "/v3/catalog" in document["detail"]


@pytest.mark.parametrize("when", ["2001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
async def test_a_deadline_in_the_past_cannot_be_met(api, alice, when):
    answer = await api.send(echo(deadline=when), alice)

    document = assert_problem(answer, 503, "TASK_TIMEOUT", "deadline")
    assert document["reason"] == "DEADLINE_IMPOSSIBLE"
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("key", ["", '""', "a" * 256, "é".encode("latin-1"), b"a\x01b", "  "])
async def test_refuses_a_key_that_is_none(api, alice, key):
    headers = {**alice, "idempotency-key": key}

    answer = await api.http.post("/v3/tasks", json=ECHO, headers=headers)

    assert_problem(answer, 400, "INVALID_MESSAGE_FORMAT", "Idempotency-Key")


@pytest.mark.parametrize(
    "task_id", ["x", ID[:-1], f"{{{ID}}}", ID.replace("-", ""), "a%00b", "\u0660"]
)
async def test_refuses_a_task_id_that_is_none(api, alice, task_id):
    for method in ("GET", "DELETE"):
        answer = await api.http.request(method, f"/v3/tasks/{task_id}", headers=alice)
        assert_problem(answer, 422, "INVALID_PARAMETERS", "taskId")


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "", "x", "1_0", "\u0663", "1" * 400])
async def test_refuses_a_wait_out_of_range(api, alice, wait):
    answer = await api.http.get(f"/v3/tasks/{ID}", params={"wait": wait}, headers=alice)

    assert_problem(answer, 422, "INVALID_PARAMETERS", "wait")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v3/tasks", {"GET", "HEAD", "POST"}),
        ("PUT", f"/v3/tasks/{ID}", {"GET", "HEAD", "DELETE"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("GET", "/auth/login", {"POST"}),
        ("DELETE", "/docs", {"GET", "HEAD"}),
        ("PROPFIND", "/v3/catalog", {"GET", "HEAD"}),
        ("OPTIONS", "/v3/tasks", {"GET", "HEAD", "POST"}),
    ],
)
async def test_another_method_learns_which_are_offered(api, method, path, allowed):
    answer = await api.http.request(method, path)

    assert_problem(answer, 405, "INVALID_MESSAGE_FORMAT")
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "path",
    ["/", "/v3", "/v3/tasks/", "/v4/tasks", "/v3/tasks/a/b", "/docs/static/../x", "/%00", "/é"],
)
async def test_an_unknown_path_is_a_problem_too(api, alice, path):
    answer = await api.http.get(path, headers=alice)

    document = assert_problem(answer, 404, "AUTHORIZATION_FAILED")
    assert document["instance"].isascii()


async def test_what_a_client_wrote_comes_back_shortened(api, alice):
    name = "n" * 500_000

    long_path = await api.http.get("/" + "p" * 50_000)
    long_name = await api.send(echo(**{name: 1}), alice)
    long_type = await api.http.post(
        "/v3/tasks", content=echo(), headers={**alice, "content-type": "t" * 50_000}
    )

    for answer in (long_path, long_name, long_type):
        assert answer.is_client_error
        assert len(answer.content) < 8_000


async def test_many_wrong_fields_make_a_short_answer(api, alice):
    body = echo(**{f"a{n}": n for n in range(50_000)})

    answer = await api.send(body, alice)

    assert_problem(answer, 422, "INVALID_PARAMETERS", "body")
    assert "50000" in answer.json()["detail"]
