"""Who gets in: every door that needs a token refuses every token that is not one of ours."""

import base64
import hashlib
import hmac
import json

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cartrita.auth.tokens import AUDIENCE, ISSUER, Tokens
from cartrita.clock import ManualClock, SystemClock
from cartrita.protocol.principal import Role
from tests.support.gateway import PASSWORD, as_header, assert_problem, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "018bcfe5-6800-7000-8000-000000000001"
PRIVATE = [
    ("POST", "/v3/tasks"),
    ("GET", f"/v3/tasks/{ID}"),
    ("DELETE", f"/v3/tasks/{ID}"),
    ("GET", "/v3/catalog"),
    ("GET", "/v3/tree"),
    ("GET", "/auth/me"),
    ("POST", "/auth/logout"),
]
SHAPE = {"type", "title", "status", "detail", "code", "retryable", "instance", "traceId"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api():
    async with running_gateway() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(api):
    return await api.stand.identity.register("alice@example.org", PASSWORD)


def encoded(part):
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forge:
    """Makes tokens with our key, or another, that differ from a good one in one thing."""

    def __init__(self, api, session):
        self.key = api.stand.keys.current
        now = int(SystemClock().now())
        self.header = {"alg": "RS256", "typ": "at+jwt", "kid": self.key.id}
        self.claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "jti": "j1",
            "sub": session.user.id,
            "tenant": session.user.id,
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "role": "user",
            "scope": "tasks:*",
        }

    def token(self, header=None, private=None, **claims):
        body = encoded(self.header | (header or {})) + "." + encoded(self.claims | claims)
        signature = (private or self.key.private).sign(body.encode(), PKCS1v15(), SHA256())
        return f"{body}.{encoded(signature)}"

    def unsigned(self, algorithm):
        return f"{encoded({**self.header, 'alg': algorithm})}.{encoded(self.claims)}."

    def mac(self, secret):
        body = f"{encoded({**self.header, 'alg': 'HS256'})}.{encoded(self.claims)}"
        return f"{body}.{encoded(hmac.digest(secret, body.encode(), hashlib.sha256))}"


def expired(api, session):
    past = ManualClock(SystemClock().now() - 7200)
    tokens = Tokens(api.stand.keys, clock=past)
    return tokens.issue(session.user.id, session.user.id, Role.USER, ("tasks:*",)).token


def bad_tokens(api, session):
    forge = Forge(api, session)
    public = forge.key.private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = generate_private_key(public_exponent=65537, key_size=2048)
    good, now = forge.token(), forge.claims["iat"]
    return {
        "garbage": "garbage",
        "three dots": "a.b.c",
        "a refresh token": session.refresh_token,
        "expired": expired(api, session),
        "not yet good": forge.token(nbf=now + 3600, iat=now + 3600, exp=now + 3700),
        "no expiry": forge.token(exp=None),
        "an expiry of text": forge.token(exp=str(now + 600)),
        "another issuer": forge.token(iss="https://evil.example"),
        "another audience": forge.token(aud="others"),
        "a list of audiences": forge.token(aud=[AUDIENCE]),
        "no algorithm": forge.unsigned("none"),
        "NoNe": forge.unsigned("nOnE"),
        "HS256 with our public key": forge.mac(pem),
        "a key id that is a path": forge.token({"kid": "../../dev/null"}),
        "a key of its own": forge.token({"jwk": {"kty": "RSA"}}),
        "a key elsewhere": forge.token({"jku": "https://evil.example/jwks"}),
        "another key": forge.token(private=stranger),
        "truncated": good[:-1],
        "extended": good + "A",
        "a role that is none": forge.token(role="root"),
        "homoglyphs": forge.token(role="\u0430dmin"),
        "an account that is not here": forge.token(sub="nobody", jti="j2"),
        "too long": "a" * 9000,
    }


async def test_the_forge_makes_good_tokens_too(api, session):
    answer = await api.http.get("/v3/catalog", headers=as_header(Forge(api, session).token()))

    assert answer.status_code == 200


async def test_refuses_every_bad_token_with_the_same_words(api, session):
    answers = {}
    for name, token in bad_tokens(api, session).items():
        answer = await api.run(who=as_header(token))
        document = assert_problem(answer, 401, "AUTHENTICATION_FAILED")
        assert answer.headers["www-authenticate"].startswith("Bearer "), name
        assert document.keys() == SHAPE, name
        answers[name] = document["detail"]
    too_long = answers.pop("too long")
    assert set(answers.values()) == {"The access token is not accepted: sign in again."}
    assert "POST /auth/login" in too_long
    assert api.stand.tables.stories == {}


@pytest.mark.parametrize(
    "header",
    [{}, *({"Authorization": text} for text in ("", "Bearer", "Bearer ", "Basic YTpi", "Token x"))],
)
async def test_a_request_without_a_token_learns_where_to_get_one(api, header):
    answer = await api.run(who=header)

    document = assert_problem(answer, 401, "AUTHENTICATION_FAILED")
    assert "POST /auth/login" in document["detail"]
    assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(("method", "path"), PRIVATE)
async def test_asks_for_a_token_before_it_looks_at_anything_else(api, method, path):
    answer = await api.http.request(method, path, content=b"{" if method == "POST" else None)

    assert_problem(answer, 401, "AUTHENTICATION_FAILED")


async def test_the_scheme_may_be_written_in_any_case(api, session):
    for scheme in ("bearer", "BEARER"):
        header = {"Authorization": f"{scheme} {session.token}"}
        assert (await api.http.get("/auth/me", headers=header)).status_code == 200


async def test_a_token_signed_out_of_is_refused_at_once(api):
    signed_in = await api.stand.identity.register("brief@example.org", PASSWORD)
    who = as_header(signed_in.token)
    assert (await api.http.get("/auth/me", headers=who)).status_code == 200

    ended = await api.http.post("/auth/logout", headers=who)

    assert ended.status_code == 204
    assert ended.content == b""
    assert_problem(await api.http.get("/auth/me", headers=who), 401, "AUTHENTICATION_FAILED")


async def test_scopes_bound_what_a_token_may_do(api, session):
    narrow = as_header(Forge(api, session).token(scope="tasks:bench.*", jti="j3"))

    refused = await api.run(who=narrow)
    allowed = await api.run("bench.shape", {"itemCount": 1}, who=narrow)

    document = assert_problem(refused, 403, "AUTHORIZATION_FAILED")
    assert "tasks:system.echo" in document["detail"]
    assert allowed.json()["status"] == "COMPLETED"
