"""Accounts over HTTP: register, sign in and out, and what is refused."""

import pytest

from tests.support.gateway import ADMIN, PASSWORD, as_header, assert_problem, running_gateway

ALICE = {"email": "alice@example.org", "password": PASSWORD}
USER = {"id", "email", "name", "role"}


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


async def test_registers_and_signs_in_at_once(api):
    answer = await api.http.post("/auth/register", json={**ALICE, "name": "Alice"})

    assert answer.status_code == 201
    body = answer.json()
    assert body.keys() == {"token", "refreshToken", "expiresIn", "user"}
    assert body["expiresIn"] == 3600
    assert body["user"].keys() == USER
    assert body["user"]["email"] == "alice@example.org"
    assert body["user"]["name"] == "Alice"
    assert body["user"]["role"] == "user"
    assert answer.headers["cache-control"] == "no-store"
    me = await api.http.get("/auth/me", headers=as_header(body["token"]))
    assert me.json() == body["user"]


async def test_signs_in(api):
    registered = (await api.http.post("/auth/register", json=ALICE)).json()

    answer = await api.http.post("/auth/login", json=ALICE)

    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == registered.keys()
    assert body["user"] == registered["user"]
    assert body["token"] != registered["token"]


async def test_an_administrator_is_one(api):
    email, password = ADMIN

    answer = await api.http.post("/auth/login", json={"email": email, "password": password})

    assert answer.json()["user"]["role"] == "admin"


async def test_a_refresh_token_gives_one_more_session_and_a_copy_ends_them_all(api):
    first = (await api.http.post("/auth/register", json=ALICE)).json()
    spent = {"refreshToken": first["refreshToken"]}

    renewed = await api.http.post("/auth/refresh", json=spent)
    copied = await api.http.post("/auth/refresh", json=spent)
    ended = await api.http.post(
        "/auth/refresh", json={"refreshToken": renewed.json()["refreshToken"]}
    )

    assert renewed.status_code == 200
    assert renewed.json().keys() == first.keys()
    assert_problem(copied, 401, "AUTHENTICATION_FAILED")
    assert_problem(ended, 401, "AUTHENTICATION_FAILED")


async def test_signing_out_ends_the_session_and_another_one_on_request(api):
    first = (await api.http.post("/auth/register", json=ALICE)).json()
    other = (await api.http.post("/auth/login", json=ALICE)).json()

    answer = await api.http.post(
        "/auth/logout",
        json={"refreshToken": other["refreshToken"]},
        headers=as_header(first["token"]),
    )

    assert answer.status_code == 204
    for session in (first, other):
        spent = {"refreshToken": session["refreshToken"]}
        refused = await api.http.post("/auth/refresh", json=spent)
        assert_problem(refused, 401, "AUTHENTICATION_FAILED")


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"refreshToken":""}', b'{"x":1}'])
async def test_signing_out_with_a_wrong_body_ends_nothing(api, body):
    session = (await api.http.post("/auth/register", json=ALICE)).json()
    who = as_header(session["token"])

    answer = await api.http.post(
        "/auth/logout", content=body, headers={**who, "content-type": "application/json"}
    )

    assert answer.status_code in {400, 422}
    assert (await api.http.get("/auth/me", headers=who)).status_code == 200


async def test_a_wrong_password_and_a_wrong_address_sound_the_same(api):
    await api.http.post("/auth/register", json=ALICE)

    wrong = await api.http.post("/auth/login", json={**ALICE, "password": "something else"})
    nobody = await api.http.post("/auth/login", json={**ALICE, "email": "bob@example.org"})
    nonsense = await api.http.post("/auth/login", json={"email": "a\x00b", "password": "p"})

    said = set()
    for answer in (wrong, nobody, nonsense):
        document = assert_problem(answer, 401, "AUTHENTICATION_FAILED")
        said.add((document["title"], document["detail"]))
    assert len(said) == 1


async def test_an_address_is_taken_once(api):
    await api.http.post("/auth/register", json=ALICE)

    answer = await api.http.post("/auth/register", json={**ALICE, "email": "ALICE@example.org "})

    assert assert_problem(answer, 422, "INVALID_PARAMETERS", "email")["reason"] == "EMAIL_TAKEN"


WRONG = [
    ({"email": "not an address"}, "email"),
    ({"email": "a" * 400 + "@example.org"}, "email"),
    ({"email": None}, "email"),
    ({"password": "short"}, "password"),
    ({"password": "x" * 2000}, "password"),
    ({"password": 12345678}, "password"),
    ({"name": "x" * 300}, "name"),
    ({"name": "a\x00b"}, "name"),
    ({"role": "admin"}, "role"),
]


@pytest.mark.parametrize(("change", "field"), WRONG)
async def test_registration_names_the_field_that_is_wrong(api, change, field):
    answer = await api.http.post("/auth/register", json={**ALICE, **change})

    assert_problem(answer, 422, "INVALID_PARAMETERS", field)
    login = await api.http.post("/auth/login", json=ALICE)
    assert_problem(login, 401, "AUTHENTICATION_FAILED")


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login", "/auth/refresh"])
async def test_refuses_what_is_no_json_object(api, path):
    told = {"content-type": "application/json"}

    for body in (b"", b"{", b"\xff", b'{"email":"a","email":"b"}'):
        answer = await api.http.post(path, content=body, headers=told)
        assert answer.status_code in {400, 422}, body
        assert answer.headers["content-type"] == "application/problem+json"
    form = await api.http.post(path, data={"email": "a@b.c", "password": PASSWORD})
    assert_problem(form, 400, "INVALID_MESSAGE_FORMAT", "Content-Type")


async def test_no_password_comes_back(api):
    answer = await api.http.post("/auth/register", json={**ALICE, "email": 1, "x": PASSWORD})

    assert PASSWORD not in answer.text


async def test_registration_may_be_closed():
    async with running_gateway(registration=False) as api:
        answer = await api.http.post("/auth/register", json=ALICE)

        assert_problem(answer, 403, "AUTHORIZATION_FAILED")


async def test_publishes_its_public_keys_and_nothing_else(api):
    answer = await api.http.get("/.well-known/jwks.json")

    assert answer.status_code == 200
    [key] = answer.json()["keys"]
    assert key.keys() == {"kty", "n", "e", "kid", "use", "alg"}
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    assert "max-age" in answer.headers["cache-control"]
