"""Finds wordings that guides for inclusive language advise against, by a list."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cartrita.providers.ports import ModelInfo

INFO = ModelInfo(
    model="local/bias-lexicon",
    provider="embedded",
    generative=False,
    limitations=(
        "Finds words and patterns on a list of English wordings, nothing else.",
        "Knows no context: a quotation or a name is found, too.",
        "Finding nothing does not mean that a text is fair.",
    ),
)


@dataclass(frozen=True, slots=True)
class Wording:
    """A wording in a text: `text[start:end] == term`."""

    kind: str
    term: str
    start: int
    end: int
    reason: str
    suggestion: str | None


_GENDERED = {
    "chairman": "chair",
    "chairmen": "chairs",
    "spokesman": "spokesperson",
    "spokesmen": "spokespeople",
    "businessman": "business person",
    "businessmen": "business people",
    "businesswoman": "business person",
    "policeman": "police officer",
    "policemen": "police officers",
    "fireman": "firefighter",
    "firemen": "firefighters",
    "mailman": "mail carrier",
    "postman": "postal worker",
    "salesman": "salesperson",
    "salesmen": "sales people",
    "stewardess": "flight attendant",
    "stewardesses": "flight attendants",
    "waitress": "server",
    "waitresses": "servers",
    "housewife": "homemaker",
    "cleaning lady": "cleaner",
    "manpower": "workforce",
    "mankind": "humanity",
    "man-made": "artificial",
    "man hours": "person hours",
    "man-hours": "person-hours",
    "middleman": "intermediary",
    "layman": "layperson",
    "foreman": "supervisor",
    "congressman": "member of Congress",
    "forefathers": "ancestors",
    "workman": "worker",
    "workmen": "workers",
    "craftsman": "artisan",
    "male nurse": "nurse",
    "female doctor": "doctor",
    "lady doctor": "doctor",
    "woman driver": "driver",
}
_DISABILITY = {
    "wheelchair-bound": "uses a wheelchair",
    "wheelchair bound": "uses a wheelchair",
    "confined to a wheelchair": "uses a wheelchair",
    "handicapped": "disabled",
    "the disabled": "disabled people",
    "the blind": "blind people",
    "the deaf": "deaf people",
    "suffers from": "has",
    "crippled": "disabled",
    "deaf and dumb": "deaf",
    "mentally retarded": "with an intellectual disability",
    "the mentally ill": "people with a mental illness",
    "lame excuse": "poor excuse",
    "sanity check": "plausibility check",
    "blind spot": None,
    "tone-deaf": "insensitive",
}
_AGE = {
    "the elderly": "older people",
    "old people": "older people",
    "senior citizens": "older people",
    "digital native": "experienced with digital tools",
    "digital natives": "experienced with digital tools",
    "young and dynamic": "motivated",
    "young team": "team",
    "recent graduate": None,
    "recent graduates": None,
    "over the hill": None,
}
_ORIGIN = {
    "illegal immigrants": "undocumented immigrants",
    "illegal alien": "undocumented immigrant",
    "illegal aliens": "undocumented immigrants",
    "exotic-looking": None,
    "non-white": None,
    "native english speaker": "fluent in English",
    "native speaker": "fluent speaker",
    "third world": "low-income countries",
    "oriental": "Asian",
    "whitelist": "allowlist",
    "blacklist": "blocklist",
}
_LISTS: tuple[tuple[str, str, Mapping[str, str | None]], ...] = (
    ("gender", "Names one gender where any could be meant.", _GENDERED),
    ("disability", "Reduces people to a disability, or uses one as an image.", _DISABILITY),
    ("age", "Ties a quality to an age.", _AGE),
    ("origin", "Marks people by where they come from.", _ORIGIN),
)

_PEOPLE = (
    "women|men|girls|boys|mothers|fathers|immigrants|foreigners|refugees|muslims|christians|jews|"
    "hindus|blacks|whites|asians|africans|americans|europeans|mexicans|germans|millennials|boomers|"
    "gays|lesbians|poor people|rich people|young people|old people"
)
_SAME = (
    rf"\b(?:all|every one of the|most|typical) (?:{_PEOPLE})\b"
    rf"|\b(?:{_PEOPLE}) (?:are|can't|cannot|can not|never|always|should|don't) "
    r"(?:always |never |all |just |simply |naturally |too |not )*\w+"
)
_THOSE = r"\b(?:these|those|such|that kind of) people\b"
_BOTH = r"\b(?:he or she|he/she|s/he|his or her|his/her)\b"
_GENERIC_HE = (
    r"\b(?:every|each|any|no|the average|a good|the ideal) (?:\w+ )?"
    r"(?:employee|manager|developer|engineer|doctor|user|customer|student|candidate|leader|"
    r"citizen|person|one|driver|programmer|applicant)\b[^.!?\n]{0,60}?\b(?:he|his|him)\b"
)
_PATTERNS = (
    ("generalisation", "Says the same of everybody in a group.", _SAME),
    ("generalisation", "Speaks of people as if they were of one kind.", _THOSE),
    ("gender", "Names two genders for anybody.", _BOTH),
    ("gender", "Uses “he” or “his” for anybody.", _GENERIC_HE),
)
_SUGGESTIONS = {"Names two genders for anybody.": "they", "Uses “he” or “his” for anybody.": "they"}


def _listed(terms: Mapping[str, str | None]) -> str:
    longest_first = sorted(terms, key=len, reverse=True)
    return rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])"


_RULES: list[tuple[str, str, str, Mapping[str, str | None]]] = [
    *((kind, reason, _listed(terms), terms) for kind, reason, terms in _LISTS),
    *((kind, reason, pattern, {}) for kind, reason, pattern in _PATTERNS),
]
_FINDERS = [
    (kind, reason, re.compile(pattern, re.IGNORECASE), terms)
    for kind, reason, pattern, terms in _RULES
]


def find(text: str) -> list[Wording]:
    """Return the wordings of the list that a text has, in order; none within another."""
    found = [
        Wording(
            kind,
            match[0],
            match.start(),
            match.end(),
            reason,
            terms.get(match[0].lower()) or _SUGGESTIONS.get(reason),
        )
        for kind, reason, pattern, terms in _FINDERS
        for match in pattern.finditer(text)
    ]
    found.sort(key=lambda item: (item.start, -item.end))
    kept: list[Wording] = []
    for item in found:
        if not kept or item.start >= kept[-1].end:
            kept.append(item)
    return kept
