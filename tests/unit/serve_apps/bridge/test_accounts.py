"""Accounts through the bridge, over the real gateway."""

import time

import bcrypt
import pytest
from jose import jwt

from cartrita.auth.v2_tokens import V2Tokens, v2_user
from cartrita.people.taking_over import take_over
from cartrita.people.v2_rows import checked
from cartrita.rate import Quota
from cartrita.storage.people import FIRST_NUMBER
from cartrita.storage.threads import Owner, Turn
from serve_apps.bridge.loop import Bridge
from tests.support.bridged import bridged
from tests.support.gateway import ADMIN, PASSWORD, as_header

ADA = {"name": "Ada", "email": "Ada@Example.org", "password": "lovelace 1815"}
SECRET = "a-shared-secret-of-32-bytes-or-more"
TABLE = Bridge().table


@pytest.fixture
async def api():
    async with bridged(Bridge(table=TABLE), v2_tokens=V2Tokens(SECRET)) as api:
        yield api


def told(answer, status=200):
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(answer, status, words):
    body = told(answer, status)
    assert body["error"] == body["message"] or body["message"]
    assert body["error"] == words
    return body


async def registered(api, **changes):
    """Register somebody and return the answer with the header that speaks for them."""
    body = told(await api.http.post("/api/auth/register", json=ADA | changes), 201)
    return body, as_header(body["token"])


async def login(api, **fields):
    return await api.http.post("/api/auth/login", json=fields)


async def test_who_registers_has_a_number_and_a_token_of_ours(api):
    body, who = await registered(api)
    user = body["user"]
    assert body["success"] is True
    assert body["message"] == "User registered successfully"
    assert type(user["id"]) is int
    assert user["id"] >= FIRST_NUMBER
    assert (user["username"], user["email"]) == ("Ada", "ada@example.org")
    assert (user["role"], user["is_admin"]) == ("user", False)
    assert len(body["token"].split(".")) == 3
    assert body["expires_in"] == 86_400
    mine = told(await api.http.get("/auth/me", headers=who))
    assert mine["email"] == "ada@example.org"
    assert told(await api.http.get("/api/auth/verify", headers=who))["user"] == {
        "id": user["id"],
        "username": "Ada",
        "name": "Ada",
        "email": "ada@example.org",
        "role": "user",
        "is_admin": False,
        "iss": "cartrita-mcp",
        "aud": "cartrita-users",
    }


async def test_one_signs_in_by_address_or_by_name_whatever_the_case(api):
    body, _ = await registered(api)
    for fields in (
        {"email": "ADA@example.org"},
        {"username": "aDa"},
        {"email": "ada"},
        {"username": "ada@example.org"},
    ):
        answer = told(await login(api, password=ADA["password"], **fields))
        assert answer["message"] == "Login successful"
        assert answer["user"]["id"] == body["user"]["id"]
        assert set(answer["user"]) == {"id", "username", "name", "email", "role", "is_admin"}


async def test_accounts_are_shared_with_v3(api):
    await api.user("eve@example.org")
    answer = told(await login(api, username="eve", password=PASSWORD))
    assert answer["user"]["email"] == "eve@example.org"


async def test_a_wrong_sign_in_is_refused_in_v2s_words(api):
    await registered(api)
    words = "Email/username and password are required"
    for fields in ({}, {"email": "a"}, {"password": "x"}, {"email": 7, "password": "x"}):
        refused(await login(api, **fields), 400, words)
    for fields in ({"username": "Ada"}, {"email": ADA["email"]}, {"username": "nobody"}):
        refused(await login(api, password="wrong one 1", **fields), 401, "Invalid credentials")


async def test_a_wrong_registration_is_refused_in_v2s_words(api):
    await registered(api)
    cases = (
        ({"name": None}, 400, "Name/username, email, and password are required"),
        ({"email": 7}, 400, "Name/username, email, and password are required"),
        ({"password": ["x"]}, 400, "Name/username, email, and password are required"),
        ({"password": "short 1"}, 400, "Password must be at least 8 characters"),
        (
            {"password": "no digit here"},
            400,
            "Password must contain at least one letter and one number",
        ),
        ({"password": "12345678"}, 400, "Password must contain at least one letter and one number"),
        ({"name": "other"}, 409, "Username or email already exists"),
        ({"email": "other@example.org", "name": "ADA"}, 409, "Username or email already exists"),
    )
    for change, status, words in cases:
        answer = await api.http.post("/api/auth/register", json=ADA | change)
        refused(answer, status, words)
    bad = await api.http.post("/api/auth/register", json=ADA | {"email": "nobody", "name": "B"})
    assert told(bad, 400)["details"][0]["field"] == "email"


