"""Finds the numbers by which states know people."""

import re
from collections.abc import Iterator
from importlib import import_module

Shape = tuple[re.Pattern[str], str | None]
"""How a number is written, and the module of `stdnum` that checks its digits."""


def _shape(pattern: str, module: str | None) -> Shape:
    return re.compile(rf"(?<![\w.-])(?:{pattern})(?![\w]|[.-][0-9])"), module


SHAPES: tuple[Shape, ...] = (
    _shape(r"[0-9]{3}-[0-9]{2}-[0-9]{4}", "us.ssn"),
    _shape(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]", None),
    _shape(r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", "fr.nir"),
    _shape(r"[0-9]{8}-?[A-Z]", "es.dni"),
    _shape(r"[XYZ]-?[0-9]{7}-?[A-Z]", "es.nie"),
    _shape(r"[A-Z]{6}[0-9]{2}[A-Z][0-9]{2}[A-Z][0-9]{3}[A-Z]", "it.codicefiscale"),
    _shape(r"756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}", "ch.ssn"),
    _shape(r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}", "be.nn"),
    _shape(r"[0-9]{6}[-+A][0-9]{3}[0-9A-Y]", "fi.hetu"),
    _shape(r"[0-9]{6}-[0-9]{4}", "dk.cpr"),
    _shape(r"(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}", "se.personnummer"),
    _shape(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", "br.cpf"),
    _shape(r"[0-9]{4} [0-9]{4} [0-9]{4}", "in_.aadhaar"),
)
"""Written so that one is told from an amount or a date by its form and its check digits. Rows of
digits alone are looked at only where a word before says what they are."""

NAMED = re.compile(
    r"\b(?:SSN|social security(?: (?:number|no))?|BSN|PESEL|Steuer-?ID|IdNr|Aadhaar|CPF|SIN|"
    r"NHS(?: (?:number|no))?|NIR|DNI|NIE|NIF|CPR|HETU|personnummer|codice fiscale|"
    r"(?:national|tax|identity) (?:id|number|no)|passport(?: (?:number|no))?)\b"
    r"[^\w\n]{0,4}(?:is |: ?|= ?)?"
    r"(?P<number>(?-i:[A-Z]{0,3}[0-9](?:[ .-]?[0-9]|[A-Z]){5,17}))(?!\w)",
    re.IGNORECASE,
)
FEWEST_DIGITS = 6


def identities(text: str) -> Iterator[tuple[int, int]]:
    """Yield where a national id stands: by its form and check digits, or by its name before."""
    for match in NAMED.finditer(text):
        if sum(char.isdigit() for char in match["number"]) >= FEWEST_DIGITS:
            yield match.span("number")
    for pattern, module in SHAPES:
        for match in pattern.finditer(text):
            if module is None or _valid(module, match[0]):
                yield match.span()


def _valid(module: str, number: str) -> bool:
    checked = import_module(f"stdnum.{module}")
    return bool(checked.is_valid(number))
