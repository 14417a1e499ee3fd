"""Keeps a copy of an answer that passes by, if it is short."""

from starlette.types import Message, Send

from cartrita.bridge.compare import Answer
from serve_apps.bridge.canary.upstream import MOST, answer_of


class AnswerTape:
    """Passes an answer on."""

    def __init__(self, send: Send) -> None:
        self._send, self._parts, self._size = send, list[bytes](), 0
        self._start: Message | None = None
        self._ended = False

    async def __call__(self, message: Message) -> None:
        """Pass on a part."""
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            part = message.get("body", b"")
            self._size += len(part)
            if self._size <= MOST:
                self._parts.append(part)
            self._ended = not message.get("more_body", False)
        await self._send(message)

    def answer(self) -> Answer | None:
        """Return what was answered; None where it is not whole, too long, or not to be read."""
        if self._start is None or not self._ended or self._size > MOST:
            return None
        headers = list(self._start.get("headers", ()))
        return answer_of(self._start["status"], headers, b"".join(self._parts))


async def nowhere(message: Message) -> None:
    """Take an answer that nobody gets."""
