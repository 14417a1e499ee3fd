"""Users' keys through the bridge, over the real gateway and stores in this process."""

import pytest

from cartrita.clock import ManualClock
from tests.support.bridged import bridged
from tests.support.gateway import as_header

KEY, OTHER = "sk-" + "a1B2" * 8, "sk-" + "c3D4" * 8
DAY, BIG = 86_400.0, "x" * 17_000


@pytest.fixture
async def api():
    async with bridged(clock=ManualClock(1_790_000_000.0)) as api:
        api.who = await api.user("ada@example.org")
        yield api


async def asked(api, method, path, body=None, *, who=None, status=200):
    options = {} if body is None else {"json": body}
    answer = await api.http.request(method, path, headers=who or api.who, **options)
    assert answer.status_code == status, answer.text
    return answer.json()


async def kept(api, **changes):
    body = {"provider_id": "openai", "key_name": "main", "key_value": KEY, **changes}
    return (await asked(api, "POST", "/api/vault/keys", body, status=201))["id"]


async def test_a_key_goes_in_is_listed_masked_and_comes_out(api):
    key = await kept(api, metadata={"team": "a"})
    listed = await asked(api, "GET", "/api/vault/keys?provider_id=openai&active_only=true")
    (shown,) = listed["keys"]
    assert KEY not in str(listed)
    fields = "id key_name usage_count last_used_at is_active expires_at created_at updated_at "
    fields += (
        "rotation_interval_days next_rotation_at rotation_policy visibility category checksum "
    )
    fields += "metadata provider_name provider_display_name provider_icon has_key"
    assert set(fields.split()) <= shown.keys()
    assert shown["masked_key"] == "********a1B2"
    assert (shown["id"], shown["rotation_interval_days"], shown["usage_count"]) == (key, 90, 0)
    revealed = await api.http.get(f"/api/vault/keys/{key}/reveal", headers=api.who)
    assert revealed.json()["full_key"] == KEY
    assert revealed.headers["cache-control"] == "no-store"
    events = (await asked(api, "GET", "/api/vault/security-events"))["events"]
    assert [event["event_type"] for event in events] == ["key_revealed", "key_created"]
    assert set(events[0]) == {
        "id", "event_type", "description", "metadata", "severity", "created_at",
    }  # fmt: skip
    noted = [(entry["action"], entry["target"]) for entry in api.stand.bridge.entries]
    assert ("KEY_REVEALED", key) in noted


async def test_the_front_ends_form_is_taken_too(api):
    pair = {"access_key_id": "AKIAABCDEFGHIJKLMNOP", "secret_access_key": "hush"}
    key = await kept(api, provider_id="aws", credential_data=pair, key_value=None)
    shown = await asked(api, "GET", f"/api/vault/keys/{key}/reveal")
    assert shown["full_key"] == (
        '{"access_key_id": "AKIAABCDEFGHIJKLMNOP", "secret_access_key": "hush"}'
    )


WRONG = [
    ({}, 400),
    ({"provider_id": "openai", "key_name": "a"}, 400),
    ({"provider_id": "nope", "key_name": "a", "key_value": KEY}, 400),
    ({"provider_id": "openai", "key_name": "a", "key_value": "not-a-key"}, 400),
    ({"provider_id": "openai", "key_name": "a", "key_value": {"a": 1}}, 400),
    ({"provider_id": "openai", "key_name": "a", "key_value": KEY, "expires_at": "soon"}, 400),
    ({"provider_id": "openai", "key_name": "\0", "key_value": KEY}, 400),
    ({"provider_id": "openai", "key_name": "a", "key_value": KEY, "metadata": [1]}, 400),
    ({"provider_id": "openai", "key_name": "a", "key_value": KEY, "metadata": {"a": BIG}}, 400),
    ({"provider_id": "openai", "key_name": "main", "key_value": KEY}, 409),
]


async def test_what_is_no_key_is_refused(api):
    await kept(api)
    for body, status in WRONG:
        answer = await asked(api, "POST", "/api/vault/keys", body, status=status)
        assert answer["error"]
        assert "not-a-key" not in str(answer)


