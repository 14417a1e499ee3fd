"""The bridge's manner, over the real gateway and a tree in this process."""

import time

import pytest

from serve_apps.bridge.answers import Terms
from serve_apps.bridge.loop import Bridge
from serve_apps.bridge.table import METHODS, Row, Table
from tests.support.bridged import V2, bridged
from tests.support.gateway import assert_problem

TEXT, JSON = {"content-type": "text/plain"}, {"content-type": "application/json"}
UNREAD = "Invalid content-type. Expected application/json"


def assert_told(answer, status, error):
    """Check an error in v2's shape, and return its body."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error"] == error
    assert body["message"]
    assert body["success"] is False
    assert answer.headers["x-legacy-bridge"] == "true"
    return body


@pytest.fixture
async def api():
    async with bridged(guests=True) as api:
        api.who = await api.user("a@b.example")
        yield api


async def test_chat_answers_what_the_readme_of_v2_shows(api):
    answer = await api.http.post("/api/chat", json={"message": "hi"}, headers=V2)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["success"] is True
    assert body["response"] == body["text"] == f"You said 'hi' after 0 in {body['conversationId']}."
    assert body["metadata"]["tools_used"] == ["calculator"]
    assert answer.headers["x-task-id"] == body["meta"]["taskId"]


async def test_chat_takes_text_and_history_and_goes_on_with_a_conversation(api):
    said = {
        "text": "hi",
        "history": [{"speaker": "user", "text": "a"}, {"role": "assistant", "content": "b"}],
        "conversationId": 12,
    }
    answer = await api.http.post("/api/chat", json=said, headers=api.who)
    assert answer.json()["text"] == "You said 'hi' after 2 in 12."


@pytest.mark.parametrize(
    ("route", "told"),
    [("/api/chat", "conversationId"), ("/api/agent/chat", "sessionId"),
     ("/api/cartrita/chat", "conversationId"), ("/api/chat/message", "conversationId")],
)  # fmt: skip
async def test_what_a_user_says_without_an_id_is_one_conversation(api, route, told):
    for _ in range(2):
        answer = await api.http.post(route, json={"message": "a"}, headers=api.who)
        assert answer.json()[told] == "v2", route


async def test_a_guest_goes_on_only_with_an_id_that_was_given_out(api):
    first = (await api.http.post("/api/chat", json={"message": "a"})).json()["conversationId"]
    for told in ("mine", "v2", 12, "00000000-0000-0000-0000-000000000000"):
        said = {"message": "a", "conversationId": told}
        answer = await api.http.post("/api/chat", json=said)
        assert answer.json()["conversationId"] not in (str(told), first)
    said = {"message": "a", "conversationId": first}
    assert (await api.http.post("/api/chat", json=said)).json()["conversationId"] == first


async def test_what_a_guest_did_is_shown_to_nobody(api):
    answer = await api.http.post("/api/chat", json={"message": "secret"})
    task = answer.headers["x-task-id"]
    for path in (f"/v3/tasks/{task}", "/v3/tasks", f"/v3/tasks/{task}/events"):
        assert (await api.http.get(path)).status_code == 401
        assert "secret" not in (await api.http.get(path, headers=api.who)).text
    assert (await api.http.get(f"/v3/tasks/{task}", headers=api.who)).status_code == 404
    assert (await api.http.get("/api/agent/sessions/v2")).status_code == 404


async def test_pages_of_v2s_front_end_may_call_at_its_own_port():
    page = {"Origin": "http://localhost:5173"}
    asks = {**page, "Access-Control-Request-Method": "POST"}
    async with bridged(Bridge(origins=[page["Origin"]]), guests=True) as api:
        told = await api.http.options("/api/chat", headers={**V2, **asks})
        assert told.status_code == 200
        assert told.headers["access-control-allow-origin"] == page["Origin"]
        answer = await api.http.post("/api/chat", json={"message": "hi"}, headers={**V2, **page})
        assert answer.headers["access-control-allow-origin"] == page["Origin"]
        assert "X-Task-ID" in answer.headers["access-control-expose-headers"]
        for other in ({**V2, "Origin": "https://evil.example"}, page):
            answer = await api.http.get("/api/chat/test", headers=other)
            assert "access-control-allow-origin" not in answer.headers


async def test_caches_keep_answers_at_v2s_own_port_apart_by_origin(api):
    long = {"message": "x" * 3000}
    for more in ({}, {"Origin": "https://evil.example"}, {"Accept-Encoding": "identity"}):
        answer = await api.http.post("/api/chat", json=long, headers={**V2, **more})
        assert answer.headers["vary"].split(", ").count("Origin") == 1, more
    answer = await api.http.post("/api/chat", json=long, headers={"Accept-Encoding": "identity"})
    assert "vary" not in answer.headers


async def test_capitals_in_a_path_are_as_good_as_small_letters(api):
    answer = await api.http.post("/API/Chat", json={"message": "hi"}, headers=V2)
    assert answer.status_code == 200, answer.text
    body = (await api.http.get("/API/Nothing", headers=V2)).json()
    assert body["path"] == "/API/Nothing"


async def test_every_answer_says_that_v2_ends(api):
    answer = await api.http.get("/api/chat/test")
    assert answer.status_code == 200
    assert answer.headers["deprecation"] == "@1767225600"
    assert 'rel="successor-version"' in answer.headers["link"]
    assert answer.headers["x-api-version"] == "v2-legacy"
    assert answer.headers["x-deprecation-warning"]
    assert answer.headers["x-migration-guide"] == "/api/migration"
    assert "sunset" not in answer.headers


async def test_the_guide_that_every_answer_names_is_there(api):
    where = (await api.http.get("/api/nothing")).json()["migrationGuide"]
    told = (await api.http.get(where)).json()
    routes = {line["route"]: line for line in told["routes"]}
    assert told["count"] == len(routes) > 380
    assert routes["POST /api/chat"]["in_v3"] == "task `langchain.chat.execute`"
    assert routes["GET /api/calendar/events"]["state"] == "later"
    assert routes["POST /api/auth/emergency-login"]["why"].startswith("404: ")


async def test_a_sunset_is_told_as_a_date_of_http():
    from datetime import date

    terms = Terms(sunset=date(2027, 6, 1))
    assert dict(terms.headers)[b"sunset"] == b"Tue, 01 Jun 2027 00:00:00 GMT"


async def test_no_token_is_401_and_a_bad_one_403(api):
    said = {"message": "hi"}
    answer = await api.http.post("/api/chat/message", json=said)
    assert_told(answer, 401, "Unauthorized: No token provided.")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    for token, category in (("test-admin-token", "malformed"), ("a.b.c", "malformed")):
        told = {"Authorization": f"Bearer {token}"}
        answer = await api.http.post("/api/chat/message", json=said, headers=told)
        body = assert_told(answer, 403, "Forbidden: Invalid or expired token.")
        assert body["category"] == category


async def test_an_api_key_where_none_is_taken_is_told_so(api):
    for told in ({"X-API-Key": "ctk_abc"}, {"Authorization": "Bearer ctk_abc"}):
        answer = await api.http.post("/api/chat/message", json={"message": "hi"}, headers=told)
        body = assert_told(answer, 401, "Unauthorized: No token provided.")
        assert "API key" in body["message"]


async def test_without_guests_chat_wants_a_token():
    async with bridged() as api:
        answer = await api.http.post("/api/chat", json={"message": "hi"})
        assert_told(answer, 401, "Unauthorized: No token provided.")


async def test_what_is_not_there_is_v2s_404(api):
    answer = await api.http.get("/api/nothing/here?x=1")
    body = assert_told(answer, 404, "Endpoint not found")
    assert body["path"] == "/api/nothing/here"
    assert body["migrationGuide"] == "/api/migration"
    answer = await api.http.get("/nothing", headers=V2)
    assert_told(answer, 404, "Endpoint not found")
    assert_problem(await api.http.get("/nothing"), 404, "AUTHORIZATION_FAILED")


async def test_back_doors_are_not_there(api):
    for one in Bridge().table.refused:
        method, _, path = one.route.partition(" ")
        if method not in METHODS:  # a way in that was no route
            continue
        answer = await api.http.request(method, path, json={} if method != "GET" else None)
        assert answer.status_code == one.status, one.route


async def test_health_is_v2s_on_its_own_port_and_v3s_on_the_other(api):
    body = (await api.http.get("/health", headers=V2)).json()
    assert body["success"] is True
    assert set(body["services"]) == {"db", "redis", "agent"}
    assert "queues" in (await api.http.get("/health")).json()
    assert (await api.http.get("/", headers=V2)).json()["version"] == "3.0.0-test"
    assert_problem(await api.http.get("/"), 404, "AUTHORIZATION_FAILED")


async def test_only_json_and_forms_are_read(api):
    answer = await api.http.post("/api/chat", content=b"hi", headers=TEXT)
    assert_told(answer, 400, UNREAD)
    assert_told(
        await api.http.post("/api/chat"), 400, "Invalid content-type. Expected application/json"
    )
    answer = await api.http.post("/api/chat", content=b'{"message": NaN}', headers=JSON)
    assert answer.status_code == 400
    answer = await api.http.post("/api/chat", content=b"5", headers=JSON)
    assert_told(answer, 400, "The body must be an object")
    answer = await api.http.post("/api/chat", content=b"", headers=JSON)
    assert_told(answer, 400, "Message is required and must be a string")
    answer = await api.http.post("/api/chat", data={"message": "form"})
    assert answer.json()["text"].startswith("You said 'form'")


async def test_a_body_over_the_limit_is_refused_in_v2s_shape(api):
    body = b'{"message":"' + b"x" * (10 << 20) + b'"}'
    answer = await api.http.post(
        "/api/chat", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
    assert answer.json()["code"] == "RESOURCE_LIMIT_EXCEEDED"
    answer = await api.http.post("/api/chat", json={"message": "x" * (2 << 20)})
    assert answer.status_code == 400  # read, and too long for a message


async def test_errors_of_tasks_are_told_in_v2s_words(api):
    answer = await api.http.post("/api/chat/message", json={"message": "fail"}, headers=api.who)
    body = assert_told(answer, 500, "Failed to process message")
    assert body["message"] == "The model said no."
    answer = await api.http.post("/api/chat/message", json={"message": "keyless"}, headers=api.who)
    assert answer.json()["reason"] == "MODEL_REQUIRED"
    answer = await api.http.post("/api/chat/message", json={"message": 5}, headers=api.who)
    assert_told(answer, 400, "Message is required and must be a string")


async def test_secrets_do_not_leave(api):
    said = {"message": "sk-abcdefghijklmnop1234"}
    answer = await api.http.post("/api/chat/message", json=said, headers=api.who)
    assert "sk-a***REDACTED***" in answer.json()["response"]


async def test_a_row_of_later_says_which_team_is_missing():
    rows = [
        Row(route="POST /api/voice", later="voice", auth="user"),
        Row(route="GET /api/mood", later="life OS"),
    ]
    async with bridged(Bridge(table=Table(rows))) as api:
        body = assert_told(await api.http.get("/api/mood"), 501, "Not implemented yet")
        assert "life OS" in body["message"]
        answer = await api.http.post("/api/voice", json={})
        assert_told(answer, 401, "Unauthorized: No token provided.")


async def test_files_of_forms_reach_a_row_that_takes_them():
    files = (
        "{name: files.photo[0].name, size: files.photo[0].size, kind: files.photo[0].contentType}"
    )
    row = Row(
        route="POST /api/photo",
        page=f"{{file: {files}, tag: body.tag, tags: body.tags}}",
        multipart=("photo",),
    )
    async with bridged(Bridge(table=Table([row]))) as api:
        sent = {"photo": ("a.png", b"12345", "image/png")}
        answer = await api.http.post(
            "/api/photo", files=sent, data={"tag": "x", "tags": ["a", "b"]}
        )
        file = {"name": "a.png", "size": 5, "kind": "image/png"}
        assert answer.json() == {"file": file, "tag": "x", "tags": ["a", "b"]}
        answer = await api.http.post("/api/photo", files={"other": ("a", b"1", "image/png")})
        assert_told(answer, 400, "Unexpected field 'other'")
        broken = {"content-type": "multipart/form-data; boundary=x"}
        answer = await api.http.post("/api/photo", content=b"--y\r\n", headers=broken)
        assert answer.status_code == 400


async def test_an_expired_token_is_told_apart(api):
    from base64 import urlsafe_b64encode

    told = urlsafe_b64encode(b'{"exp": %d}' % (time.time() - 1e9)).decode().rstrip("=")
    answer = await api.http.post(
        "/api/chat/message", json={"message": "a"}, headers={"Authorization": f"Bearer a.{told}.c"}
    )
    assert answer.json()["category"] == "expired"
