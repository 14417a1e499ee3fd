"""Reads short English commands that can mean only one tool."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cartrita.providers.embedded import spoken
from cartrita.providers.embedded.intent import (
    CALCULATOR,
    CLOCK,
    MEMORY,
    SENTIMENT,
    SUMMARY,
    Smalltalk,
    Step,
    Tools,
    Unmet,
    Use,
    filled,
)

LONGEST_CLAUSE = 400
"""Characters beyond which a request is no short command."""

LEAST_TEXT = 80
"""Characters that make a text without a colon before it; `summarize the news` has none."""

_POLITE = re.compile(
    r"^(?:(?:and|also|then|now|so|please|hey|ok|okay|can you|could you|would you|will you|"
    r"tell me|give me|show me|i want to know|let me know)[,\s]+)+"
)
_GREETING = re.compile(
    r"(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|ok|okay|thanks|thank you|bye|goodbye)"
    r"(?: there| cartrita| again| all| very much)?"
    r"|(?:help|who are you|what are you|what can you do(?: for me)?|what do you do)"
)
_TIME = re.compile(
    r"(?:what(?:'s|s| is)? )?(?:the )?(?:current |exact |local |today'?s )?"
    r"(?:date and time|time and date|time|date|day of the week|day)"
    r"(?: is it| is today| is it today| do we have| it is)?(?: right now| now| today)?"
    r"(?: (?:in|at|for) (?P<place>[\w/+' -]+?))?(?: right now| now| today)?"
)
_RECALL = re.compile(
    r"(?:search|look (?:it )?up in|check|look in) (?:my |your |the )?(?:memory|memories|notes)"
    r"(?: for| about)?[: ]+(?P<a>.+)"
    r"|(?:recall|what do you (?:remember|know) about|do you remember|"
    r"what did i (?:say|tell you) about)[: ]+(?P<b>.+)"
    r"|(?:search for|find|look for) (?P<c>.+?) in (?:my |your |the )?(?:memory|memories|notes)"
)
_SHORTEN = re.compile(
    r"\s*(?:please |can you |could you )*(?:summari[sz]e|shorten|tl;?dr|sum up)"
    r"(?: (?:this|the following|it))?(?: text| article| passage)?"
    r"(?P<mark>[\s:,]*)(?P<text>.*)",
    re.IGNORECASE | re.DOTALL,
)
_FEELING = re.compile(
    r"\s*(?:please )?(?:what is the |what's the |analy[sz]e the |get the |the )?sentiment"
    r"(?: of| in)?(?: this| the following)?(?: text| review| sentence)?"
    r"(?P<mark>[\s:,]*)(?P<text>.*)",
    re.IGNORECASE | re.DOTALL,
)
_CREATIVE = re.compile(
    r"\b(?:write|compose|draft|rewrite|rephrase|translate|explain|describe|imagine|invent|"
    r"brainstorm|generate|create|design|advise|recommend|suggest|joke|poem|story|essay|code|"
    r"program|implement|refactor|should i|why|opinion|think about)\b"
)
_QUESTION = re.compile(
    r"(?:who|what|when|where|which|whose|how|is|are|do|does|did|was|were|can|has|have)\b"
)


@dataclass(frozen=True, slots=True)
class Clause:
    """One request of a message.

    Attributes:
        text: As it was written.
        before: What was made of the request before it.
    """

    text: str
    before: Step | None
    tools: Tools

    @property
    def words(self) -> str:
        """Lower case, without courtesies and end marks."""
        return _POLITE.sub("", " ".join(self.text.lower().split()).strip(" .!?,;")).strip()

    @property
    def asks(self) -> bool:
        """Whether it reads like a question."""
        return self.text.rstrip().endswith("?") or bool(_QUESTION.match(self.words))

    @property
    def creative(self) -> bool:
        """Whether it wants new text rather than a tool."""
        return bool(_CREATIVE.search(self.words))


def read(clause: Clause) -> Step | None:
    """Return what a clause plainly means, or nothing."""
    step = named(clause.text, clause.tools)
    if step or len(clause.text) > LONGEST_CLAUSE:
        return step
    for rule in _RULES:
        step = rule(clause, clause.words)
        if step:
            return step
    return None


def named(text: str, tools: Tools) -> Step | None:
    """Read `calculator: 2+2`, `use the calculator with 2+2`, `calculator(2+2)`."""
    for tool in tools.values():
        name = re.escape(tool.name).replace("_", "[_ ]")
        match = re.fullmatch(
            rf"(?:please )?(?:(?:use|call|run) (?:the )?{name}(?: tool)?(?: (?:on|with|for|to)\b)?"
            rf"|{name}(?=\s*[:(]))(?:\s*:\s*|\s+)?(?P<rest>.*?)[.?!]?",
            text.strip(),
            re.IGNORECASE | re.DOTALL,
        )
        if match:
            rest = match["rest"].strip()
            called = re.fullmatch(r"\(([^()]*)\)", rest)
            return filled(tool, text, called[1].strip() if called else rest)
    return None


def about_text(text: str, tools: Tools) -> Step | None:
    """Read requests about a text that comes with them and must not be cut into clauses."""
    for name, pattern in ((SUMMARY, _SHORTEN), (SENTIMENT, _FEELING)):
        match = pattern.fullmatch(text) if name in tools else None
        if match:
            given = {":", "\n"} & set(match["mark"]) or len(match["text"]) >= LEAST_TEXT
            return filled(tools[name], text, match["text"].strip() if given else "")
    return None


def _greeting(clause: Clause, words: str) -> Step | None:
    return Smalltalk(clause.text) if not words or _GREETING.fullmatch(words) else None


def _arithmetic(clause: Clause, words: str) -> Step | None:
    if CALCULATOR not in clause.tools:
        return None
    found = spoken.expression(words)
    before = clause.before
    if not found and isinstance(before, Use) and before.tool == CALCULATOR:
        found = spoken.continued(words, str(before.args["expression"]))
    return Use(clause.text, CALCULATOR, {"expression": found}) if found else None


def _time(clause: Clause, words: str) -> Step | None:
    match = _TIME.fullmatch(words) if CLOCK in clause.tools else None
    if not match:
        return None
    place = match["place"]
    zone = spoken.zone(place) if place else "UTC"
    if zone:
        return Use(clause.text, CLOCK, {"zone": zone})
    return Unmet(clause.text, f"{place!r} names no time zone; write one such as Europe/Berlin")


def _recall(clause: Clause, words: str) -> Step | None:
    match = _RECALL.fullmatch(words) if MEMORY in clause.tools else None
    query = match and (match["a"] or match["b"] or match["c"])
    return Use(clause.text, MEMORY, {"query": query}) if query else None


_RULES: Sequence[Callable[[Clause, str], Step | None]] = (_greeting, _arithmetic, _time, _recall)
