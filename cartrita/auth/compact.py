"""Reads the three segments of a JWT without believing any of them.

Stricter than RFC 7515 asks, because everything we read we or v2 wrote: one spelling of every
segment, one of every name, and nothing that would need a decision.
"""

import base64
import binascii
import json
from typing import Any

LONGEST_TOKEN = 8192
SEGMENTS = 3


class Refused(Exception):
    """A token is not accepted; the text is for us, clients hear one constant sentence."""


def header_of(token: str) -> dict[str, Any]:
    """Return the header of a token whose form is right.

    Raises:
        Refused: It is too long, or not three canonical base64url segments, or its header is
            not a JSON object.
    """
    if len(token) > LONGEST_TOKEN:
        raise Refused("longer than any of ours")
    segments = token.split(".")
    if len(segments) != SEGMENTS:
        raise Refused("not three segments")
    header, _, _ = (_decoded(segment) for segment in segments)
    return object_of(header)


def object_of(text: bytes) -> dict[str, Any]:
    """Return the JSON object that `text` holds.

    Raises:
        Refused: It is anything else, or says one name twice.
    """
    try:
        value = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_constant)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(value, dict):
        raise Refused("not a JSON object")
    return value


def _decoded(segment: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(segment.encode("ascii") + b"=" * (-len(segment) % 4))
    except (UnicodeEncodeError, binascii.Error):
        raise Refused("not base64url") from None
    # The decoder skips foreign characters and ignores left-over bits: two spellings of one
    # signature would be two tokens.
    if not raw or base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii") != segment:
        raise Refused("not canonical base64url")
    return raw


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name appears twice")
    return found


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
