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
# What does not begin at a word's beginning is no secret (`task-…`), nor looked at again. The last
# letter of an escape, as in `\nsk-…`, is of no word.
_BEGINS = rb"(?: (?<![A-Za-z0-9_-]) | (?<=\\[bfnrt]) | (?<=\\u[0-9a-f]{4}) )"
_ANY = re.compile(rb"%b (?: %b | %b )" % (_BEGINS, _KEYS, _TOKEN), re.VERBOSE)
_SIGNING_IN = re.compile(
    rb"\"token\" \s* : \s* \"[^\"\\]*\" | %b (?P<secret> %b )" % (_BEGINS, _KEYS), re.VERBOSE
)
_PLACES = ("/auth/", "/login", "/register")

LONGEST_HELD = 16_384
"""Characters of one word that wait for its end; no secret is longer."""

_LAST_WORD = re.compile(
    r"(?<![A-Za-z0-9_-])(?:eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){1,2}|[A-Za-z0-9_-]*)\Z"
)


def redacted(body: bytes, path: str) -> bytes:
    """Return an answer without secrets.

    Args:
        body: JSON or another text.
        path: Where it is from: those who sign in get their token.
    """
    for mark in _MARKS:  # a loop, as `any` costs most answers three times as much
        if mark in body:
            break
    else:
        return body
    if any(place in path.lower() for place in _PLACES):
        return _SIGNING_IN.sub(_but_token, body)
    return _ANY.sub(_hide, body)


def _hide(found: re.Match[bytes]) -> bytes:
    return found[0][:KEPT] + b"***REDACTED***"


def _but_token(found: re.Match[bytes]) -> bytes:
    return _hide(found) if found["secret"] else found[0]


class Seam:
    """Cuts a text that comes piece by piece anew: never within what may be a secret."""

    def __init__(self) -> None:
        self._held = ""

    def take(self, piece: str) -> str:
        """Return what may go out, now that there is more; the last word waits for its end."""
        text = self._held + piece
        last = _LAST_WORD.search(text)
        cut = last.start() if last and len(text) - last.start() <= LONGEST_HELD else len(text)
        self._held = text[cut:]
        return text[:cut]

    def rest(self) -> str:
        """Return what still waits, at the end."""
        rest, self._held = self._held, ""
        return rest