async def test_nobody_reaches_anothers_key(api):
    key, eve = await kept(api), await api.user("eve@example.org")
    assert (await asked(api, "GET", "/api/vault/keys", who=eve))["keys"] == []
    told = {"new_key_value": OTHER, "is_active": False}
    for method, path in (
        ("GET", "/reveal"), ("POST", "/validate"), ("POST", "/test"), ("POST", "/rotate"),
        ("PUT", ""), ("PATCH", ""), ("DELETE", ""),
    ):  # fmt: skip
        await asked(api, method, f"/api/vault/keys/{key}{path}", told, who=eve, status=404)
    token = (await asked(api, "POST", "/api/security-masking/reveal-token", {"resource_id": key}))[
        "token"
    ]
    body = {"resource_id": key, "resource_type": "api_key"}
    await asked(api, "POST", "/api/security-masking/reveal-token", body, who=eve, status=404)
    reveal = "/api/security-masking/reveal"
    await asked(api, "POST", reveal, {"token": token}, who=eve, status=401)
    assert (await asked(api, "POST", reveal, {"token": token}))["value"] == KEY


async def test_a_reveal_token_is_good_once_and_for_a_while(api):
    key = await kept(api)
    made = "/api/security-masking/reveal-token"
    first, late = [await asked(api, "POST", made, {"resource_id": key}) for _ in range(2)]
    assert first["expires_in"] == 30
    reveal = "/api/security-masking/reveal"
    assert (await asked(api, "POST", reveal, {"token": first["token"]}))["value"] == KEY
    await asked(api, "POST", reveal, {"token": first["token"]}, status=401)
    api.stand.clock.advance(30)
    await asked(api, "POST", reveal, {"token": late["token"]}, status=401)
    await asked(api, "POST", reveal, {}, status=401)


async def test_an_api_key_for_tasks_sees_no_keys(api):
    for scopes, status in ((["tasks:*", "agents:read"], 403), (["keys:*"], 200)):
        body = {"name": "n", "scopes": scopes}
        made = await api.http.post("/v3/keys", json=body, headers=api.who)
        who = as_header(made.json()["key"])
        await asked(api, "GET", "/api/security-masking/preferences", who=who, status=status)
        await asked(api, "GET", "/api/vault/keys", who=who, status=401)


async def test_a_key_is_switched_off_rotated_and_deleted(api):
    key = await kept(api)
    path = f"/api/vault/keys/{key}"
    assert (await asked(api, "PUT", path, {"is_active": False}))["key"]["is_active"] is False
    assert (await asked(api, "GET", "/api/vault/keys"))["keys"] == []
    assert len((await asked(api, "GET", "/api/vault/keys?active_only=false"))["keys"]) == 1
    for wrong in ({}, {"is_active": "x"}, {"rotation_interval_days": 0}, {"metadata": 3}):
        await asked(api, "PATCH", path, wrong, status=400)
    assert (await asked(api, "POST", f"{path}/rotate", {"new_key_value": OTHER}))["version"] == 2
    await asked(api, "POST", f"{path}/rotate", {"new_key_value": OTHER}, status=400)
    await asked(api, "POST", f"{path}/rotate", {"new_key_value": "no key"}, status=400)
    await asked(api, "POST", f"{path}/rotate", {}, status=400)
    assert (await asked(api, "GET", f"{path}/reveal"))["full_key"] == OTHER
    await asked(api, "DELETE", path)
    await asked(api, "DELETE", path, status=404)
    await asked(api, "GET", f"{path}/reveal", status=404)


async def test_validation_looks_at_the_form_where_nobody_can_be_asked(api):
    key = await kept(api)
    told = {"provider": "openai", "valid": True, "method": "format_only"}
    for path in ("keys", "credentials"):
        answer = await asked(api, "POST", f"/api/vault/{path}/{key}/validate", {})
        assert answer == {"success": True, "validation": told}
    tried = (await asked(api, "POST", f"/api/vault/keys/{key}/test", {}))["test_result"]
    assert tried["success"] is True
    every = await asked(api, "POST", "/api/vault/validate-all", {})
    assert (every["validated"], every["valid"]) == (1, 1)
    (standing,) = (await asked(api, "GET", "/api/vault/validation-status"))["validation_status"]
    assert standing["valid"] is True
    assert (await asked(api, "GET", "/api/vault/keys"))["keys"][0]["usage_count"] == 4


