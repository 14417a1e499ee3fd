"""Takes secrets out of answers, by v2's patterns."""

import re

KEPT = 4
"""Characters of a secret that stay, as in v2."""

_MARKS = (b"sk-", b"ghp_", b"glpat-", b"hf_", b"AKIA", b"AIza", b"eyJ")
"""What each pattern begins with: most answers hold none of them, and are not searched."""

_KEYS = rb"""
    sk-[A-Za-z0-9_-]{16,} | ghp_[A-Za-z0-9]{16,} | glpat-[A-Za-z0-9_-]{10,}
    | hf_[A-Za-z0-9]{16,} | AKIA[A-Z0-9]{12,} | AIza[A-Za-z0-9_-]{12,}
"""
_TOKEN = rb"eyJ[A-Za-z0-9_-]+ \. [A-Za-z0-9_-]+ \. [A-Za-z0-9_-]+"
# What does not begin at a word's beginning is no secret (`task-…`), nor looked at again.
_ANY = re.compile(rb"(?<![A-Za-z0-9_-]) (?: %b | %b )" % (_KEYS, _TOKEN), re.VERBOSE)
_SIGNING_IN = re.compile(
    rb"\"token\" \s* : \s* \"[^\"\\]*\" | (?<![A-Za-z0-9_-]) (?P<secret> %b )" % _KEYS, re.VERBOSE
)
_PLACES = ("/auth/", "/login", "/register")


def redacted(body: bytes, path: str) -> bytes:
    """Return an answer without secrets.

    Args:
        body: JSON or another text.
        path: Where it is from: those who sign in get their token.
    """
    if not any(mark in body for mark in _MARKS):
        return body
    if any(place in path for place in _PLACES):
        return _SIGNING_IN.sub(_but_token, body)
    return _ANY.sub(_hide, body)


def _hide(found: re.Match[bytes]) -> bytes:
    return found[0][:KEPT] + b"***REDACTED***"


def _but_token(found: re.Match[bytes]) -> bytes:
    return _hide(found) if found["secret"] else found[0]
