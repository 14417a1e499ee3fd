"""What is missing of a task's trace. Pure: no clock, no I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.collector import Came
from benchmarks.mixed import CHAT, CHILDREN, TOOL

TASK_ID, ATTEMPTS = "cartrita.task.id", "cartrita.task.attempts"

USES = {CHAT: ("chat bench",), "bench.family": (f"execute_tool {TOOL}",)}
"""What each kind of task uses, at least in its last attempt."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A task that has ended, as its client knows it.

    Attributes:
        trace: The id of the client's own trace.
        outside: The client's span.
        attempts: As the answer tells: 1 and the retries.
        failed: It did not complete.
        between: A supervisor was killed between its start and its end, so that nobody may know
            any more when that got it.
    """

    task_id: str
    kind: str
    trace: str
    outside: str
    attempts: int
    failed: bool
    between: bool = False


def faults(asked: Asked, spans: Mapping[str, Came]) -> list[str]:
    """Return what is missing or wrong in a task's trace: nothing, if it is whole.

    A trace is whole when it has every span of the task's trail, of those of its sub-tasks, and
    of the requests that asked for it, each under the one it belongs to: no span's parent is
    missing but the client's own, which is around the requests only.
    """
    return list(_Look(asked, spans).faults()) if spans else ["nothing came"]


class _Look:
    def __init__(self, asked: Asked, spans: Mapping[str, Came]) -> None:
        self._asked, self._ids, self._spans = asked, spans.keys(), list(spans.values())

    def faults(self) -> Iterator[str]:
        asked = self._asked
        for span in self._spans:
            if span.parent == asked.outside:
                if not span.name.startswith(("POST /v3/", "GET /v3/")):
                    yield f"{_plain(span.name)} is under the client's span"
            elif span.parent not in self._ids:
                yield f"the parent of {_plain(span.name)} is missing"
        mine = [span for span in self._spans if span.attributes.get(TASK_ID) == asked.task_id]
        if len(mine) != 1:
            yield f"the task is told {len(mine)} times"
            return
        (task,) = mine
        if task.failed is not asked.failed:
            yield "the task's span does not say how it ended"
        yield from self._of_task(task, asked.kind, asked.attempts)

    def _of_task(self, task: Came, kind: str, attempts: int) -> Iterator[str]:
        """Return what is missing below a task's span."""
        below = [span for span in self._spans if span.parent == task.id]
        names = [span.name for span in below]
        wanted = ["door", "journal end", *(f"attempt {n + 1}" for n in range(attempts))]
        if not self._asked.between:
            wanted.append("journal admit")
        yield from (f"{_plain(name)} of {kind} is missing" for name in wanted if name not in names)
        if names.count("queue") < attempts:
            yield f"queue of {kind} is missing"
        works: list[Came] = []
        for attempt in (span for span in below if span.name.startswith("attempt ")):
            work = [span for span in self._spans if span.parent == attempt.id]
            works += work
            if [span.name.partition(" ")[0] for span in work] != ["invoke_agent"]:
                yield f"invoke_agent of {kind} is missing"
        if not task.failed:
            yield from self._of_work({work.id for work in works}, kind)

    def _of_work(self, works: set[str], kind: str) -> Iterator[str]:
        """Return what is missing of what a task's attempts used and called for."""
        inside = [span for span in self._spans if span.parent in works]
        for use in USES.get(kind, ()):
            if not any(span.name == use for span in inside):
                yield f"{use} of {kind} is missing"
        for child in CHILDREN if kind == "bench.family" else ():
            found = [span for span in inside if span.name == f"task {child}"]
            if not found:
                yield f"task {child} of {kind} is missing"
            for task in found:
                yield from self._of_task(task, child, task.attributes[ATTEMPTS])


def _plain(name: str) -> str:
    """Return a name without a number, so that equal faults count together."""
    return "attempt" if name.startswith("attempt ") else name
