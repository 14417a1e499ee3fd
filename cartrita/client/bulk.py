"""Many tasks at once and lists of tasks, without any I/O."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack

from pydantic import ConfigDict

from cartrita.client import calls
from cartrita.client.calls import Parameters, Submission, TaskOptions, aware
from cartrita.client.exchange import Exchange
from cartrita.client.models import TaskOutcome
from cartrita.client.patience import Patience, passing
from cartrita.client.problems import read, told
from cartrita.client.steps import Call, Flow
from cartrita.errors import (
    CartritaError,
    InsufficientBudget,
    InternalFailure,
    InvalidMessage,
    InvalidParameters,
    ResourceLimitExceeded,
)
from cartrita.protocol.task import TaskStatus
from cartrita.protocol.wire import WireModel

MOST_TASKS = 1000
"""Tasks of one call, as the server allows."""

MOST_BYTES = 512 * 1024
"""Bytes of one call, half of what a server takes by default; one task may be larger."""

AT_ONCE = 200
"""Tasks of a batch that are under way at a time."""

LOOK = 20.0
"""Seconds one look at a task waits for its end."""

LONGEST_PAGE = 200
"""Rows of one page, as the server allows."""

Asked = (
    Submission
    | CartritaError
    | tuple[str, Parameters | None]
    | tuple[str, Parameters | None, TaskOptions]
)
"""A task of a batch: its type, its parameters, and what else there is to say. An error in the
place of a task is what became of it."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one task of a batch.

    Attributes:
        place: Where it stands in what was asked, from 0.
        task_id: None when it was refused before it had one.
        outcome: How it ended; None when it was not accepted.
        error: Why it was not accepted.
    """

    place: int
    task_id: str | None
    outcome: TaskOutcome | None = None
    error: CartritaError | None = None

    @property
    def completed(self) -> bool:
        """Whether it has a result."""
        return self.outcome is not None and self.outcome.status is TaskStatus.COMPLETED

    def unwrap(self) -> dict[str, Any]:
        """Return the result of a completed task; raises as `TaskOutcome.unwrap` does."""
        if self.outcome is None:
            raise self.error or InternalFailure("There is no outcome.")
        return self.outcome.unwrap()


class Filters(TypedDict, total=False):
    """Which tasks are listed.

    Attributes:
        status: Any of these.
        since: Accepted then or later. It needs a time zone.
        until: Accepted before then. It needs a time zone.
        user: Whose, by id; for administrators.
    """

    status: Iterable[TaskStatus | str]
    task_type: str
    session_id: str
    since: datetime
    until: datetime
    user: str


class ListedTask(WireModel):
    """One row of a list of tasks; what it gave is in its outcome."""

    model_config = ConfigDict(extra="ignore")

    task_id: str
    task_type: str
    status: TaskStatus
    priority: int
    user: str
    tenant: str
    session_id: str | None = None
    accepted_at: datetime
    finished_at: datetime | None = None
    error_code: str | None = None
    reason: str | None = None
    cost_usd: float = 0.0
    tokens_used: int = 0
    parent: str | None = None
    retry_of: str | None = None


class TaskPage(WireModel):
    """A page of a list; `next` is the cursor of the page behind it, if there may be one."""

    model_config = ConfigDict(extra="ignore")

    tasks: list[ListedTask]
    next: str | None = None


class _Verdict(WireModel):
    model_config = ConfigDict(extra="ignore")

    accepted: bool
    problem: dict[str, Any] | None = None


class _Verdicts(WireModel):
    model_config = ConfigDict(extra="ignore")

    results: list[_Verdict]


@dataclass(frozen=True, slots=True)
class Entry:
    """A task of a batch that is under way."""

    place: int
    task: Submission

    def ended(self, outcome: TaskOutcome) -> BatchResult:
        """Return what became of it."""
        return BatchResult(self.place, self.task.task_id, outcome)

    def refused(self, error: CartritaError) -> BatchResult:
        """Return that it was not accepted."""
        return BatchResult(self.place, self.task.task_id, error=error)


def entry_of(place: int, asked: Asked) -> Entry | BatchResult:
    """Return a task as it is handed in; a result when it cannot be."""
    try:
        return Entry(place, _submission(asked))
    except CartritaError as error:
        return BatchResult(place, None, error=error)


def _submission(asked: Asked) -> Submission:
    if isinstance(asked, CartritaError):
        raise asked
    if isinstance(asked, tuple):
        options: TaskOptions = asked[2] if len(asked) > 2 else {}  # noqa: PLR2004
        asked = calls.submission(asked[0], asked[1], options)
    if asked.headers:
        wrong = [(name, "is not for a task of a batch") for name in asked.headers]
        raise InvalidParameters("A task of a batch has a task_id instead.", None, wrong)
    return asked


class Offers:
    """Tasks that wait to be accepted.

    Args:
        patience: Begins anew whenever the server accepts one.
    """

    def __init__(self, patience: Patience) -> None:
        self._waiting = deque[Entry]()
        self._patience = patience

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, entry: Entry) -> None:
        """Put a task to the others."""
        self._waiting.append(entry)

    def take(self) -> list[Entry]:
        """Return the tasks of the next call."""
        chunk: list[Entry] = []
        size = 0
        while self._waiting and len(chunk) < MOST_TASKS:
            size += len(self._waiting[0].task.body)
            if chunk and size > MOST_BYTES:
                break
            chunk.append(self._waiting.popleft())
        return chunk

    def hear(
        self, chunk: Sequence[Entry], verdicts: Sequence[CartritaError | None]
    ) -> tuple[list[Entry], list[BatchResult], float]:
        """Return which tasks are accepted, which refused, and the seconds to wait.

        Those for which there was no room wait again, in their old places.

        Raises:
            CartritaError: There was no room for too long, or the budget is used up.
        """
        accepted: list[Entry] = []
        refused: list[BatchResult] = []
        later: list[tuple[Entry, CartritaError]] = []
        for entry, error in zip(chunk, verdicts, strict=True):
            if error is None:
                accepted.append(entry)
            elif isinstance(error, InsufficientBudget) and error.retry_after is not None:
                raise error
            elif passing(error, repeatable=True):
                later.append((entry, error))
            else:
                refused.append(entry.refused(error))
        if accepted:
            self._patience.succeeded()
        self._waiting.extendleft(entry for entry, _ in reversed(later))
        return accepted, refused, self._pause([error for _, error in later])

    def _pause(self, errors: list[CartritaError]) -> float:
        if not errors:
            return 0.0
        soonest = min(errors, key=lambda error: error.retry_after or 0.0)
        return self._patience.after(soonest, repeatable=True).seconds


def offer(exchange: Exchange, tasks: Sequence[Submission]) -> Flow[list[CartritaError | None]]:
    """Hand tasks in; tell of each why it was not accepted, or None.

    A call that is refused as a whole is made again in halves, until that is one task's matter.
    """
    body = b'{"tasks":[' + b",".join(task.body for task in tasks) + b"]}"
    call = Call("POST", "/v3/tasks/batch", body, timeout=calls.SILENCE)
    try:
        answer = read(_Verdicts, (yield from exchange.ask(call)))
    except (ResourceLimitExceeded, InvalidMessage, InvalidParameters) as error:
        if len(tasks) == 1:
            return [_alone(error)]
        half = len(tasks) // 2
        first = yield from offer(exchange, tasks[:half])
        return first + (yield from offer(exchange, tasks[half:]))
    if len(answer.results) != len(tasks):
        raise InternalFailure("The answer is no verdict on every task of the batch.")
    return [_error(verdict) for verdict in answer.results]


def _alone(error: CartritaError) -> CartritaError:
    fields = [(field.removeprefix("tasks.0."), message) for field, message in error.fields]
    return type(error)(error.message, error.reason, fields, error.retry_after)


def _error(verdict: _Verdict) -> CartritaError | None:
    if verdict.accepted:
        return None
    problem = verdict.problem or {}
    after = problem.get("retryAfter")
    return told(problem, after if isinstance(after, int | float) else None)


def look(exchange: Exchange, task_id: str, wait: float) -> Flow[TaskOutcome]:
    """Look at a task, waiting a while for its end."""
    return read(TaskOutcome, (yield from exchange.ask(calls.look(task_id, wait))))


def page(exchange: Exchange, filters: Filters, limit: int, cursor: str | None) -> Flow[TaskPage]:
    """Read a page of a list."""
    query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {}) | _query(**filters)
    return read(TaskPage, (yield from exchange.ask(Call("GET", "/v3/tasks", query=query))))


def _query(**filters: Unpack[Filters]) -> dict[str, str]:
    named: dict[str, str | None] = {
        "status": ",".join(map(str, filters["status"])) if "status" in filters else None,
        "taskType": filters.get("task_type"),
        "sessionId": filters.get("session_id"),
        "since": aware("since", filters.get("since")),
        "until": aware("until", filters.get("until")),
        "user": filters.get("user"),
    }
    return {name: text for name, text in named.items() if text}
