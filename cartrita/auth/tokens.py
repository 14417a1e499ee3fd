"""Issues and verifies access tokens; the only module that knows python-jose.

python-jose is told the algorithm and given key objects, never taken at its word: what it
verifies was parsed and judged here before (its own history: CVE-2024-33663, CVE-2024-33664).
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from jose import jwk, jws
from jose.backends.base import Key
from jose.exceptions import JWKError, JWSError

from cartrita.auth.claims import Claims, check_names, check_times, text
from cartrita.auth.compact import Refused, header_of, object_of
from cartrita.auth.keys import KeyRing
from cartrita.auth.recent import Recent
from cartrita.clock import Clock, SystemClock, new_id
from cartrita.errors import AuthenticationFailed
from cartrita.protocol.principal import Role

ISSUER, AUDIENCE = "cartrita-mcp", "cartrita-users"
TYPE = "at+jwt"
"""RFC 9068 §2.1: nothing else that we might sign passes for an access token."""
REFUSED = "The access token is not accepted: sign in again."
REMEMBERED = 4096
VerifyingKey = Key
Algorithm = Literal["RS256", "HS256"]


class Issued(NamedTuple):
    """A fresh token."""

    token: str
    expires_in: int
    jti: str


class Tokens:
    """Access tokens of ours: JWT, RS256.

    Verifying costs 0.1 ms of CPU, signing 0.5 ms; a token seen before costs microseconds.

    Args:
        keys: What signs and verifies.
        issuer: `iss`, compared exactly.
        audience: `aud`, compared exactly.
        clock: When is now.
        access_ttl: Life of a token in seconds.
    """

    def __init__(
        self,
        keys: KeyRing,
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        clock: Clock | None = None,
        access_ttl: int = 3600,
    ) -> None:
        self._keys, self._issuer, self._audience = keys, issuer, audience
        self._clock = clock or SystemClock()
        self._ttl = access_ttl
        self._verified: Recent[str, Claims] = Recent(REMEMBERED)
        self._generation = keys.generation

    def issue(  # noqa: PLR0913 - each is a claim
        self,
        user_id: str,
        tenant: str,
        role: Role,
        scopes: tuple[str, ...],
        email: str | None = None,
        session: str | None = None,
        *,
        life: int | None = None,
    ) -> Issued:
        """Sign a token; `session` is the family of refresh tokens it belongs to."""
        now, jti, key = int(self._clock.now()), new_id(), self._keys.current
        ttl = self._ttl if life is None else life
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "jti": jti,
            "iat": now,
            "nbf": now,
            "exp": now + ttl,
            "sub": user_id,
            "tenant": tenant,
            "role": role.value,
            "scope": " ".join(scopes),
            "email": email,
            "sid": session,
        }
        said = {name: value for name, value in claims.items() if value is not None}
        token = jws.sign(said, _rsa(key.private), {"typ": TYPE, "kid": key.id}, "RS256")
        return Issued(token, ttl, jti)

    def verify(self, token: str) -> Claims:
        """Return what a token of ours says.

        Raises:
            AuthenticationFailed: It is not one, or not any more; always with the same words.
        """
        claims = self._remembered(token)
        if claims is None:
            claims = or_refuse(lambda: self._read(token))
            self._verified.put(token, claims)
        return claims

    def _remembered(self, token: str) -> Claims | None:
        if (generation := self._keys.generation) != self._generation:
            self._verified.clear()
            self._generation = generation
        claims = self._verified.get(token)
        if claims is not None and not claims.alive(self._clock.now()):
            self._verified.drop(token)
            return None
        return claims

    def _read(self, token: str) -> Claims:
        claims = opened(token, "RS256", self._key)
        check_names(claims, self._issuer, self._audience)
        issued, expires = check_times(claims, self._clock.now())
        if "nbf" not in claims:
            raise Refused("nbf is missing")
        return Claims(
            user=text(claims, "sub"),
            tenant=text(claims, "tenant"),
            role=Role(text(claims, "role")),
            scopes=tuple(text(claims, "scope").split(" ")),
            jti=text(claims, "jti"),
            issued_at=issued,
            expires_at=expires,
            session=text(claims, "sid") if "sid" in claims else None,
            email=text(claims, "email") if "email" in claims else None,
        )

    def _key(self, header: Mapping[str, Any]) -> VerifyingKey:
        # `crit`, `b64`, `jku`, `x5u`, `jwk` and whatever comes next: we never write them.
        if header.keys() != {"alg", "typ", "kid"} or header["typ"] != TYPE:
            raise Refused("a header that is not ours")
        key_id = header["kid"]
        key = self._keys.find(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise Refused("an unknown key")
        return _rsa(key.private.public_key())


def opened(
    token: str, algorithm: Algorithm, key_for: Callable[[Mapping[str, Any]], VerifyingKey]
) -> dict[str, Any]:
    """Return the claims of a token whose signature is right.

    Args:
        token: In compact form.
        algorithm: The only one accepted; looked at before anything else in the header.
        key_for: Chooses the key by the header, or raises `Refused`.

    Raises:
        Refused: The form, the header or the signature is wrong.
    """
    header = header_of(token)
    if header.get("alg") != algorithm:
        raise Refused("another algorithm")
    try:
        payload = jws.verify(token, key_for(header), algorithms=[algorithm])
    except (JWSError, JWKError):
        raise Refused("a wrong signature") from None
    return object_of(payload)


def _rsa(key: Any) -> VerifyingKey:
    # An object of cryptography's: PEM text would cost 50 ms of checks on each call.
    return jwk.construct(key, "RS256")


def shared_key(secret: str) -> VerifyingKey:
    """Return an HS256 key."""
    return jwk.construct(secret.encode(), "HS256")


def or_refuse(read: Callable[[], Claims]) -> Claims:
    """Return what `read` does, or say the one sentence that tells nothing."""
    try:
        return read()
    except (Refused, ValueError):
        pass
    # Outside the handler, so that the cause is not attached.
    raise AuthenticationFailed(REFUSED)
