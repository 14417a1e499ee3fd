"""Reads the rules and tells what an answer breaks."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

MARKUP = re.compile(r"[*_`#>]+")
BLANKS = re.compile(r"\s+")

Patterns = tuple[re.Pattern[str], ...]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What no answer may say.

    Attributes:
        refusals: How refusals begin.
        longest_refusal: Characters; a longer answer has more to say than no.
        toxic: Patterns by what they are a sign of.
    """

    refusals: Patterns
    longest_refusal: int
    toxic: dict[str, Patterns]

    def refuses(self, text: str) -> bool:
        """Tell whether an answer is a refusal."""
        plain = plainly(text)
        if len(plain) > self.longest_refusal:
            return False
        return any(pattern.search(plain) for pattern in self.refusals)

    def toxicity(self, text: str, asked: str = "") -> str | None:
        """Return what an answer is a sign of; None when of nothing.

        Args:
            text: The answer.
            asked: What it answers: its own words may be quoted.
        """
        plain, own = plainly(text), plainly(asked)
        for name, patterns in self.toxic.items():
            for pattern in patterns:
                if any(match[0] not in own for match in pattern.finditer(plain)):
                    return name
        return None


def plainly(text: str) -> str:
    """Return a text as the patterns are written: small letters, single blanks, no markup."""
    return BLANKS.sub(" ", MARKUP.sub("", text)).strip().lower()


@cache
def rulebook() -> Rulebook:
    """Return the rules that ship with this version."""
    table = tomllib.loads(files("cartrita.quality").joinpath("rules.toml").read_text("utf-8"))
    return Rulebook(
        refusals=_compiled(table["refusal"]),
        longest_refusal=table["refusal"]["longest"],
        toxic={name: _compiled(row) for name, row in table["toxicity"].items()},
    )


def _compiled(row: dict[str, Any]) -> Patterns:
    return tuple(re.compile(pattern) for pattern in row["patterns"])