async def test_figures_are_counted(api):
    await kept(api)
    await kept(api, provider_id="github", key_value="ghp_" + "a" * 36)
    found = (await asked(api, "GET", "/api/vault/analytics?days=7"))["analytics"]
    assert found["usage_stats"] == {
        "total_keys": 2, "active_keys": 2, "expired_keys": 0, "keys_due_for_rotation": 0,
        "total_usage": 0,
    }  # fmt: skip
    assert found["provider_distribution"] == [
        {"provider_name": "github", "key_count": 1}, {"provider_name": "openai", "key_count": 1},
    ]  # fmt: skip
    assert found["security_events"][0]["count"] == 2


async def test_providers_are_the_built_in_ones(api):
    found = (await asked(api, "GET", "/api/vault/providers"))["providers"]
    assert len(found) == 24
    fields = "id name display_name description icon documentation_url default_base_url "
    fields += "required_fields validation_pattern key_format_example is_active"
    assert set(fields.split()) <= found[0].keys()


async def test_preferences_change_what_is_shown(api):
    await kept(api)
    path = "/api/security-masking/preferences"
    assert (await asked(api, "GET", path))["preferences"]["show_last_chars"] == 4
    chosen = {"show_last_chars": 2, "mask_pattern": "•"}
    await asked(api, "PUT", path, chosen)
    assert (await asked(api, "GET", "/api/vault/keys"))["keys"][0]["masked_key"] == "••••••••B2"
    await kept(api, key_name="hidden", visibility="HIDDEN")
    assert (await asked(api, "GET", "/api/vault/keys"))["keys"][0]["masked_key"] == "••••••••"
    masked = await asked(api, "POST", "/api/security-masking/mask", {"data": KEY})
    assert masked == {"success": True, "masked": "••••••••B2", "original_length": len(KEY)}
    for wrong in ({"show_last_chars": 99}, {"nope": 1}, {"audit_access": False}):
        await asked(api, "PUT", path, wrong, status=400)
    kinds = [
        e["event_type"] for e in (await asked(api, "GET", "/api/security-masking/events"))["events"]
    ]
    assert kinds == ["key_created", "preferences_changed", "key_created"]
    assert (await asked(api, "GET", "/api/security-masking/analytics"))["analytics"]["reveals"] == 0
    assert (await asked(api, "DELETE", "/api/security-masking/cleanup"))["cleaned"] == 0


async def test_rotation_is_planned_and_done_by_hand(api):
    key, base = await kept(api), "/api/rotation-scheduling"
    policy = {
        "provider_name": "openai",
        "policy_name": "p",
        "interval_days": 30,
        "auto_rotate": True,
    }
    trial = await asked(api, "POST", f"{base}/policies/test", policy)
    assert trial["test_result"]["affected_keys"] == 1
    made = await asked(api, "POST", f"{base}/policies", policy, status=201)
    assert "not changed by themselves" in made["note"]
    await asked(api, "POST", f"{base}/policies", {**policy, "interval_days": 0}, status=400)
    assert (await asked(api, "GET", f"{base}/policies"))["policies"] == [made["policy"]]
    assert (await asked(api, "GET", f"{base}/status"))["status"] == "healthy"
    api.stand.clock.advance(31 * DAY)
    assert (await asked(api, "GET", f"{base}/status"))["status"] == "warning"
    api.stand.clock.advance(7 * DAY)
    assert (await asked(api, "GET", f"{base}/status"))["status"] == "critical"
    (due,) = (await asked(api, "GET", f"{base}/keys/needing-rotation"))["keys"]
    assert (due["id"], due["days_overdue"]) == (key, 8)
    plan = await asked(api, "POST", f"{base}/schedule", {"keyId": key, "reason": "due"}, status=201)
    done = {"eventId": plan["eventId"], "newKey": OTHER}
    assert (await asked(api, "POST", f"{base}/complete", done))["event"]["status"] == "completed"
    await asked(api, "POST", f"{base}/complete", done, status=404)
    assert (await asked(api, "GET", f"{base}/status"))["summary"]["completed"] == 1
    assert (await asked(api, "GET", f"{base}/analytics"))["analytics"]["overdue"] == 0
    assert len((await asked(api, "GET", f"{base}/history"))["history"]) == 1
    assert (await asked(api, "GET", f"/api/vault/keys/{key}/reveal"))["full_key"] == OTHER
    await asked(api, "DELETE", f"{base}/policies/{made['policy']['id']}")
    await asked(api, "DELETE", f"{base}/policies/{made['policy']['id']}", status=404)


