"""Asks ruff, with rules of ours and none of anybody's configuration."""

import json
from typing import Any

from ruff import find_ruff_bin

from cartrita.providers.ports_code import Kind, Mending, Remark
from cartrita.providers.workshop.child import done

RULES = ("A", "ASYNC", "B", "C90", "E4", "E7", "E9", "F", "PERF", "PLE", "S", "SIM", "UP", "W6")
"""What is looked for; S is what bandit knows of security."""

IGNORED = ("S101",)
"""Asserts, which are what tests are made of."""

MENDING: dict[Mending, tuple[str, ...]] = {
    "style": ("C4", "F401", "I", "PIE", "RET", "RUF", "SIM", "UP", "W"),
    "bugs": ("B", "E7", "F", "PLE", "PLW"),
    "speed": ("C40", "C41", "C420", "FURB", "PERF102", "SIM118"),
}
UNTOUCHED = ("C408", "C419")
"""A matter of taste, and a change of what is evaluated."""


MOST_REMARKS = 100
_COMMON = ("--isolated", "--no-cache", "--quiet", "--stdin-filename", "solution.py")


async def remarks(code: str) -> list[Remark]:
    """Return what ruff has to say about code that parses."""
    rules = ("--select", ",".join(RULES), "--ignore", ",".join(IGNORED))
    argv = (find_ruff_bin(), "check", *_COMMON, *rules, "--output-format", "json", "--exit-zero")
    answer = await done([*argv, "-"], code)
    found: list[dict[str, Any]] = json.loads(answer.output or "[]")
    return [_remark(item) for item in found[:MOST_REMARKS]]


async def mended(code: str, kind: Mending) -> str:
    """Return code after ruff's fixes that keep what it does; formatted, too, for style."""
    rules = ["--select", ",".join(MENDING[kind]), "--ignore", ",".join(UNTOUCHED)]
    if kind == "speed":  # unsafe is what may drop a comment: then nothing is changed
        rules.append("--unsafe-fixes")
    fixed = await done(
        [find_ruff_bin(), "check", *_COMMON, *rules, "--fix-only", "--exit-zero", "-"], code
    )
    kept = fixed.code == 0 and fixed.output.count("#") >= code.count("#")
    text = fixed.output if kept else code
    if kind != "style":
        return text
    shaped = await done(
        [find_ruff_bin(), "format", "--isolated", "--no-cache", "--quiet", "-"], text
    )
    return shaped.output if shaped.code == 0 else text


def _remark(item: dict[str, Any]) -> Remark:
    rule, place = str(item.get("code") or "syntax"), item.get("location") or {}
    kind: Kind = "warning"
    if rule.startswith("S") and not rule.startswith("SIM"):
        kind = "security"
    elif rule.startswith(("E9", "F82", "PLE", "syntax", "invalid")):
        kind = "error"
    return Remark(rule, str(item["message"]), place.get("row", 1), place.get("column", 1), kind)
