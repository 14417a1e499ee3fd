"""Decides who answers a request while v2 still runs: the bridge or v2."""

import json
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b

from cartrita.protocol.principal import KEY_PREFIX, V2_ISSUER

LONGEST_TOKEN = 8192
LONGEST_KEY = 512
SEGMENTS = 3


class Side(StrEnum):
    """Who answers."""

    BRIDGE = "bridge"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as sharing needs it. Nothing of it was verified.

    Attributes:
        key: The same for all requests of one person, or of one session.
        ours: Whether a credential is one of v3's, which v2 cannot know and must not see.
        theirs: Whether it is of a kind that v2 gave out, and only v2 may know.
    """

    key: str
    ours: bool = False
    theirs: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What of a route matters here.

    Attributes:
        kept: Whether it never goes to v2, whose way of answering it is refused.
        served: Whether the bridge has an answer, or says 501.
        issues: Whether its answer holds a token or a key.
    """

    kept: bool = False
    served: bool = True
    issues: bool = False


def place_of(key: str) -> float:
    """Return where a caller stands between 0 and 1: the same on every replica, for ever."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=7, person=b"v2 share")
    return int.from_bytes(digest.digest()) / (1 << 56)


def side_of(caller: Caller, rule: Rule, share: float, *, rolled_back: bool) -> Side:
    """Return who answers a request.

    Who was the bridge's at a share is the bridge's at every larger one.

    Args:
        caller: Who asks.
        rule: What the route is like.
        share: Of the callers, the part that is the bridge's.
        rolled_back: Whether all is v2's for now.
    """
    if rule.kept:
        return Side.BRIDGE
    if rolled_back:
        return Side.V2
    if caller.ours:
        return Side.BRIDGE
    if rule.issues or caller.theirs:  # v2's tokens are good on both sides, and ours on one
        return Side.BRIDGE if share >= 1 else Side.V2
    return Side.BRIDGE if rule.served and place_of(caller.key) < share else Side.V2


def caller_of(bearer: str | None, api_key: str | None, session: str | None, site: str) -> Caller:
    """Return who asks: by what a token says of them, a key, a session's id, or an address.

    Args:
        bearer: The token of the header `Authorization`.
        api_key: The header `X-API-Key`.
        session: The header `X-Session-Id`.
        site: Where the request comes from.
    """
    found = [_shows(credential) for credential in (bearer, api_key) if credential]
    if found:
        ours = any(one.ours for one in found)
        return replace(found[0], ours=ours, theirs=found[0].theirs and not ours)
    if session:
        return Caller(f"session:{session[:LONGEST_KEY]}")
    return Caller(f"site:{site}")


def _shows(credential: str) -> Caller:
    claims = _claims(credential)
    if claims is None:
        theirs = not credential.startswith(KEY_PREFIX)
        return Caller(f"key:{credential[:LONGEST_KEY]}", not theirs, theirs)
    subject = claims.get("sub")
    return Caller(f"user:{subject}"[:LONGEST_KEY], claims.get("iss") != V2_ISSUER)


def _claims(token: str) -> dict[str, object] | None:
    """Return what a token says, believing nothing of it; None for what is no token."""
    segments = token.split(".")
    if len(token) > LONGEST_TOKEN or len(segments) != SEGMENTS:
        return None
    try:
        middle = segments[1].encode("ascii")
        found = json.loads(urlsafe_b64decode(middle + b"=" * (-len(middle) % 4)))
    except (ValueError, NotBase64, RecursionError):
        return None
    return found if isinstance(found, dict) and "sub" in found else None
