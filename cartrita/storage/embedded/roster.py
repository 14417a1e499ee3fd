"""The services of a keeper, and what becomes of them."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cartrita.storage.embedded import orphans
from cartrita.storage.embedded.child import spawn
from cartrita.storage.embedded.service import RestartWindow, ServiceSpec, ServiceState, State

_IDLE = 60.0
_UNKILLABLE = 0.5  # seconds after its SIGKILL that a shutdown still waits for a process
_NO_LIMIT = float("inf")


@dataclass(slots=True)
class _Service:
    spec: ServiceSpec
    window: RestartWindow
    state: State = "starting"
    pid: int | None = None
    restarts: int = 0
    exit_status: int | None = None
    stopping: bool = False
    start_at: float | None = None
    kill_at: float | None = None
    waiting: list[int] = field(default_factory=list)  # ids of the stop commands to answer

    def report(self) -> dict[str, Any]:
        return asdict(
            ServiceState(self.spec.name, self.state, self.pid, self.restarts, self.exit_status)
        )


class Roster:
    """The services in start order.

    Nothing here waits: the keeper's loop calls `obey`, `reap` and `tick` with its time.

    Args:
        tell: How replies and events reach the owner.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._services: dict[str, _Service] = {}
        self._leave_at = _NO_LIMIT
        self.closing = False

    def done(self, now: float) -> bool:
        """Tell whether a shutdown was asked for and every service ended, or cannot be ended."""
        ended = all(service.pid is None for service in self._services.values())
        return self.closing and (ended or now >= self._leave_at)

    def obey(self, command: dict[str, Any], now: float) -> None:
        """Carry out one command of the owner."""
        match command:
            case {"do": "start", "id": int(asked), "spec": dict(fields)}:
                self._start(asked, fields)
            case {"do": "stop", "id": int(asked), "name": str(name)}:
                self._stop(asked, name, now)
            case {"do": "list", "id": int(asked)}:
                states = [service.report() for service in self._services.values()]
                self._tell({"id": asked, "states": states})
            case {"do": "shutdown"}:
                self.shutdown(now)
            case _:
                self._tell({"id": command.get("id"), "error": f"not a command: {command!r}"})

    def shutdown(self, now: float) -> None:
        """Begin to stop the services one by one, the last started first."""
        if not self.closing:
            patience = sum(service.spec.grace for service in self._services.values())
            self._begin_closing(now + patience)

    def abandon(self, now: float, limit: float) -> None:
        """Ask all services to stop at once, and allow `limit` seconds."""
        self._begin_closing(now + limit)
        for service in reversed(self._services.values()):
            self._ask_to_stop(service, now, limit)

    def reap(self, now: float) -> None:
        """Take note of every process that ended."""
        ended = orphans.reap()
        for service in self._services.values():
            if service.pid in ended:
                self._ended(service, ended[service.pid], now)

    def tick(self, now: float) -> float:
        """Do what is due and return the seconds until the next thing is."""
        if self.closing:
            self._stop_last(now)
        soonest = min(now + _IDLE, self._leave_at)
        for service in self._services.values():
            if service.kill_at is not None and service.kill_at <= now:
                service.kill_at = None
                self._sweep(service, service.pid)
            if service.start_at is not None and service.start_at <= now:
                self._restart(service, now)
            soonest = min(soonest, service.kill_at or soonest, service.start_at or soonest)
        return max(soonest - now, 0.0)

    def _begin_closing(self, until: float) -> None:
        self.closing = True
        self._leave_at = until + _UNKILLABLE
        for service in self._services.values():
            service.start_at = None

    def _stop_last(self, now: float) -> None:
        for service in reversed(self._services.values()):
            if service.pid is not None:
                if not service.stopping:
                    self._ask_to_stop(service, now)
                return

    def _start(self, asked: int, fields: dict[str, Any]) -> None:
        try:
            spec = ServiceSpec.from_fields(fields)
            self._refuse_second(spec.name)
            pid = spawn(spec)
        except (TypeError, ValueError, KeyError, OSError) as error:
            why = f"cannot start service {fields.get('name')!r}: {error}"
            self._tell({"id": asked, "error": why})
            return
        self._services.pop(spec.name, None)  # a new start goes to the end of the order
        service = _Service(spec, RestartWindow(spec.intensity, spec.period), "up", pid)
        self._services[spec.name] = service
        self._tell({"id": asked, "state": service.report()})

    def _refuse_second(self, name: str) -> None:
        known = self._services.get(name)
        if self.closing:
            raise ValueError("the keeper is shutting down")
        if known and known.state in ("starting", "up"):
            raise ValueError("it runs already")

    def _stop(self, asked: int, name: str, now: float) -> None:
        service = self._services.get(name)
        if service is None:
            self._tell({"id": asked, "error": f"there is no service {name!r}"})
            return
        service.waiting.append(asked)
        self._ask_to_stop(service, now)

    def _ask_to_stop(self, service: _Service, now: float, limit: float = _NO_LIMIT) -> None:
        service.start_at = None
        if service.pid is None:
            self._settle(service, "down")
            return
        kill_at = now + min(service.spec.grace, limit)
        if service.stopping:  # asked before: only the patience may have become shorter
            service.kill_at = min(kill_at, service.kill_at or kill_at)
            return
        service.stopping, service.kill_at = True, kill_at
        with contextlib.suppress(ProcessLookupError):
            os.kill(service.pid, signal.Signals[service.spec.stop_signal])

    def _ended(self, service: _Service, status: int, now: float) -> None:
        pid, service.pid, service.kill_at = service.pid, None, None
        service.exit_status = status
        self._sweep(service, pid)
        self._report("exited", service, pid)
        if self.closing or service.stopping or not service.spec.restart:
            self._settle(service, "down")
            return
        delay = service.window.crashed(now)
        if delay is None:
            self._settle(service, "quarantined")
            self._report("gave_up", service, pid)
        else:
            service.state, service.start_at = "starting", now + delay

    def _restart(self, service: _Service, now: float) -> None:
        service.start_at = None
        try:
            service.pid = spawn(service.spec)
        except OSError as error:
            sys.stderr.write(f"cannot restart {service.spec.name!r}: {error}\n")
            self._ended(service, os.EX_UNAVAILABLE, now)
            return
        service.state, service.restarts = "up", service.restarts + 1
        self._report("restarted", service, service.pid)

    def _sweep(self, service: _Service, leader: int | None) -> None:
        """Kill all of a service, so that its next start finds nobody in the way."""
        if leader is not None:
            orphans.kill_group(leader)
        others = {s.pid for s in self._services.values() if s.pid is not None}
        adopted = orphans.descendants(os.getpid(), beside=others)
        orphans.kill(orphans.left_by(service.spec.name, service.spec.argv[0], adopted))

    def _settle(self, service: _Service, state: State) -> None:
        service.state, service.stopping = state, False
        for asked in service.waiting:
            self._tell({"id": asked, "state": service.report()})
        service.waiting.clear()

    def _report(
        self, event: Literal["exited", "restarted", "gave_up"], service: _Service, pid: int | None
    ) -> None:
        name, status = service.spec.name, service.exit_status
        self._tell({"event": event, "name": name, "pid": pid, "status": status})
