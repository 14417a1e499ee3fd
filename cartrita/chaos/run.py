"""One run: a load, the faults under it, and what is found afterwards."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import httpx

from cartrita.chaos.load import Load, Recorder, Told, Work
from cartrita.chaos.plan import Aim, plan
from cartrita.chaos.report import Toll
from cartrita.chaos.sink import Tally
from cartrita.chaos.streams import Reading, follow
from cartrita.chaos.strike import Restart, Striker
from cartrita.chaos.victims import Processes
from cartrita.client import AsyncClient
from cartrita.client.sessions import Sessions
from cartrita.clock import Clock
from cartrita.errors import CartritaError, NotFound, ServiceUnavailable
from cartrita.history import Sample, overspent, violations

PATIENCE = 600.0
"""Seconds that a client lets its task take; it asks again and again meanwhile."""

SETTLE = 120.0
"""Seconds after everything healed and came in which an accepted task ends, or it is lost."""

SAMPLE_EVERY = 0.5
_GLANCE = 5.0
_RETRIES = 1000
_READERS = 16
_TELL = 30.0
"""Seconds in which the events of a task that has ended are told to their end."""


class Purse(Protocol):
    """The budget that all tasks of a run are charged to."""

    async def balance(self) -> Sample:
        """Return what it holds."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The instance that a run breaks.

    Attributes:
        owner: The pid of its owner.
        restart: For after a power cut.
        tally: What the sink counts; None where the instance has no task with an effect.
        purse: None where nobody is to look.
    """

    url: str
    sessions: Sessions
    owner: int
    restart: Restart
    tally: Tally | None = None
    purse: Purse | None = None


async def run(ground: Ground, aim: Aim, work: Work, seed: int, clock: Clock) -> Toll:
    """Load an instance, break it as planned, and find out what that cost.

    Raises:
        CartritaError: The instance cannot be asked, or is not well, to begin with.
    """
    recorder = Recorder()
    patient = AsyncClient(
        ground.url, timeout=PATIENCE, retries=_RETRIES, sessions=ground.sessions, http=recorder
    )
    async with (
        patient,
        AsyncClient(ground.url, timeout=_GLANCE, retries=0, sessions=ground.sessions) as watch,
    ):
        await watch.tree()  # which renews the session, too, where that is due
        await _check_well(watch)
        async with _reader(ground) as http:
            load = Load(patient, http, aim, plan(aim, seed), work, clock)
            striker = Striker(aim, watch, Processes(ground.owner), ground.restart, lambda: load.now)
            toll = Toll(aim, seed, load.tasks, striker.struck, tally=ground.tally)
            await _storm(load, striker, toll, ground.purse)
            toll.seconds = load.now
            toll.answers, toll.mute = recorder.answers, recorder.mute
            await _look_back(patient, http, toll)
    if ground.purse:
        toll.balance = await ground.purse.balance()
    return toll


async def _check_well(watch: AsyncClient) -> None:
    """Refuse an instance of which nobody could tell when it has healed."""
    health = await watch.health()
    if health.get("status") != "healthy":
        ill = [name for name, one in health.get("services", {}).items() if not one["ok"]]
        raise ServiceUnavailable(
            f"The instance is {health.get('status')} before anything was broken"
            f"{': ' + ', '.join(ill) if ill else ''}. See `cartrita status`."
        )


def _reader(ground: Ground) -> httpx.AsyncClient:
    session = ground.sessions.read()
    headers = {"Authorization": f"Bearer {session.token}"} if session else {}
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=ground.url, headers=headers, limits=limits, trust_env=False)


async def _storm(load: Load, striker: Striker, toll: Toll, purse: Purse | None) -> None:
    """Have load and faults at the same time, and wait until both are over and all is healed."""
    loading = asyncio.create_task(load.run())
    breaking = asyncio.create_task(striker.follow(load.plan.faults))
    sampling = asyncio.create_task(_sample(toll, purse))
    try:
        await breaking
        coming = max(load.plan.arrivals[-1] - load.now, 0.0)
        await asyncio.wait({loading}, timeout=coming + SETTLE)
        if loading.done():
            loading.result()
    finally:
        for task in (loading, breaking, sampling):
            task.cancel()
        await asyncio.gather(loading, breaking, sampling, return_exceptions=True)
        striker.close()


async def _sample(toll: Toll, purse: Purse | None) -> None:
    """Look at the budget all along."""
    while purse:
        with suppress(CartritaError):  # its database may be what is broken
            toll.overspent += overspent([await purse.balance()])
        await asyncio.sleep(SAMPLE_EVERY)


async def _look_back(client: AsyncClient, http: httpx.AsyncClient, toll: Toll) -> None:
    """Find out what became of every task, and whether its recorded history holds."""
    turn = asyncio.Semaphore(_READERS)

    async def one(told: Told) -> list[Reading]:
        async with turn:
            return await _inspect(client, http, told, toll)

    found = await asyncio.gather(*(one(told) for told in toll.tasks))
    readings = [reading for several in found for reading in several]
    toll.wrong += violations(
        [reading.story for reading in readings],
        answers=[told.outcome.to_wire() for told in toll.tasks if told.outcome],
        accepted=[told.task_id for told in toll.tasks if told.acknowledged],
    )


async def _inspect(
    client: AsyncClient, http: httpx.AsyncClient, told: Told, toll: Toll
) -> list[Reading]:
    """Return the recordings of one task: what its reader saw, and what is told of it now."""
    try:
        if told.outcome is None:
            told.outcome = await client.get(told.task_id)
    except NotFound:
        return []
    except CartritaError as error:
        told.error = error
    toll.known.add(told.task_id)
    if told.outcome is None or not told.outcome.status.terminal:
        return []
    afterwards = Reading(told.task_id)
    with suppress(TimeoutError):  # then its story has no end, which the checker says
        await asyncio.wait_for(follow(http, afterwards), _TELL)
    return [afterwards, *([told.reading] if told.reading and told.reading.ended else [])]