async def test_administrators_keep_the_instances_own_keys(api):
    base, who = "/api/key-vault/keys", await api.admin()
    await asked(api, "GET", base, status=403)
    body = {
        "serviceName": "mail",
        "key": "first-secret-value",
        "scopes": ["a"],
        "purposeTags": ["b"],
    }
    made = await asked(api, "POST", base, body, who=who, status=201)
    assert set(made["key"]) == {"id", "serviceName", "scopes", "purposeTags"}
    await asked(api, "POST", base, body, who=who, status=409)
    await asked(api, "POST", base, {"serviceName": "x"}, who=who, status=400)
    new = {"serviceName": "mail", "newKey": "second-secret-value", "reason": "leaked"}
    assert (await asked(api, "POST", f"{base}/rotate", new, who=who))["version"] == 2
    listed = await asked(api, "GET", base, who=who)
    assert "secret-value" not in str(listed)
    versions = (await asked(api, "GET", f"{base}/mail/versions", who=who))["versions"]
    assert [(v["version"], v["reason"]) for v in versions] == [(2, "leaked"), (1, "created")]
    tried = await asked(api, "POST", f"{base}/mail/validate", {"candidate": "short"}, who=who)
    assert (tried["valid"], tried["matches"]) == (False, False)
    body = {"candidate": "second-secret-value"}
    tried = await asked(api, "POST", f"{base}/mail/validate", body, who=who)
    assert (tried["valid"], tried["matches"]) == (True, True)
    assert tried["hashPreview"] == versions[0]["hashPreview"]
    await asked(
        api, "POST", f"{base}/rotate", {**new, "newKey": "3rd", "preserve_old": False}, who=who
    )
    assert len((await asked(api, "GET", f"{base}/mail/versions", who=who))["versions"]) == 1
    await asked(api, "DELETE", f"{base}/mail", who=who)
    await asked(api, "GET", f"{base}/mail/metadata", who=who, status=404)
    assert (await asked(api, "POST", f"{base}/mail/restore", {}, who=who))["restored"] is True
    assert (await asked(api, "POST", f"{base}/mail/restore", {}, who=who))["restored"] is False
    assert (await asked(api, "GET", f"{base}/mail/metadata", who=who))["metadata"]["version"] == 3
    used = (await asked(api, "GET", f"{base}/usage/analytics", who=who))["analytics"]
    assert used["totalKeys"] == 1
    status = await asked(api, "GET", "/api/internal/keys/status", who=who)
    assert len(status["data"]["activeKeyHashes"]) == 1


MONITORED = {
    "/api/monitoring/agent-metrics": {"agents", "timestamp"},
    "/api/monitoring/dependencies": {"dependencies", "timestamp"},
    "/api/monitoring/security-metrics": {"metrics"},
    "/api/monitoring/advanced-mcp-status": {"timestamp", "advanced_mcp_system", "message"},
    "/api/monitoring/observability-metrics": {"timestamp", "observability", "message"},
    "/api/monitoring/trace-analytics": {"timestamp", "trace_analytics"},
    "/api/health/metrics/security": {"success", "data"},
    "/api/health/metrics/api-keys": {"success", "data"},
    "/api/health/metrics/performance": {"success", "data"},
    "/api/health/metrics/activity": {"success", "data"},
    "/api/security/metrics": {"success", "metrics"},
    "/api/security/events": {"success", "events"},
}


