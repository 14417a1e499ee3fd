"""What the attempts at a live task have used, as far as its supervisor heard of it."""

from typing import Any

from actors.cell import Cell
from cartrita.charges import charged
from cartrita.cost.budget import CACHE_HIT, MODEL_USED, Bill, itemised
from cartrita.journal import NOTHING, Settlement
from cartrita.protocol.task import TaskStatus


def note(cell: Cell, kind: str, data: Any) -> None:
    """Count what the present attempt used."""
    if kind != MODEL_USED:
        return
    nano_usd, tokens = data["nanoUsd"], data["tokensIn"] + data["tokensOut"]
    cell.noted = (cell.noted[0] + nano_usd, cell.noted[1] + tokens)
    cell.metered = cell.metered or {}
    calls, usd, count = cell.metered.get(data["model"], (0, 0, 0))
    cell.metered[data["model"]] = (calls + 1, usd + nano_usd, count + tokens)


def told(cell: Cell, outcome: dict[str, Any] | None) -> dict[str, Any] | None:
    """Charge an attempt that is over for what it used, where it did not tell that itself.

    Its host died, or it was ended before it could answer: what it had used is paid for, and the
    rest of what was reserved is free again.

    Args:
        cell: The task.
        outcome: Of the attempt; None when another will follow.
    """
    (nano_usd, tokens), cell.noted = cell.noted, (0, 0)
    if not (nano_usd or tokens) or (outcome is not None and "metrics" in outcome):
        return outcome
    usd = nano_usd / 10**9
    if outcome is None:
        cell.spent = (cell.spent[0] + usd, cell.spent[1] + tokens)
        return None
    return {**outcome, "metrics": {"costUsd": usd, "tokensUsed": tokens}}


def settled(cell: Cell, response: dict[str, Any]) -> Settlement | None:
    """Return what a task is charged; None where neither a budget nor the usage knows of it."""
    record, used, metrics = cell.record, Settlement.of(response), response["metrics"]
    cached = bool(metrics["customMetrics"].get(CACHE_HIT))
    if used == NOTHING and not cached:
        return used if charged(record) else None
    cached = cached and response["status"] == TaskStatus.COMPLETED
    total, model = (used.nano_usd, used.tokens), metrics.get("modelUsed") or ""
    lines = itemised(cell.metered or {}, total, model, cached=cached)
    who = record.principal
    bill = Bill(who.user, who.tenant, cell.agent, record.task_type, lines)
    return Settlement(used.nano_usd, used.tokens, bill)
