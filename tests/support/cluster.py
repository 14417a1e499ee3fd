"""Trees on several Ray nodes of one machine, each driven by a program of its own.

Ray reads its environment when Python starts, so a scenario is a process. It prints what it saw
as one line of JSON; the test judges.
"""

import asyncio
import json
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import ray

from actors import spawn
from actors.directory import RayDirectory, open_door
from actors.door import Door
from actors.setup import Network, TreeConfig, build_id, postgres_url
from actors.tree import start_tree
from cartrita.channel.address import Address, Endpoints
from cartrita.clock import new_id
from cartrita.config.load import load_settings
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from cartrita.storage.postgres.migrate import migrate
from cartrita.storage.postgres.stories import PostgresStories

ROOT = Path(__file__).parents[2]
INSTANCE = "nodes"
WHO = Principal("tester", "tester")
AGENT = "mill"


def environment(folder: Path, database_url: str, inherited: dict[str, str]) -> dict[str, str]:
    """Return what a driver and all processes of its cluster are started with."""
    declare_agents(folder / "site", "tests.cluster.agents")
    kept = {k: v for k, v in inherited.items() if not k.startswith(("CARTRITA_", "RAY_"))}
    return {
        **kept,
        "PYTHONPATH": f"{ROOT}:{folder / 'site'}",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(folder),  # Ray also notes there which cluster is the latest
        "CARTRITA_HOME": str(folder / "home"),
        "CARTRITA_INSTANCE": INSTANCE,
        "CARTRITA_POSTGRES__URL": database_url,
    }


def declare_agents(site: Path, module: str) -> None:
    """Have a module's agents found by every process that has `site` on its path."""
    info = site / "mill-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mill\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cartrita.agents]\n{AGENT} = {module}\n")


def certificates(folder: Path) -> dict[str, str]:
    """Return the settings that `cartrita certs` prints for the nodes of this machine."""
    address = ray.util.get_node_ip_address()
    command = ["certs", "--out", str(folder / "tls"), "--node", address, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "cartrita", *command],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    (node,) = json.loads(done.stdout)["nodes"]
    settings: dict[str, str] = node["settings"]
    return settings


def drive(scenario: str, folder: Path, variables: dict[str, str], timeout: float) -> dict[str, Any]:
    """Run a scenario; returns what it saw. Nothing of it is left afterwards."""
    command = [sys.executable, "-m", scenario, str(folder)]
    with (folder / "driver.log").open("w") as log:
        driver = subprocess.Popen(
            command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = driver.communicate(timeout=timeout)
        finally:
            end(driver)
    assert driver.returncode == 0, (folder / "driver.log").read_text()[-4000:]
    seen: dict[str, Any] = json.loads(output.splitlines()[-1])
    return seen


def end(started: "subprocess.Popen[Any]") -> None:
    """Kill a process and all it started."""
    if started.poll() is None:
        for process in [*psutil.Process(started.pid).children(recursive=True), started]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    started.wait()


class Watched(Network):
    """Notes to which addresses channels were opened, and by which version of TLS."""

    def __init__(self, config: TreeConfig) -> None:
        super().__init__(config)
        self.used: list[tuple[Address, str | None]] = []

    async def connect(self, address: str, **options: Any) -> Any:
        channel = await super().connect(address, **options)
        cipher = channel._transport.get_extra_info("cipher")
        chosen = Endpoints.parse(address).pick(spawn.node())
        self.used.append((chosen, cipher and cipher[1]))
        return channel


@dataclass
class Stage:
    """A tree that runs, and a door to it on the head.

    Attributes:
        book: Where the test agent notes each task that it begins.
    """

    config: TreeConfig
    door: Door
    network: Watched
    directory: RayDirectory
    book: Path

    async def submit(self, count: int, seconds: float) -> list[str]:
        """Have work accepted; returns the tasks' ids."""
        parameters = {"seconds": seconds, "book": str(self.book)}
        request = TaskRequest(task_type="mill.turn", parameters=parameters)
        asked = (self.door.submit(request, WHO, wait=False) for _ in range(count))
        return [answer["taskId"] for answer in await asyncio.gather(*asked)]

    async def ends(self, task_ids: list[str]) -> list[dict[str, Any]]:
        """Return what became of tasks."""
        return [await self.door.get(task_id, WHO, 120.0) for task_id in task_ids]

    def begun(self, task_ids: list[str]) -> list[int]:
        """Return how often work on each of these tasks began."""
        counts = Counter(self.book.read_text().split())
        return [counts[task_id] for task_id in task_ids]

    async def status(self, task_id: str) -> str:
        """Return where a task stands."""
        return str((await self.door.get(task_id, WHO))["status"])

    async def hosts(self) -> list[dict[str, Any]]:
        """Return every host as the tree shows it."""
        return [row for shard in await self.door.supervisors() for row in shard["hosts"]]

    async def mills(self) -> list[dict[str, Any]]:
        """Return the test agent's hosts that are there."""
        return [row for row in await self.hosts() if row["agents"] == [AGENT] and row["pid"]]

    async def until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Wait until the test agent's hosts are as wanted, and return them."""
        async with asyncio.timeout(60):
            while not enough(found := await self.mills()):  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.1)
        return found


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Start a tree with the settings of the environment on the Ray this process has joined."""
    runtime = folder / "run"
    token = secrets.token_urlsafe(32)
    settings = load_settings()
    told = TreeConfig(settings, new_id(), build_id(), runtime, runtime / "metrics", token)
    url = postgres_url(settings)
    await migrate(url)
    await start_tree(told)
    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        network, directory = Watched(told), RayDirectory(told.namespace)
        door = open_door(told, directory, PostgresStories(pool), "driver", network)
        following = asyncio.create_task(door.follow())
        try:
            yield Stage(told, door, network, directory, folder / "book")
        finally:
            following.cancel()
            door.close()


def alive() -> list[str]:
    """Return the nodes that Ray believes to be there."""
    return [node["NodeID"] for node in ray.nodes() if node["Alive"]]


def tell(seen: dict[str, Any]) -> None:
    """Hand over what a scenario saw."""
    sys.stdout.write(json.dumps(seen) + "\n")
