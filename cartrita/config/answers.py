"""The tables of the settings file about answers: which are given again, and what stays here."""

from typing import Literal

from pydantic import Field

from cartrita.config.kinds import Section


class Cache(Section):
    """Answers that are given again; `limits.cache_timeout_s` says for how long."""

    entries: int = Field(
        default=1000, ge=1, le=1_000_000, description="Answers that each host keeps in memory."
    )
    own_s: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Seconds for which a host gives what it keeps in memory, where Valkey keeps "
        "it, too: what is deleted there is given for so long.",
    )
    wait_s: float = Field(
        default=30.0,
        ge=0,
        le=600,
        description="Seconds for which a host that is asked what another one is working on waits "
        "for its answer, where there is a Valkey; 0 has each work for itself.",
    )
    similarity: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="How alike in meaning two questions must be to have the same answer, for "
        "tasks that allow that; 1 is off.",
    )


class Privacy(Section):
    """What tells of a person, in texts that leave for a provider."""

    pii: Literal["mask", "redact", "block", "off"] = Field(
        default="mask",
        description="`mask` sends placeholders and puts the true values back into the answer; "
        "`redact` does not put them back; `block` refuses the task; `off` sends all as it is.",
    )
    unmask: bool = Field(
        default=True,
        description="Whether answers have the true values in them again; else the placeholders.",
    )
    phone_region: str = Field(
        default="US",
        pattern="^[A-Z]{2}$",
        description="Country whose telephone numbers are written without a prefix.",
    )
    logs: bool = Field(
        default=True, description="Whether it is taken out of logs, whatever `pii` says."
    )
