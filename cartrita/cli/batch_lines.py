"""Reads a batch's file: one task a line, however large the file is."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NoReturn

from pydantic import ValidationError

from cartrita.client.calls import Submission
from cartrita.clock import derived_id
from cartrita.errors import CartritaError, InvalidMessage, InvalidParameters, ResourceLimitExceeded
from cartrita.protocol.task import TaskRequest
from cartrita.protocol.wire import field_errors

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; what a server takes in one request is less."""

BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank.

    Attributes:
        number: From 1, blank ones counted.
        text: Without its end; empty when it is too long.
        size: Bytes since the line before.
        digest: Of this and all lines before.
    """

    number: int
    text: bytes = field(repr=False)
    size: int
    digest: bytes


def lines(read: Callable[[int], bytes]) -> Iterator[Line]:
    """Yield the lines of a file, of which no more than one is held.

    Args:
        read: Returns some bytes, at most so many, and none at the end.
    """
    number, digest, size = 0, b"", 0
    for text, length in _split(read):
        number, size = number + 1, size + length
        digest = blake2b(digest + text, digest_size=16).digest()
        if text.strip() or length > LONGEST_LINE:
            yield Line(number, text, size, digest)
            size = 0


def _split(read: Callable[[int], bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield each line and its length; of one that is too long only that."""
    parts: list[bytes] = []
    length = 0
    while block := read(BLOCK):
        *ends, rest = block.split(b"\n")
        for end in ends:
            parts.append(end)
            yield _joined(parts, length + len(end)), length + len(end) + 1
            parts, length = [], 0
        parts, length = [*parts, rest], length + len(rest)
        if length > LONGEST_LINE:
            parts = []
    if length:
        yield _joined(parts, length), length


def _joined(parts: list[bytes], length: int) -> bytes:
    return b"".join(parts) if length <= LONGEST_LINE else b""


def task_of(line: Line, batch: str) -> Submission:
    """Return the task of a line; its id follows from the batch and the line, if it names none.

    Raises:
        CartritaError: It is no task; the class and its fields say why.
    """
    if not line.text:
        raise ResourceLimitExceeded(f"The line is longer than {LONGEST_LINE} bytes.")
    try:
        request = TaskRequest.model_validate_json(line.text, strict=True)
        said = json.loads(line.text, object_pairs_hook=_once, parse_constant=_no_number)
    except ValidationError as error:
        raise _refusal(error) from None
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(f"The line is not JSON: {error}.") from None
    said.pop("task_id", None)
    own = blake2b(line.text, digest_size=16).hexdigest()
    task_id = str(request.task_id or derived_id(batch, f"{line.number}/{own}"))
    body = json.dumps({**said, "taskId": task_id}, ensure_ascii=False).encode()
    return Submission(task_id, body, {}, None)


def _refusal(error: ValidationError) -> CartritaError:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return InvalidMessage(f"The line is not JSON: {first['ctx']['error']}.")
    fields = field_errors(error)
    names = "; ".join(f"{item.field}: {item.message}" for item in fields[:5])
    return InvalidParameters(f"The line is no task: {names}.", fields=fields)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {name!r} appears twice in one object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON's")


class Tally:
    """Which lines are done with: all up to one, and some beyond.

    Args:
        low: That line; 0 for none.
        digest: Its digest.
        beyond: The numbers of the others.
    """

    def __init__(
        self, low: int = 0, digest: bytes = b"", beyond: frozenset[int] = frozenset()
    ) -> None:
        self.low, self.digest = low, digest
        self._beyond = set(beyond)
        self._line = deque[tuple[int, bytes]]()
        self._met = low == 0

    @property
    def beyond(self) -> list[int]:
        """Return the lines done with that follow one that is not."""
        return sorted(self._beyond)

    def news(self, line: Line) -> bool:
        """Take note of a line that was read; tell whether there is anything to do about it.

        Raises:
            InvalidParameters: The lines are not those of which this tells.
        """
        if line.number <= self.low:
            self._met = line.number == self.low
            if self._met and line.digest != self.digest:
                raise changed(f"line {line.number} or one before it is not what it was")
            return False
        self.end()
        self._line.append((line.number, line.digest))
        done = line.number in self._beyond
        self._advance()
        return not done

    def end(self) -> None:
        """Take note that no earlier line will be read; raises as `news` does."""
        if not self._met:
            raise changed(f"line {self.low} is gone")

    def done(self, number: int) -> None:
        """Take note that a line is done with."""
        self._beyond.add(number)
        self._advance()

    def _advance(self) -> None:
        while self._line and self._line[0][0] in self._beyond:
            self.low, self.digest = self._line.popleft()
            self._beyond.discard(self.low)


def changed(why: str) -> InvalidParameters:
    """Return the error about a file that is not what a batch began with."""
    return InvalidParameters(
        f"The file has changed since its batch began ({why}): restore it, or begin anew "
        "with --fresh."
    )
