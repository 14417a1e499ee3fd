"""The steps of a conversation with the API, without any I/O.

A *flow* is a generator that yields steps and is sent what became of them, so that the
blocking and the asynchronous client share every decision and differ in how they wait.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """Send this and wait for the answer.

    Attributes:
        timeout: Seconds the server may be silent.
        private: Whether it needs a token.
        repeatable: Whether sending it twice does what sending it once does.
        streamed: Whether the body of a success is read as it comes.
        parts: Begins a body that is sent piece by piece, in place of `body`.
        upgraded: Whether it goes over a WebSocket, as its first message; the answer to that is
            the answer, and what comes then is its body.
    """

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30.0
    private: bool = True
    repeatable: bool = True
    streamed: bool = False
    parts: Callable[[], Any] | None = field(default=None, repr=False)
    upgraded: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Alone:
    """Run this flow while no other of the same client runs one; its error ends both."""

    flow: "Flow[None]"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered; header names are in lower case.

    Attributes:
        source: What the body of a streamed call is read from, by the client that sent it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    source: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came.

    Attributes:
        sent: Whether the server may have read the call.
    """

    why: str
    sent: bool


class Broken(Exception):
    """What was read as it came ended before its end."""

    def __init__(self, lost: Lost) -> None:
        super().__init__(lost.why)
        self.lost = lost


Flow = Generator["Call | Pause | Alone", "Reply | Lost | None", T]
