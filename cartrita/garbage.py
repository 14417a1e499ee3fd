"""Has Python look for garbage less often than it would by itself."""

import gc

NEW_OBJECTS = 10_000
"""How many more objects there are when it looks again; Python's own 700 are fewer than the
requests under way have together, so that a tenth of a gateway's time went into looking."""


def look_rarely() -> None:
    """Have this process look rarely; what no cycle holds is freed at once in any case."""
    _, *older = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, *older)


def leave_alone() -> None:
    """Have it never look again at what there is now: modules, classes, what a process began with.

    A hundred thousand objects, which take some 40 ms to look at, again and again under load.
    """
    gc.collect()
    gc.freeze()
