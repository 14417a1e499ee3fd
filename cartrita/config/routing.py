"""The table of the settings file about the choice of models."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cartrita.config.kinds import Names, Section


class Routing(Section):
    """Which chat model answers, and what happens when it does not."""

    fallbacks: Names = Field(
        default=(),
        description="Models that answer when `models.chat_model` cannot, in this order; `auto` "
        "chooses among all of them. Names of other providers' models begin as `anthropic:` does.",
    )
    preset: Literal["auto", "quality-first", "cost-first", "balanced", "speed", "safety"] = Field(
        default="auto",
        description="How the model `auto` is chosen; `auto` goes by each task's preferences.",
    )
    pressure_warning: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="Used part of a budget from which on the next cheaper model answers.",
    )
    pressure_critical: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Used part of a budget from which on the cheapest one answers.",
    )
    calls_at_once: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Most calls to one provider at once, in each process; fewer while it is slow "
        "or refuses.",
    )
    call_timeout_s: float = Field(
        default=120.0,
        gt=0,
        le=3600,
        description="Seconds that a provider may be silent within one call.",
    )
    hedge_after_s: float | None = Field(
        default=None,
        gt=0,
        le=600,
        description="Seconds after which a second call is made beside one without an answer, and "
        "paid; unset makes none.",
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.pressure_critical < self.pressure_warning:
            raise ValueError("pressure_critical must not be below pressure_warning")
        return self
