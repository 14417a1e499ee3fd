"""Finds what must not be in the recorded histories of tasks.

A *story* is one recording of one task: its events as one client saw them, from the first on,
in the order in which they came, or its events in the journal, in the order of their steps.
Several clients' stories of one task may be given, and the journal's with them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from cartrita.clock import iso
from cartrita.errors import InvalidParameters
from cartrita.journal import ATTEMPT_SHIFT, END_STEP, Event, EventKind
from cartrita.story import QUEUED_STEP, SAID, STARTED, TYPE_OF, narrate, step_of

Seen = Mapping[str, Any]
"""An event as clients see it: `{cursor, taskId, attempt, type, at, data}`."""

Story = Sequence[Seen] | Sequence[Event]

ENDS = frozenset(TYPE_OF.values())

_WITHIN = (1 << ATTEMPT_SHIFT) - 1


class _Line(NamedTuple):
    step: int
    type: str
    at: str
    data: Any

    @property
    def attempt(self) -> int:
        return self.step >> ATTEMPT_SHIFT


def violations(
    stories: Iterable[Story],
    *,
    answers: Iterable[Mapping[str, Any]] = (),
    accepted: Iterable[str] = (),
) -> list[str]:
    """Return what is wrong with some histories; nothing when all is well.

    Args:
        stories: Recordings, of any number of tasks, each read to its end.
        answers: TaskResponses that clients were given. Those of tasks that had not ended are
            passed over.
        accepted: Ids of tasks that clients were told are accepted: each must have a story.
    """
    wrong: list[str] = []
    tasks: dict[str, list[list[_Line]]] = {}
    for story in stories:
        if not story:
            continue
        task_id, lines, odd = _read(story)
        wrong += [f"{task_id}: {what}" for what in (*odd, *_walk(lines))]
        tasks.setdefault(task_id, []).append(lines)
    ends = _ends(answers)
    for task_id, told in tasks.items():
        wrong += [f"{task_id}: {what}" for what in _disagreements(told)]
        for lines in told:
            ends.setdefault(task_id, []).extend(x.data for x in lines if x.type in ENDS)
    wrong += [f"{task_id}: is answered in two ways" for task_id in ends if _differ(ends[task_id])]
    wrong += [f"{one}: was accepted and has no story" for one in accepted if one not in tasks]
    return wrong


def _ends(answers: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the answers that tell of an end, by task."""
    found: dict[str, list[Any]] = {}
    for answer in answers:
        if str(answer["status"]).lower() in ENDS:
            found.setdefault(answer["taskId"], []).append(answer)
    return found


def _differ(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values[1:])


def _read(story: Story) -> tuple[str, list[_Line], list[str]]:
    """Return whose story it is, its lines, and what is wrong with how it is written."""
    events = [one for one in story if isinstance(one, Event)]
    if events:
        lines = [_Line(x.step, x.type, iso(x.at), x.data) for x in narrate(events)]
        return events[0].task_id, lines, list(_rows(events))
    seen = [one for one in story if not isinstance(one, Event)]
    task_id, odd, lines = str(seen[0]["taskId"]), [], []
    for one in seen:
        try:
            line = _Line(step_of(one["cursor"]), one["type"], one["at"], one["data"])
        except InvalidParameters:
            odd.append(f"{one['cursor']!r} is no cursor")
            continue
        lines.append(line)
        if one["taskId"] != task_id:
            odd.append(f"an event of {one['taskId']} among its own, at {one['cursor']}")
        if one["attempt"] != (None if line.step == END_STEP else line.attempt):
            odd.append(f"attempt {one['attempt']} is named at {one['cursor']}")
    return task_id, lines, odd


def _rows(events: Sequence[Event]) -> Iterator[str]:
    """Find what is wrong with the rows of a task in the journal, before they are told."""
    if events[0].kind is not EventKind.ACCEPTED:
        yield "its first row is not its acceptance"
    for earlier, later in pairwise(events):
        if later.step <= earlier.step:
            yield f"row {later.step:x} after row {earlier.step:x}"
        if later.epoch < earlier.epoch:
            yield f"row {later.step:x} is of epoch {later.epoch}, after {earlier.epoch}"
        if later.kind.terminal != (later.step == END_STEP):
            yield f"{later.kind.name} at row {later.step:x}"