async def test_no_address_makes_an_administrator(api):
    for number, email in enumerate(("x@cartrita.com", "x@admin.example.org")):
        body, who = await registered(api, email=email, name=f"N{number}")
        assert body["user"]["is_admin"] is False
        assert (await api.http.get("/api/auth/users", headers=who)).status_code == 403


async def test_verify_says_401_where_other_routes_say_403(api):
    refused(await api.http.get("/api/auth/verify"), 401, "No token provided")
    key = await made_key(api, await api.user("b@example.org"))
    for bad in ("x.y.z", "x", key["api_key"]):
        answer = await api.http.get("/api/auth/verify", headers=as_header(bad))
        refused(answer, 401, "Invalid token")
    answer = await api.http.get("/api/user/me", headers=as_header("x.y.z"))
    body = refused(answer, 403, "Forbidden: Invalid or expired token.")
    assert body["category"] == "malformed"


async def test_what_is_somebodys_is_nobodys_without_a_token(api):
    groups = ("accounts", "people", "api_keys")
    rows = [row for row in TABLE.rows if (row.service or "").partition(".")[0] in groups]
    guarded = [row for row in rows if row.auth in ("user", "key", "admin")]
    assert len(guarded) > 30
    for row in guarded:
        path = row.path.replace("{id}", "1")
        answer = await api.http.request(row.method, path, json={})
        assert answer.status_code == 401, row.route


async def test_somebody_reads_and_changes_their_profile(api):
    body, who = await registered(api)
    me = told(await api.http.get("/api/user/me", headers=who))
    assert (me["id"], me["name"], me["email"]) == (body["user"]["id"], "Ada", "ada@example.org")
    assert me["user"]["name"] == "Ada"
    assert me["settings"]["verbosity"] == "normal"
    changed = {"name": "Countess", "email": "C@example.org"}
    answer = told(await api.http.put("/api/user/me", json=changed, headers=who))
    assert answer["message"] == "Profile updated successfully"
    assert answer["user"]["email"] == "c@example.org"
    profile = told(await api.http.get("/api/user/profile", headers=who))["profile"]
    assert profile["name"] == "Countess"
    assert profile["preferences"]["theme"] == "dark"
    assert profile["updated_at"] > profile["created_at"]


async def test_a_profile_takes_nothing_from_others(api):
    _, who = await registered(api)
    await registered(api, name="Eve", email="eve@example.org")
    put = api.http.put
    cases = (
        ({"name": "Ada"}, 400, "Name and email are required"),
        (
            {"name": "Ada", "email": "eve@example.org"},
            409,
            "Email already taken by another user",
        ),
        ({"name": "eve", "email": ADA["email"]}, 409, "Name already taken by another user"),
    )
    for body, status, words in cases:
        refused(await put("/api/user/me", json=body, headers=who), status, words)


async def test_a_new_password_ends_other_sessions_only(api):
    _, who = await registered(api)
    elsewhere = as_header(told(await login(api, username="Ada", password=ADA["password"]))["token"])
    url, new = "/api/user/me/password", "analytical 1843"
    wrong = {"currentPassword": "wrong one 1", "newPassword": new}
    answer = await api.http.put(url, json=wrong, headers=who)
    refused(answer, 401, "Incorrect current password.")
    short = {"currentPassword": ADA["password"], "newPassword": "short 1"}
    assert (await api.http.put(url, json=short, headers=who)).status_code == 400
    right = {"currentPassword": ADA["password"], "newPassword": new}
    told(await api.http.put(url, json=right, headers=who))
    assert (await api.http.get("/api/user/me", headers=who)).status_code == 200
    assert (await api.http.get("/api/user/me", headers=elsewhere)).status_code == 403
    told(await login(api, username="Ada", password=new))


