"""Finds what tells of a person, or lets somebody in: addresses, numbers, keys."""

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from cartrita.privacy.identity import identities


class Kind(StrEnum):
    """What was found; names of persons are not."""

    JWT = "JWT"
    KEY = "KEY"
    EMAIL = "EMAIL"
    IBAN = "IBAN"
    CARD = "CARD"
    ID = "ID"
    IP = "IP"
    PHONE = "PHONE"


@dataclass(frozen=True, slots=True)
class Found:
    """One finding: `text[start:end]`."""

    kind: Kind
    start: int
    end: int


Span = tuple[int, int]

CARD_DIGITS = range(13, 20)
SHORTEST_IBAN = 15
FEWEST_DIGITS = 6
"""Of a text that may have a number of a card, an account or a person in it."""

CUE = 40
"""Characters before a bare row of digits in which something must say that it is a telephone's."""

_JWT = re.compile(r"\beyJ[\w-]{8,1024}\.[\w-]{8,8192}\.[\w-]*")
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk)[-_][\w-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|hf_[A-Za-z0-9]{20,}|ctk_[\w-]{16,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{35}|tvly-[\w-]{16,}|cartrita_[0-9a-f]{32,}"
    r")(?![A-Za-z0-9])"
    r"|(?<=[Bb]earer )[\w.~+/-]{16,}=*"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[A-Za-z0-9+/=\s]{0,8192}"
    r"(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
)
_EMAIL = re.compile(
    r"(?<![\w.%+'-])[\w.%+'-]{1,64}@(?:[\w](?:[\w-]{0,61}[\w])?\.){1,8}[^\W\d_][\w-]{1,62}"
)
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])"
)
_DIGITS = re.compile(r"(?<![A-Za-z0-9])[0-9]+(?:[ \u00a0.-][0-9]+)*(?![A-Za-z0-9])")
_GROUP = re.compile(r"[0-9]+")
_IPV4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w]|\.[0-9])")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f]*:[0-9A-Fa-f]*:)[0-9A-Fa-f:]{2,39}(?![\w:])")
_UUID = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_DIGIT = re.compile(r"[0-9]")
_MANY_DIGITS = re.compile(r"[0-9](?:\D{0,3}[0-9]){6}")
_BARE = re.compile(r"[0-9]+")
_CUE = re.compile(
    r"\b(?:phones?|tel|telephone|telefon|téléphone|teléfono|mobile|mobil|cell|handy|fax|call|"
    r"ring|dial|text|sms|whatsapp|reach|contact)\b",
    re.IGNORECASE,
)


def find(text: str, region: str = "US") -> list[Found]:
    """Return what stands in a text, in order and without overlaps.

    Args:
        text: Any.
        region: ISO 3166 code of the country whose telephone numbers come without a prefix.
    """
    taken: list[Span] = [match.span() for match in _UUID.finditer(text)]
    found: list[Found] = []
    few = len(_DIGIT.findall(text)) < FEWEST_DIGITS
    for kind, spans in _FINDERS:
        if few and kind in _OF_DIGITS:
            continue
        for start, end in spans(text):
            _add(Found(kind, start, end), taken, found)
    # What is known is nobody's extension.
    rest = list(text)
    for start, end in taken:
        rest[start:end] = [" "] * (end - start - 1) + ["\n"]
    text = "".join(rest)
    found += [Found(Kind.PHONE, *span) for span in _phones(text, region)]
    return sorted(found, key=lambda one: one.start)


def _add(new: Found, taken: list[Span], found: list[Found]) -> None:
    """Keep of a finding what no earlier one has: two may share a part, and neither may leave.

    What is taken is in order, and without overlaps.
    """
    at = bisect_left(taken, (new.start,))
    if at and taken[at - 1][1] > new.start:
        at -= 1
    start, parts = new.start, []
    while at < len(taken) and taken[at][0] < new.end:
        parts.append((start, taken[at][0]))
        start = max(start, taken[at][1])
        at += 1
    for part in (*parts, (start, new.end)):
        if part[0] < part[1]:
            insort(taken, part)
            found.append(Found(new.kind, *part))


def _matches(pattern: re.Pattern[str], hint: str) -> Callable[[str], Iterator[Span]]:
    """Return a finder of a pattern, for texts that have a hint of it."""

    def spans(text: str) -> Iterator[Span]:
        if hint in text:
            yield from (match.span() for match in pattern.finditer(text))

    return spans


def _ibans(text: str) -> Iterator[Span]:
    """Find account numbers, whatever words follow them."""
    at = 0
    while match := _IBAN.search(text, at):
        at = match.start() + 1  # the next may begin within what only looked like more of this
        places = [place for place in range(*match.span()) if text[place].isalnum()]
        for count in range(len(places), SHORTEST_IBAN - 1, -1):
            end = places[count - 1] + 1
            if text[end : end + 1].isalnum():  # within a word
                continue
            if _is_iban("".join(text[place] for place in places[:count])):
                yield match.start(), end
                at = end
                break


def _is_iban(compact: str) -> bool:
    from stdnum import iban  # noqa: PLC0415 - only where there is something to check

    return bool(iban.is_valid(compact, check_country=False))


def _cards(text: str) -> Iterator[Span]:
    """Find card numbers among groups of digits; those before and after may be something else."""
    for run in _DIGITS.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, *run.span())]
        for first, (start, _) in enumerate(groups):
            last = _card_from(text, groups, first)
            if last is not None:
                yield start, groups[last][1]


def _card_from(text: str, groups: list[Span], first: int) -> int | None:
    """Return the last group of the card number that begins with this one."""
    digits, best = "", None
    for number in range(first, len(groups)):
        digits += text[slice(*groups[number])]
        if len(digits) not in range(CARD_DIGITS.stop):
            break
        if len(digits) in CARD_DIGITS and digits[0] in "23456" and _luhn(digits):
            best = number
    return best


def _luhn(digits: str) -> bool:
    from stdnum import luhn  # noqa: PLC0415 - only where there is something to check

    return bool(luhn.is_valid(digits))


def _addresses(text: str) -> Iterator[Span]:
    """Find addresses of the open network; a private one is nobody's."""
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            try:
                known = ip_address(match[0])
            except ValueError:
                continue
            if not (known.is_private or known.is_unspecified or known.is_multicast):
                yield match.span()


def _phones(text: str, region: str) -> Iterator[Span]:
    if not _MANY_DIGITS.search(text):
        return
    from phonenumbers import Leniency, PhoneNumberMatcher  # noqa: PLC0415 - large

    for match in PhoneNumberMatcher(text, region, Leniency.VALID):
        bare = _BARE.fullmatch(match.raw_string)
        if not bare or _CUE.search(text, max(0, match.start - CUE), match.start):
            yield match.start, match.end


_OF_DIGITS = {Kind.IBAN, Kind.CARD, Kind.ID}

_FINDERS: tuple[tuple[Kind, Callable[[str], Iterator[Span]]], ...] = (
    (Kind.JWT, _matches(_JWT, "eyJ")),
    (Kind.KEY, _matches(_KEY, "")),
    (Kind.EMAIL, _matches(_EMAIL, "@")),
    (Kind.IBAN, _ibans),
    (Kind.CARD, _cards),
    (Kind.ID, identities),
    (Kind.IP, _addresses),
)
"""What is looked for, in this order: what an earlier one finds, a later one does not."""
