"""Documents that seldom change, and so are seldom sent."""

from dataclasses import dataclass
from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import Response

from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import JSON


@dataclass(frozen=True, slots=True)
class Page:
    """A document in JSON that seldom changes.

    Attributes:
        etag: Weak, because it goes with every form in which the document is sent.
    """

    body: bytes
    etag: str

    @classmethod
    def of(cls, body: bytes) -> "Page":
        """Return a document with its mark."""
        return cls(body, f'W/"{blake2b(body, digest_size=12).hexdigest()}"')

    def answer(self, request: Request) -> Response:
        """Return it, or only that it is what the client has already."""
        known = exchange_of(request).headers.get(b"if-none-match", b"").decode("latin-1")
        headers = {"ETag": self.etag, "Cache-Control": "private, no-cache"}
        if known.strip() == "*" or self.etag in (tag.strip() for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        headers["Vary"] = "Accept, Accept-Encoding"
        return Response(self.body, headers=headers, media_type=JSON)