@pytest.mark.parametrize(
    ("route", "field"),
    [("/api/user/me", "confirm_password"), ("/api/settings/delete-account", "confirmPassword")],
)
async def test_an_account_is_closed_with_its_password_and_all_that_was_its(api, route, field):
    _, who = await registered(api)
    key = await made_key(api, who)
    user = told(await api.http.get("/auth/me", headers=who))["id"]
    await api.stand.said.add(Owner(user, user, "s"), [Turn("user", "hi", "t")])

    async def close(**body):
        return await api.http.request("DELETE", route, json=body, headers=who)

    assert (await close()).status_code == 400
    refused(await close(**{field: "wrong one 1"}), 401, "Invalid password")
    assert (
        told(await close(**{field: ADA["password"]}))["message"] == "Account deleted successfully"
    )
    assert (await api.http.get("/api/user/me", headers=who)).status_code == 403
    assert (await api.http.get("/v3/agents", headers=who)).status_code == 401
    refused(await login(api, username="Ada", password=ADA["password"]), 401, "Invalid credentials")
    assert await api.stand.said.page(user, user, 9, 0) == []
    answer = await api.http.get("/api/api-keys/test", headers=as_header(key["api_key"]))
    refused(answer, 401, "Invalid API key")
    await registered(api)


async def test_an_administrators_account_is_not_closed_or_moved_here(api):
    who = await api.admin()
    url, body = "/api/user/me", {"confirm_password": ADMIN[1]}
    assert (await api.http.request("DELETE", url, json=body, headers=who)).status_code == 403
    body = {"name": "Root", "email": "root@example.org"}
    assert (await api.http.put(url, json=body, headers=who)).status_code == 403
    told(await api.http.put(url, json=body | {"email": ADMIN[0]}, headers=who))
    assert told(await api.http.get(url, headers=who))["name"] == "Root"


async def test_administrators_see_all_accounts_and_others_do_not(api):
    _, who = await registered(api)
    for method, path in (("GET", "/api/auth/users"), ("POST", "/api/auth/admin/validate-all")):
        assert (await api.http.request(method, path, json={}, headers=who)).status_code == 403
    admin = await api.admin()
    users = told(await api.http.get("/api/auth/users", headers=admin))["users"]
    assert {user["email"] for user in users} == {ADMIN[0], "ada@example.org"}
    assert set(users[0]) == {"id", "name", "email", "created_at"}
    await imported(api, number=3)
    found = told(await api.http.post("/api/auth/admin/validate-all", json={}, headers=admin))
    assert (found["total"], found["issues_count"]) == (3, 1)
    assert found["issues"][0] == {"id": 3, "email": "old@example.org", "issues": ["v2_password"]}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/auth/emergency-login"),
        ("POST", "/api/auth/fix-user"),
        ("POST", "/api/auth/validate-users"),
        ("POST", "/api/auth/admin/reissue"),
        ("GET", "/api/api-keys/dev-keys"),
    ],
)
async def test_back_doors_are_not_there(api, method, path):
    answer = await api.http.request(method, path, json={"user_ids": [1]}, headers=await api.admin())
    assert answer.status_code == 404


async def imported(api, number=7, email="old@example.org"):
    hashed = bcrypt.hashpw(b"v2 password 1", bcrypt.gensalt(4)).decode()
    row = {"id": number, "name": "Old Hand", "email": email, "password_hash": hashed}
    clock = api.stand.clock
    return await take_over(api.stand.accounts, checked([row]), clock, dry_run=False)


def v2_token(number, secret=SECRET, **claims):
    now = int(time.time())
    said = {
        "sub": number,
        "name": "Old Hand",
        "email": "old@example.org",
        "role": "admin",
        "is_admin": True,
        "iss": "cartrita-auth",
        "aud": "cartrita-clients",
        "iat": now,
        "exp": now + 86_400,
    }
    return as_header(jwt.encode(said | claims, secret, "HS256"))


async def test_an_account_of_v2_signs_in_with_its_old_password_and_number(api):
    await imported(api)
    answer = told(await login(api, username="old hand", password="v2 password 1"))
    assert answer["user"]["id"] == 7
    stored = api.stand.users.logins[v2_user(7)].password_hash
    assert stored.startswith("$argon2id$")
    told(await login(api, email="old@example.org", password="v2 password 1"))
    again = await imported(api)
    assert again.counts["kept"] == 1


