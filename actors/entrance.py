"""Where tasks come into a supervisor: one by one, or many in one request."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from actors.counting import Traffic
from cartrita.channel.server import Call
from cartrita.errors import CartritaError, InternalFailure, ResourceLimitExceeded
from cartrita.journal import TaskRecord

Asker = tuple[Any, ...]
"""The call by which a task is asked for; and of which request that is a part, if that is told."""


class Submit(Protocol):
    """The supervisor's way to take a task."""

    def __call__(self, record: TaskRecord, asker: Asker, *, wait: bool) -> asyncio.Future[Any]:
        """Take a task and return the answer to come, or refuse; `wait` is for its end."""


class Entrance:
    """Takes tasks up at once, without a task of asyncio's for each: the hot path.

    Args:
        submit: The supervisor's.
        traffic: Counts them.
    """

    def __init__(self, submit: Submit, traffic: Traffic) -> None:
        self._submit, self._traffic = submit, traffic

    def begin(self, method: str, payload: Any, call: Call) -> asyncio.Future[Any] | None:
        """Return the reply to come; None for what is no submission.

        Raises:
            CartritaError: A single task is refused. Of many, each has an answer of its own.
        """
        if method == "submit":
            return self._take(payload[0], (call, *payload[2:]), wait=payload[1])
        if method == "submit_many":
            take = partial(self._take, asker=(call,), wait=payload[1])
            return _Crowd(call).begin(payload[0], take)
        return None

    def _take(self, packed: bytes, asker: Asker, *, wait: bool) -> asyncio.Future[Any]:
        with self._traffic:
            answer = self._submit(TaskRecord.unpack(packed), asker, wait=wait)
        self._traffic.follow(answer)
        return answer


class _Crowd:
    """Tasks that came together.

    What is known of them in one turn of the loop goes back as one event: rows of a task's place,
    whether it was taken, and its answer or error. The reply comes when all have theirs.
    """

    def __init__(self, call: Call) -> None:
        self._call, self._loop = call, asyncio.get_running_loop()
        self._fresh: list[list[Any]] = []
        self._left = 0

    def begin(
        self, tasks: list[bytes], take: Callable[[bytes], asyncio.Future[Any]]
    ) -> asyncio.Future[None]:
        """Take them, in order."""
        reply: asyncio.Future[None] = self._loop.create_future()
        self._left = len(tasks)
        for place, packed in enumerate(tasks):
            try:
                answer = take(packed)
            except CartritaError as error:
                self._tell(reply, place, error)
            else:
                answer.add_done_callback(partial(self._told, reply, place))
        if not tasks:
            reply.set_result(None)
        return reply

    def _told(self, reply: asyncio.Future[None], place: int, answer: asyncio.Future[Any]) -> None:
        error = asyncio.CancelledError() if answer.cancelled() else answer.exception()
        self._tell(reply, place, error, None if error else answer.result())

    def _tell(
        self,
        reply: asyncio.Future[None],
        place: int,
        error: BaseException | None,
        answer: Any = None,
    ) -> None:
        if error is not None and not isinstance(error, CartritaError):
            error = InternalFailure(f"The task was given up: {type(error).__name__}")
        self._left -= 1
        if reply.done():  # whoever asked has left
            return
        if not self._fresh:
            self._loop.call_soon(self._flush, reply)
        self._fresh.append([place, False, error.to_wire()] if error else [place, True, answer])

    def _flush(self, reply: asyncio.Future[None]) -> None:
        rows, self._fresh = self._fresh, []
        if reply.done():
            return
        try:
            self._emit(rows)
        except CartritaError as error:  # the channel is lost, mostly
            reply.set_exception(error)
            return
        if not self._left:
            reply.set_result(None)

    def _emit(self, rows: list[list[Any]]) -> None:
        try:
            self._call.emit(rows)
        except ResourceLimitExceeded as error:
            if len(rows) == 1:
                self._call.emit([[rows[0][0], False, error.to_wire()]])
                return
            for row in rows:
                self._emit([row])
