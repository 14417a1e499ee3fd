"""Who asks what was asked before is given the same answer, for nothing."""

import asyncio
import hashlib
import json
from typing import Any

from pydantic import ValidationError

from cartrita import __version__
from cartrita.answers import Answers, Given, Question
from cartrita.cancelled import told_to_end
from cartrita.context import Context
from cartrita.declare import Result, TaskSpec
from cartrita.policy.chain import Job, Proceed
from cartrita.storage.answers import Owner
from cartrita.telemetry.metrics import CACHE_LOOKUPS, labelled

TIGHT = 0.7
"""How full a budget is from which on cheaper models answer; nobody else is given theirs."""

Running = asyncio.Future[dict[str, Any] | None]
"""What a call that is under way answers; None when it may not be given to others."""


class Cache:
    """Looks for an answer before the work, and keeps one after it.

    Those who ask the same while it is worked on wait for its answer, on other hosts, too. Where
    there is none for them, each works for itself, and one of them instead of a worker who was
    cancelled. What failed, what carries a warning and what its agent calls unstorable is given
    to nobody.

    Args:
        answers: Keeps them.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers, self._made_by = answers, [__version__, answers.models]
        self._running: dict[str, Running] = {}

    def concerns(self, spec: TaskSpec) -> bool:
        """Only what declares itself cacheable is."""
        return spec.cacheable is not None

    async def __call__(self, job: Job, proceed: Proceed) -> Any:
        """Give an answer that there is, or have it worked out and kept."""
        kept, use = job.spec.cacheable, job.context.preferences.cache
        fits = kept and (kept.when is None or kept.when(job.params, job.context))
        if not fits or use == "off":
            _count(job, "passed_by")
            return await proceed(job)
        question = self.question(job)
        if use == "refresh":
            _count(job, "refreshed")
            result, _ = await self._worked_out(job, proceed, question)
            return result
        while running := self._running.get(question.key):
            try:
                shared = await asyncio.shield(running)
            except asyncio.CancelledError:
                if running.cancelled() and not told_to_end():
                    continue  # its worker was; somebody else is it now
                raise
            result = await _given(job, shared, "running") if shared is not None else None
            return result or await proceed(job)
        return await self._lead(job, proceed, question)

    async def _lead(self, job: Job, proceed: Proceed, question: Question) -> Any:
        """Look, and work where nothing is found, for all who ask meanwhile."""
        running: Running = asyncio.get_running_loop().create_future()
        self._running[question.key] = running
        try:
            found = await self._answers.find(question)
            result, shared = await _taken(job, found)
            if result is None:
                async with self._answers.turn(question, _patience(job.context)) as elsewhere:
                    result, shared = await _taken(job, elsewhere)
                    if result is None:
                        _count(job, "missed")
                        result, shared = await self._worked_out(job, proceed, question)
        except asyncio.CancelledError:
            running.cancel()
            raise
        except BaseException:
            running.set_result(None)
            raise
        else:
            running.set_result(shared)
            return result
        finally:
            del self._running[question.key]

    async def _worked_out(
        self, job: Job, proceed: Proceed, question: Question
    ) -> tuple[Any, dict[str, Any] | None]:
        """Work, and keep the answer where others may be given it; returns it in both forms."""
        result: Result = await proceed(job)
        context, kept = job.context, job.spec.cacheable
        if not context.storable or context.warnings or context.pressure >= TIGHT or not kept:
            return result, None
        wire = result.to_wire()
        await self._answers.keep(question, wire, kept.seconds)
        return result, wire

    def question(self, job: Job) -> Question:
        """Return what is asked: everything that the answer depends on."""
        context, kept = job.context, job.spec.cacheable
        params: dict[str, Any] = json.loads(job.params.model_dump_json())
        hints = context.preferences
        chosen = [hints.quality_level, hints.cost_optimization, hints.min_confidence]
        around = [job.spec.name, self._made_by, *chosen]
        owner = Owner(context.principal.tenant, context.principal.user)
        key = _digest([owner.tenant, *around, params])
        text = params.pop(kept.text, None) if kept and kept.text else None
        return Question(owner, key, text, _digest([*around, params]))


def _patience(context: Context) -> float:
    """Return how long to wait for another host: what is left must do for our own work."""
    return context.remaining() / 2


async def _taken(job: Job, found: Given | None) -> tuple[Any, dict[str, Any] | None]:
    """Return an answer that was found, in both forms; None twice where there is none for us."""
    result = await _given(job, found.result, found.tier, found.score) if found else None
    return result, found.result if found and result else None


async def _given(job: Job, wire: dict[str, Any], tier: str, score: float = 1.0) -> Any:
    """Return an answer as the task's own; None where this version cannot read it."""
    try:
        result = job.spec.result.model_validate(wire)
    except ValidationError:
        return None
    context = job.context
    context.given = True
    if score < 1:
        context.measure("cacheLikeness", round(score, 4))
    await _shown(job, result, context)
    _count(job, tier)
    return result


async def _shown(job: Job, result: Result, context: Context) -> None:
    """Show readers of a stream the words at once."""
    gate = job.spec.gate
    if context.preferences.streaming and gate and gate.text:
        await context.token(str(getattr(result, gate.text)))


def _digest(parts: list[Any]) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def _count(job: Job, outcome: str) -> None:
    labelled(CACHE_LOOKUPS, job.spec.name, outcome).inc()
