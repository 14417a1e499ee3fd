"""Reads arithmetic and places out of plain English."""

import re
from functools import cache
from zoneinfo import available_timezones

from cartrita.providers.embedded.arithmetic import is_arithmetic

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER = r"(\d+(?:\.\d+)?)"

_LEAD = re.compile(
    r"^(?:what(?:'s| is| does| are)?|how much (?:is|are)|"
    r"calculate|compute|evaluate|work out|solve)\s+"
)
_TAIL = re.compile(r"(?:\s+(?:make|equal)s?)?[\s=?]*$")

_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        *((rf"\b{word}\b", str(value)) for value, word in enumerate(_NUMBERS)),
        (rf"{_NUMBER} ?(?:%|percent) off (?:of )?{_NUMBER}", r"((1-\1/100)*\2)"),
        (rf"{_NUMBER} ?(?:%|percent) of ", r"\1/100*"),
        (r"\bhalf (?:of )?", "1/2*"),
        (rf"(?:the )?square root of {_NUMBER}", r"sqrt(\1)"),
        (r" squared\b", "**2"),
        (r" cubed\b", "**3"),
        (r" (?:to the power of|raised to) ", "**"),
        (r" ?(?:multiplied by|times|\u00d7|(?<=\d) ?x ?(?=\d)) ?", "*"),
        (r" ?(?:divided by|\u00f7) ?", "/"),
        (r" ?\bplus\b ?", "+"),
        (r" ?(?:\bminus\b|\u2212) ?", "-"),
        (r"\s*([-+*/^(),])\s*", r"\1"),
    )
)

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DATE = re.compile(r"\b\d{4}-\d{1,2}-\d{1,2}\b")
_GO_ON = tuple(
    (re.compile(rf"(?:{words}) ?{_NUMBER}"), sign)
    for words, sign in (
        (r"times|multipl(?:y|ied)(?: it| that| the result)? by|\*", "*"),
        (r"divided?(?: it| that| the result)? by|/", "/"),
        (r"plus|add|\+", "+"),
        (r"minus|subtract|-", "-"),
    )
)


def expression(clause: str) -> str | None:
    """Return the arithmetic a lower-case clause asks for, or nothing if it is not only that.

    `what is 15% of 240` is `15/100*240`; `how many days off do I get` is nothing.
    """
    text = _TAIL.sub("", _LEAD.sub("", clause))
    if _DATE.search(text):
        return None
    if "(" not in text:  # in `max(1,200)` the comma is no thousands separator
        text = _THOUSANDS.sub("", text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text if is_arithmetic(text) else None


def continued(clause: str, before: str) -> str | None:
    """Return the expression that goes on from one before: `then times 3`."""
    for pattern, sign in _GO_ON:
        match = pattern.fullmatch(clause)
        if match:
            return f"({before}){sign}{match[1]}"
    return None


def zone(place: str) -> str | None:
    """Return the IANA time zone of a place that has one named after it."""
    return _zones().get(place.strip().lower().replace("_", " "))


@cache
def _zones() -> dict[str, str]:
    """Map lower-case names and their last parts to zones: `tokyo`, `asia/tokyo`."""
    names = sorted(available_timezones())
    found = {name.rpartition("/")[2].lower().replace("_", " "): name for name in names}
    # Full names win, so that `utc` is UTC and not Etc/UTC.
    return found | {name.lower().replace("_", " "): name for name in names}
