"""The table of the settings file about agents that plan."""

from pydantic import Field

from cartrita.config.kinds import Section


class Agency(Section):
    """How agents go about work that takes several steps."""

    replans: int = Field(
        default=2,
        ge=0,
        le=10,
        description="Times that `langchain.plan_execute` changes its plan because a step failed; "
        "then it carries out what is left.",
    )
