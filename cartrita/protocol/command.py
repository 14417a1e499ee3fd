"""Operators' commands as they are sent, each with the arguments it takes."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from cartrita.errors import FieldError, InvalidParameters
from cartrita.protocol.wire import WireModel, field_errors

MOST = 1000
"""Hosts or shards that one order may name; the tree's own bounds are narrower."""

LONGEST_GRACE = 3600.0

Target = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"),
]
"""`tree`, a team, a shard (`intelligence/0`), `agent:NAME`, or a host as the tree names it."""


class CommandName(StrEnum):
    """What may be ordered."""

    SHUTDOWN = "SHUTDOWN"
    RESTART = "RESTART"
    SCALE_UP = "SCALE_UP"
    SCALE_DOWN = "SCALE_DOWN"
    HEALTH_CHECK = "HEALTH_CHECK"
    CONFIG_UPDATE = "CONFIG_UPDATE"
    EMERGENCY_STOP = "EMERGENCY_STOP"


class NoArguments(WireModel):
    """Takes nothing."""


class RestartArguments(WireModel):
    """How long what runs may go on."""

    grace: float | None = Field(default=None, ge=0, le=LONGEST_GRACE, description="Seconds.")


class StopArguments(RestartArguments):
    """How long what runs may go on, and whether what waits is given up."""

    cancel: bool | None = Field(default=None, description="Cancel every task that waits or runs.")


class ScaleArguments(WireModel):
    """How many more or fewer, or how many in the end; one more or fewer by default."""

    by: int | None = Field(default=None, ge=1, le=MOST)
    to: int | None = Field(default=None, ge=0, le=MOST, description="Instead of `by`.")

    @field_validator("to")
    @classmethod
    def _not_both(cls, to: int | None, info: ValidationInfo) -> int | None:
        if to is not None and info.data.get("by") is not None:
            raise PydanticCustomError("both", "is given instead of 'by', not with it")
        return to


class PoolArguments(WireModel):
    """Between how many hosts an agent has."""

    least: int = Field(ge=0, le=MOST)
    most: int = Field(ge=1, le=MOST)

    @field_validator("most")
    @classmethod
    def _not_below(cls, most: int, info: ValidationInfo) -> int:
        if most < info.data.get("least", 0):
            raise PydanticCustomError("below", "is below 'least'")
        return most


class ConfigArguments(WireModel):
    """What changes; all else stays as it is."""

    message_queue_size: int | None = Field(default=None, ge=1, le=1_000_000)
    max_concurrent_tasks: int | None = Field(default=None, ge=1, le=100_000)
    log_level: Literal["debug", "info", "warning", "error", "critical"] | None = None
    pool: PoolArguments | None = Field(default=None, description="Of an agent.")
    concurrency: int | None = Field(
        default=None, ge=1, le=10_000, description="Tasks that one host of an agent runs at a time."
    )


ARGUMENTS: Mapping[CommandName, type[WireModel]] = {
    CommandName.SHUTDOWN: StopArguments,
    CommandName.RESTART: RestartArguments,
    CommandName.SCALE_UP: ScaleArguments,
    CommandName.SCALE_DOWN: ScaleArguments,
    CommandName.HEALTH_CHECK: NoArguments,
    CommandName.CONFIG_UPDATE: ConfigArguments,
    CommandName.EMERGENCY_STOP: StopArguments,
}

SUMMARY: Mapping[CommandName, str] = {
    CommandName.SHUTDOWN: "Let what runs end, then end the target.",
    CommandName.RESTART: "End the target and start it anew.",
    CommandName.SCALE_UP: "Give the target more hosts or shards.",
    CommandName.SCALE_DOWN: "Take hosts or shards from the target.",
    CommandName.HEALTH_CHECK: "Ask the target whether it works.",
    CommandName.CONFIG_UPDATE: "Change how the target runs, without a restart.",
    CommandName.EMERGENCY_STOP: "End what the target runs at once.",
}


class CommandRequest(WireModel):
    """What an operator orders."""

    command: CommandName
    target: Target
    arguments: dict[str, Any] = Field(default_factory=dict)

    def checked(self) -> dict[str, Any]:
        """Return the arguments under their wire names, without those left out.

        Raises:
            InvalidParameters: The command does not take them, or CONFIG_UPDATE changes nothing.
        """
        try:
            arguments = ARGUMENTS[self.command].model_validate(self.arguments, strict=True)
        except ValidationError as error:
            raise self._refusal(field_errors(error, "arguments.")) from None
        found = arguments.to_wire()
        if not found and self.command is CommandName.CONFIG_UPDATE:
            raise self._refusal([FieldError("arguments", "name at least one setting")])
        return found

    def _refusal(self, fields: list[FieldError]) -> InvalidParameters:
        told = "; ".join(f"{name}: {text}" for name, text in fields)
        return InvalidParameters(f"{self.command} does not take this: {told}.", fields=fields)
