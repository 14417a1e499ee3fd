"""Histories that are as they should be, drawn at random."""

from itertools import count

from hypothesis import strategies as st

from cartrita.clock import iso
from cartrita.journal import Event, EventKind
from cartrita.protocol.task import TaskStatus
from cartrita.story import narrate, to_wire
from tests.support.records import end, record

ENDS = [status for status in TaskStatus if status.terminal]


def seen(events):
    """Return a journal's story as a client sees it."""
    return [to_wire(events[0].task_id, e, iso(e.at)) for e in narrate(events)]


@st.composite
def journals(draw, most=3, statuses=ENDS):
    """Draw the events of a task that ran in a number of attempts, as the journal has them."""
    task, places, at = record(), count(1), count(1)
    epoch = 1

    def written(attempt, kind, data=None, place=None):
        place = next(places) if place is None else place
        event = Event.within(task.task_id, attempt, place, kind, data)
        return Event(event.task_id, event.step, kind, data, float(next(at)), "s/0", epoch)

    story = [Event(task.task_id, 0, EventKind.ACCEPTED, task.to_wire(), 0.0, "s/0", epoch)]
    attempts = draw(st.integers(0, most))
    for attempt in range(1, attempts + 1):
        places = count(1)
        story.append(written(attempt, EventKind.STARTED))
        for size in draw(st.lists(st.integers(1, 3), max_size=3)):
            rows = [
                [attempt << 32 | next(places), "token", float(next(at)), {"text": f"{n}"}]
                for n in range(size)
            ]
            story.append(written(attempt, EventKind.STREAM, rows, rows[0][0] & 0xFFFFFFFF))
        if attempt < attempts and draw(st.booleans()):
            story.append(written(attempt, EventKind.RETRY, {"solo": draw(st.booleans())}))
        elif attempt < attempts:
            epoch += 1
    status = draw(st.sampled_from(statuses if attempts else [TaskStatus.FAILED]))
    metrics = {"retryCount": max(attempts - 1, 0), "processingTimeMs": float(attempts > 0)}
    last = end(task, status, metrics=metrics)
    return [*story, Event(last.task_id, last.step, last.kind, last.data, 99.0, "s/0", epoch)]
