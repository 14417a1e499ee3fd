"""Ray on this machine, and the tree and the doors on it: started, replaced and drained."""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cartrita.cli.head import Head
from cartrita.clock import new_id
from cartrita.config.load import child_environment
from cartrita.config.settings import Settings
from cartrita.edge import write_loopback_haproxy
from cartrita.errors import ServiceUnavailable
from cartrita.instance import Paths
from cartrita.storage.embedded.keeping import Keeper, ServiceEvent
from cartrita.storage.embedded.preconditions import end_of_log
from cartrita.storage.embedded.service import ServiceSpec

MODULE = "serve_apps.main"
DEPLOY_TIMEOUT = 240.0
LISTEN_TIMEOUT = 60.0
DRAIN = 10.0

RAY = "ray"


class Program:
    """One life of the program at a time, in processes that the keeper owns.

    Args:
        settings: Of the embedded lifetime.
        keeper: Whose events reach `hear`.
        where: The addresses of Postgres and Valkey.
        say: Told each step as it begins.

    Attributes:
        head: How its Ray was started last.
        effective: What its processes see.
        died: Done when Ray has ended; a new start has a new one.
    """

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        keeper: Keeper,
        where: tuple[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._paths, self._keeper = settings, paths, keeper
        self._where, self._say = where, say
        self._run = new_id()
        self._ended: dict[str, asyncio.Future[int | None]] = {}
        self._begin(Head.plan(settings, paths))

    def _begin(self, head: Head) -> None:
        self.head = head
        self.effective = self._settings.at(head.address, *self._where)
        self.died = self._ended[RAY] = asyncio.get_running_loop().create_future()

    def hear(self, event: ServiceEvent) -> None:
        """Note what happened to a service."""
        ended = self._ended.get(event.name)
        if event.event == "exited" and ended and not ended.done():
            ended.set_result(event.status)

    async def start(self) -> None:
        """Start Ray, and on it the tree and the doors.

        Raises:
            ServiceUnavailable: They did not come up.
        """
        self._say("ray")
        runtime = self._paths.runtime
        (runtime / "h").mkdir(exist_ok=True, mode=0o700)
        for stale in (runtime / "metrics").glob("*.db"):
            stale.unlink()
        (runtime / "metrics").mkdir(exist_ok=True, mode=0o700)
        write_loopback_haproxy(runtime / "haproxy-loopback")
        environment = self.head.environment()
        plain = {k: v for k, v in child_environment(Settings()).items() if not _ours(k)}
        await self._keeper.start(self.head.spec({**plain, **environment}))
        await self._listens(self.head.ports[0])
        await self._task("deploy", self._facts, DEPLOY_TIMEOUT)

    @property
    def _facts(self) -> dict[str, Any]:
        return {
            "runtime_dir": str(self._paths.runtime),
            "run": self._run,
            "address": self.head.address,
            "port": self.head.serve_port,
            "rpc": self.head.rpc_port,
        }

    async def redeploy(self) -> None:
        """Replace the doors one after another; the tree stays.

        Raises:
            ServiceUnavailable: The new ones did not come up; old ones stay then.
        """
        await self._task("redeploy", self._facts, DEPLOY_TIMEOUT)

    async def again(self) -> None:
        """Replace a Ray that died, and the tree with it; the journal has the tasks.

        The doors come back behind the same port, so that the edge can stay.

        Raises:
            ServiceUnavailable: They did not come up.
        """
        await self._keeper.stop(RAY)
        self._begin(self.head.successor())
        await self.start()

    async def drain(self) -> None:
        """Take the doors away and let what runs end.

        Raises:
            ServiceUnavailable: That did not happen in time.
        """
        facts = {"address": self.head.address, "grace": DRAIN}
        await self._task("remove", facts, self._settings.server.drain_s + 5 * DRAIN)

    async def _listens(self, port: int) -> None:
        """Wait until somebody listens at a port of Ray's, or Ray has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_TIMEOUT):
                while not self.died.done():
                    with suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        return
                    await asyncio.sleep(0.1)
        raise ServiceUnavailable(f"Ray did not start:\n{end_of_log(self._paths.logs / 'ray.log')}")

    async def _task(self, verb: str, facts: dict[str, Any], timeout: float) -> None:
        """Run a verb of the program's to its end, in a process the keeper owns."""
        log = self._paths.logs / f"{verb}.log"
        log.unlink(missing_ok=True)
        ended = self._ended[verb] = asyncio.get_running_loop().create_future()
        spec = ServiceSpec(
            name=verb,
            argv=(sys.executable, "-m", MODULE, verb, json.dumps(facts)),
            log_path=str(log),
            env=child_environment(self.effective, self.head.environment()),
            restart=False,
        )
        await self._keeper.start(spec)
        telling = asyncio.create_task(self._tell(log))
        ends = {ended, self.died}
        try:
            await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
        if ended.done() and ended.result() == 0:
            return
        if not ended.done():  # it would wait for a Ray that is gone
            await self._keeper.stop(verb)
            why = "lost its Ray" if self.died.done() else f"took longer than {timeout} s"
            raise ServiceUnavailable(f"{verb!r} {why}; see {str(log)!r}.")
        raise ServiceUnavailable(f"{verb!r} failed:\n{end_of_log(log, 12)}")

    async def _tell(self, log: Path) -> None:
        """Pass on the steps that a task of the program reports."""
        told: set[str] = set()
        while True:
            for step in await asyncio.to_thread(_steps, log):
                if step not in told:
                    told.add(step)
                    self._say(step)
            await asyncio.sleep(0.2)


def _steps(log: Path) -> list[str]:
    """Return the steps that a log reports, one JSON object a line among other lines."""
    found = []
    for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
        with suppress(ValueError, KeyError, TypeError):
            found.append(str(json.loads(line)["step"]))
    return found


def _ours(variable: str) -> bool:
    return variable.startswith("CARTRITA_")
