"""Finds what tells of a person, and takes it out."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from cartrita.context import Context
from cartrita.cost.price import per_call
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.privacy.finding import Kind, find
from cartrita.privacy.masking import Masker, Rules, redacted
from cartrita.protocol.text import Prose
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import ModelInfo

LONGEST_TEXT = 100_000

INFO = ModelInfo(
    model="local/pii-rules",
    provider="embedded",
    generative=False,
    limitations=(
        "Goes by form and check digits; names of persons and postal addresses are not found.",
        "Finding nothing does not mean that a text tells of nobody.",
    ),
)

Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""An ISO 3166 code."""


class PrivacyParams(Params):
    """A text, and what becomes of what is found."""

    text: Annotated[Prose, Field(max_length=LONGEST_TEXT)]
    anonymize: Literal["none", "redact", "placeholders"] = Field(
        default="none",
        description="`redact`: a kind in its place; `placeholders`: numbered, equal ones alike.",
    )
    region: Region = Field(
        default="US", description="Whose telephone numbers come without a prefix."
    )


class PrivacyFinding(WireModel):
    """Where something stands: `text[start:end]`, in Unicode characters."""

    kind: Kind
    start: int
    end: int


class PrivacyResult(ModelResult):
    """What was found, in the order of the text."""

    findings: list[PrivacyFinding]
    counts: dict[str, int] = Field(description="How many of each kind.")
    personal: bool = Field(description="Whether anything was found.")
    text: str | None = Field(default=None, description="The text without it, if asked for.")


class Privacy(Agent, team="system", concurrency=8):
    """Finds addresses, numbers and keys in texts; no model is involved."""

    @task(
        "privacy.check",
        cost=per_call("0.001"),
        timeout=30,
        idempotent=True,
        example={
            "text": "Write to maria@example.org or pay to DE89 3704 0044 0532 0130 00.",
            "anonymize": "placeholders",
        },
    )
    async def check(self, params: PrivacyParams, ctx: Context) -> PrivacyResult:
        """Find e-mail and IP addresses, phone, card, account and identity numbers, and keys."""
        found = await ctx.in_thread(find, params.text, params.region)
        counts: dict[str, int] = {}
        for one in found:
            counts[one.kind.value] = counts.get(one.kind.value, 0) + 1
        return PrivacyResult(
            findings=[PrivacyFinding(kind=f.kind, start=f.start, end=f.end) for f in found],
            counts=counts,
            personal=bool(found),
            text=await ctx.in_thread(_without, params),
            **INFO.fields(),
        )


def _without(params: PrivacyParams) -> str | None:
    if params.anonymize == "none":
        return None
    if params.anonymize == "redact":
        return redacted(params.text, params.region)
    return Masker(Rules(region=params.region)).mask(params.text)
