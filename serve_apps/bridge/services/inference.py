"""v2's inference routes, where the kind of work decides which task runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cartrita.clock import iso
from cartrita.errors import CartritaError, InvalidParameters
from cartrita.telemetry.tally import together
from serve_apps.bridge.answers import Refusal, refusal_of
from serve_apps.bridge.calls import Call, Ran
from serve_apps.bridge.kinds import read_kinds

KINDS = read_kinds()
MOST_TASKS = 100
AT_ONCE = 8
"""Tasks of one batch that run at a time, so that other requests get their turn."""


Run = Callable[..., Awaitable[Ran]]


async def run(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Run the task of a kind of work: `data` is what v2 gave, `result` is the task's."""
    return await _run(call, call.run, params)


async def _run(call: Call, with_: Run, params: dict[str, Any]) -> dict[str, Any]:
    kind = KINDS.find(params.get("kind"))
    asked = {
        "inputs": params.get("inputs"),
        "options": params.get("options") or {},
        "now": iso(call.now),
    }
    preferences = params.get("preferences")
    assert kind.task
    ran = await with_(
        kind.task, kind.parameters(asked), timeout=kind.timeout, preferences=preferences
    )
    told = {"result": ran.result, "task": ran.task}
    return {**told, "kind": kind.name, "taskType": kind.task, "data": kind.gives(asked | told)}


async def batch(call: Call, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Run several, each with a verdict of its own, in order.

    Raises:
        InvalidParameters: They are none, or too many.
    """
    tasks = params.get("tasks")
    if not isinstance(tasks, list) or not 0 < len(tasks) <= MOST_TASKS:
        message = f"must be a list of 1 to {MOST_TASKS} tasks"
        raise InvalidParameters(f"`tasks` {message}.", fields=[("tasks", message)])
    turn = asyncio.Semaphore(AT_ONCE)

    async def verdict(task: Any) -> dict[str, Any]:
        async with turn:
            return await _verdict(call, task)

    return list(await asyncio.gather(*map(verdict, tasks)))


async def _verdict(call: Call, task: Any) -> dict[str, Any]:
    asked = task if isinstance(task, dict) else {}
    name = asked.get("taskType") or asked.get("task")
    try:
        inputs = asked.get("inputs") or asked.get("input") or asked
        params = {"kind": name, "inputs": inputs, "options": asked.get("options")}
        ran = await _run(call, call.ran, params)
    except Refusal as refusal:
        return {"taskType": name, **refusal.body}
    except CartritaError as error:
        return {"taskType": name, **refusal_of(error).body}
    return {"success": True, "taskType": name, "taskId": ran["task"]["id"], "result": ran["data"]}


async def counted(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Return what this node's counters say of the tasks that do v2's kinds of work."""
    tallies = await call.desk.tallies.get()
    ours = {name: one for name, one in tallies.items() if name in KINDS.tasks}
    found = together(ours.values())
    seconds = found.mean_seconds
    return {
        "total": found.ended,
        "completed": found.completed,
        "failed": found.failed,
        "success": found.success,
        "cacheHits": found.given,
        "cacheMisses": found.missed,
        "averageLatency": None if seconds is None else round(seconds * 1000, 3),
        "byTask": {name: one.ended for name, one in ours.items()},
        "uptime": round(call.now - call.gate.started_at, 3),
        "groups": len(KINDS.groups),
    }


async def clear_answers(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Erase the tenant's answers that would be given again."""
    return await call.gate.answers.erase(f"tenant:{call.person.tenant}", call.person)


async def listed(_call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Return the kinds of work there are, those that run now first of all."""
    able = [kind for kind in KINDS.kinds if kind.task]
    return {
        "tasks": [kind.name for kind in able],
        "names": sorted(name for kind in able for name in (kind.name, *kind.also)),
        "later": [{"task": kind.name, "needs": kind.later} for kind in KINDS.kinds if kind.later],
        "categories": KINDS.groups,
        "agents": sorted({kind.task.rpartition(".")[0] for kind in able if kind.task}),
    }
