"""The process that owns an embedded instance: it starts everything, and everything ends with it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg

from cartrita import __version__
from cartrita.accounts import identity
from cartrita.cli.head import Head
from cartrita.clock import Clock, SystemClock, new_id
from cartrita.config.load import child_environment
from cartrita.config.settings import Settings
from cartrita.edge import Edge, haproxy, write_loopback_haproxy
from cartrita.errors import CartritaError, ServiceUnavailable
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
from cartrita.storage.embedded.postgres import EmbeddedPostgres
from cartrita.storage.embedded.preconditions import check_port_free, end_of_log
from cartrita.storage.embedded.service import ServiceSpec
from cartrita.storage.embedded.valkey import EmbeddedValkey
from cartrita.storage.postgres.migrate import migrate

PROGRAM = "serve_apps.main"
DEPLOY_TIMEOUT = 240.0
DRAIN = 10.0
RAY_RESTARTS = 3
REFRESH = 2.0


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
        self._run = new_id()
        self._stop = asyncio.Event()
        self._ended: dict[str, asyncio.Future[int | None]] = {}
        self._keeper: Keeper | None = None
        self._head = Head.plan(settings, self._paths)
        self._effective = settings
        self._urls: dict[str, str] = {}
        self._ready = False
        self._where = ("", "")

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
        self._check_ports()
        self._write(ready=False)
        self._keeper = await Keeper.launch(log_path=self._paths.logs / "keeper.log")
        self._events = asyncio.create_task(self._hear())
        self._effective = await self._databases()
        await self._admin()
        await self._program()
        await self._open_edge()
        await self._publish()
        self._write(ready=True)
        self._ready = True
        on_ready(Started(self._urls, self._settings.admin.email))

    def _check_ports(self) -> None:
        server = self._settings.server
        check_port_free(server.port, "CARTRITA_SERVER__PORT")
        check_port_free(server.v2_port, "CARTRITA_SERVER__V2_PORT")
        check_port_free(self._settings.ray.dashboard_port, "CARTRITA_RAY__DASHBOARD_PORT")

    @property
    def _kept(self) -> Keeper:
        assert self._keeper is not None
        return self._keeper

    async def _databases(self) -> Settings:
        """Start the databases that nobody else runs, and return where they all are."""
        settings, home = self._settings, self._paths.home
        postgres_url, redis_url = settings.postgres.dsn, settings.redis.dsn
        if postgres_url is None:
            self._say("postgres")
            postgres = EmbeddedPostgres(
                home / "postgres", self._paths.runtime, settings.postgres.port
            )
            await postgres.prepare()
            await self._kept.start(postgres.spec())
            await postgres.wait_ready()
            where = postgres.url
        else:
            where = postgres_url.get_secret_value()
        if redis_url is None:
            self._say("valkey")
            valkey = EmbeddedValkey(home / "valkey", self._paths.runtime, settings.redis.port)
            await valkey.prepare()
            await self._kept.start(valkey.spec())
            await valkey.wait_ready()
            cache = valkey.url
        else:
            cache = redis_url.get_secret_value()
        self._say("migrations")
        await migrate(where)
        self._where = (where, cache)
        return settings.at(self._head.address, where, cache)

    async def _admin(self) -> None:
        """See to the administrator's account, and to a session for this machine's commands."""
        postgres, admin = self._effective.postgres.dsn, self._settings.admin
        assert postgres is not None
        async with asyncpg.create_pool(postgres.get_secret_value(), min_size=1, max_size=1) as pool:
            who, _ = identity(self._effective, pool, self._clock)
            given = admin.password.get_secret_value() if admin.password else None
            password = await who.ensure_admin(admin.email, given)
            if password:
                self._tell_password(admin.email, password)
            session = await who.sign_in_owner(admin.email)
        kept = {"token": session.token, "refreshToken": session.refresh_token}
        replace_file(self._paths.home / "session.json", json.dumps(kept))

    async def _program(self) -> None:
        """Start Ray, and on it the tree and the doors."""
        self._say("ray")
        runtime = self._paths.runtime
        (runtime / "h").mkdir(exist_ok=True, mode=0o700)
        for stale in (runtime / "metrics").glob("*.db"):
            stale.unlink()
        (runtime / "metrics").mkdir(exist_ok=True, mode=0o700)
        write_loopback_haproxy(runtime / "haproxy-loopback")
        environment = self._head.environment()
        plain = {k: v for k, v in child_environment(Settings()).items() if not _ours(k)}
        await self._kept.start(self._head.spec({**plain, **environment}))
        await self._listens(self._head.ports[0])
        facts = {
            "runtime_dir": str(runtime),
            "run": self._run,
            "address": self._head.address,
            "port": self._head.serve_port,
        }
        await self._task("deploy", facts, DEPLOY_TIMEOUT)

    async def _listens(self, port: int, timeout: float = 60.0) -> None:
        """Wait until somebody listens at a port of Ray's, or Ray has ended."""
        ray = self._ended.setdefault("ray", asyncio.get_running_loop().create_future())
        async with asyncio.timeout(timeout):
            while not ray.done():
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.1)
        raise ServiceUnavailable(f"Ray did not start:\n{end_of_log(self._paths.logs / 'ray.log')}")

    async def _task(self, verb: str, facts: dict[str, Any], timeout: float) -> None:
        """Run the program's `deploy` or `remove` to its end, in a process the keeper owns."""
        log = self._paths.logs / f"{verb}.log"
        log.unlink(missing_ok=True)
        ended = self._ended[verb] = asyncio.get_running_loop().create_future()
        spec = ServiceSpec(
            name=verb,
            argv=(sys.executable, "-m", PROGRAM, verb, json.dumps(facts)),
            log_path=str(log),
            env=child_environment(self._effective, self._head.environment()),
            restart=False,
        )
        await self._kept.start(spec)
        telling = asyncio.create_task(self._tell(log))
        try:
            async with asyncio.timeout(timeout):
                status = await ended
        except TimeoutError:
            raise ServiceUnavailable(
                f"{verb!r} took longer than {timeout} s; see {str(log)!r}."
            ) from None
        finally:
            telling.cancel()
        if status != 0:
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

    async def _open_edge(self) -> None:
        """Open the public ports and wait until a task could come in."""
        self._say("edge")
        server = self._settings.server
        config = self._paths.runtime / "edge.cfg"
        edge = Edge(
            server.host,
            server.port,
            server.v2_port,
            self._head.serve_port,
            connections=server.max_connections,
            max_header=server.max_header_bytes,
            max_body=server.max_body_bytes,
            request_timeout=server.request_timeout_s,
            certificate=self._certificate(),
        )
        replace_file(config, edge.render())
        log = self._paths.logs / "edge.log"
        # Not in master-worker mode: the keeper is the master.
        argv = (str(haproxy()), "-db", "-f", str(config))
        await self._kept.start(ServiceSpec("edge", argv, str(log), stop_signal="SIGUSR1", grace=2))
        await self._answers(f"{self._secure}://{_reachable(server.host)}:{server.port}/readyz")

    @property
    def _secure(self) -> str:
        return "https" if self._settings.server.tls_certificate else "http"

    def _certificate(self) -> Path | None:
        """Return chain and key in one file, as HAProxy wants them."""
        server = self._settings.server
        if server.tls_certificate is None or server.tls_key is None:
            return None
        whole = self._paths.runtime / "edge.pem"
        replace_file(whole, server.tls_certificate.read_text() + server.tls_key.read_text())
        return whole

    async def _answers(self, url: str, timeout: float = 60.0) -> None:
        import httpx  # noqa: PLC0415 - 30 ms that `cartrita --help` need not pay

        async with asyncio.timeout(timeout), httpx.AsyncClient(verify=False) as client:  # noqa: S501 - our own port
            while True:
                with suppress(httpx.HTTPError):
                    if (await client.get(url, timeout=5)).is_success:
                        break
                await asyncio.sleep(0.1)

    async def _hear(self) -> None:
        """Note what happens to the services."""
        async for event in self._kept.events():
            if event.event == "exited" and event.name in self._ended:
                future = self._ended[event.name]
                if not future.done():
                    future.set_result(event.status)

    async def _watch(self) -> None:
        """Stay until a signal or the end of something that cannot be replaced."""
        stop = asyncio.create_task(self._stop.wait())
        dead = asyncio.create_task(self._kept.died.wait())
        restarts = 0
        while not stop.done():
            ray = self._ended["ray"]
            waits: list[asyncio.Future[Any]] = [stop, dead, ray]
            await asyncio.wait(waits, timeout=REFRESH, return_when=asyncio.FIRST_COMPLETED)
            if dead.done():
                raise ServiceUnavailable("The keeper died, and the services with it.")
            if ray.done() and not stop.done():
                restarts += 1
                if restarts > RAY_RESTARTS:
                    raise ServiceUnavailable("Ray died again and again; see its log.")
                await self._again()
            await self._publish()

    async def _again(self) -> None:
        """Replace a Ray that died, and the tree with it; the journal has the tasks."""
        self._say("ray died: starting it again")
        self._ended.pop("ray")
        await self._kept.stop("ray")
        self._head = Head.plan(self._settings, self._paths)
        self._effective = self._settings.at(self._head.address, *self._where)
        await self._program()
        await self._kept.stop("edge")
        await self._open_edge()

    async def _publish(self) -> None:
        """Write the services' states where the gateway reads them."""
        states = [asdict(state) for state in await self._kept.states()]
        rows = [
            {"name": s["name"], "state": s["state"], "pid": s["pid"], "restarts": s["restarts"]}
            for s in states
            if s["name"] not in ("deploy", "remove")
        ]
        text = json.dumps({"owner": os.getpid(), "services": rows})
        replace_file(self._paths.services, text)

    def _write(self, *, ready: bool) -> None:
        server, ray = self._settings.server, self._settings.ray
        host = _reachable(server.host)
        api = f"{self._secure}://{host}:{server.port}"
        self._urls = {
            "api": api,
            "docs": f"{api}/docs",
            "v2": f"{self._secure}://{host}:{server.v2_port}",
            "metrics": f"{api}/metrics",
            "dashboard": f"http://{_reachable(ray.dashboard_host)}:{ray.dashboard_port}",
        }
        state = InstanceState(
            os.getpid(),
            __version__,
            self._clock.now(),
            self._urls,
            self._head.address,
            f"http://127.0.0.1:{self._head.serve_port}",
            ready,
        )
        write_state(self._paths, state)

    async def _down(self) -> None:
        """Drain the program, then end every process."""
        if self._keeper is None:
            return
        if self._ready and not self._keeper.died.is_set():
            self._say("draining")
            facts = {"address": self._head.address, "grace": DRAIN}
            with suppress(CartritaError):  # what cannot be drained is in the journal
                await self._task("remove", facts, 6 * DRAIN)
        await self._keeper.close()
        self._paths.state.unlink(missing_ok=True)


def _reachable(host: str) -> str:
    """Return an address that a client on this machine can use."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared only


def _steps(log: Path) -> list[str]:
    """Return the steps that a log reports, one JSON object a line among other lines."""
    found = []
    for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
        with suppress(ValueError, KeyError, TypeError):
            found.append(str(json.loads(line)["step"]))
    return found


def _ours(variable: str) -> bool:
    return variable.startswith("CARTRITA_")
