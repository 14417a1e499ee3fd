"""How long real tasks are at work: recorded once from an instance, drawn from by simulations."""

import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.harness import RESULTS, instance, save
from cartrita.catalog import AGENTS, discover
from cartrita.client import Client
from cartrita.errors import CartritaError

NAME = "service_times"

MIX = {
    "langchain.chat.execute": 30, "huggingface.text.summarization": 10,
    "huggingface.text.classification": 8, "huggingface.text.question_answering": 6,
    "analytics.run_query": 8, "analytics.trend.analyze": 4, "memory.context.retrieve": 10,
    "memory.context.store": 4, "emotion.analysis": 4, "writer.content.summarize": 4,
    "codewriter.run.code": 4, "codewriter.document.code": 3, "langchain.plan_execute": 2,
    "research.documents.answer": 2, "system.echo": 1,
}  # fmt: skip
"""Which of a hundred tasks are of which type. Chosen, not recorded."""

STEPS = 100
WARM, LEAST, MOST = 3, 8, 200


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """How long tasks of one type are at work, and who does them.

    Attributes:
        cuts: The quantiles from 0 to 1, evenly spaced, in seconds.
    """

    task_type: str
    agent: str
    team: str
    cuts: Sequence[float]

    @property
    def mean(self) -> float:
        """The mean seconds."""
        inner = sum(self.cuts[1:-1])
        return (inner + (self.cuts[0] + self.cuts[-1]) / 2) / (len(self.cuts) - 1)

    def draw(self, chance: random.Random) -> float:
        """Return the seconds of one task."""
        place = chance.random() * (len(self.cuts) - 1)
        low = int(place)
        return self.cuts[low] + (place - low) * (self.cuts[low + 1] - self.cuts[low])


def recorded() -> list[tuple[ServiceTime, float]]:
    """Return the recorded types that the mix names, each with its share of all tasks."""
    path = RESULTS / f"{NAME}.json"
    if not path.exists():
        raise SystemExit("Run `python -m benchmarks.thousand_nodes --record` first.")
    types = json.loads(path.read_text())["types"]
    found = [
        (ServiceTime(name, of["agent"], of["team"], [ms / 1000 for ms in of["ms"]]), MIX[name])
        for name, of in types.items()
        if name in MIX
    ]
    whole = sum(share for _, share in found)
    return [(kind, share / whole) for kind, share in found]


def record(seconds: float) -> None:
    """Run every declared example for so long, one task after the other, and save the quantiles.

    A type whose example does not complete is left out: it needs a model or the web.
    """
    catalog, types, left_out = discover(AGENTS), {}, []
    with (
        instance(LIMITS__CACHE_TIMEOUT_S="0") as running,
        Client(running.urls["api"], token=running.token) as client,
    ):
        for spec in catalog.tasks.values():
            if spec.example is None:
                continue
            took = _measured(client, spec.name, spec.example, seconds)
            if not took:
                left_out.append(spec.name)
                continue
            cuts = statistics.quantiles(took, n=STEPS, method="inclusive")
            types[spec.name] = {
                "agent": spec.agent, "team": catalog.agents[spec.agent].team,
                "tasks": len(took),
                "ms": [round(ms, 3) for ms in (min(took), *cuts, max(took))],
            }  # fmt: skip
            print(f"{spec.name:45} {len(took):4}  p50 {statistics.median(took):8.2f} ms")
    save(NAME, {"types": types, "left_out": left_out})


def _measured(client: Client, name: str, example: dict, seconds: float) -> list[float]:
    """Return the milliseconds that each of many tasks was at work, as the journal has them."""
    took: list[float] = []
    try:
        for _ in range(WARM):
            client.run(name, example).completed()
        until = time.monotonic() + seconds
        while len(took) < MOST and (time.monotonic() < until or len(took) < LEAST):
            outcome = client.run(name, example)
            outcome.completed()
            took.append(client.get(outcome.task_id).metrics.processing_time_ms)
    except CartritaError as error:
        print(f"{name:45} left out: {error.code} {error.reason or ''}")
        return []
    return took
