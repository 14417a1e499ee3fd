"""Settings, personas and privacy through the bridge, over the real gateway."""

import pytest

from cartrita.storage.threads import Owner, Turn
from serve_apps.bridge.loop import Bridge
from tests.support.bridged import bridged

TABLE = Bridge().table


@pytest.fixture
async def api():
    async with bridged(Bridge(table=TABLE)) as api:
        api.who = await api.user("ada@example.org")
        yield api


async def ask(api, method, path, body=None, *, status=200, who=None):
    answer = await api.http.request(method, path, json=body, headers=who or api.who)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_settings_have_three_faces_and_are_one(api):
    before = (await ask(api, "GET", "/api/user/settings"))["settings"]
    assert before == {
        "sarcasm": 5,
        "verbosity": "normal",
        "humor": "playful",
        "language": "en",
        "theme": "dark",
        "notifications": True,
        "sound_effects": True,
        "auto_save": True,
        "voice_responses": False,
        "ambient_listening": False,
        "camera_enabled": False,
    }
    change = {"sarcasm": 0, "verbosity": "detailed", "sound_effects": False}
    after = await ask(api, "PUT", "/api/user/settings", change)
    assert after["settings"] == before | change
    flat = await ask(api, "GET", "/api/user/preferences")
    assert (flat["sarcasm_level"], flat["verbosity"], flat["timezone"]) == (0, "verbose", "UTC")
    told = await ask(api, "PUT", "/api/user/preferences", {"verbosity": "minimal"})
    assert told["preferences"]["sarcasm_level"] == 0
    whole = await ask(api, "PUT", "/api/settings", {"theme": "neon"})
    assert whole["success"] is True
    assert (await ask(api, "GET", "/api/settings"))["settings"] == whole["settings"]
    assert (await ask(api, "GET", "/api/user/settings"))["settings"]["verbosity"] == "concise"


async def test_a_wrong_setting_is_refused_in_v2s_words(api):
    cases = (
        ("/api/user/settings", {"sarcasm": 11}, "Sarcasm level must be between 0 and 10"),
        ("/api/settings", {"unknown": 1}, "No valid settings provided"),
    )
    for path, body, words in cases:
        assert (await ask(api, "PUT", path, body, status=400))["error"] == words


async def test_settings_are_each_users_own(api):
    await ask(api, "PUT", "/api/settings", {"theme": "neon"})
    eve = await api.user("eve@example.org")
    assert (await ask(api, "GET", "/api/settings", who=eve))["settings"]["theme"] == "dark"


async def test_profiles_are_applied_and_settings_backed_up(api):
    profiles = (await ask(api, "GET", "/api/settings/profiles"))["profiles"]
    assert len(profiles) == 5
    body = {"profile_name": "analytical_assistant"}
    applied = await ask(api, "POST", "/api/settings/apply-profile", body)
    expected = profiles["analytical_assistant"]
    assert {name: applied["settings"][name] for name in expected} == expected
    await ask(api, "POST", "/api/settings/apply-profile", {"profile_name": "x"}, status=400)
    backup = (await ask(api, "POST", "/api/settings/backup", {"backup_name": "b"}))["backup"]
    assert (backup["name"], backup["settings"]) == ("b", applied["settings"])
    for path in ("/api/settings/ai-recommendations", "/api/settings/analytics"):
        await ask(api, "GET", path, status=501)


async def test_a_persona_is_kept_whole_with_what_follows(api):
    usual = await ask(api, "GET", "/api/persona")
    assert usual["persona"]["humor"] == 4
    told = {"creativity": 10, "humor": 10, "style_notes": "short", "evil": True}
    put = await ask(api, "PUT", "/api/persona", told)
    assert put["derived"]["temperature"] == 1.2
    assert "evil" not in put["persona"]
    found = await ask(api, "GET", "/api/persona")
    assert (found["persona"], found["derived"]) == (put["persona"], put["derived"])


async def test_personas_are_kept_for_later(api):
    await ask(api, "POST", "/api/persona/presets", {}, status=400)
    body = {"name": "n" * 99, "persona_config": {"tone": 99}}
    made = (await ask(api, "POST", "/api/persona/presets", body, status=201))["preset"]
    assert (made["name"], made["persona_config"]["tone"]) == ("n" * 60, 10)
    assert (await ask(api, "GET", "/api/persona/presets"))["presets"] == [made]
    odd = {"name": "odd", "persona_config": ["no", "persona"]}
    await ask(api, "POST", "/api/persona/presets", odd, status=201)
    eve = await api.user("eve@example.org")
    path = f"/api/persona/presets/{made['id']}"
    await ask(api, "DELETE", path, status=404, who=eve)
    assert (await ask(api, "DELETE", path))["deleted"] == made["id"]
    await ask(api, "DELETE", path, status=404)
    await ask(api, "DELETE", "/api/persona/presets/x", status=400)


