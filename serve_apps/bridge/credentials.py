"""Reads the credentials that requests of v2's clients hold."""

from collections.abc import Mapping

from serve_apps.asgi.messages import LONGEST_TOKEN


def sent(headers: Mapping[bytes, bytes]) -> tuple[str, str]:
    """Return what stands in `Authorization: Bearer` and in `X-API-Key`; empty for neither.

    Of what is too long so much comes that it still is.
    """
    token = bearer_in(headers.get(b"authorization", b"").decode("latin-1"))
    key = headers.get(b"x-api-key", b"").decode("latin-1").strip()
    return token[: LONGEST_TOKEN + 1], key[: LONGEST_TOKEN + 1]


def bearer_in(authorization: str) -> str:
    """Return the token of a header `Authorization`; empty where it has none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
