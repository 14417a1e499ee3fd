"""A tree on several Ray nodes of one machine; run as a program, it kills one of them.

Ray reads its environment when Python starts, so the driver is a process of its own. It prints
what it saw as one line of JSON; the test judges.
"""

import asyncio
import json
import secrets
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from ray.cluster_utils import Cluster

from actors import spawn
from actors.directory import RayDirectory, open_door
from actors.door import Door
from actors.setup import Network, TreeConfig, build_id, postgres_url
from actors.tree import start_tree
from cartrita.auth.certificates import CA, CERT, KEY, issue, make_authority
from cartrita.channel.address import Address, Endpoints
from cartrita.channel.client import connect
from cartrita.clock import SystemClock, new_id
from cartrita.config.load import load_settings
from cartrita.errors import CartritaError
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from cartrita.storage.postgres.migrate import migrate
from cartrita.storage.postgres.stories import PostgresStories
from tests.support.database import free_ports

ROOT = Path(__file__).parents[2]
WHO = Principal("tester", "tester")
TASKS, CPUS, WORKERS = 300, 2, 2
DEATH_NOTICED = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}


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
        "CARTRITA_INSTANCE": "nodes",
        "CARTRITA_POSTGRES__URL": database_url,
    }


def declare_agents(site: Path, module: str) -> None:
    """Have a module's agents found by every process that has `site` on its path."""
    info = site / "mill-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mill\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cartrita.agents]\nmill = {module}\n")


def drive(folder: Path, variables: dict[str, str], timeout: float) -> dict[str, Any]:
    """Run this module as a program; returns what it saw. Nothing of it is left afterwards."""
    command = [sys.executable, "-m", "tests.support.cluster", str(folder)]
    with (folder / "driver.log").open("w") as log:
        driver = subprocess.Popen(
            command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = driver.communicate(timeout=timeout)
        finally:
            _end(driver)
    assert driver.returncode == 0, (folder / "driver.log").read_text()[-4000:]
    seen: dict[str, Any] = json.loads(output.splitlines()[-1])
    return seen


def _end(driver: "subprocess.Popen[str]") -> None:
    if driver.poll() is None:
        for process in [*psutil.Process(driver.pid).children(recursive=True), driver]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    driver.wait()


class Watched(Network):
    """Notes to which addresses channels were opened."""

    def __init__(self, config: TreeConfig) -> None:
        super().__init__(config)
        self.used: list[Address] = []

    async def connect(self, address: str, **options: Any) -> Any:
        channel = await super().connect(address, **options)
        self.used.append(Endpoints.parse(address).pick(spawn.node()))
        return channel


def config(folder: Path) -> TreeConfig:
    """Return what the actors are told: TCP between nodes, and certificates made just now."""
    clock, authority = SystemClock(), folder / "certs"
    names = ["127.0.0.1", spawn.address()]
    node = issue(make_authority(authority, clock), authority, names, 1, clock).folder
    files = {"ca": node / CA, "cert": node / CERT, "key": node / KEY}
    told = {"channel.tcp": "true", **{f"channel.{k}": str(v) for k, v in files.items()}}
    runtime = folder / "run"
    token = secrets.token_urlsafe(32)
    settings = load_settings(told)
    return TreeConfig(settings, new_id(), build_id(), runtime, runtime / "metrics", token)


async def mills(door: Door) -> list[str]:
    """Return the nodes on which the test agent's hosts run."""
    rows = [row for shard in await door.supervisors() for row in shard["hosts"]]
    return [row["node"] for row in rows if row["agents"] == ["mill"] and row["state"] == "up"]


async def until_milled(door: Door) -> list[str]:
    """Wait until the test agent has a host."""
    async with asyncio.timeout(60):
        while not (nodes := await mills(door)):  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.2)
    return nodes


async def refuses_plain(address: str, token: str) -> bool:
    """Tell whether a server's TCP port turns away who comes without TLS."""
    remote = Endpoints.parse(address).remote
    assert remote
    try:
        channel = await connect(remote, token=token, peer="plain")
    except CartritaError:
        return True
    channel.close()
    return False


async def run(folder: Path, cluster: Cluster) -> dict[str, Any]:
    """Load the tree, kill the node on which the work is done, and read every task back."""
    told = config(folder)
    url = postgres_url(told.settings)
    await migrate(url)
    await start_tree(told)
    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        network, directory = Watched(told), RayDirectory(told.namespace)
        door = open_door(told, directory, PostgresStories(pool), "driver", network)
        following = asyncio.create_task(door.follow())
        try:
            return await _lose_a_node(door, network, directory, cluster)
        finally:
            following.cancel()
            door.close()


async def _lose_a_node(
    door: Door, network: Watched, directory: RayDirectory, cluster: Cluster
) -> dict[str, Any]:
    victim = (await until_milled(door))[0]
    table, shard = await directory.routes(), "system/0"
    supervisor = Endpoints.parse(table.addresses[shard]).node
    plain = await refuses_plain(table.addresses[shard], table.token)
    request = TaskRequest(task_type="mill.turn", parameters={})
    asked = (door.submit(request, WHO, wait=False) for _ in range(TASKS))
    accepted = [answer["taskId"] for answer in await asyncio.gather(*asked)]
    async with asyncio.timeout(60):  # it is at work, and far from done
        while (await door.get(accepted[5], WHO))["status"] != "COMPLETED":  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.02)
    last = (await door.get(accepted[-1], WHO))["status"]
    node = next(node for node in cluster.worker_nodes if node.node_id == victim)
    await asyncio.to_thread(cluster.remove_node, node, allow_graceful=False)
    ends = [await door.get(task_id, WHO, 120.0) for task_id in accepted]
    return {
        "accepted": len(accepted),
        "lastWhenKilled": last,
        "ends": dict(Counter(end["status"] for end in ends)),
        "again": sum(end["result"]["attempt"] > 1 for end in ends if end.get("result")),
        "victim": victim,
        "survivors": [node.node_id for node in cluster.worker_nodes],
        "hostsAfter": await until_milled(door),
        "tcp": supervisor != victim or any(not address.path for address in network.used),
        "refusesPlain": plain,
    }


def main(folder: Path) -> None:
    """Start the cluster, run, and end everything."""
    (agent_port,) = free_ports(1)
    head = {
        "num_cpus": 0,
        "include_dashboard": False,
        "dashboard_agent_listen_port": agent_port,
        "_system_config": DEATH_NOTICED,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        # Before there are others: a driver joins a node of its own machine, and not one that dies.
        spawn.connect(cluster.address, "nodes")
        for _ in range(WORKERS):
            cluster.add_node(num_cpus=CPUS)
        seen = asyncio.run(run(folder, cluster))
    finally:
        spawn.disconnect()
        cluster.shutdown()
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
