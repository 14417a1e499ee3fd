"""Cuts text into sentences, by position."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_CHARS = 1_000
"""A longer sentence (a table, text without full stops) is cut at a space."""

SHORT_LINE = 45
"""A line shorter than this before a capital letter is a heading or an item, not wrapped prose."""

# Possessive quantifiers, and a run of marks is tried only from its beginning: 100,000
# exclamation marks must not cost the square of that.
_END = re.compile(
    r"""
      (?P<mark>(?<![.!?\u2026])[.!?\u2026]++["')\]\u2019\u201d\u00bb]*+  # what it closes, too
         (?:\s?[\u2600-\u27bf\U0001f000-\U0001faff\ufe0f\u200d])*+    # and its emoji
      )(?=\s|$)
    | (?P<wide>[\u3002\uff01\uff1f]++[\u300d\u300f\u201d\uff09]*+)      # these need no space
    | (?P<block>\n\s*\n | \n(?=[ \t]*(?:[-*\u2022]|\d+[.)])\s))        # paragraph, list item
    | (?P<line>\n)
    """,
    re.VERBOSE,
)
_WORD_BEFORE = re.compile(r"[^\s(\[\"'\u201c\u2018]+$")
_OPENERS = " \t\r\n\"'([\u201c\u2018\u00ab"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# After these a full stop never ends a sentence: a name, number or example follows.
_NEVER = _words(
    """mr mrs ms mx dr prof gen col sgt capt lt cmdr adm maj rev hon gov sen rep pres messrs mt fig
    figs eq eqs sec ch vol nr cf vs viz approx ca ver e.g i.e eg ie"""
)
# After these it does when the next word is one that usually begins a sentence.
_SOMETIMES = _words(
    """jr sr st ave blvd rd inc ltd co corp bros llc plc dept univ assn etc al eds a.m p.m pm u.s
    u.k u.n e.u d.c ph.d m.d b.a m.a b.sc m.sc jan feb apr jun jul aug sep sept oct nov dec tue
    tues thu thurs"""
)
_BEFORE_NUMBERS = _words("no nos p pp ext")
_STARTERS = _words(
    """a an the this that these those it its he she they we i you his her their our my your there
    here in on at by for from with after before when while if as although but and or so yet however
    moreover meanwhile then also what who where why how some many most all both each no not one to
    since during until because according despite once it's he's she's that's there's"""
)


@dataclass(frozen=True, slots=True)
class Span:
    """A sentence and where it stands: `whole[start:end] == text`."""

    text: str
    start: int
    end: int


def split(text: str) -> list[Span]:
    """Return the sentences of `text` in order, stripped, each a verbatim slice.

    Made for English: titles, initials, common abbreviations and decimals do not end a
    sentence. Blank lines, list items and headings do.
    """
    cased = any(char.isupper() for char in text)
    spans: list[Span] = []
    start = 0
    for match in _END.finditer(text):
        if _ends(text, start, match, cased=cased):
            spans.extend(_pieces(text, start, match.end()))
            start = match.end()
    spans.extend(_pieces(text, start, len(text)))
    return spans


def _ends(text: str, start: int, match: re.Match[str], *, cased: bool) -> bool:
    """Tell whether a possible end is one."""
    if match.lastgroup == "line":
        line = text[max(start, text.rfind("\n", 0, match.start()) + 1) : match.start()]
        follows = text[match.end() : match.end() + 80].lstrip()[:1]
        return len(line.strip()) < SHORT_LINE and (follows.isupper() or follows.isdigit())
    if match.lastgroup != "mark":
        return True
    follows = text[match.end() : match.end() + 80].lstrip(_OPENERS)
    if cased and follows[:1].islower():
        return False
    return not (match.group() == "." and _abbreviates(text, start, match.start(), follows))


def _abbreviates(text: str, start: int, dot: int, follows: str) -> bool:
    """Tell whether the full stop at `dot` belongs to the word before it."""
    found = _WORD_BEFORE.search(text, max(start, dot - 30), dot)
    if found is None:
        return False
    word = found.group()
    if word.isdigit():
        return not text[start : found.start()].strip()  # "1. First" is a numbered item
    lower = word.lower()
    if lower in _BEFORE_NUMBERS:
        return follows[:1].isdigit()
    initial = len(word) == 1 and word.isupper() and word != "I"
    if initial or lower in _SOMETIMES:
        first = re.match(r"[\w'\u2019]+", follows)
        return first is not None and first.group().lower() not in _STARTERS
    return lower in _NEVER


def _pieces(text: str, start: int, end: int) -> Iterator[Span]:
    """Strip a slice and cut it at spaces where it is too long; nothing for blanks."""
    while True:
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip())
        piece = piece.strip()
        if not piece:
            return
        if len(piece) <= MAX_CHARS:
            yield Span(piece, start, start + len(piece))
            return
        space = max(piece.rfind(mark, 1, MAX_CHARS + 1) for mark in " \n\t")
        cut = space if space > 0 else MAX_CHARS
        yield Span(piece[:cut].rstrip(), start, start + len(piece[:cut].rstrip()))
        start += cut
