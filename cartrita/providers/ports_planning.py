"""What agents that plan are told by the settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planning:
    """How plans are made.

    Attributes:
        replans: How often one is changed because a step failed.
    """

    replans: int = 2
