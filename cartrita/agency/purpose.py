"""Tells what a request asks for, by its words."""

import re
from dataclasses import dataclass

_MAKE = r"(draw|paint|sketch|generate|create|make|design)"
_TONGUES = "french|german|spanish|italian|portuguese|dutch|polish|russian|chinese|japanese|korean"
_CODED = "sql|python|javascript|typescript|compile[rs]?"
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (purpose, re.compile(pattern, re.IGNORECASE))
    for purpose, pattern in (
        ("image_generation", rf"\b{_MAKE}\b.{{0,40}}\b(image|picture|photo|illustration|logo)\b"),
        ("summarization", r"\b(summari[sz]\w*|summary|tl;?dr|shorten|condense)\b"),
        ("translation", rf"\btranslat\w*|\b(in|into|to) ({_TONGUES}|english)\b"),
        ("classification", r"\b(classif\w*|categori[sz]\w*|sentiment|label (this|these|the))\b"),
        ("embedding", r"\b(embed(ding)?s?|vectors? (of|for))\b"),
        (
            "code",
            rf"```|\b(code|function|class|bugs?|refactor|debug|regex|unit tests?|{_CODED})\b",
        ),
        ("question-answering", r"\b(according to|given the (text|context)|context:)"),
        ("search", r"\b(search|look up|find (me )?(sources|articles|papers|news))\b"),
        ("text-generation", r"\b(write|compose|draft|continue)\b"),
    )
)
OTHERWISE = "chat"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What is asked for, and the words that say so; none of them where nothing does."""

    name: str
    words: str = ""


def purpose_of(prompt: str) -> Purpose:
    """Return the purpose of the first rule that fits, which is a guess; else that it is a chat."""
    for name, pattern in _RULES:
        found = pattern.search(prompt)
        if found:
            return Purpose(name, found.group()[:80])
    return Purpose(OTHERWISE)
