"""The table of the settings file about v2's clients."""

from datetime import date
from typing import Literal

from pydantic import Field

from cartrita.config.kinds import Names, Section

FRONT_ENDS = tuple(
    f"http://localhost:{port}" for port in (5173, 3000, 3001, 3002, 3003, 3004, 3005)
)


class Bridge(Section):
    """How v2's clients are served, and for how long."""

    enabled: bool = Field(
        default=True, description="Answer v2's paths; otherwise they are not there."
    )
    guests: Literal["auto", "open", "closed"] = Field(
        default="auto",
        description="Whether v2's routes that were open, such as `POST /api/chat`, run tasks "
        "without a token; `auto`: where one process owns everything and its ports are this "
        "machine's.",
    )
    guest_usd: float = Field(
        default=0.05, ge=0, le=100, description="USD that one task of a guest may cost."
    )
    guest_tokens: int = Field(
        default=8_000, ge=1, le=10**6, description="Tokens that one task of a guest may take."
    )
    guests_usd: float = Field(
        default=1.0,
        gt=0,
        le=10**6,
        description="USD a day of all guests together, until somebody sets the budget "
        "`user:guest` anew.",
    )
    origins: Names = Field(
        default=FRONT_ENDS,
        description="Origins whose pages may call v2 at its own port, beside `server.cors_origins`"
        "; by default where v2's front end ran in development.",
    )
    deprecated: date = Field(
        default=date(2026, 1, 1), description="Since when answers say that v2 is deprecated."
    )
    sunset: date | None = Field(
        default=None, description="When v2 stops, as answers say it; unset says nothing."
    )
    guide: str = Field(
        default="/api/migration",
        pattern=r"^(https?://|/)[!-~]+$",
        max_length=500,
        description="Where answers send people who move to v3: a URL, or a path here.",
    )
