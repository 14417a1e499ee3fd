"""Tests of access tokens, above all of those that are not ours."""

import base64
import json
import warnings
import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jose import jwt

from cartrita.auth.claims import LEEWAY
from cartrita.auth.keys import RECHECK, KeyRing, open_keys, rotate
from cartrita.auth.tokens import REFUSED, Tokens
from cartrita.clock import ManualClock
from cartrita.errors import AuthenticationFailed
from cartrita.protocol.principal import USER_SCOPES, Principal, Role

NOW = 1_700_000_000
USER = "018bcfe5-6800-7000-8000-000000000001"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def assert_refused(tokens, token):
    """Every refusal looks the same, and nothing hangs on it that a log could show."""
    with pytest.raises(AuthenticationFailed) as caught:
        tokens.verify(token)
    error = caught.value
    assert (error.message, error.reason, error.fields, error.retry_after) == (
        REFUSED,
        None,
        (),
        None,
    )
    assert error.__cause__ is None
    assert error.__context__ is None


def test_what_was_issued_is_what_is_read(tokens, issued):
    claims = tokens.verify(issued.token)
    assert claims.principal() == Principal(USER, USER, Role.USER, USER_SCOPES)
    assert (claims.jti, claims.email, claims.session) == (issued.jti, "a@b.example", "family")
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + issued.expires_in)
    assert claims.ours


def test_a_token_has_the_claims_and_the_header_of_the_contract(issued, ring):
    header, payload, _ = (base64.urlsafe_b64decode(s + "==") for s in issued.token.split("."))
    assert json.loads(header) == {"alg": "RS256", "typ": "at+jwt", "kid": ring.current.id}
    assert json.loads(payload).keys() == {
        *("iss", "aud", "jti", "iat", "nbf", "exp"),
        *("sub", "tenant", "role", "scope", "email", "sid"),
    }


def test_another_library_reads_the_token_with_the_published_key(issued, ring):
    options = {"verify_exp": False}
    (key,) = ring.jwks()["keys"]
    claims = jwt.decode(
        issued.token, key, ["RS256"], options, audience="cartrita-users", issuer="cartrita-mcp"
    )
    assert claims["sub"] == USER


def test_the_forge_makes_tokens_that_are_accepted(tokens, forge):
    assert tokens.verify(forge.token()).user == USER


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "NONE", "", None, 0, ["RS256"]])
def test_no_algorithm_is_no_token(tokens, forge, algorithm):
    unsigned = forge.token({"alg": algorithm}).rpartition(".")[0]
    assert_refused(tokens, f"{unsigned}.")
    assert_refused(tokens, f"{unsigned}.{encoded(b'x')}")
    assert_refused(tokens, forge.token({"alg": algorithm}))


@pytest.mark.parametrize("form", ["pem", "pem stripped", "der", "jwk", "n", "empty"])
def test_the_public_key_is_no_shared_secret(tokens, forge, form):
    public = forge.key.private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secret = {
        "pem": pem,
        "pem stripped": pem.strip(),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(forge.key.jwk()).encode(),
        "n": forge.key.jwk()["n"].encode(),
        "empty": b"",
    }[form]
    assert_refused(tokens, forge.mac(secret, {**forge.header, "alg": "HS256"}, forge.claims))
    assert_refused(tokens, forge.mac(secret, forge.header, forge.claims))


@pytest.mark.parametrize(
    "algorithm", ["RS1", "RS384", "RS512", "PS256", "ES256", "rs256", "RS256 "]
)
def test_only_one_algorithm_is_accepted(tokens, forge, algorithm):
    assert_refused(tokens, forge.token({"alg": algorithm}))


@pytest.mark.parametrize(
    ("padding", "digest"),
    [(PKCS1v15(), SHA1()), (PKCS1v15(), SHA512()), (PSS(MGF1(SHA256()), 32), SHA256())],
)
def test_a_signature_of_another_algorithm_does_not_pass_as_ours(tokens, forge, padding, digest):
    body = forge.token().rpartition(".")[0]
    signature = forge.key.private.sign(body.encode(), padding, digest)
    assert_refused(tokens, f"{body}.{encoded(signature)}")


@pytest.mark.parametrize(
    "key_id",
    [
        *("unknown", "", "../../dev/null", "/dev/null", "' OR 1=1 --", "https://evil.example/k"),
        *(None, 1, True, [], ["kid"], {"a": 1}, "k" * 5000, "\0", "\ud800", ...),
    ],
    ids=lambda key_id: repr(key_id)[:20],
)
def test_an_unknown_key_id_is_refused(tokens, forge, key_id):
    assert_refused(tokens, forge.token({"kid": key_id}))


