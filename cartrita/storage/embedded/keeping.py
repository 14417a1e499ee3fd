"""The owner's side of the keeper process."""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from cartrita.errors import ConfigurationInvalid, ServiceUnavailable
from cartrita.storage.embedded.service import MINIMAL_ENVIRONMENT, ServiceSpec, ServiceState

_READY = 0
_READY_WITHIN = 10.0
_REAPED_WITHIN = 6.0  # an abandoned keeper takes up to five
_EVENTS_KEPT = 256
_LONGEST_LINE = 1 << 20
_SOURCES = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """Something that happened to a service.

    `pid` and `status` (exit code, or minus the signal) are those of the process that ended;
    after `restarted`, `pid` is the new one and `status` still the end before.
    """

    event: Literal["exited", "restarted", "gave_up"]
    name: str
    pid: int | None
    status: int | None


class Keeper:
    """A keeper process, and the only hand on it.

    Its services end with it, and it ends with this process, even by `kill -9`.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        log_path: Path,
    ) -> None:
        self.pid = process.pid
        self.died = asyncio.Event()
        self._process = process
        self._reader = reader
        self._writer = writer
        self._log_path = log_path
        self._ids = itertools.count()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._specs: dict[str, ServiceSpec] = {}
        self._events: asyncio.Queue[ServiceEvent | None] = asyncio.Queue(_EVENTS_KEPT)
        self._expect()  # reply 0: it is ready
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def launch(cls, *, log_path: Path) -> Self:
        """Start the process; what it has to say beside the pipe goes to `log_path`.

        Raises:
            ServiceUnavailable: It did not come up within ten seconds.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.to_thread(_start_process, theirs, log_path)
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_LONGEST_LINE)
        except BaseException:
            ours.close()  # which ends a keeper that was started
            raise
        keeper = cls(process, reader, writer, log_path)
        try:
            await keeper._answer(_READY, "starting", _READY_WITHIN)
        except BaseException:
            await keeper.close(timeout=0.0)
            raise
        return keeper

    async def start(self, spec: ServiceSpec, timeout: float = 10.0) -> ServiceState:
        """Start a service and return how it stands; it has a process, but may not be ready.

        Raises:
            ConfigurationInvalid: It cannot be started, or a service of that name runs.
            ServiceUnavailable: The keeper is gone, or did not answer in time.
        """
        if spec.env is None:
            spec = replace(spec, env=dict(MINIMAL_ENVIRONMENT))
        fields = json.loads(spec.to_json())
        answer = await self._ask({"do": "start", "spec": fields}, timeout)
        self._specs[spec.name] = spec
        return ServiceState(**answer["state"])

    async def revive(self, name: str) -> ServiceState:
        """Start a service that was given up, just as it was; its crashes are forgotten.

        Raises:
            ConfigurationInvalid: It cannot be started, or runs.
            ServiceUnavailable: The keeper is gone, or did not answer in time.
        """
        return await self.start(self._specs[name])

    async def stop(self, name: str, timeout: float = 15.0) -> ServiceState:
        """Stop a service and return its state once its processes are gone.

        Raises:
            ConfigurationInvalid: There is no such service.
            ServiceUnavailable: The keeper is gone, or the service did not end in time.
        """
        answer = await self._ask({"do": "stop", "name": name}, timeout)
        return ServiceState(**answer["state"])

    async def states(self, timeout: float = 5.0) -> list[ServiceState]:
        """Return every service in start order.

        Raises:
            ServiceUnavailable: The keeper is gone, or did not answer in time.
        """
        answer = await self._ask({"do": "list"}, timeout)
        return [ServiceState(**state) for state in answer["states"]]

    async def events(self) -> AsyncIterator[ServiceEvent]:
        """Yield what happens until the keeper dies; for one reader.

        A reader that falls more than 256 events behind misses the oldest.
        """
        while (event := await self._events.get()) is not None:
            yield event
        self._offer(None)  # for whoever asks again

    async def close(self, timeout: float = 15.0) -> None:
        """Stop all services in reverse start order, then the keeper.

        After `timeout` seconds it is left alone, which makes it kill what still runs.
        """
        if not self.died.is_set():
            self._writer.write(b'{"do": "shutdown"}\n')
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.died.wait(), timeout)
            self._writer.close()
        await asyncio.wait({self._listening}, timeout=2 * _REAPED_WITHIN)

    async def _ask(self, command: dict[str, Any], timeout: float) -> dict[str, Any]:
        if self.died.is_set():
            raise self._gone()
        asked = self._expect()
        self._writer.write(json.dumps({"id": asked, **command}).encode() + b"\n")
        return await self._answer(asked, command["do"], timeout)

    def _expect(self) -> int:
        asked = next(self._ids)
        self._asked[asked] = asyncio.get_running_loop().create_future()
        return asked

    async def _answer(self, asked: int, doing: str, timeout: float) -> dict[str, Any]:
        try:
            reply = await asyncio.wait_for(self._asked[asked], timeout)
        except TimeoutError:
            raise ServiceUnavailable(
                f"keeper {self.pid} is not done with {doing!r} after {timeout} s; "
                f"see its log {str(self._log_path)!r}"
            ) from None
        finally:
            del self._asked[asked]
        if "error" in reply:
            raise ConfigurationInvalid(str(reply["error"]))
        return reply

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._hear(json.loads(line))
        except OSError:  # it was killed with something unread
            pass
        finally:
            self._writer.close()
            await asyncio.to_thread(self._reap)
            self.died.set()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(self._gone())
            self._offer(None)

    def _hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"event": event, "name": name, "pid": pid, "status": status}:
                self._offer(ServiceEvent(event, name, pid, status))
            case {"id": int(asked)} if asked in self._asked and not self._asked[asked].done():
                self._asked[asked].set_result(message)

    def _offer(self, event: ServiceEvent | None) -> None:
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)

    def _reap(self) -> None:
        try:
            self._process.wait(_REAPED_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the kernel then ends its services
            self._process.wait(_REAPED_WITHIN)

    def _gone(self) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"keeper {self.pid} died, and its services with it; see its log "
            f"{str(self._log_path)!r} and start Cartrita again"
        )


def _start_process(end: socket.socket, log_path: Path) -> "subprocess.Popen[bytes]":
    module = "cartrita.storage.embedded.keeper"
    argv = [sys.executable, "-S", "-s", "-P", "-m", module, str(end.fileno()), str(os.getpid())]
    log_path.parent.mkdir(parents=True, exist_ok=True)
    log_path.touch(mode=0o600)
    with log_path.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own module
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**MINIMAL_ENVIRONMENT, "PYTHONPATH": str(_SOURCES)},
            pass_fds=(end.fileno(),),
            start_new_session=True,
        )
