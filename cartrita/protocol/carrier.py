"""Which built-in task does the work of a task type that no class declares."""

from typing import NamedTuple


class Carrier(NamedTuple):
    """How a task of an external agent is carried out.

    Attributes:
        task: The built-in task that calls the agent.
        agent: Whose work it is; its tasks wait in a line of their own.
        most: Tasks of that agent that a shard runs at a time.
        safe: Running one again does no harm.
    """

    task: str
    agent: str
    most: int
    safe: bool