async def test_figures_have_v2s_shapes_and_are_real(api):
    await kept(api)
    await api.run(who=api.who)
    for path, fields in MONITORED.items():
        assert fields <= (await asked(api, "GET", path)).keys()
        answer = await api.http.get(path)
        assert answer.status_code == 401
    traces = (await asked(api, "GET", "/api/monitoring/trace-analytics"))["trace_analytics"]
    assert set(traces["performance_insights"]) == {
        "average_response_ms", "p95_latency_ms", "error_rate",
    }  # fmt: skip
    stats = (await asked(api, "GET", "/api/health/metrics/api-keys"))["data"]["api_key_stats"]
    assert stats == {"total": 1, "active": 1, "expired": 0}
    everybodys = await asked(api, "GET", "/api/health/metrics/api-keys", who=await api.admin())
    assert everybodys["data"]["api_key_stats"]["owners"] == 1
    (dependency, *_) = (await asked(api, "GET", "/api/monitoring/dependencies"))["dependencies"]
    assert (dependency["service"], dependency["status"]) == ("PostgreSQL", "healthy")


async def test_others_see_no_events_of_mine(api):
    await kept(api)
    eve = await api.user("eve@example.org")
    for path in (
        "/api/health/metrics/activity",
        "/api/security/events",
        "/api/vault/security-events",
    ):
        assert "key_created" not in str(await asked(api, "GET", path, who=eve))
    activity = await asked(api, "GET", "/api/health/metrics/activity", who=await api.admin())
    assert activity["data"]["total_count"] == 1


async def test_a_scan_finds_what_is_wrong(api):
    await kept(api, rotation_interval_days=1)
    await kept(api, key_name="old", expires_at="2020-01-01T00:00:00Z")
    api.stand.clock.advance(2 * DAY)
    scan = (await asked(api, "POST", "/api/security/scan", {}))["scan"]
    assert sorted(one["component"] for one in scan["findings"]) == ["expiry", "rotation"]
    only = {"target_components": ["expiry"]}
    assert len((await asked(api, "POST", "/api/security/scan", only))["scan"]["findings"]) == 1
    for wrong in (5, "expiry", {"a": 1}):
        body = {"target_components": wrong}
        answer = await api.http.post("/api/security/scan", json=body, headers=api.who)
        assert answer.status_code == 400, answer.text


async def test_what_postgres_cannot_keep_is_refused(api):
    key = await kept(api)
    planned = {"keyId": key, "reason": "a\0"}
    changed = {"new_key_value": KEY + "z", "reason": "a\0"}
    await asked(api, "POST", "/api/rotation-scheduling/schedule", planned, status=400)
    await asked(api, "POST", f"/api/vault/keys/{key}/rotate", changed, status=400)
    admin = await api.admin()
    for method, end in (("GET", "metadata"), ("GET", "versions"), ("POST", "restore")):
        path = f"/api/key-vault/keys/%00/{end}"
        await asked(api, method, path, {} if method == "POST" else None, who=admin, status=400)
    await asked(api, "GET", "/api/agent/sessions/a%00", status=400)


async def test_what_clients_tell_is_kept_as_theirs(api):
    body = {"eventType": "key_deleted", "details": {"a": 1}}
    await asked(api, "POST", "/api/security/log-event", body)
    (event,) = (await asked(api, "GET", "/api/security/events"))["events"]
    assert (event["event_type"], event["metadata"]) == ("client:key_deleted", {"a": 1})
    for wrong in ({}, {"eventType": "\0"}, {"eventType": "a", "details": 3}):
        await asked(api, "POST", "/api/security/log-event", wrong, status=400)


async def test_without_a_master_key_nothing_is_kept_and_the_setting_is_named(api):
    api.stand.keystore._made = None
    assert (await api.http.get("/api/security/health")).status_code == 503
    body = {"provider_id": "openai", "key_name": "main", "key_value": KEY}
    answer = await asked(api, "POST", "/api/vault/keys", body, status=501)
    assert "CARTRITA_KEYSTORE__MASTER_KEY" in answer["message"]
    assert (await asked(api, "GET", "/api/vault/keys"))["keys"] == []


async def test_public_pages_tell_where_things_are(api):
    for path in ("/api/keys", "/api/keys/", "/api/security/", "/api/security/status"):
        answer = await api.http.get(path)
        assert answer.status_code == 200, path
