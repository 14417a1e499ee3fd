"""The process that owns an embedded instance: it starts everything, and everything ends with it."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from cartrita import __version__
from cartrita.cli import owner_socket
from cartrita.cli.databases import see_to_admin, start_databases
from cartrita.cli.edge_certificate import EdgeCertificate
from cartrita.cli.edge_orders import refuse_all
from cartrita.cli.program import Program
from cartrita.cli.public_ports import PublicPorts
from cartrita.cli.redeploy import ORDER
from cartrita.clock import Clock, SystemClock
from cartrita.config.settings import Settings
from cartrita.errors import CartritaError, ConfigurationInvalid, ServiceUnavailable
from cartrita.instance import (
    InstanceState,
    Paths,
    make_folders,
    ownership,
    paths_of,
    replace_file,
    write_state,
)
from cartrita.storage.embedded.keeping import Keeper
from cartrita.storage.embedded.preconditions import check_port_free
from cartrita.storage.embedded.service import RestartWindow

REFRESH = 2.0

RAY_INTENSITY, RAY_PERIOD = 5, 300.0
"""More deaths of Ray than this within so many seconds, and the owner gives up. A start takes
twenty of them or more, so a Ray that never comes up is given up within three minutes."""

COOL_OFF = 30.0
"""Seconds after which a service that crashed too often is tried again."""

_TASKS = ("deploy", "redeploy", "remove")


@dataclass(frozen=True, slots=True)
class Started:
    """What the user is told once."""

    urls: dict[str, str]
    admin_email: str


class Owner:
    """Starts an instance, watches it, and ends it.

    Args:
        settings: Of the embedded lifetime.
        say: Told each step as it begins.
        tell_password: Told a generated administrator's password as soon as it exists: if the
            start fails later, it would be lost.
    """

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None],
        tell_password: Callable[[str, str], None],
        clock: Clock | None = None,
    ) -> None:
        self._settings, self._say, self._clock = settings, say, clock or SystemClock()
        self._tell_password = tell_password
        self._paths: Paths = paths_of(settings)
        certificate = EdgeCertificate(settings, self._paths, self._clock, say)
        self._public = PublicPorts(settings, self._paths, certificate)
        self._stop = asyncio.Event()
        self._keeper: Keeper | None = None
        self._program: Program | None = None
        self._since = self._clock.now()
        self._deaths = RestartWindow(RAY_INTENSITY, RAY_PERIOD)
        self._errands: set[asyncio.Task[None]] = set()
        self._ready = False
        self._redeploying = asyncio.Lock()

    async def run(self, on_ready: Callable[[Started], None]) -> None:
        """Own the instance until a signal asks to end it.

        Raises:
            CartritaError: It could not be started, or fell over.
        """
        make_folders(self._paths)
        with ownership(self._paths):
            self._listen()
            try:
                if await self._unless_stopped(self._up(on_ready)):
                    async with owner_socket.obeying(self._paths, self._obey):
                        await self._watch()
            finally:
                await self._down()

    async def _unless_stopped(self, starting: Coroutine[Any, Any, None]) -> bool:
        """Start, unless a signal comes first; False when it did."""
        up, stop = asyncio.create_task(starting), asyncio.create_task(self._stop.wait())
        await asyncio.wait({up, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            await asyncio.wait({up})
            return False
        stop.cancel()
        await up
        return True

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)

    async def _up(self, on_ready: Callable[[Started], None]) -> None:
        self._public.check_free()
        check_port_free(self._settings.ray.dashboard_port, "CARTRITA_RAY__DASHBOARD_PORT")
        self._write()
        settings, paths = self._settings, self._paths
        keeper = self._keeper = await Keeper.launch(log_path=paths.logs / "keeper.log")
        where = await start_databases(settings, paths, keeper, self._say)
        program = self._program = Program(settings, paths, keeper, where, self._say)
        self._hearing = asyncio.create_task(self._hear(keeper, program))
        await see_to_admin(program.effective, paths, self._clock, self._tell_password)
        await program.start()
        self._say("edge")
        await keeper.start(self._public.spec(program.head.serve_port, program.head.rpc_port))
        await self._public.ready()
        await self._publish()
        self._ready = True
        self._write()
        on_ready(Started(self._public.urls, settings.admin.email))

    async def _hear(self, keeper: Keeper, program: Program) -> None:
        """Note what happens to the services."""
        async for event in keeper.events():
            program.hear(event)
            if event.event == "gave_up":
                reviving = asyncio.create_task(self._revive(keeper, event.name))
                self._errands.add(reviving)
                reviving.add_done_callback(self._errands.discard)

    async def _revive(self, keeper: Keeper, name: str) -> None:
        """Try a service again after a while: what made it crash may have passed by then."""
        while not keeper.died.is_set():
            await asyncio.sleep(COOL_OFF)
            try:
                await keeper.revive(name)
            except CartritaError as error:
                self._say(error.message)
            else:
                return

    async def _watch(self) -> None:
        """Stay until a signal or the end of something that cannot be replaced."""
        assert self._keeper
        assert self._program
        stop = asyncio.create_task(self._stop.wait())
        dead = asyncio.create_task(self._keeper.died.wait())
        while not stop.done():
            waits: list[asyncio.Future[Any]] = [stop, dead, self._program.died]
            await asyncio.wait(waits, timeout=REFRESH, return_when=asyncio.FIRST_COMPLETED)
            if dead.done():
                raise ServiceUnavailable("The keeper died, and the services with it.")
            if self._program.died.done() and not stop.done():
                await self._unless_stopped(self._recover(self._program))
            if await self._public.certificate.refresh(self._public.admin):
                self._say("certificate")
            await self._publish()

    async def _obey(self, order: str) -> None:
        """Do what another command of this user asks for.

        Raises:
            ConfigurationInvalid: There is no such order.
            ServiceUnavailable: It cannot be done now, or failed.
        """
        if order != ORDER:
            raise ConfigurationInvalid(f"The owner knows no order {order!r}.")
        if not self._ready or self._redeploying.locked():
            raise ServiceUnavailable("The instance is being started or changed: ask again later.")
        assert self._program
        async with self._redeploying:
            self._say("redeploy")
            await self._program.redeploy()

    async def _recover(self, program: Program) -> None:
        """Bring a Ray that died back, and all that ran on it.

        Meanwhile the edge answers 503 for the doors behind it.

        Raises:
            ServiceUnavailable: It dies again and again, or the keeper did.
        """
        self._ready = False
        self._write()
        assert self._keeper
        while not self._keeper.died.is_set():
            delay = self._deaths.crashed(self._clock.monotonic())
            if delay is None:
                raise ServiceUnavailable(
                    f"Ray died again and again; see {str(self._paths.logs / 'ray.log')!r}."
                )
            await asyncio.sleep(delay)
            self._say("again")
            try:
                await program.again()
                await self._public.ready()
            except ServiceUnavailable as error:
                self._say(error.message)
            else:
                self._ready = True
                self._write()
                return

    async def _publish(self) -> None:
        """Write the services' states where the gateway reads them."""
        assert self._keeper
        states = [asdict(state) for state in await self._keeper.states()]
        rows = [
            {"name": s["name"], "state": s["state"], "pid": s["pid"], "restarts": s["restarts"]}
            for s in states
            if s["name"] not in _TASKS
        ]
        text = json.dumps({"owner": os.getpid(), "services": rows})
        replace_file(self._paths.services, text)

    def _write(self) -> None:
        """Note the instance down for `status`, `down` and whoever looks for it."""
        head = self._program.head if self._program else None
        state = InstanceState(
            os.getpid(),
            __version__,
            self._since,
            self._public.urls,
            head.address if head else "",
            f"http://127.0.0.1:{head.serve_port}" if head else "",
            self._ready,
        )
        write_state(self._paths, state)

    async def _down(self) -> None:
        """Drain the program, then end every process."""
        if self._keeper is None:
            return
        for errand in self._errands:
            errand.cancel()
        if self._program and self._ready and not self._keeper.died.is_set():
            self._say("draining")
            with suppress(CartritaError):  # an edge that is away takes nothing, either
                await refuse_all(self._public.admin)
            with suppress(CartritaError):  # what cannot be drained is in the journal
                await self._program.drain()
        await self._keeper.close()
        self._paths.state.unlink(missing_ok=True)
