"""What holds personal data is not taken in, where the rules say so."""

from collections.abc import Iterator
from typing import Any

from cartrita.declare import ModelResult, Params
from cartrita.errors import InvalidParameters, Reason
from cartrita.policy.chain import Job, Proceed
from cartrita.privacy.finding import find
from cartrita.privacy.masking import Rules

Place = tuple[str, str]
"""A field's name as the client wrote it, and its text."""


class Pii:
    """Refuses tasks for models whose parameters hold personal data.

    Only where `privacy.pii` is `block`. Anything less is done where texts leave, because tasks
    of one's own, such as remembering, need the true values.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def __call__(self, job: Job, proceed: Proceed) -> Any:
        """Look at every text."""
        if self._rules.mode == "block" and issubclass(job.spec.result, ModelResult):
            self._look(job.params)
        return await proceed(job)

    def _look(self, params: Params) -> None:
        faults: list[Place] = []
        for name, text in _texts("parameters", params.model_dump(mode="json", by_alias=True)):
            kinds = sorted({one.kind.value for one in find(text, self._rules.region)})
            if kinds:
                faults.append((name, f"holds personal data: {', '.join(kinds)}"))
        if faults:
            raise InvalidParameters(
                "Texts with personal data are not taken in here (`privacy.pii` is `block`).",
                Reason.PII_BLOCKED,
                faults,
            )


def _texts(name: str, value: Any) -> Iterator[Place]:
    """Yield every text within plain values, and where it stands."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(f"{name}.{key}", item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(f"{name}.{number}", item)
