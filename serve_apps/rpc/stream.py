"""One call that streams both ways: requests in, the events of several tasks out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from cartrita.errors import AuthenticationFailed, CartritaError, InternalFailure, RateLimitExceeded
from cartrita.telemetry.log import get_logger
from serve_apps.gateway.sockets.bounds import Bounds, Hangup, Tally
from serve_apps.gateway.sockets.session import Session, Tell

log = get_logger(__name__)

AHEAD = 16
"""Messages that may wait for a client; HTTP/2's window comes on top."""

_END = object()


class Stream:
    """Merges what several tasks say.

    Args:
        good: Tells whether the caller's token is still good.
    """

    def __init__(
        self, session: Session, bounds: Bounds, good: Callable[[], Awaitable[bool]]
    ) -> None:
        self.session, self._bounds, self._good = session, bounds, good
        self._out: asyncio.Queue[Any] = asyncio.Queue(AHEAD)
        self._failure: CartritaError | None = None

    async def tell(self, message: Any) -> None:
        """Send a message, behind those before it."""
        await self._out.put(message)

    async def run(
        self, requests: AsyncIterator[Any], take: Callable[[Any], Awaitable[None]]
    ) -> AsyncIterator[Any]:
        """Yield messages until all requests are taken and their tasks have ended."""
        work = [asyncio.create_task(self._read(requests, take)), asyncio.create_task(self._watch())]
        try:
            while (message := await self._out.get()) is not _END:
                yield message
            if self._failure:
                raise self._failure
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self.session.close()

    async def _read(
        self, requests: AsyncIterator[Any], take: Callable[[Any], Awaitable[None]]
    ) -> None:
        now = asyncio.get_running_loop().time
        tally = Tally(self._bounds.rate, self._bounds.burst, now())
        try:
            async for request in requests:
                if not tally.take(now()):
                    raise RateLimitExceeded("Too many messages.", retry_after=1)  # noqa: TRY301
                await take(request)
            await self.session.settled()
        except CartritaError as error:
            self._failure = self._failure or error
        except Hangup as hangup:
            self._failure = RateLimitExceeded(f"The call was ended: {hangup.why}.")
        except Exception:
            log.exception("stream_failed")
            self._failure = InternalFailure("The call failed on our side.")
        await self._out.put(_END)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._bounds.check)
            if not await self._good():
                break
        await self.fail(AuthenticationFailed("The token is good no more."))

    async def fail(self, error: CartritaError) -> None:
        """End the call, behind what is on its way."""
        self._failure = error
        await self._out.put(_END)

    async def follow(self, task_id: str, after: str | None, tell: Tell) -> bool:
        """Tell a task's events behind a cursor; False when there is no more to come."""
        told = await self.session.open(task_id, after)
        if told is not None:
            self.session.follow(task_id, told, tell, self._lost)
        return told is not None

    async def _lost(self, _task_id: str, error: CartritaError) -> None:
        await self.fail(error)
