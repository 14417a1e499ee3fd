"""What an embedded service is, and when to give it up.

The keeper process imports this file, so it needs the standard library only.
"""

import json
import os
import signal
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

State = Literal["starting", "up", "down", "quarantined"]

# What a service gets whose spec names no environment: nothing of ours, so no secret either.
MINIMAL_ENVIRONMENT: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 2.0


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How to run one service; plain enough to cross a pipe as JSON.

    Args:
        name: Unique among the services of one keeper.
        argv: The program, by absolute path, and its arguments. Never a secret: anybody may
            read them.
        log_path: Where standard output and error are appended.
        cwd: The directory it starts in.
        env: Its whole environment; None means `MINIMAL_ENVIRONMENT`.
        stop_signal: The name of the signal that asks it to stop.
        death_signal: The name of the signal the kernel sends it when the keeper dies (Linux).
        grace: Seconds between the stop signal and SIGKILL.
        restart: Whether it is started again whenever it ends unasked.
        intensity: More crashes than this within `period` quarantine it.
        period: Seconds of the restart window.
        user_namespace: Whether to run it as "nobody" of a new user namespace (Linux), for
            programs that refuse to run as root.
    """

    name: str
    argv: tuple[str, ...]
    log_path: str
    cwd: str = "/"
    env: dict[str, str] | None = None
    stop_signal: str = "SIGTERM"
    death_signal: str = "SIGKILL"
    grace: float = 5.0
    restart: bool = True
    intensity: int = 5
    period: float = 10.0
    user_namespace: bool = False

    def __post_init__(self) -> None:
        if not self.name or not self.argv:
            raise ValueError(f"a service needs a name and a program, not {self!r}")
        for name in (self.stop_signal, self.death_signal):
            if name not in signal.Signals.__members__:
                raise ValueError(f"service {self.name!r}: {name!r} is no signal of this system")

    def to_json(self) -> str:
        """Write it on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls.from_fields(json.loads(text))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Build it from a JSON object; an unknown field is a TypeError."""
        return cls(**{**fields, "argv": tuple(fields["argv"])})


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How a service is doing.

    `starting` waits for its next attempt, `up` has a process (which need not be ready yet),
    `down` ended and stays so, `quarantined` crashed too often. `exit_status` is that of the
    last end: the exit code, or minus the number of the signal that killed it.
    """

    name: str
    state: State
    pid: int | None
    restarts: int
    exit_status: int | None


class RestartWindow:
    """Counts crashes, the OTP way: at most `intensity` in any `period` seconds."""

    def __init__(self, intensity: int, period: float) -> None:
        self._intensity = intensity
        self._period = period
        self._crashes: deque[float] = deque(maxlen=intensity + 1)

    def crashed(self, now: float) -> float | None:
        """Return the seconds to wait before the next attempt: 0.1, 0.2, 0.4 … 2.

        None says to give up.
        """
        self._crashes.append(now)
        while now - self._crashes[0] > self._period:
            self._crashes.popleft()
        count = len(self._crashes)
        if count > self._intensity:
            return None
        delay: float = _FIRST_DELAY * 2 ** (count - 1)
        return min(delay, _LONGEST_DELAY)
