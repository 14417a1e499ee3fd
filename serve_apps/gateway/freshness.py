"""What `Cache-Control` of a request means for its tasks."""

from typing import Literal

from starlette.requests import Request

from cartrita.protocol.task import Preferences, TaskRequest
from serve_apps.asgi.guard import exchange_of

Use = Literal["refresh", "off"]


def cache_use(request: Request) -> Use | None:
    """Return what a request says about answers that were given before; None when nothing."""
    return use_of(exchange_of(request).headers.get(b"cache-control", b"").decode("latin-1"))


def use_of(said: str | None) -> Use | None:
    """Return what the directives of `Cache-Control` mean; the others mean nothing here."""
    directives = {part.strip().lower() for part in (said or "").split(",")}
    if "no-store" in directives:
        return "off"
    return "refresh" if directives & {"no-cache", "max-age=0"} else None


def freshened(asked: TaskRequest, use: Use | None) -> TaskRequest:
    """Return a request with what its header says, unless its own field says more."""
    hints = asked.preferences or Preferences()
    if use is None or "cache" in hints.model_fields_set:
        return asked
    return asked.model_copy(update={"preferences": hints.model_copy(update={"cache": use})})
