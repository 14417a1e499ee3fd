"""The table of the settings file about a v2 that still runs."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cartrita.config.kinds import HttpUrl, Section


class Migration(Section):
    """How requests are shared between the bridge and a v2 that still runs.

    MIGRATION.md tells how to move.
    """

    v2_url: HttpUrl | None = Field(
        default=None,
        description="Address of the v2 that still runs; without one the bridge answers all.",
    )
    share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Part of the callers that the bridge answers itself; v2 answers the others. "
        "A caller stays where they are while it does not change.",
    )
    shadow: Literal["off", "safe", "all"] = Field(
        default="off",
        description="Whether the other side is asked, too, and the answers are compared: `safe` "
        "for GET only, where that runs no task; `all` does everything twice.",
    )
    when_away: Literal["bridge", "refuse"] = Field(
        default="bridge",
        description="What happens to v2's requests while it cannot be reached: the bridge answers "
        "them, or they get 503.",
    )
    connect_s: float = Field(
        default=2.0, gt=0, le=30, description="Seconds to connect to v2, or for a place in line."
    )
    timeout_s: float = Field(
        default=60.0, gt=0, le=600, description="Seconds v2 may be silent before or in an answer."
    )
    connections: int = Field(default=100, ge=1, le=10_000, description="Open to v2, per gateway.")
    shadow_queue: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Comparisons that may wait, per gateway; those beyond are left out.",
    )
    shadow_timeout_s: float = Field(
        default=10.0, gt=0, le=120, description="Seconds for the other side's answer."
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.v2_url is None and (self.share < 1 or self.shadow != "off"):
            raise ValueError("a share below 1, and shadow, need v2_url")
        return self
