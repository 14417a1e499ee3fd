"""What a model is told, kind of text by kind of text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cartrita.writing.text import Length, Words, split_subject

Kind = Literal["content", "edit", "summary", "blog", "email", "report", "brief"]

LENGTHS: dict[Kind, dict[Length, int]] = {
    "content": {"short": 150, "medium": 400, "long": 900},
    "summary": {"short": 60, "medium": 150, "long": 300},
    "blog": {"short": 300, "medium": 700, "long": 1_400},
    "email": {"short": 90, "medium": 160, "long": 300},
    "report": {"short": 250, "medium": 600, "long": 1_200},
    "brief": {"short": 150, "medium": 300, "long": 500},
}
"""Words."""

MARKDOWN = "Write Markdown: a first line `# title`, then sections under `## ` headings."
ONLY_FACTS = "Claim nothing that is not in the material; where something is missing, say so."
SECTIONS = {
    "report": "Summary, Findings, Analysis and Recommendations",
    "brief": "Background, Key points, Decision and Next steps",
}


@dataclass(frozen=True, slots=True)
class Order:
    """An order for a text.

    Attributes:
        material: What it is made of; given as data.
        tone: As it was asked for.
        keywords: These have to be in it.
        subject: Its first line has to tell one.
    """

    instruction: str
    material: str
    words: Words | None = None
    tone: str | None = None
    keywords: Sequence[str] = ()
    subject: bool = False

    def complaint(self, text: str) -> str | None:
        """Say what the text does not have that it should."""
        if self.subject and split_subject(text)[0] is None:
            return "The first line is no `Subject: …`."
        lower = text.casefold()
        unused = [word for word in self.keywords if word.casefold() not in lower]
        return f"These keywords are not in it: {', '.join(unused)}." if unused else None


def words(kind: Kind, length: Length | int) -> Words:
    """Return how many words are meant."""
    return Words(length if isinstance(length, int) else LENGTHS[kind][length])


def content(prompt: str, tone: str, length: Length | int) -> Order:
    """Order a text of any sort."""
    told = f"Write what the data asks for, in a tone that is {_line(tone)}. {MARKDOWN}"
    return Order(told, prompt, words("content", length), tone)


def edit(text: str, instructions: str, style: str | None) -> Order:
    """Order changes to a text; without a style it keeps its own."""
    look = f"Its style should be {_line(style)}." if style else "Keep its style and tone."
    told = (
        f"Edit the text in the data as follows: {instructions}\n{look} Change nothing else, keep "
        "its markup, and answer with the whole edited text only."
    )
    return Order(told, text, tone=style)


def summary(text: str, length: Length | int, *, bullets: bool) -> Order:
    """Order a shorter version."""
    form = "a list of points, each on a line that begins with `- `" if bullets else "prose"
    told = f"Summarise the text in the data as {form}, in its language. {ONLY_FACTS}"
    return Order(told, text, words("summary", length))


def blog(topic: str, tone: str, length: Length | int, keywords: Sequence[str]) -> Order:
    """Order a blog post."""
    use = f" Use each of these keywords: {_line(', '.join(keywords))}." if keywords else ""
    told = (
        f"Write a blog post on the topic in the data, in a tone that is {_line(tone)}. {MARKDOWN}"
        f"{use} Invent no figures, quotations or sources."
    )
    return Order(told, topic, words("blog", length), tone, tuple(keywords))


def email(material: str, tone: str, length: Length | int) -> Order:
    """Order a mail."""
    told = (
        f"Write an e-mail, in a tone that is {_line(tone)}. The first line is `Subject: …`, then "
        f"an empty line, then the mail. {ONLY_FACTS} Write [sender] where the sender's name is "
        "not given."
    )
    return Order(told, material, words("email", length), tone, subject=True)


def document(kind: Kind, material: str, tone: str, length: Length | int) -> Order:
    """Order a report or a brief."""
    told = (
        f"Write a {kind} in a tone that is {_line(tone)}. {MARKDOWN} The sections are "
        f"{SECTIONS[kind]}. {ONLY_FACTS}"
    )
    return Order(told, material, words(kind, length), tone)


def listed(*entries: tuple[str, str | None]) -> str:
    """Return what is known, a heading each; what is not is left out."""
    return "\n\n".join(f"{name}:\n{value}" for name, value in entries if value)


def _line(text: str | None) -> str:
    """Keep what a caller wrote on one line of an instruction."""
    return " ".join((text or "").split())