@dataclass(slots=True)
class _Reader:
    """One who reads a story line by line and knows what may come next."""

    step: int = -1
    type: str = ""
    ended: bool = False
    wrong: list[str] = field(default_factory=list)

    def read(self, line: _Line) -> None:
        """Take the next line."""
        if self.ended:
            again = "ends again" if line.type in ENDS else "goes on after its end"
            self.wrong.append(f"{again}, with {_name(line)}")
        elif line.step <= self.step:
            self.wrong.append(self._backwards(line))
        else:
            self._forwards(line)
            self.step, self.type = line.step, line.type
        self.ended = self.ended or line.type in ENDS

    def _backwards(self, line: _Line) -> str:
        if line.step == self.step:
            return f"repeats {_name(line)}"
        if line.attempt < self.step >> ATTEMPT_SHIFT:
            return f"tells {_name(line)} of a dead attempt after the reset"
        return f"tells {_name(line)} out of order"

    def _forwards(self, line: _Line) -> None:
        begins = self._begins(line)
        if not _fits(line):
            self.wrong.append(f"tells {_name(line)}, where that cannot be")
        elif line.type == "completed" and self.step <= QUEUED_STEP:
            self.wrong.append("completes without a start")
        elif not begins and self.type == "retry" and line.step != END_STEP:
            self.wrong.append(f"goes on with {_name(line)} after the retry")
        elif begins and line.attempt > 1 and line.type != "reset":
            self.wrong.append(f"begins attempt {line.attempt} with {_name(line)}, not a reset")
        elif not self._follows(line, begins=begins):
            self.wrong.append(f"leaves a gap before {_name(line)}")

    def _begins(self, line: _Line) -> bool:
        """Tell whether a line is the first of its attempt."""
        return line.step != END_STEP and line.attempt > max(self.step >> ATTEMPT_SHIFT, 0)

    def _follows(self, line: _Line, *, begins: bool) -> bool:
        """Tell whether nothing is missing before a line."""
        ready = self.step >= QUEUED_STEP and self.type != "reset"
        if begins:  # attempts may be missing: those that nobody heard of
            return ready and line.type == ("started" if line.attempt == 1 else "reset")
        return ready if line.step == END_STEP else line.step == self.step + 1


def _fits(line: _Line) -> bool:
    """Tell whether a type may stand at its place."""
    if line.step == END_STEP:
        status = line.data.get("status") if isinstance(line.data, Mapping) else None
        return line.type in ENDS and status in (None, line.type.upper())
    if line.attempt == 0:
        return line.type == ("accepted", "queued", "")[min(line.step, 2)]
    place = line.step & _WITHIN
    if place <= STARTED:
        return line.type == ("reset", "started")[place]
    return line.type in SAID or line.type == "retry"


def _name(line: _Line) -> str:
    return f"{line.type!r} at {line.attempt}.{line.step & _WITHIN}"


def _walk(lines: Iterable[_Line]) -> list[str]:
    """Read a story from its first line to its last."""
    reader = _Reader()
    for line in lines:
        reader.read(line)
    if not reader.ended:
        reader.wrong.append("has no end")
    return reader.wrong


def _disagreements(told: Sequence[list[_Line]]) -> Iterator[str]:
    """Find where two recordings of one task do not tell the same.

    What an agent said last in an attempt that its supervisor did not survive may be known to
    those who had heard it by then, and to nobody else.
    """
    if len(told) == 1:
        return
    known: dict[int, _Line] = {}
    for line in (line for lines in told for line in lines):
        held = known.setdefault(line.step, line)
        if held != line:
            yield f"{_name(line)} is told in two ways"
    whole = _whole(known)
    for number, lines in enumerate(told):
        steps = {line.step for line in lines}
        missing = [known[step] for step in sorted(known.keys() - steps)]
        must = [line for line in missing if line.type not in SAID or line.attempt in whole]
        if must:
            yield f"{_name(must[0])} and {len(must) - 1} more are missing in story {number}"


def _whole(known: Mapping[int, _Line]) -> set[int]:
    """Return the attempts whose every word was durable before what came next was told."""
    lines = [known[step] for step in sorted(known)]
    whole = {line.attempt for line in lines if line.type == "retry"}
    if lines[-1].type == "completed" and len(lines) > 1:
        whole.add(lines[-2].attempt)
    return whole


@dataclass(frozen=True, slots=True)
class Sample:
    """What a budget's counters said at a moment.

    Attributes:
        budget: Such as `user:0192…`.
        ceiling: None for no limit. All three are in one unit: nano-USD or tokens.
    """

    budget: str
    ceiling: int | None
    used: int
    reserved: int


def overspent(samples: Iterable[Sample]) -> list[str]:
    """Return the samples in which a budget had promised more than it holds."""
    wrong = []
    for one in samples:
        if one.used < 0 or one.reserved < 0:
            wrong.append(f"{one.budget}: {one.used} used and {one.reserved} reserved")
        elif one.ceiling is not None and one.used + one.reserved > one.ceiling:
            wrong.append(
                f"{one.budget}: {one.used} used and {one.reserved} reserved of {one.ceiling}"
            )
    return wrong
