"""Which headers go on to v2, and which come back: what is of one connection stays on it."""

from collections.abc import Iterable, Sequence

Headers = Sequence[tuple[bytes, bytes]]

ANSWER = b"x-bridge-answer"
"""Says who is to answer: what we send to v2 says `bridge`, so that a v2 that is this instance by
mistake ends the loop; the comparison of `cartrita bridge check` says it, too."""

SERVED_BY = b"x-bridge-served-by"

_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""RFC 9110, 7.6.1, and older ones of the kind."""

_OURS = frozenset((b"host", b"expect", b"x-forwarded-for", b"x-forwarded-host"))
_OURS_BACK = frozenset((b"date", b"server", SERVED_BY))
_CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"cookie"))


def onward(headers: Headers, peer: str, scheme: str, *, ours: bool = False) -> Headers:
    """Return the headers with which a request goes on.

    Args:
        headers: As they came, with lower-case names.
        peer: Who sent it to us.
        scheme: How.
        ours: Whether its credentials are v3's, which are nobody else's business.
    """
    dropped = _HOP | _OURS | _named(headers)
    if ours:
        dropped |= _CREDENTIALS
    chunked = any(name == b"transfer-encoding" for name, _ in headers)
    if chunked:  # RFC 9112, 6.3: a length beside it is a lie
        dropped |= {b"content-length"}
    kept = [(name, value) for name, value in headers if name not in dropped]
    way = [value for name, value in headers if name == b"x-forwarded-for"]
    told = [value for name, value in headers if name == b"host"][:1]
    kept.append((b"x-forwarded-for", b", ".join([*way, peer.encode("latin-1", "replace")])))
    kept += [(b"x-forwarded-host", value) for value in told]
    if not any(name == b"x-forwarded-proto" for name, _ in kept):
        kept.append((b"x-forwarded-proto", scheme.encode()))
    kept.append((ANSWER, b"bridge"))
    return kept


def back(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers with which v2's answer goes back."""
    lower = [(name.lower(), value) for name, value in headers]
    dropped = _HOP | _OURS_BACK | _named(lower)
    kept = [(name, value) for name, value in lower if name not in dropped]
    return [*kept, (SERVED_BY, b"v2")]


def _named(headers: Headers) -> set[bytes]:
    """Return what `Connection` says is of this connection only."""
    named = (value.lower().split(b",") for name, value in headers if name == b"connection")
    return {word.strip() for words in named for word in words}


def media_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the media type that headers tell, without its parameters."""
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.partition(b";")[0].strip().lower().decode("latin-1")
    return ""
