"""A crowd asks a running instance for more than a budget holds, while its hosts are killed.

    python -m tests.support.live_overdraw [--seeds 5] [--first 1] [--save FILE]

What `overdraw` does in one process, with everything real: the edge, the gateway, Ray's actors,
PostgreSQL, and a model behind OpenAI's protocol that uses a tool and then waits.
"""

# ruff: noqa: T201 - a program that prints

import argparse
import asyncio
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import psutil

from cartrita.chaos.victims import Processes
from cartrita.clock import new_id, new_random
from cartrita.history import Sample, overspent
from tests.support.held_model import HeldModel
from tests.support.instance import Instance
from tests.support.openai_server import served
from tests.support.results import keep

CHAT = "langchain.chat.execute"
NANO = 10**9
WORST = {"usd": 10_000_000, "tokens": 8_000}
"""What one task may take, in nano-USD and in tokens."""

PATIENCE = 120.0
CONNECTIONS = httpx.Limits(max_connections=256, max_keepalive_connections=256)


@dataclass
class Toll:
    """What was seen.

    Attributes:
        most: Reservations that were open at once.
        settled: Nano-USD and tokens that the budget was charged.
    """

    answers: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    most: int = 0
    killed: int = 0
    settled: tuple[int, int] = (0, 0)


class Scene:
    """One crowd of one user at one instance.

    Args:
        model: What the instance's model is.
        callers: How many ask at once.
        fits: How many of them the user's budget has room for.
        twice: Whether hosts are killed after the tasks are let go, too.
    """

    def __init__(
        self,
        running: Instance,
        model: HeldModel,
        seed: int,
        callers: int = 500,
        fits: int = 37,
        *,
        twice: bool = True,
    ) -> None:
        self._running, self._model = running, model
        self._callers, self._fits, self._twice = callers, fits, twice
        self._seed, self._chance = seed, new_random(seed)
        self._unit = "usd" if seed % 2 else "tokens"
        self._admin = running.login().headers["Authorization"]
        mine = running.register(f"crowd-{new_id()}@example.org")
        self._user, self._me = mine.headers["Authorization"], mine.get("/auth/me").json()["id"]
        self._processes = Processes(running.owner.pid)
        self.toll = Toll()

    async def run(self) -> Toll:
        """Have them ask, kill what works, let them go, and look at what is left."""
        self._model.hold()
        options = {"base_url": self._running.urls["api"], "timeout": PATIENCE}
        async with (
            httpx.AsyncClient(headers=_as(self._user), limits=CONNECTIONS, **options) as self._mine,
            httpx.AsyncClient(headers=_as(self._admin), **options) as self._all,
        ):
            await self._set_budget()
            watching = asyncio.create_task(self._watch())
            try:
                accepted = await self._storm()
                told = await self._break(accepted)
            finally:
                self._model.release()
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            await self._look_back(told)
        return self.toll

    async def _set_budget(self) -> None:
        """Make room for so many, and something that is not enough for one more."""
        worst = WORST[self._unit]
        most = self._fits * worst + self._chance.randrange(worst)
        told = {"maxUsd": most / NANO} if self._unit == "usd" else {"maxTokens": most}
        put = await self._all.put(self._budget, json={**told, "period": "total"})
        assert put.status_code == 200, put.text

    @property
    def _budget(self) -> str:
        return f"/v3/budgets/user/{self._me}"

    async def _row(self) -> dict[str, Any]:
        row: dict[str, Any] = (await self._all.get(self._budget)).json()
        return row

    async def _watch(self) -> None:
        """Look at the budget all along."""
        while True:
            with suppress(httpx.HTTPError, KeyError):
                row = await self._row()
                most = None if row["maxUsd"] is None else _nano(row["maxUsd"])
                held = {"usd": _nano(row["reservedUsd"]), "tokens": row["reservedTokens"]}
                usd = Sample(row["budgetId"], most, _nano(row["usedUsd"]), held["usd"])
                tokens = Sample(
                    row["budgetId"], row["maxTokens"], row["usedTokens"], held["tokens"]
                )
                self.toll.samples += [usd, tokens]
                self.toll.most = max(self.toll.most, held[self._unit] // WORST[self._unit])
            await asyncio.sleep(0.01)

    async def _storm(self) -> list[str]:
        """Let all ask at once; returns the tasks that are accepted, as many as fit."""
        asked = await asyncio.gather(*(self._ask(number) for number in range(self._callers)))
        accepted = [task_id for task_id in asked if task_id]
        self.toll.answers.update(accepted=len(accepted), refused=self._callers - len(accepted))
        assert len(accepted) == self._fits, self.toll.answers
        return accepted

    async def _ask(self, number: int) -> str | None:
        """Ask for a task; None where the budget has no room."""
        most = {"maxUsd": WORST["usd"] / NANO} if self._unit == "usd" else {
            "maxTokens": WORST["tokens"]
        }  # fmt: skip
        body = {
            "taskType": CHAT,
            "parameters": {"message": f"Errand {number} of {self._me}"},
            "budget": most,
            "taskId": new_id(),
        }
        headers = {"Prefer": "respond-async", "Cache-Control": "no-store"}
        answer = await self._mine.post("/v3/tasks", json=body, headers=headers)
        if answer.status_code == 202:
            return str(answer.json()["taskId"])
        told = answer.json()
        assert (answer.status_code, told["code"]) == (402, "INSUFFICIENT_BUDGET"), told
        assert f"'user:{self._me}'" in told["detail"], told
        return None

    async def _break(self, accepted: list[str]) -> list[dict[str, Any]]:
        """Kill what works, cancel some, let the rest go, kill again; returns how all ended."""
        await self._kill()
        for task_id in self._chance.sample(accepted, max(self._fits // 7, 1)):
            await self._mine.delete(f"/v3/tasks/{task_id}")
        self._model.release()
        if self._twice:
            await asyncio.sleep(self._chance.random())
            await self._kill()
        return list(await asyncio.gather(*(self._end(task_id) for task_id in accepted)))

    async def _kill(self) -> None:
        """Kill every host of the team that has the crowd's tasks, once it has some."""
        async with asyncio.timeout(PATIENCE):
            while not (pids := await self._busy()):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        for pid in pids:
            with suppress(psutil.NoSuchProcess):
                self.toll.killed += self._processes.kill(psutil.Process(pid))

    async def _busy(self) -> list[int]:
        tree = (await self._all.get("/v3/tree")).json()
        hosts = [
            host
            for shard in tree.get("supervisors", ())
            if shard["id"].startswith("intelligence/")
            for host in shard["hosts"]
        ]
        return [host["pid"] for host in hosts if host.get("inFlight") and host.get("pid")]

    async def _end(self, task_id: str) -> dict[str, Any]:
        """Wait for a task's end."""
        async with asyncio.timeout(PATIENCE):
            while True:
                told = (await self._mine.get(f"/v3/tasks/{task_id}?wait=30")).json()
                if told["status"] not in ("PENDING", "RUNNING"):
                    self.toll.answers[told["status"]] += 1
                    return dict(told)

    async def _look_back(self, told: list[dict[str, Any]]) -> None:
        """Check that not a billionth and not a token is missing or too much."""
        toll = self.toll
        assert not overspent(toll.samples), overspent(toll.samples)[:3]
        assert 0 < toll.most <= self._fits, toll.most
        usd = sum(_nano(one["metrics"]["costUsd"]) for one in told)
        tokens = sum(one["metrics"]["tokensUsed"] for one in told)
        row = await self._row()
        assert (row["reservedUsd"], row["reservedTokens"]) == (0, 0), row
        assert (_nano(row["usedUsd"]), row["usedTokens"]) == (usd, tokens), (row, usd, tokens)
        summed = (await self._mine.get("/v3/usage?by=model")).json()
        assert (_nano(summed["costUsd"]), summed["tokensUsed"]) == (usd, tokens), summed
        for one in told:
            story = (await self._mine.get(f"/v3/tasks/{one['taskId']}/story")).json()
            calls = story["modelCalls"]
            assert _nano(one["metrics"]["costUsd"]) == sum(_nano(c["costUsd"]) for c in calls), one
            used = sum(call["tokensIn"] + call["tokensOut"] for call in calls)
            assert one["metrics"]["tokensUsed"] == used, one
        toll.settled = (usd, tokens)


def _as(authorization: str) -> dict[str, str]:
    return {"Authorization": authorization}


def _nano(usd: float) -> int:
    return round(usd * NANO)


def with_model(instance: Instance, url: str) -> Instance:
    """Have an instance that is not started yet talk to a model, and tools to this machine."""
    instance.environment |= {
        "CARTRITA_MODELS__OPENAI_BASE_URL": url,
        "CARTRITA_MODELS__OPENAI_API_KEY": "unused",
        "CARTRITA_EGRESS__ALLOW": "127.0.0.0/8",
        "CARTRITA_EGRESS__PORTS": "1-65535",
    }
    return instance


@dataclass
class Sum:
    """What all seeds came to."""

    wrong: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, toll: Toll) -> None:
        self.counts.update(toll.answers)
        told = {"killedHosts": toll.killed, "samples": len(toll.samples)}
        self.counts.update({**told, "nanoUsd": toll.settled[0], "tokens": toll.settled[1]})
        self.counts["mostAtOnce"] = max(self.counts["mostAtOnce"], toll.most)


def storms(running: Instance, model: HeldModel, asked: argparse.Namespace) -> Sum:
    """Run some seeds on a running instance."""
    found = Sum()
    for seed in range(asked.first, asked.first + asked.seeds):
        try:
            toll = asyncio.run(Scene(running, model, seed, asked.callers, asked.fits).run())
        except Exception as error:  # noqa: BLE001 - every seed is told
            found.wrong.append(seed)
            print(f"seed {seed}: {error!r}", flush=True)
            continue
        found.add(toll)
        print(f"seed {seed}: {toll.most} at once, {dict(toll.answers)}", flush=True)
    return found


def main(argv: list[str]) -> int:
    """Run some seeds on an instance of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in {"seeds": 5, "first": 1, "callers": 500, "fits": 37}.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--save", type=Path)
    asked, model, began = parser.parse_args(argv), HeldModel(), time.monotonic()
    with served(model) as server:
        running = Instance.planned(Path(mkdtemp(prefix="cartrita-overdraw-")))
        with_model(running, server.base_url).up()
        try:
            found = storms(running, model, asked)
        finally:
            running.close_clients()
            running.down()
            running.remove()
    print(f"{len(found.wrong)} wrong", *found.wrong)
    if asked.save:
        told = {name: getattr(asked, name) for name in ("first", "seeds", "callers", "fits")}
        took = {"seconds": round(time.monotonic() - began, 1), "tokensTold": model.tokens}
        keep(asked.save, {**told, "wrong": found.wrong, **took, **found.counts})
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
