"""Operators' commands carried out on the whole tree, remembered, and audited."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from actors.commands import MOST_SHARDS, TREE, Aim, Command, agent_of, aim, scaled
from actors.hosting import shard_name
from actors.orchestrator import Orchestrator, Plan
from cartrita.catalog import Catalog
from cartrita.clock import Clock
from cartrita.declare import TEAMS, Team
from cartrita.errors import (
    CartritaError,
    InternalFailure,
    InvalidParameters,
    NotFound,
    ServiceUnavailable,
)
from cartrita.storage.runtime import Audit, AuditEntry, Orders
from cartrita.telemetry import log as logs
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

PLAN, HALTED, CONFIG = "plan", "halted", "config:"
MOST_HOSTS = 256
START_TIMEOUT = 120.0
PAUSE = 1.0
"""Seconds between tries to write down what is not ordered any more."""


class Operations:
    """What an operator may do to a tree.

    Args:
        orchestrator: The tree's.
        orders: Where what was ordered outlives the orchestrator.
        audit: Where each command is noted.
        catalog: Knows the agents.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        orders: Orders,
        audit: Audit,
        catalog: Catalog,
        clock: Clock,
    ) -> None:
        self._orchestrator, self._orders, self._audit = orchestrator, orders, audit
        self._catalog, self._clock = catalog, clock
        self._lock = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self, shards: Mapping[Team, int]) -> None:
        """Start what was ordered before, else `shards` of each team.

        Shards beyond that which still own tasks are started too, to finish them.
        """
        orders = await self._orders.all()
        self._log_from(orders.get(f"{CONFIG}{TREE}", {}).get("logLevel", ""))
        kept = orders.get(PLAN, {})
        counts = {team: kept.get("counts", {}).get(team, shards.get(team, 1)) for team in TEAMS}
        plan = Plan(counts, set(kept.get("leaving", ())), set(kept.get("held", ())))
        plan.leaving |= set(await self._orders.busy_shards()) - set(plan.shards()) - plan.held
        await self._orchestrator.start(plan, START_TIMEOUT)
        for shard in list(plan.leaving):
            self._retire(shard)

    def _retire(self, shard: str) -> None:
        async def retire() -> None:
            await self._orchestrator.retire(shard)
            while True:
                try:
                    return await self._remember("orchestrator")
                except ServiceUnavailable:  # what stands there until then starts it once more
                    await asyncio.sleep(PAUSE)

        task = asyncio.create_task(retire(), name=f"retire {shard}")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _remember(self, by: str) -> None:
        plan = self._orchestrator.plan
        kept = {**asdict(plan), "leaving": sorted(plan.leaving), "held": sorted(plan.held)}
        await self._orders.put(PLAN, kept, by)

    async def carry_out(self, command: Command) -> dict[str, Any]:
        """Do what an operator orders and note it, whether or not it succeeds.

        Raises:
            CartritaError: It cannot be done; the class says why.
        """
        outcome = "failed"
        try:
            async with self._lock:  # one at a time: they change one plan
                results = await self._do(command)
            outcome = "done" if all(result["ok"] for result in results) else "partly done"
        except CartritaError as error:
            outcome = f"refused: {error.code.value}"
            raise
        finally:
            log.info("command", name=command.name, target=command.target, outcome=outcome)
            detail = dict(command.arguments)
            entry = AuditEntry(
                self._clock.now(), command.by, command.name, command.target, outcome, detail
            )
            await self._audit.note(entry)
        return {"command": command.name, "target": command.target, "results": results}

    async def _do(self, command: Command) -> list[dict[str, Any]]:
        goal = self._aim(command.target)
        match command.name:
            case "SCALE_UP" | "SCALE_DOWN":
                return await self._scale(command, goal)
            case "CONFIG_UPDATE":
                return await self._configure(command, goal)
            case "SHUTDOWN" if goal.part is None:
                return await self._shut_down(command, goal)
            case "RESTART" if goal.part is None:
                return await self._restart(command, goal)
            case "EMERGENCY_STOP" if goal.part is None:
                await self._halt(goal, command.by)
        return await self._tell(command.name, goal, command.arguments)

    def _aim(self, target: str) -> Aim:
        shards = [*self._orchestrator.plan.shards(), *sorted(self._orchestrator.plan.held)]
        return aim(target, shards, self._catalog)

    async def _tell(
        self, verb: str, goal: Aim, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Have every shard concerned do something, all at once."""
        tellings = (self._tell_one(verb, shard, goal.part, arguments) for shard in goal.shards)
        return list(await asyncio.gather(*tellings))

    async def _tell_one(
        self, verb: str, shard: str, part: str | None, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        name = {"id": shard if part is None else part, "supervisor": shard}
        handle = self._orchestrator.handle(shard)
        if handle is None:
            return {**name, "ok": False, "error": "It is not running."}
        try:
            return {**name, **await handle.command(verb, part, dict(arguments))}
        except (InternalFailure, ServiceUnavailable) as error:
            return {**name, "ok": False, "error": error.message}

    async def _scale(self, command: Command, goal: Aim) -> list[dict[str, Any]]:
        if command.target.startswith("agent:"):
            return await self._scale_agent(command, goal)
        if goal.team is None:
            raise InvalidParameters(
                "A team or an agent can be scaled.",
                fields=[("target", "names neither a team nor 'agent:NAME'")],
            )
        plan = self._orchestrator.plan
        now = plan.counts[goal.team]
        after = scaled(command, now, least=1, most=MOST_SHARDS)
        gone = {shard_name(goal.team, number) for number in range(after, now)}
        back = plan.leaving & {shard_name(goal.team, number) for number in range(after)}
        plan.counts[goal.team] = after
        plan.leaving = (plan.leaving | gone) - back
        await self._remember(command.by)
        self._orchestrator.follow_plan()
        for shard in sorted(gone):
            self._retire(shard)
        for shard in sorted(back):
            await self._tell_one("REOPEN", shard, None, {})
        try:
            await self._orchestrator.settled(START_TIMEOUT)
        except TimeoutError:
            return [{"id": goal.team, "ok": False, "shards": after, "error": "Not all are up yet."}]
        return [{"id": goal.team, "ok": True, "shards": after, "draining": sorted(gone)}]

    async def _scale_agent(self, command: Command, goal: Aim) -> list[dict[str, Any]]:
        """Change how many hosts an agent has at least; fewer also means at most."""
        agent = agent_of(command.target, self._catalog)
        kept = (await self._orders.all()).get(CONFIG + command.target, {})
        pool = kept.get("pool") or {"least": agent.pool[0], "most": agent.pool[1]}
        now = pool["most"] if command.name == "SCALE_DOWN" else pool["least"]
        after = scaled(command, now, least=0, most=MOST_HOSTS)
        if command.name == "SCALE_UP":
            pool = {"least": after, "most": max(after, pool["most"])}
        else:
            pool = {"least": min(after, pool["least"]), "most": max(after, 1)}
        await self._orders.put(CONFIG + command.target, {**kept, "pool": pool}, command.by)
        return await self._tell("SCALE", goal, pool)

    async def _configure(self, command: Command, goal: Aim) -> list[dict[str, Any]]:
        arguments = dict(command.arguments)
        if goal.part is None and (arguments.get("pool") or arguments.get("concurrency")):
            raise InvalidParameters(
                "'pool' and 'concurrency' are an agent's.",
                fields=[("target", "must be 'agent:NAME' for 'pool' and 'concurrency'")],
            )
        told = await self._tell(command.name, goal, arguments)
        kept = await self._orders.all()
        mine = {**kept.get(CONFIG + command.target, {}), **arguments}
        await self._orders.put(CONFIG + command.target, mine, command.by)
        if arguments.get("logLevel"):
            await self._outdo(kept, command, goal)
            if command.target == TREE:
                self._log_from(arguments["logLevel"])
        return told

    def _log_from(self, level: str) -> None:
        """Log from the level that was ordered for the whole tree; gateways are told, too."""
        self._orchestrator.log_level = level
        logs.heed(level)

    async def _outdo(self, kept: Mapping[str, Any], command: Command, goal: Aim) -> None:
        """Forget the levels that were ordered before for parts of what one is ordered for now."""
        for key, order in kept.items():
            target = key.removeprefix(CONFIG)
            if not key.startswith(CONFIG) or target == command.target or goal.part is not None:
                continue
            if "logLevel" in order and self._within(target, goal):
                rest = {name: value for name, value in order.items() if name != "logLevel"}
                await self._orders.put(key, rest, command.by)

    def _within(self, target: str, goal: Aim) -> bool:
        try:
            return set(self._aim(target).shards) <= set(goal.shards)
        except NotFound:  # a shard that is no more
            return True

    async def _shut_down(self, command: Command, goal: Aim) -> list[dict[str, Any]]:
        if command.arguments.get("cancel"):
            await self._tell("EMERGENCY_STOP", goal, {"cancel": True})
        plan = self._orchestrator.plan
        plan.held |= set(goal.shards)
        await self._remember(command.by)
        self._orchestrator.follow_plan()
        return await self._end(goal, command)

    async def _end(self, goal: Aim, command: Command) -> list[dict[str, Any]]:
        grace = float(command.arguments.get("grace", 10.0))
        await asyncio.gather(*(self._orchestrator.end(shard, grace) for shard in goal.shards))
        return [{"id": shard, "ok": True} for shard in goal.shards]

    async def _restart(self, command: Command, goal: Aim) -> list[dict[str, Any]]:
        """End supervisors and start them anew; lifts what an emergency stop or shutdown did."""
        plan = self._orchestrator.plan
        halted = set((await self._orders.all()).get(HALTED, ()))
        await self._orders.put(HALTED, sorted(halted - set(goal.shards)), command.by)
        plan.held -= set(goal.shards)
        await self._remember(command.by)
        ended = await self._end(goal, command)
        self._orchestrator.follow_plan()
        try:
            await self._orchestrator.settled(START_TIMEOUT)
        except TimeoutError:
            return [{**one, "ok": False, "error": "Not all are up yet."} for one in ended]
        return ended

    async def _halt(self, goal: Aim, by: str) -> None:
        """Remember who is stopped, so that a supervisor that starts anew is, too."""
        halted = set((await self._orders.all()).get(HALTED, ()))
        await self._orders.put(HALTED, sorted(halted | set(goal.shards)), by)


async def obey(orders: Orders, shard: str, controls: Any, catalog: Catalog) -> None:
    """Have a supervisor that just started do what was ordered before.

    Args:
        orders: What was.
        shard: Which supervisor it is.
        controls: Its `Controls`.
        catalog: Knows the agents.
    """
    kept = await orders.all()
    team = shard.partition("/")[0]
    for target in ("tree", team, shard):
        if CONFIG + target in kept:
            await controls.command("CONFIG_UPDATE", None, kept[CONFIG + target])
    for agent in catalog.agents.values():
        wanted = kept.get(f"{CONFIG}agent:{agent.name}")
        if wanted and agent.team == team:
            await controls.command("CONFIG_UPDATE", agent.name, wanted)
    if shard in kept.get(HALTED, ()):
        await controls.command("EMERGENCY_STOP", None, {})
