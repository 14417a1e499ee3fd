"""Counts in plain memory, and writes to the files that a node's processes share in steps.

Of what counting costs, the write to such a file is the most.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, ClassVar

EVERY = 0.25
"""Seconds between two steps: a process that is killed takes as much of its counts along."""


class Steps:
    """The values that have changed since the last step, and the thread that writes them.

    Args:
        every: Seconds between two steps.
    """

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._values: list[StepValue] = []
        self._begin()
        os.register_at_fork(after_in_child=self._forked)

    def _begin(self) -> None:
        self.lock, self._due = threading.Lock(), threading.Event()
        self._changed: list[StepValue] = []
        self._thread: threading.Thread | None = None

    def _forked(self) -> None:
        """Begin anew in a child, whose parent writes what was counted there."""
        self._begin()
        for value in self._values:
            value.forget()

    def know(self, value: "StepValue") -> None:
        """Take a value in."""
        with self.lock:
            self._values.append(value)

    def changed(self, value: "StepValue") -> None:
        """Have a value written with the next step; the caller holds the lock."""
        self._changed.append(value)
        if len(self._changed) > 1:
            return
        self._due.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        pause = threading.Event()
        while self._due.wait():
            pause.wait(self._every)
            self.write()

    def write(self) -> None:
        """Write what has changed, now."""
        with self.lock:
            self._due.clear()
            changed, self._changed = self._changed, []
            for value in changed:
                value.write()


class StepValue:
    """A float that is written in steps; `prometheus_client` calls it as it calls its own.

    Attributes:
        steps: When.
        library: Makes the library's own, which writes each change at once.
    """

    _multiprocess = True
    steps: ClassVar[Steps]
    library: ClassVar[Callable[..., Any]]

    def __init__(self, *described: Any, **options: Any) -> None:
        self._written = self.library(*described, **options)
        self._value: float = self._written.get()
        self._at: float | None = None
        self._waits = False
        self.steps.know(self)

    def inc(self, amount: float) -> None:
        """Add to it."""
        with self.steps.lock:
            self._value += amount
            self._at = None
            if not self._waits:
                self._waits = True
                self.steps.changed(self)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Have it be another."""
        with self.steps.lock:
            self._value, self._at = value, timestamp
            if not self._waits:
                self._waits = True
                self.steps.changed(self)

    def get(self) -> float:
        """Return it."""
        return self._value

    def write(self) -> None:
        """Write it, in a step."""
        self._waits = False
        self._written.set(self._value, self._at)

    def forget(self) -> None:
        """Begin anew."""
        self._value, self._at, self._waits = 0.0, None, False

    def set_exemplar(self, _exemplar: Any) -> None:
        """Do nothing: there are none over several processes."""

    def get_exemplar(self) -> None:
        """Return none."""


def in_steps(library: Callable[..., Any], steps: Steps) -> type[StepValue]:
    """Return a class of values that are written with these steps, by the library's own."""
    return type("Value", (StepValue,), {"steps": steps, "library": staticmethod(library)})
