"""Puts documents together from what is given, marking what a person has to write."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from cartrita.providers.ports import ModelInfo

INFO = ModelInfo(
    model="local/document-assembly",
    provider="embedded",
    generative=False,
    limitations=(
        "Arranges what was given, word for word; writes nothing of its own.",
        "What is missing is marked [TO WRITE: …].",
    ),
)

Kind = Literal["email", "report", "brief"]

GREETINGS = {"formal": "Dear", "professional": "Dear", "friendly": "Hi", "casual": "Hi"}
CLOSINGS = {"friendly": "Best wishes,", "casual": "Cheers,"}


@dataclass(slots=True)
class Draft:
    """A document under way: Markdown, and what is missing in it."""

    blocks: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, *blocks: str) -> None:
        """Add blocks of text."""
        self.blocks += blocks

    def gap(self, what: str) -> str:
        """Return a mark for something that a person has to write."""
        self.missing.append(what)
        return f"[TO WRITE: {what}]"

    @property
    def text(self) -> str:
        """The document as it stands."""
        return "\n\n".join(self.blocks)


@dataclass(frozen=True, slots=True)
class Given:
    """What a document is made of.

    Attributes:
        subject: What it is about, or for.
        facts: Statements to go in as they are.
        quotes: Sentences that stand for a longer text, verbatim.
        asks: What is to be decided or done, where that is known.
    """

    subject: str
    facts: Sequence[str] = ()
    quotes: Sequence[str] = ()
    asks: str | None = None
    recipient: str | None = None
    sender: str | None = None
    tone: str = "professional"


def assemble(kind: Kind, given: Given) -> Draft:
    """Return a document of one kind, as far as it can be made of this."""
    draft = Draft()
    {"email": _email, "report": _report, "brief": _brief}[kind](draft, given)
    return draft


def _email(draft: Draft, given: Given) -> None:
    greeting = GREETINGS.get(given.tone.lower(), "Dear")
    draft.add(f"Subject: {_line(given.subject)}")
    draft.add(f"{greeting} {given.recipient or draft.gap('the name of the recipient')},")
    draft.add(draft.gap(f"one or two sentences that open the mail; its purpose: {given.subject}"))
    if given.quotes:
        draft.add(" ".join(given.quotes))
    if given.facts:
        draft.add(_list(given.facts))
    if not given.facts and not given.quotes:
        draft.add(draft.gap("what the recipient should know"))
    draft.add(given.asks or draft.gap("what you ask of the recipient, and by when"))
    closing = CLOSINGS.get(given.tone.lower(), "Kind regards,")
    draft.add(f"{closing}\n{given.sender or draft.gap('your name')}")


def _report(draft: Draft, given: Given) -> None:
    draft.add(f"# {_line(given.subject)}", "## Summary")
    draft.add(" ".join(given.quotes) or draft.gap("the report in three sentences"))
    draft.add("## Findings", _list(given.facts) or draft.gap("what was found"))
    draft.add("## Analysis", draft.gap("what the findings mean, and why"))
    draft.add("## Recommendations", given.asks or draft.gap("what should be done, and by whom"))


def _brief(draft: Draft, given: Given) -> None:
    draft.add(f"# {_line(given.subject)}", "## Background")
    draft.add(" ".join(given.quotes) or draft.gap("what the reader has to know first"))
    draft.add("## Key points", _list(given.facts) or draft.gap("the facts that matter"))
    draft.add("## Decision", given.asks or draft.gap("what is to be decided, and by when"))
    draft.add("## Next steps", draft.gap("who does what next"))


def _line(text: str) -> str:
    return " ".join(text.split())


def _list(facts: Sequence[str]) -> str:
    return "\n".join(f"- {_line(fact)}" for fact in facts)
