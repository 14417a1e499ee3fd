"""What the tests of identity share."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from cartrita.auth.claims import USER_SCOPES
from cartrita.auth.identity import Identity, Rules
from cartrita.auth.keys import open_keys
from cartrita.auth.passwords import Argon2Profile, Passwords
from cartrita.auth.tokens import AUDIENCE, ISSUER, TYPE, Tokens
from cartrita.clock import ManualClock
from cartrita.protocol.principal import Role
from cartrita.storage.memory import InMemoryUsers

NOW = 1_700_000_000
USER = "018bcfe5-6800-7000-8000-000000000001"


def encoded(part):
    """Return a segment of a token; `part` is JSON to be or bytes as they are."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forge:
    """Makes any token at all, with our key, without the code under test."""

    def __init__(self, ring):
        self.key = ring.current
        self.header = {"alg": "RS256", "typ": TYPE, "kid": self.key.id}
        self.claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "jti": "j1",
            "sub": USER,
            "tenant": USER,
            "iat": NOW,
            "nbf": NOW,
            "exp": NOW + 3600,
            "role": "user",
            "scope": "tasks:*",
        }

    def token(self, header=None, claims=None, private=None):
        """Sign with RS256; `...` as a value leaves the entry out."""
        body = f"{encoded(self._merged(self.header, header))}."
        body += encoded(claims if isinstance(claims, bytes) else self._merged(self.claims, claims))
        signature = (private or self.key.private).sign(body.encode(), PKCS1v15(), SHA256())
        return f"{body}.{encoded(signature)}"

    def mac(self, secret, header, claims):
        """Sign with HS256."""
        body = f"{encoded(header)}.{encoded(claims)}"
        return f"{body}.{encoded(hmac.digest(secret, body.encode(), hashlib.sha256))}"

    @staticmethod
    def _merged(plain, changes):
        if isinstance(changes, bytes):
            return changes
        merged = {**plain, **(changes or {})}
        return {name: value for name, value in merged.items() if value is not ...}


@pytest.fixture(scope="session")
def ring(tmp_path_factory):
    return open_keys(tmp_path_factory.mktemp("keys") / "ring")


@pytest.fixture(scope="session")
def forge(ring):
    return Forge(ring)


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def tokens(ring, clock):
    return Tokens(ring, clock=clock)


@pytest.fixture
def issued(tokens):
    return tokens.issue(USER, USER, Role.USER, USER_SCOPES, "a@b.example", "family")


@pytest.fixture
def passwords():
    cheap = Passwords(Argon2Profile(passes=1, memory_kib=8))
    yield cheap
    cheap.close()


@pytest.fixture
def users():
    return InMemoryUsers()


@pytest.fixture
def identity(users, tokens, passwords, clock):
    return Identity(users, tokens, passwords, clock, Rules(registration_open=True))
