"""Whose end a cancellation is."""

import asyncio


def told_to_end() -> bool:
    """Tell whether somebody cancelled this task, rather than something it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
