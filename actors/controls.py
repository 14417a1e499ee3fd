"""What a supervisor does on the orchestrator's command."""

import asyncio
from typing import Any

from actors.fleet import Fleet
from actors.slot import Slot
from actors.supervisor import Supervisor
from cartrita.errors import CartritaError, InvalidParameters, NotFound
from cartrita.telemetry import log as logs

Answer = dict[str, Any]

PING_TIMEOUT = 5.0


class Controls:
    """Carries out commands on one shard.

    Args:
        supervisor: The shard's, started.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._verbs = {
            "HEALTH_CHECK": self._health,
            "RESTART": self._restart,
            "SCALE": self._scale,
            "CONFIG_UPDATE": self._configure,
            "SHUTDOWN": self._shut,
            "EMERGENCY_STOP": self._emergency,
            "REVIVE": self._revive,
            "DRAIN": self._drain,
            "REOPEN": self._reopen,
        }

    async def command(self, verb: str, part: str | None, arguments: dict[str, Any]) -> Answer:
        """Carry out one command.

        Args:
            verb: A command's name.
            part: A host, group or agent of this shard; None for all of it.
            arguments: As the command takes them.

        Raises:
            CartritaError: It cannot be done; the class says why.
        """
        verb_of = self._verbs.get(verb)
        if verb_of is None:
            raise InvalidParameters(f"A supervisor does not know the command {verb!r}.")
        return {"id": part or self._supervisor.shard, "ok": True, **await verb_of(part, arguments)}

    @property
    def _fleet(self) -> Fleet:
        return self._supervisor.fleet

    def _slots(self, part: str | None) -> list[Slot]:
        slots = [slot for crew in self._fleet.crews.values() for slot in crew.all_slots()]
        return [s for s in slots if part in (None, s.name, s.group.name, *s.group.names)]

    async def _health(self, part: str | None, _: dict[str, Any]) -> Answer:
        hosts = await asyncio.gather(*(_ping(slot) for slot in self._slots(part)))
        healthy = self._supervisor.state == "up" and all(host["ok"] for host in hosts)
        told = {"state": self._supervisor.state, "logLevel": logs.level(), "hosts": hosts}
        return {"ok": healthy, **told}

    async def _restart(self, part: str | None, arguments: dict[str, Any]) -> Answer:
        if self._supervisor.halted and part is None:
            self._supervisor.halted = False
        replaced = await self._fleet.restart(part, float(arguments.get("grace", 10.0)))
        self._supervisor.dispatch()
        return {"hosts": replaced}

    async def _scale(self, part: str | None, arguments: dict[str, Any]) -> Answer:
        crew = self._fleet.crew(part or "")
        least, most = int(arguments["least"]), int(arguments["most"])
        try:
            crew.size.order(least=least, most=most)
        except ValueError as error:
            raise InvalidParameters(str(error), fields=[("arguments.pool", str(error))]) from error
        crew.grow(least)
        return {"pool": {"least": least, "most": most}}

    async def _configure(self, part: str | None, arguments: dict[str, Any]) -> Answer:
        pool, places = arguments.get("pool"), arguments.get("concurrency")
        if part is not None:
            crew = self._fleet.crew(part)
            if pool:
                await self._scale(part, pool)
            if places and part in crew.places:
                crew.allow(part, int(places))
            self._fleet.changed()
        self._limit(arguments)
        if arguments.get("logLevel"):
            await self._log_from(part, arguments["logLevel"])
        return {"configuration": arguments}

    async def _log_from(self, part: str | None, level: str) -> None:
        """Log from a level on: this process and all its hosts, or those of one agent.

        A host that does not answer now hears of it with its next heartbeat.
        """
        if part is not None:
            self._fleet.crew(part).log_level = level
        else:
            logs.set_level(level)
            for crew in self._fleet.crews.values():
                crew.log_level = ""
        await asyncio.gather(*(_ping(slot) for slot in self._slots(part)))

    def _limit(self, arguments: dict[str, Any]) -> None:
        admission = self._supervisor.admission
        queue = int(arguments.get("messageQueueSize") or admission.limits.queue)
        tasks = int(arguments.get("maxConcurrentTasks") or admission.limits.concurrency)
        admission.limit(queue, tasks)
        self._supervisor.dispatch()

    async def _shut(self, part: str | None, arguments: dict[str, Any]) -> Answer:
        if part is None:
            raise NotFound("A whole shard is shut down by the orchestrator.")
        crew = self._fleet.crew(part)
        await self._fleet.hold(crew, float(arguments.get("grace", 10.0)))
        return {"state": "down"}

    async def _emergency(self, part: str | None, arguments: dict[str, Any]) -> Answer:
        if part is not None:
            await self._fleet.hold(self._fleet.crew(part), grace=0.0)
            return {"state": "down"}
        self._supervisor.halt()
        cancelled = self._supervisor.cancel_all() if arguments.get("cancel") else 0
        await self._fleet.restart(None, 0.0)
        return {"state": self._supervisor.state, "cancelled": cancelled}

    async def _revive(self, part: str | None, _: dict[str, Any]) -> Answer:
        self._fleet.revive(part or "")
        return {}

    async def _drain(self, _part: str | None, _: dict[str, Any]) -> Answer:
        await self._supervisor.drain()
        return {"state": "draining"}

    async def _reopen(self, _part: str | None, _: dict[str, Any]) -> Answer:
        """Take new tasks again, unless it is being stopped."""
        if self._supervisor.state == "draining" and not self._supervisor.halted:
            self._supervisor.state = "up"
        return {"state": self._supervisor.state}


async def _ping(slot: Slot) -> Answer:
    host = slot.host
    if host is None:
        return {"id": slot.name, "ok": slot.state != "down", "state": slot.state}
    try:
        answer = await slot.ask(host, PING_TIMEOUT)
    except CartritaError as error:
        return {"id": slot.name, "ok": False, "state": slot.state, "error": error.message}
    return {"id": slot.name, "ok": not answer["stuck"], "state": slot.state, **answer}
