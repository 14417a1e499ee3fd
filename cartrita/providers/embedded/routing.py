"""Decides which tool each request of a message is for."""

import re

from cartrita.providers.embedded.intent import (
    MEMORY,
    WRITES,
    Open,
    Smalltalk,
    Step,
    Tools,
    Unmet,
    Use,
)
from cartrita.providers.embedded.rules import Clause, about_text, named, read

MOST_STEPS = 8
"""Requests of one message that are looked at; the rest is reported as not done."""

_SPACE = re.compile(r"\s+")
_SPLIT = re.compile(r"(?<=[?!.;])\s+|\s*;\s*|,?\s+(?:and then|then|and also)\s+|\n+")
_AND = re.compile(r",?\s+and\s+")


def plan(text: str, tools: Tools) -> list[Step]:
    """Return what to do about each request of a message; what no rule reads stays open."""
    whole = about_text(text, tools) or named(text, tools)
    if whole:
        return [whole]
    # The patterns below would take quadratic time over long runs of white space.
    line = _SPACE.sub(lambda run: "\n" if "\n" in run[0] else " ", text)
    clauses = [part.strip() for part in _SPLIT.split(line) if part.strip(" .,;!?")]
    steps: list[Step] = []
    for clause in clauses[:MOST_STEPS]:
        steps += _steps(Clause(clause, steps[-1] if steps else None, tools))
    rest = "; ".join(clauses[MOST_STEPS:])
    if rest:
        steps.append(Unmet(rest, f"only {MOST_STEPS} requests are read from one message"))
    return steps or [Smalltalk(text)]


def _steps(clause: Clause) -> list[Step]:
    """Read one clause, or the two sides of its `and` when each stands alone."""
    step = read(clause)
    if step:
        return [step]
    sides = _AND.split(clause.text, maxsplit=1)
    if len(sides) > 1:
        left = read(Clause(sides[0], clause.before, clause.tools))
        other = Clause(sides[1], left, clause.tools)
        right = read(other) or (Open(other.text, first=False) if other.creative else None)
        if left and right:
            return [left, right]
    return [Open(clause.text, first=clause.before is None)]


def settled(step: Step, tools: Tools) -> Step:
    """Settle an open request by form alone.

    A first question goes to the memory, which quotes or finds nothing. What follows another
    request is never guessed at.
    """
    if not isinstance(step, Open):
        return step
    clause = Clause(step.clause, None, tools)
    if step.first and MEMORY in tools and clause.asks and not clause.creative:
        return Use(step.clause, MEMORY, {"query": step.clause})
    return Unmet(step.clause, WRITES, needs_model=True)