@pytest.mark.parametrize(
    "extra",
    [
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"typ": "JWT"},
        {"typ": "AT+JWT"},
        {"typ": None},
        {"typ": ...},
        {"enc": "A256GCM"},
    ],
    ids=repr,
)
def test_a_header_we_do_not_write_is_refused_though_we_signed_it(tokens, forge, extra):
    assert_refused(tokens, forge.token(extra))


def test_a_key_that_the_token_brings_along_is_not_used(tokens, forge):
    own = rsa.generate_private_key(65537, 2048)
    numbers = own.public_key().public_numbers()
    jwk = {"kty": "RSA", "e": "AQAB", "n": encoded(numbers.n.to_bytes(256)), "kid": forge.key.id}
    assert_refused(tokens, forge.token({"jwk": jwk}, private=own))
    assert_refused(tokens, forge.token(private=own))


def test_a_weak_key_signs_nothing(tokens, forge):
    assert_refused(tokens, forge.token(private=rsa.generate_private_key(65537, 1024)))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [..., None, float(NOW), NOW + 0.5, str(NOW), -1, 10**30, 10**400, True, [NOW], {}],
    ids=lambda value: repr(value)[:20],
)
def test_times_must_be_whole_numbers(tokens, forge, name, value):
    assert_refused(tokens, forge.token(claims={name: value}))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - LEEWAY, "iat": NOW - 3600, "nbf": NOW - 3600},
        {"nbf": NOW + LEEWAY + 1},
        {"iat": NOW + LEEWAY + 1},
        {"exp": NOW + 86_401},
        {"exp": NOW - 1},
        {"iss": "cartrita-auth"},
        {"iss": ["cartrita-mcp"]},
        {"iss": ...},
        {"aud": "cartrita-clients"},
        {"aud": ["cartrita-users"]},
        {"aud": ["cartrita-users", "other"]},
        {"aud": ...},
        {"jti": ...},
        {"jti": ""},
        {"jti": 5},
        {"sub": ...},
        {"sub": 5},
        {"tenant": ...},
        {"role": ...},
        {"role": "root"},
        {"role": "Admin"},
        {"role": "\u0430dmin"},
        {"role": "admin\0"},
        {"role": " admin"},
        {"role": ["admin"]},
        {"scope": ...},
        {"scope": ["tasks:*"]},
        {"sid": 5},
        {"email": None},
    ],
    ids=repr,
)
def test_claims_we_do_not_write_are_refused_though_we_signed_them(tokens, forge, claims):
    assert_refused(tokens, forge.token(claims=claims))


def test_the_clock_may_be_off_by_the_leeway_and_no_more(tokens, forge):
    edge = {"exp": NOW - LEEWAY + 1, "iat": NOW - 3600, "nbf": NOW - 3600}
    assert tokens.verify(forge.token(claims=edge))
    assert tokens.verify(forge.token(claims={"nbf": NOW + LEEWAY, "iat": NOW + LEEWAY}))


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 3000])
def test_a_payload_that_is_no_object_is_refused(tokens, forge, payload):
    assert_refused(tokens, forge.token(claims=payload))


def test_a_claim_said_twice_is_refused(tokens, forge):
    twice = json.dumps(forge.claims)[:-1] + ', "role": "admin"}'
    assert_refused(tokens, forge.token(claims=twice.encode()))
    assert_refused(tokens, forge.token(header=b'{"alg":"none","alg":"RS256","typ":"at+jwt"}'))


def test_a_token_is_not_changed_after_it_was_signed(tokens, forge):
    header, _, signature = forge.token().split(".")
    claims = encoded(json.dumps({**forge.claims, "role": "admin"}).encode())
    assert_refused(tokens, f"{header}.{claims}.{signature}")


@pytest.mark.parametrize("signature", [b"\0" * 256, b"\0", b"\xff" * 256, b"\0" * 255 + b"\1"])
def test_a_made_up_signature_is_refused(tokens, forge, signature):
    assert_refused(tokens, f"{forge.token().rpartition('.')[0]}.{encoded(signature)}")