async def test_consents_are_noted(api):
    url = "/api/privacy/consent"
    records = [{"consent_type": "analytics", "consent_given": False}]
    await ask(api, "POST", url, {"consent_records": records})
    records[0]["consent_given"] = True
    told = await ask(api, "POST", url, {"consent_records": records})
    assert [(one["consent_type"], one["consent_given"]) for one in told["consent"]] == [
        ("analytics", True)
    ]
    kept = await ask(api, "GET", "/api/privacy/consent-settings")
    assert kept["consents"] == told["consent"]
    many = [{"consent_type": f"c{n}", "consent_given": True} for n in range(51)]
    for wrong in ("x", [], [7], [{"consent_type": "a", "consent_given": "yes"}], many):
        await ask(api, "POST", url, {"consent_records": wrong}, status=400)


async def spoken(api):
    user = (await ask(api, "GET", "/auth/me"))["id"]
    for session, text in (("s1", "hi"), ("s2", "hello")):
        await api.stand.said.add(Owner(user, user, session), [Turn("user", text, "t")])


async def test_a_copy_of_what_is_kept_is_given_at_once(api):
    await spoken(api)
    await ask(api, "PUT", "/api/settings", {"theme": "neon"})
    await ask(api, "POST", "/api/api-keys/create", {"name": "k"}, status=201)
    request = (await ask(api, "POST", "/api/privacy/request-export", {}, status=202))["request"]
    copy = await ask(api, "GET", request["download_url"])
    assert copy["user_profile"]["email"] == "ada@example.org"
    assert copy["settings"]["theme"] == "neon"
    assert [one["text"] for one in copy["conversations"]] == ["hi", "hello"]
    assert [key["name"] for key in copy["api_keys"]] == ["k"]
    body = {"export_type": "partial"}
    await ask(api, "POST", "/api/privacy/export", body)
    await ask(api, "POST", "/api/privacy/export", {"export_type": "x"}, status=400)
    exports = (await ask(api, "GET", "/api/privacy/dashboard"))["dashboard"]["export_requests"]
    assert [one["export_type"] for one in exports] == ["partial", "full"]


async def test_parts_are_deleted_when_somebody_asks(api):
    await spoken(api)
    await ask(api, "PUT", "/api/settings", {"theme": "neon"})
    url = "/api/privacy/delete"
    for wrong in (
        {"deletion_type": "x"},
        {"deletion_type": "full_account"},
        {"deletion_type": "partial_data"},
        {"deletion_type": "partial_data", "data_types": ["settings", "contacts"]},
        {"deletion_type": "partial_data", "data_types": ["settings", {}]},
    ):
        await ask(api, "POST", url, wrong, status=400)
    assert (await ask(api, "GET", "/api/settings"))["settings"]["theme"] == "neon"
    body = {"deletion_type": "partial_data", "data_types": ["settings", "chat_conversations"]}
    done = (await ask(api, "POST", url, body))["deletion_request"]
    assert done["deleted"] == {"settings": 1, "chat_conversations": 2}
    assert (await ask(api, "GET", "/api/settings"))["settings"]["theme"] == "dark"
    assert (await ask(api, "GET", "/api/settings/export-data"))["conversations"] == []


async def test_activity_counts_what_was_said(api):
    before = (await ask(api, "GET", "/api/user/activity"))["activity"]["conversation_stats"]
    assert (before["total_messages"], before["last_conversation"]) == (0, None)
    await spoken(api)
    after = (await ask(api, "GET", "/api/user/activity"))["activity"]["conversation_stats"]
    assert (after["total_messages"], after["user_messages"]) == (2, 2)
    assert after["last_conversation"] >= after["first_conversation"]


async def test_clearing_the_history_counts_conversations(api):
    await spoken(api)
    answer = await ask(api, "POST", "/api/settings/clear-chat-history", {})
    assert answer["deletedCount"] == 2
    assert (await ask(api, "DELETE", "/api/settings/clear-chat-history"))["deletedCount"] == 0
