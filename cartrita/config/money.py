"""The tables of the settings file about money: what may be spent, and what things cost."""

from typing import Literal

from pydantic import Field

from cartrita.config.kinds import Location, Section

MOST_USD = 10**9
MOST_TOKENS = 10**15


class Budgets(Section):
    """What may be spent where nobody set a budget, and what models cost."""

    user_usd: float = Field(
        default=100.0, ge=0, le=MOST_USD, description="USD of one user; 0 is no limit."
    )
    user_tokens: int = Field(
        default=1_000_000, ge=0, le=MOST_TOKENS, description="Tokens of one user; 0 is no limit."
    )
    user_period: Literal["day", "total"] = Field(
        default="day", description="Whether that is for each day (UTC) or for ever."
    )
    tenant_usd: float = Field(
        default=0.0, ge=0, le=MOST_USD, description="USD of one tenant; 0 is no limit."
    )
    tenant_tokens: int = Field(
        default=0, ge=0, le=MOST_TOKENS, description="Tokens of one tenant; 0 is no limit."
    )
    tenant_period: Literal["day", "total"] = Field(
        default="day", description="Whether that is for each day (UTC) or for ever."
    )
    session_usd: float = Field(
        default=0.0, ge=0, le=MOST_USD, description="USD of one session, for ever; 0 is no limit."
    )
    session_tokens: int = Field(
        default=0,
        ge=0,
        le=MOST_TOKENS,
        description="Tokens of one session, for ever; 0 is no limit.",
    )
    prices: Location | None = Field(
        default=None,
        description="TOML file of model prices, in the form of `cartrita/cost/prices.toml`, whose "
        "entries go before ours; it is read again when it changes.",
    )

    @property
    def limits(self) -> dict[str, tuple[float, int, str]]:
        """USD, tokens and period, by whose they are."""
        return {
            "user": (self.user_usd, self.user_tokens, self.user_period),
            "tenant": (self.tenant_usd, self.tenant_tokens, self.tenant_period),
            "session": (self.session_usd, self.session_tokens, "total"),
        }
