"""What a run cost, in figures."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cartrita.chaos.agent import effect_of
from cartrita.chaos.load import Told
from cartrita.chaos.plan import Aim
from cartrita.chaos.sink import Tally
from cartrita.chaos.strike import Struck
from cartrita.history import Sample
from cartrita.protocol.task import TaskStatus

SLOW = 0.5
"""Seconds over its work from which on a task counts as interrupted."""


@dataclass(slots=True)
class Toll:
    """Everything that was seen of a run.

    Attributes:
        known: Ids of the tasks that the instance knows, whether or not their clients heard.
        tally: None where the instance has no task with an effect.
        balance: What the run's budget held in the end; None where there was none.
        wrong: What the history checker says.
        overspent: Samples in which a budget had promised more than it holds.
    """

    aim: Aim
    seed: int
    tasks: list[Told]
    struck: list[Struck]
    known: set[str] = field(default_factory=set)
    tally: Tally | None = None
    answers: Counter[str] = field(default_factory=Counter)
    mute: int = 0
    wrong: list[str] = field(default_factory=list)
    overspent: list[str] = field(default_factory=list)
    balance: Sample | None = None
    seconds: float = 0.0


def summary(toll: Toll) -> dict[str, Any]:
    """Return the figures; times are in seconds."""
    aim, tasks = toll.aim, toll.tasks
    ends = Counter(told.outcome.status.value for told in tasks if told.outcome)
    accepted = [told for told in tasks if _accepted(told, toll)]
    return {
        "seed": toll.seed,
        "tasks": len(tasks),
        "rate": aim.rate,
        "seconds": round(toll.seconds, 1),
        "accepted": len(accepted),
        "refused": len(tasks) - len(accepted),
        "ends": dict(sorted(ends.items())),
        "errors": _errors(tasks),
        "lost": len(lost(toll)),
        **_effects(toll),
        "overBudget": len(toll.overspent),
        "budget": _budget(toll),
        "violations": len(toll.wrong),
        "streams": _streams(tasks),
        "answers": dict(sorted(toll.answers.items())),
        "withoutRetryAfter": toll.mute,
        "latency": spread([told.ended - told.came for told in tasks if _ended(told)]),
        "faults": {name: _faults(toll, name) for name in sorted(set(map(_name, toll.struck)))},
    }


def failures(toll: Toll) -> list[str]:
    """Return what must not have happened, in words; nothing when all is well."""
    effects = _effects(toll)
    found = [f"{task_id} was accepted and has no end" for task_id in lost(toll)]
    if not any(_accepted(told, toll) for told in toll.tasks):
        found.append(f"no task was accepted: {_errors(toll.tasks)}")
    if effects["duplicated"]:
        found.append(f"{effects['duplicated']} effects were had twice")
    if effects["missing"]:
        found.append(f"{effects['missing']} tasks completed without their effect")
    found += [f"over budget: {text}" for text in toll.overspent]
    found += [f"{_name(one)} did not heal" for one in toll.struck if one.hit and not one.healed]
    if toll.balance is not None and not _settled(toll, toll.balance):
        found.append(f"the budget was not settled exactly: {_budget(toll)}")
    return found + [f"history: {text}" for text in toll.wrong]


def _errors(tasks: Iterable[Told]) -> dict[str, int]:
    """Return why tasks failed, or were not accepted, and how often."""
    why: Counter[str] = Counter()
    for told in tasks:
        if told.error is not None:
            why[str(told.error.code)] += 1
        elif told.outcome is not None and told.outcome.error_code:
            why[" ".join(filter(None, (told.outcome.error_code, told.outcome.reason)))] += 1
    return dict(sorted(why.items()))


def lost(toll: Toll) -> list[str]:
    """Return the accepted tasks without an end."""
    return [told.task_id for told in toll.tasks if _accepted(told, toll) and not _ended(told)]


def _accepted(told: Told, toll: Toll) -> bool:
    return told.acknowledged or told.task_id in toll.known


def _ended(told: Told) -> bool:
    return told.outcome is not None and told.outcome.status.terminal


def _effects(toll: Toll) -> dict[str, Any]:
    tally = toll.tally
    if tally is None:
        return {"executions": None, "effects": None, "duplicated": None, "missing": None}
    done = [told for told in toll.tasks if _completed(told)]
    return {
        "executions": tally.ran.total(),
        "effects": tally.effects.total(),
        "duplicated": sum(count > 1 for count in tally.effects.values()),
        "missing": sum(effect_of(told.task_id) not in tally.effects for told in done),
    }


def _completed(told: Told) -> bool:
    return told.outcome is not None and told.outcome.status is TaskStatus.COMPLETED


def _budget(toll: Toll) -> dict[str, Any] | None:
    held = toll.balance
    if held is None:
        return None
    return {
        "ceilingNanoUsd": held.ceiling,
        "usedNanoUsd": held.used,
        "reservedNanoUsd": held.reserved,
        "spentNanoUsd": _spent(toll.tasks),
    }


def _settled(toll: Toll, held: Sample) -> bool:
    """Tell whether the budget was charged what its tasks say they cost, and holds no more."""
    return lost(toll) != [] or (held.used == _spent(toll.tasks) and held.reserved == 0)


def _spent(tasks: Iterable[Told]) -> int:
    return sum(round(told.outcome.metrics.cost_usd * 1e9) for told in tasks if told.outcome)


def _streams(tasks: Sequence[Told]) -> dict[str, Any]:
    readings = [told.reading for told in tasks if told.reading]
    return {
        "followed": len(readings),
        "ended": sum(reading.ended for reading in readings),
        "broken": sum(reading.broken for reading in readings),
        "events": sum(len(reading.story) for reading in readings),
    }


def _name(struck: Struck) -> str:
    return f"{struck.fault.kind.value} {struck.fault.action.value}"


def _faults(toll: Toll, name: str) -> dict[str, Any]:
    """Return what one kind of fault cost: to the instance, and to the tasks it met."""
    mine = [one for one in toll.struck if _name(one) == name]
    hit = [one for one in mine if one.hit]
    healed = [one.healed for one in hit if one.healed is not None]
    return {
        "planned": len(mine),
        "hit": len(hit),
        "unhealed": len(hit) - len(healed),
        "repair": spread(healed),
        "recovery": spread([_excess(told) for told in _met(toll.tasks, hit)]),
    }


def _met(tasks: Iterable[Told], hit: Sequence[Struck]) -> list[Told]:
    """Return the tasks that were there when a fault struck, and took longer for it."""
    return [
        told
        for told in tasks
        if _ended(told) and _interrupted(told)
        and any(told.came <= one.at + (one.healed or 0.0) and one.at <= told.ended for one in hit)
    ]  # fmt: skip


def _interrupted(told: Told) -> bool:
    retried = told.outcome is not None and bool(told.outcome.metrics.retry_count)
    return retried or _excess(told) > SLOW


def _excess(told: Told) -> float:
    return max(told.ended - told.came - told.work, 0.0)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return how some times are spread."""
    if not values:
        return {"count": 0, "p50": None, "p99": None, "max": None}
    return {
        "count": len(values),
        "p50": _percentile(values, 50),
        "p99": _percentile(values, 99),
        "max": round(max(values), 3),
    }


def _percentile(values: Sequence[float], which: int) -> float:
    if len(values) == 1:
        return round(values[0], 3)
    return round(statistics.quantiles(values, n=100, method="inclusive")[which - 1], 3)