async def test_a_token_of_v2_is_its_account_and_never_an_administrators(api):
    await imported(api)
    who = v2_token(7)
    user = told(await api.http.get("/api/auth/verify", headers=who))["user"]
    assert (user["id"], user["role"], user["is_admin"]) == (7, "user", False)
    assert (user["iss"], user["aud"]) == ("cartrita-auth", "cartrita-clients")
    assert told(await api.http.get("/api/user/me", headers=who))["id"] == 7
    assert (await api.http.get("/api/auth/users", headers=who)).status_code == 403
    body = {"theme": "light"}
    told(await api.http.put("/api/user/preferences", json=body, headers=who))
    ours = as_header(told(await login(api, username="Old Hand", password="v2 password 1"))["token"])
    found = told(await api.http.get("/api/user/preferences", headers=ours))
    assert found["theme"] == "light"
    end = {"confirm_password": "v2 password 1"}
    told(await api.http.request("DELETE", "/api/user/me", json=end, headers=who))
    assert (await api.http.get("/api/user/me", headers=who)).status_code == 403


async def test_a_bad_token_of_v2_is_refused_by_its_kind(api):
    await imported(api)
    old = 1_600_000_000
    cases = (
        (v2_token(7, iat=old, exp=old + 100), "expired"),
        (v2_token(7, "another-secret-of-32-bytes-or-more"), "unknown"),
    )
    for who, category in cases:
        answer = await api.http.get("/api/user/me", headers=who)
        assert told(answer, 403)["category"] == category
    unknown = await api.http.get("/api/user/me", headers=v2_token(8))
    refused(unknown, 404, "User not found")
    assert (await api.http.get("/api/auth/verify", headers=v2_token(8))).status_code == 401


async def made_key(api, who, **body):
    return told(await api.http.post("/api/api-keys/create", json=body, headers=who), 201)


async def test_a_key_is_in_v2s_form_shown_once_and_good_in_v3(api):
    body, who = await registered(api)
    made = await made_key(api, who, name=" My\x00  program ")
    assert made["name"] == "My program"
    assert made["api_key"].startswith("cartrita_")
    assert len(made["api_key"]) == len("cartrita_") + 64
    for headers in (as_header(made["api_key"]), {"X-API-Key": made["api_key"]}):
        found = told(await api.http.get("/api/api-keys/test", headers=headers))
        assert (found["user"]["id"], found["key"]["id"]) == (body["user"]["id"], made["id"])
        assert (await api.run(who=headers)).status_code == 200
        assert (await api.http.get("/api/user/me", headers=headers)).status_code == 401
    listed = await api.http.get("/api/api-keys/list", headers=who)
    assert [key["id"] for key in told(listed)["api_keys"]] == [made["id"]]
    assert made["api_key"][-32:] not in listed.text
    told(await api.http.delete(f"/api/api-keys/{made['id']}", headers=who))
    answer = await api.http.get("/api/api-keys/test", headers=as_header(made["api_key"]))
    refused(answer, 401, "Invalid API key")


async def test_a_key_of_ours_counts_and_others_keys_are_not_there(api):
    _, who = await registered(api)
    ours = told(await api.http.post("/v3/keys", json={"name": "k"}, headers=who), 201)
    told(await api.http.get("/api/api-keys/test", headers=as_header(ours["key"])))
    refused(await api.http.get("/api/api-keys/test"), 401, "API key required")
    _, other = await registered(api, name="Eve", email="eve@example.org")
    for headers, name in ((other, ours["keyId"]), (who, "7"), (await api.admin(), ours["keyId"])):
        answer = await api.http.delete(f"/api/api-keys/{name}", headers=headers)
        refused(answer, 404, "API key not found")
    assert told(await api.http.get("/api/api-keys/list", headers=other))["count"] == 0
    assert told(await api.http.get("/api/api-keys/status"))["success"] is True


async def test_failures_of_an_account_are_counted_by_whatever_it_is_called():
    quota = Quota("account", 2, 60)
    async with bridged(Bridge(table=TABLE), visitors=(None, quota)) as api:
        _, who = await registered(api)
        names = ({"username": "ADA"}, {"email": ADA["email"]}, {"username": "ada"})
        statuses = [(await login(api, password="wrong one 1", **one)).status_code for one in names]
        assert statuses == [401, 401, 429]
        assert (await login(api, password=ADA["password"], username="Ada")).status_code == 429
        body = {"confirm_password": "wrong one 1"}
        answer = await api.http.request("DELETE", "/api/user/me", json=body, headers=who)
        assert answer.status_code == 429
        assert (await login(api, password="x", username="nobody")).status_code == 401


async def test_where_registration_is_closed_nobody_registers():
    async with bridged(Bridge(table=TABLE), registration=False) as api:
        answer = await api.http.post("/api/auth/register", json=ADA)
        assert told(answer, 403)["code"] == "AUTHORIZATION_FAILED"
