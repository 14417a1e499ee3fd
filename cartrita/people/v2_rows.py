"""Reads v2's accounts out of what an operator has: a dump, or its database."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cartrita.auth.address import normalised
from cartrita.auth.identity import plain_name
from cartrita.errors import InvalidMessage, InvalidParameters
from cartrita.storage.people import FIRST_NUMBER

_BCRYPT = re.compile(r"\$2[abxy]?\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}")
LEAST_COST, MOST_COST = 4, 15
"""v2 used 10 and 12; each step doubles the time, and a sign-in must not take a minute."""

_NAMES, _HASHES = ("name", "username"), ("password_hash", "password")
"""What v2's table called the same thing at different times."""


@dataclass(frozen=True, slots=True)
class V2User:
    """One account of v2.

    Attributes:
        place: Which row it was, from 1.
        created_at: Unix seconds; None where the row does not say.
        admin: Whether v2 took it for an administrator.
    """

    place: int
    number: int
    name: str
    email: str
    password_hash: str = field(repr=False)
    created_at: float | None
    admin: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is left out.

    Attributes:
        number: As the row says, whatever that is.
    """

    place: int
    number: str
    reason: str


def rows_of(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a dump: a JSON array, an object with `users`, JSON lines, or CSV.

    Raises:
        InvalidMessage: It is none of these.
    """
    start = text.lstrip("\ufeff \t\r\n")
    if not start:
        raise InvalidMessage("The file is empty.")
    yield from (_json(start) if start[0] in "[{" else _csv(start))


def checked(rows: Iterable[Mapping[str, Any]]) -> Iterator[V2User | Refusal]:
    """Tell of each row which account it is, or why it is left out."""
    numbers: dict[int, int] = {}
    addresses: dict[str, int] = {}
    for place, row in enumerate(rows, 1):
        try:
            user = _user(place, row)
        except InvalidParameters as error:
            yield Refusal(place, str(row.get("id", ""))[:20], error.message)
            continue
        first = numbers.get(user.number) or addresses.get(user.email)
        if first:
            what = "id" if user.number in numbers else "email"
            yield Refusal(place, str(user.number), f"{what!r} is that of row {first}, too.")
            continue
        numbers[user.number] = addresses[user.email] = place
        yield user


def _user(place: int, row: Mapping[str, Any]) -> V2User:
    email = normalised(_text(row, ("email",)))
    return V2User(
        place=place,
        number=_number(row.get("id")),
        name=plain_name(_text(row, _NAMES), email),
        email=email,
        password_hash=_bcrypt(_text(row, _HASHES)),
        created_at=_moment(row.get("created_at")),
        admin=str(row.get("role", "")).lower() == "admin" or _true(row.get("is_admin")),
    )


def _text(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    told = next((row[name] for name in names if row.get(name)), "")
    return told.strip() if isinstance(told, str) else ""


def _number(told: Any) -> int:
    text = str(told).strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(10**12)) else 0
    if isinstance(told, bool) or not 0 < number < FIRST_NUMBER:
        raise _wrong("id", f"must be a number from 1 to {FIRST_NUMBER - 1}")
    return number


def _bcrypt(text: str) -> str:
    form = _BCRYPT.fullmatch(text)
    if form is None:
        raise _wrong("password_hash", "is not one of bcrypt's")
    if not LEAST_COST <= int(form["cost"]) <= MOST_COST:
        raise _wrong("password_hash", f"has a cost outside of {LEAST_COST} to {MOST_COST}")
    return text


def _moment(told: Any) -> float | None:
    if isinstance(told, datetime):
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    text = str(told or "").strip()
    if not text:
        return None
    try:
        # PostgreSQL writes "+00" where ISO 8601 wants "+00:00", which Python reads from 3.11 on.
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong("created_at", "is not a time") from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _true(told: Any) -> bool:
    return told is True or (isinstance(told, str) and told.lower() in {"t", "true", "1"})


def _wrong(name: str, problem: str) -> InvalidParameters:
    return InvalidParameters(f"'{name}' {problem}.", fields=[(name, problem)])


def _json(text: str) -> Iterator[Mapping[str, Any]]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        yield from _lines(text)
        return
    listed = whole.get("users", [whole]) if isinstance(whole, dict) else whole
    for row in listed if isinstance(listed, list) else [listed]:
        yield row if isinstance(row, dict) else {}


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise InvalidMessage(
                f"The file is no JSON: neither as a whole nor line {number}."
            ) from None
        yield row if isinstance(row, dict) else {}


def _csv(text: str) -> Iterator[Mapping[str, Any]]:
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        header = {name.strip().lower() for name in reader.fieldnames or ()}
        if not {"id", "email"} <= header:
            raise InvalidMessage(
                "The file is neither JSON nor CSV with a header that names `id` and `email`."
            )
        for row in reader:
            yield {str(key).strip().lower(): value for key, value in row.items()}
    except csv.Error as error:
        raise InvalidMessage(f"The CSV is broken: {error}.") from None
