"""No input makes a route of v2 fail on our side: every row, with what no client of v2 sent."""

import pytest

from serve_apps.bridge.loop import Bridge
from serve_apps.bridge.table import SOCKET
from tests.support.bridged import bridged

NAMES = (
    "message", "text", "messages", "history", "task", "taskType", "task_type", "parameters",
    "inputs", "input", "options", "prompt", "query", "data", "tasks", "image", "audio", "url",
    "email", "password", "name", "settings", "key_value", "documents", "priority", "limit", "id",
    "provider_id", "key_name", "credential_data", "metadata", "rotation_interval_days", "is_active",
    "expires_at", "new_key_value", "serviceName", "key", "newKey", "candidate", "resource_id",
    "token", "keyId", "eventId", "provider_name", "interval_days", "eventType", "details", "reason",
)  # fmt: skip
VALUES = ([{"a": None}], {"a": [1]}, "x\u0000\ud7ff" * 40, -(2**63), [[["a"]]], True, None)

BODIES = [
    *(
        {name: VALUES[(shift + n) % len(VALUES)] for n, name in enumerate(NAMES)}
        for shift in (0, 2)
    ),
    dict.fromkeys(NAMES, "a"),
    [1, {"message": "a"}],
]
QUERY = {"limit": "-1e9", "offset": "x", "q": "\u0000'\"", "days": "99999999999999999999"}


def asked(row):
    """Return the path of a row with something in each of its places."""
    parts = [("..%00'" if part.startswith("{") else part) for part in row.path.split("/")]
    return "/".join(parts) or "/"


@pytest.mark.parametrize("role", ["user", "admin"])
async def test_no_input_makes_a_route_fail_on_our_side(role):
    bridge = Bridge()
    failed = []
    async with bridged(bridge, guests=True) as api:
        who = await (api.user("a@b.example") if role == "user" else api.admin())
        for row in bridge.table.rows:
            if row.method == SOCKET or not row.path.startswith("/api"):
                continue
            bodies = [None] if row.method == "GET" else BODIES
            for body in bodies:
                answer = await api.http.request(
                    row.method, asked(row), json=body, params=QUERY, headers=who
                )
                if answer.status_code >= 400:
                    told = answer.json()
                    wrong = not told.get("error") or not told.get("message")
                    if wrong or told.get("code") == "INTERNAL_ERROR":
                        failed.append((row.route, answer.status_code, answer.text[:300]))
    assert failed == []
