"""A model behind OpenAI's protocol that answers when it is let, for instances of their own."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable

from tests.support.openai_replies import Call, Say, Step, Wait
from tests.support.openai_server import Request

ADD = Call("calculator", {"expression": "6*7"})


def turns_of(request: Request) -> list[str]:
    """Return what tools have answered so far in a conversation."""
    return [str(one["content"]) for one in request.body["messages"] if one["role"] == "tool"]


def asked_by(request: Request) -> str:
    """Return the last message of the user."""
    users = [one["content"] for one in request.body["messages"] if one["role"] == "user"]
    return str(users[-1])


class HeldModel:
    """The script of a server: what tests make of it, and they may do that from any thread.

    Attributes:
        answer: Says what is answered to a request; by default a tool is used, then it is told.
        holding: Whether last words wait for `release`.
        tokens: Prompt and completion tokens that were told, all together.
    """

    def __init__(self) -> None:
        self.answer: Callable[[Request], Step] = self.errand
        self.holding, self.tokens = False, 0
        self.asked: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()
        self._open: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, request: Request) -> Step:
        step = self.answer(request)
        with self._lock:
            self.asked[asked_by(request), len(turns_of(request))] += 1
            self.tokens += sum(step.tokens or ())
            if isinstance(step, Call) or not self.holding:
                return step
            if self._open is None:
                self._loop, self._open = asyncio.get_running_loop(), asyncio.Event()
            return Wait(self._open, step)

    def hold(self) -> None:
        """Let last words wait from now on."""
        with self._lock:
            self.holding, self._open = True, None

    def release(self) -> None:
        """Let them be said."""
        with self._lock:
            self.holding = False
            if self._open and self._loop:
                self._loop.call_soon_threadsafe(self._open.set)

    def errand(self, request: Request) -> Step:
        """Use a tool, then say what it answered; what that takes follows from who asks."""
        size = 20 + sum(asked_by(request).encode()) % 80
        if not turns_of(request):
            return Call(ADD.tool, ADD.args, (size, 7))
        return Say("It is 42.", (2 * size, 11))
