"""Counts and takes apart what was written."""

import re
from dataclasses import dataclass
from typing import Literal

Length = Literal["short", "medium", "long"]

TOLERANCE = 0.25
"""Share of the wanted number of words by which a text may differ from it."""

FEWEST_APART = 15
"""Words by which even a short text may differ."""

LONGEST_TITLE = 300

_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+(?:['\u2019.,-][^\W{_CJK}]+)*")
_HEADING = re.compile(r"[ \t]{0,3}(#{1,6})[ \t]+(.+)$")
_FENCE = re.compile(r"[ \t]{0,3}(```|~~~)")
_MARKS = re.compile(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1")
_SUBJECT = re.compile(r"[ \t*_#]*subject[ \t*_]*:[ \t*_]*(.*?)[ \t*_]*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Words:
    """How many words a text should have: about `wanted`, at least `low`, at most `high`."""

    wanted: int

    @property
    def low(self) -> int:
        """The fewest that are about right."""
        return max(1, self.wanted - self._apart)

    @property
    def high(self) -> int:
        """The most that are."""
        return self.wanted + self._apart

    @property
    def _apart(self) -> int:
        return max(round(self.wanted * TOLERANCE), FEWEST_APART)

    def miss(self, count: int) -> int:
        """Return by how many words a text is too short or too long; 0 for none."""
        return max(self.low - count, count - self.high, 0)


def _name(heading: re.Match[str]) -> str:
    """Return a heading's text without the marks that may close it."""
    text = heading[2].strip(" \t")
    return text.rstrip("#").rstrip(" \t") or text


def count_words(text: str) -> int:
    """Return how many words a text has; of scripts without spaces each character is one."""
    return len(_WORD.findall(text))


@dataclass(frozen=True, slots=True)
class Part:
    """A heading and what stands under it."""

    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A text taken apart by its headings.

    Attributes:
        title: The first heading, where it stands at the top and is the only one of its level.
        opening: What stands before the first section.
    """

    title: str | None
    opening: str
    parts: tuple[Part, ...]


def read_markdown(text: str) -> Document:
    """Take Markdown apart by its headings; those within code are none."""
    found: list[tuple[int, str, list[str]]] = [(0, "", [])]
    fenced = False
    for line in text.splitlines():
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.match(line)
        if heading:
            found.append((len(heading[1]), _name(heading)[:LONGEST_TITLE], []))
        else:
            found[-1][2].append(line)
    opening, sections = _joined(found[0][2]), found[1:]
    title = None
    levels = [level for level, _, _ in sections]
    if sections and not opening and levels.count(levels[0]) == 1 and levels[0] == min(levels):
        _, title, lines = sections.pop(0)
        opening = _joined(lines)
    return Document(title, opening, tuple(Part(name, _joined(body)) for _, name, body in sections))


def _joined(lines: list[str]) -> str:
    return "\n".join(lines).strip()


def plain(text: str) -> str:
    """Return Markdown without its headings' and emphasis' marks."""
    lines, fenced = [], False
    for line in text.splitlines():
        fence = bool(_FENCE.match(line))
        fenced ^= fence
        if not (fence or fenced):
            heading = _HEADING.match(line)
            line = _MARKS.sub(r"\2", _name(heading) if heading else line)  # noqa: PLW2901 - the same
        lines.append(line)
    return "\n".join(lines).strip()


def split_subject(text: str) -> tuple[str | None, str]:
    """Return the subject that a mail's first line tells, and the rest."""
    first, _, rest = text.strip().partition("\n")
    match = _SUBJECT.fullmatch(first)
    return (match[1] or None, rest.strip()) if match else (None, text.strip())
