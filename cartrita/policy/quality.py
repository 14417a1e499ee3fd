"""An answer that is not good enough does not leave."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from cartrita.context import Context
from cartrita.declare import ModelResult, TaskSpec
from cartrita.errors import AgentFailed, InsufficientBudget, Reason
from cartrita.policy.chain import Job, Proceed
from cartrita.protocol.answer import Gate
from cartrita.quality.rules import Rulebook
from cartrita.telemetry.metrics import QUALITY_VERDICTS, labelled

_OPEN = Gate()


class Quality:
    """Judges what models answer: its form, its confidence, refusals, toxicity.

    A generative model is told what was wrong and answers once more, unless its words were shown
    already; both answers are paid for. What is still wrong then fails as `QUALITY_REJECTED`.
    """

    def __init__(self, rules: Rulebook) -> None:
        self._rules = rules

    def concerns(self, spec: TaskSpec) -> bool:
        """Only what a model made is judged, and what declares a gate."""
        return spec.gate is not None or issubclass(spec.result, ModelResult)

    async def __call__(self, job: Job, proceed: Proceed) -> Any:
        """Let a good answer pass."""
        context, warned = job.context, len(job.context.warnings)
        result = await proceed(job)
        fault = self._fault(job, result)
        if fault is None:
            return self._passed(job, result, "good")
        if getattr(result, "generative", False) and not context.used:
            del context.warnings[warned:]  # of an answer that nobody sees
            context.complaint = fault
            context.measure("qualityRepairs", 1)
            try:
                result = await proceed(job)
            except InsufficientBudget as error:
                raise self._rejection(job, fault) from error
            fault = self._fault(job, result)
            if fault is None:
                return self._passed(job, result, "repaired")
        raise self._rejection(job, fault)

    def _passed(self, job: Job, result: Any, verdict: str) -> Any:
        labelled(QUALITY_VERDICTS, job.spec.name, verdict).inc()
        return result

    def _rejection(self, job: Job, fault: str) -> AgentFailed:
        labelled(QUALITY_VERDICTS, job.spec.name, "rejected").inc()
        return AgentFailed(
            f"The answer of {job.spec.name!r} was rejected: {fault}", Reason.QUALITY_REJECTED
        )

    def _fault(self, job: Job, result: Any) -> str | None:
        """Return what is wrong with an answer, as a sentence; None when nothing is."""
        fault = _misshapen(job.spec, result)
        if fault is None:
            fault = _unsure(job.spec.gate or _OPEN, job.context, result)
        if fault is None and getattr(result, "generative", False):
            fault = self._unfit(job, result)
        return fault

    def _unfit(self, job: Job, result: Any) -> str | None:
        """Judge a generative model's own words."""
        gate = job.spec.gate or _OPEN
        words = list(_words(gate, result))
        if gate.text and not gate.refusals:
            if any(self._rules.refuses(text) for text in words):
                return "it is a refusal."
            if not any(text.strip() for text in words):
                return "it is empty."
        if not gate.quotes:
            asked = job.params.model_dump_json()
            for text in words:
                sign = self._rules.toxicity(text, asked)
                if sign:
                    return f"it is toxic ({sign})."
        return None


def _misshapen(spec: TaskSpec, result: Any) -> str | None:
    """Read an answer as its client will."""
    if not isinstance(result, spec.result):
        return f"it is no {spec.result.__name__}, but a {type(result).__name__}."
    try:
        wire = result.model_dump(mode="json", by_alias=True, exclude_none=True, warnings=False)
        spec.result.model_validate(wire)
    except ValidationError as error:
        fields = sorted({".".join(map(str, item["loc"])) for item in error.errors()})
        return f"it does not fit {spec.result.__name__}; see {', '.join(fields[:5])}."
    except ValueError as error:  # what JSON has no form for
        return f"it cannot be written as JSON: {error}"
    return None


def _unsure(gate: Gate, context: Context, result: Any) -> str | None:
    """Compare an answer's confidence with the least that is declared or asked for."""
    wanted = context.preferences.min_confidence
    least = max(gate.least, wanted or 0.0)
    if gate.confidence is None:
        if wanted is not None:
            context.warn("`minConfidence` says nothing here: this task tells no confidence.")
        return None
    known = _at(result, gate.confidence)
    if known is None or known >= least:
        return None
    return f"its confidence is {known:.2f}, less than {least:.2f}."


def _at(value: Any, path: str) -> float | None:
    """Return the number at a place such as `labels.0.score`; None when there is none."""
    for step in path.split("."):
        if isinstance(value, list | tuple):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = getattr(value, step, None)
    return float(value) if isinstance(value, int | float) else None


def _words(gate: Gate, result: Any) -> Iterator[str]:
    """Yield the texts of an answer that are a model's own words."""
    for name in [gate.text] if gate.text else type(result).model_fields:
        value = getattr(result, name)
        if isinstance(value, str) and name not in ModelResult.model_fields:
            yield value
