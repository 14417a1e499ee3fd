"""Puts placeholders where something tells of a person, and takes them back."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from cartrita.errors import InvalidParameters, Reason
from cartrita.privacy.finding import Kind, find

Mode = Literal["mask", "redact", "block", "off"]
"""What becomes of it: a placeholder that is taken back, one that is not, a refusal, nothing."""

_LITERAL = "TEXT"
"""Stands for what looks like a placeholder and is the caller's own text."""

_NAMES = "|".join([*Kind, _LITERAL])
PLACEHOLDER = re.compile(rf"<(?:{_NAMES})_[0-9]{{1,6}}>")
_BEGINNING = re.compile(r"<(?:[A-Z]{0,5}|[A-Z]{2,5}_[0-9]{0,6})$")
"""What the end of a piece may be that the next one completes to a placeholder."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is done about personal data.

    Attributes:
        unmask: Whether an answer has the true values in it again.
        region: ISO 3166 code of the country whose telephone numbers come without a prefix.
    """

    mode: Mode = "mask"
    unmask: bool = True
    region: str = "US"


DEFAULT = Rules()


class Masker:
    """Keeps one task's true values, for as long as the task; nobody writes them down.

    The same value has the same placeholder throughout, such as `<EMAIL_1>`, so that a model can
    speak of it.
    """

    __slots__ = ("_by_value", "_counts", "_known", "_values", "rules")

    def __init__(self, rules: Rules = DEFAULT) -> None:
        self.rules = rules
        self._values: dict[str, str] = {}
        self._by_value: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._known: dict[str, str] = {}  # a conversation is sent again with each call

    def mask(self, text: str) -> str:
        """Return a text that may leave.

        Raises:
            InvalidParameters: It holds personal data, and the rules refuse that.
        """
        if self.rules.mode == "off":
            return text
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._masked(text)
        return known

    def _masked(self, text: str) -> str:
        spans = [(one.start, one.end, one.kind.value) for one in find(text, self.rules.region)]
        if self.rules.mode == "block":
            _refuse(kind for _, _, kind in spans)
            return text
        if self.rules.mode == "mask" and self.rules.unmask:
            own = [match.span() for match in PLACEHOLDER.finditer(text)]
            spans = sorted([*spans, *((start, end, _LITERAL) for start, end in own)])
        return _replaced(text, spans, self._placeholder)

    def unmask(self, text: str, quote: Callable[[str], str] = str) -> str:
        """Return a text with every value back in its place, written as `quote` writes it."""
        if not self._values:
            return text
        values = self._values
        return PLACEHOLDER.sub(
            lambda match: quote(values[match[0]]) if match[0] in values else match[0], text
        )

    def faceless(self, text: str) -> str:
        """Return a text that may leave and that nothing comes back of, such as one to embed.

        Placeholders have no numbers, so that equal texts of different tasks stay equal.

        Raises:
            InvalidParameters: It holds personal data, and the rules refuse that.
        """
        if self.rules.mode in ("off", "block"):
            return self.mask(text)
        return redacted(text, self.rules.region)

    def hid(self, text: str) -> bool:
        """Tell whether a text holds a value that was masked before."""
        return any(value in text for value in self._values.values())

    def shown(self, text: str) -> str:
        """Return a text as the caller may see it."""
        return self.unmask(text) if self.rules.unmask else text

    def within(self, value: Any, change: Callable[[str], str]) -> Any:
        """Return plain values with every text in them changed by one of the methods above."""
        if isinstance(value, str):
            return change(value)
        if isinstance(value, dict):
            return {key: self.within(item, change) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.within(item, change) for item in value]
        return value

    def stream(self, change: Callable[[str], str] | None = None) -> "Unmasking":
        """Return what changes a text that comes in pieces; by default, what `shown` does."""
        return Unmasking(change or self.shown)

    def _placeholder(self, kind: str, value: str) -> str:
        if self.rules.mode == "redact":
            return f"<{kind}>"
        known = self._by_value.get((kind, value))
        if known is None:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            known = self._by_value[kind, value] = f"<{kind}_{number}>"
            self._values[known] = value
        return known


class Unmasking:
    """Changes pieces of a text; a placeholder may be spread over several of them."""

    def __init__(self, change: Callable[[str], str]) -> None:
        self._change, self._held = change, ""

    def feed(self, piece: str) -> str:
        """Return what is certain so far; what may be half a placeholder is held back."""
        text = self._held + piece
        begun = _BEGINNING.search(text)
        cut = begun.start() if begun else len(text)
        self._held = text[cut:]
        return self._change(text[:cut])

    def end(self) -> str:
        """Return what was held back."""
        rest, self._held = self._held, ""
        return rest


def redacted(text: str, region: str = DEFAULT.region) -> str:
    """Return a text with what tells of a person replaced for good, for logs."""
    spans = [(one.start, one.end, one.kind.value) for one in find(text, region)]
    return _replaced(text, spans, lambda kind, _value: f"<{kind}>")


def _replaced(
    text: str, spans: list[tuple[int, int, str]], placeholder: Callable[[str, str], str]
) -> str:
    pieces, at = [], 0
    for start, end, kind in spans:
        pieces += [text[at:start], placeholder(kind, text[start:end])]
        at = end
    return "".join([*pieces, text[at:]])


def _refuse(kinds: Any) -> None:
    names = ", ".join(sorted(set(kinds)))
    if names:
        raise InvalidParameters(
            f"A text that would leave holds personal data ({names}), and `privacy.pii` is "
            "`block`: take it out, or set that to `mask`.",
            Reason.PII_BLOCKED,
        )