def test_a_shorter_or_longer_signature_is_refused(tokens, forge):
    body, _, text = forge.token().rpartition(".")
    signature = base64.urlsafe_b64decode(text + "==")
    for other in (signature[:-1], signature[1:], signature + b"\0", b"\0" + signature, b""):
        assert_refused(tokens, f"{body}.{encoded(other)}")


def test_other_spellings_of_a_signature_are_other_tokens(tokens, forge):
    token = forge.token()
    spellings = [f"{token[:-1]}{letter}" for letter in ALPHABET if letter != token[-1]]
    spellings += [f"{token}{end}" for end in ("=", "==", "\n", " ", "A", ".", "!")]
    spellings += [f" {token}", token.replace(".", ".\n", 1), f"Bearer {token}"]
    for spelling in spellings:
        assert_refused(tokens, spelling)


def test_other_containers_are_refused(tokens, forge):
    header, payload, signature = forge.token().split(".")
    flat = {"protected": header, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    bomb = encoded(zlib.compress(b"\0" * 10_000_000)[:4000])
    jwe = encoded(b'{"alg":"dir","enc":"A256GCM","zip":"DEF"}')
    for other in (json.dumps(flat), json.dumps(general), f"{jwe}..{encoded(b'iv')}.{bomb}.AAAA"):
        assert_refused(tokens, other)


@pytest.mark.parametrize("length", [8193, 1_000_000])
def test_a_huge_token_is_refused(tokens, forge, length):
    token = forge.token()
    assert_refused(tokens, token + "A" * (length - len(token)))


@pytest.mark.parametrize("token", ["", "null", "undefined", "test-admin-token", "\ud800", "a.b.c"])
def test_what_is_no_token_is_refused(tokens, token):
    assert_refused(tokens, token)


@given(st.data())
def test_any_changed_character_makes_another_token(ring, forge, data):
    tokens, token = Tokens(ring, clock=ManualClock(NOW)), forge.token()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.one_of(st.sampled_from(ALPHABET + ".=\n"), st.characters()))
    changed = token[:place] + other + token[place + 1 :]
    if changed != token:
        assert_refused(tokens, changed)
    assert_refused(tokens, token[:place] + other + token[place:])
    assert_refused(tokens, token[:place] + token[place + 1 :])


def test_a_remembered_token_still_expires(tokens, forge, clock):
    token = forge.token()
    tokens.verify(token)
    clock.advance(3600 + LEEWAY - 1)
    assert tokens.verify(token)
    clock.advance(1)
    assert_refused(tokens, token)


def test_a_remembered_token_costs_no_second_signature(tmp_path):
    class CountingRing(KeyRing):
        asked = 0

        def find(self, key_id):
            self.asked += 1
            return super().find(key_id)

    open_keys(tmp_path)
    ring = CountingRing(tmp_path)
    tokens = Tokens(ring)
    token = tokens.issue(USER, USER, Role.USER, USER_SCOPES).token
    assert tokens.verify(token) == tokens.verify(token)
    assert ring.asked == 1
    for _ in range(2):
        assert_refused(tokens, token[:-1])
    assert ring.asked == 1


def test_no_key_is_looked_for_under_another_algorithm(forge, tmp_path):
    class DeafRing(KeyRing):
        def find(self, key_id):
            pytest.fail("was asked for a key")

    open_keys(tmp_path)
    assert_refused(Tokens(DeafRing(tmp_path)), forge.token({"alg": "RS512"}))


def test_a_token_outlives_one_rotation_and_not_two_though_remembered(tmp_path):
    clock = ManualClock(NOW)
    ring = open_keys(tmp_path, clock)
    tokens = Tokens(ring, clock=clock)
    token = tokens.issue(USER, USER, Role.USER, USER_SCOPES).token
    rotate(tmp_path)
    clock.advance(RECHECK)
    assert tokens.verify(token)
    assert tokens.verify(tokens.issue(USER, USER, Role.USER, USER_SCOPES).token)
    rotate(tmp_path)
    clock.advance(RECHECK)
    assert_refused(tokens, token)


def test_a_replica_accepts_what_another_signed_with_a_newer_key(tmp_path):
    clock = ManualClock(NOW)
    here = Tokens(open_keys(tmp_path, clock), clock=clock)
    rotate(tmp_path)
    there = Tokens(KeyRing(tmp_path), clock=clock)
    assert here.verify(there.issue(USER, USER, Role.ADMIN, ("*",)).token).role is Role.ADMIN


def test_nothing_warns_about_private_keys(tokens, forge):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tokens.verify(forge.token())
