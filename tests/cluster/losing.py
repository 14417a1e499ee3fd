"""A scenario: the node on which the work is done is killed. Run as a program."""

import asyncio
import ssl
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from ray.cluster_utils import Cluster

from actors import spawn
from cartrita.channel.address import Endpoints
from cartrita.channel.client import connect
from cartrita.channel.tls import Credentials, client_context
from cartrita.errors import ChannelLost
from tests.support.cluster import AGENT, INSTANCE, Stage, stage, tell
from tests.support.database import free_ports

TASKS, CPUS, WORKERS = 300, 2, 2
COMPLETED = "cartrita_mcp_tasks_completed_total"
DEATH_NOTICED = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}


async def lose_a_node(tree: Stage, cluster: Cluster) -> dict[str, Any]:
    """Load the tree, kill the node on which the work is done, and read every task back."""
    await tree.ends(await tree.submit(1, 0.0))  # wakes the agent
    mill = (await tree.until(bool))[0]
    victim = mill["node"]
    before = await places(tree)
    table = await tree.directory.routes()
    supervisor = Endpoints.parse(table.addresses["system/0"])
    answers = await spoken(tree, supervisor, table.token)
    metrics = [file.name for file in tree.config.metrics_dir.glob(f"*_{mill['pid']}.db")]
    accepted = await tree.submit(TASKS, 0.1)
    async with asyncio.timeout(60):  # it is at work, and far from done
        while await tree.status(accepted[5]) != "COMPLETED":  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.02)
    last = await tree.status(accepted[-1])
    node = next(node for node in cluster.worker_nodes if node.node_id == victim)
    await asyncio.to_thread(cluster.remove_node, node, allow_graceful=False)
    ends = await tree.ends(accepted)
    return {
        "accepted": len(accepted),
        "lastWhenKilled": last,
        "ends": dict(Counter(end["status"] for end in ends)),
        "again": sum(times > 1 for times in tree.begun(accepted)),
        "victim": victim,
        "survivors": [cluster.head_node.node_id, *(n.node_id for n in cluster.worker_nodes)],
        "before": before,
        "millsAfter": [row["node"] for row in await tree.until(bool)],
        "after": await places(tree),
        "metrics": metrics,
        "counted": await counted(tree),
        "supervisorLost": supervisor.node == victim,
        "tcp": [tls for address, tls in tree.network.used if not address.path],
        "answers": answers,
        "rayByTls": await rays_tls(tree, cluster),
    }


async def counted(tree: Stage) -> float:
    """Return how many tasks the metrics have that the tree says are there, once they are."""
    async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False, timeout=10) as client:
        while True:
            for row in (await tree.directory.snapshot())["exports"]:
                with suppress(httpx.HTTPError):  # who served may have died with its node
                    answer = await client.get(f"http://{row['address']}/metrics")
                    return sum(
                        float(line.rpartition(" ")[2])
                        for line in answer.text.splitlines()
                        if line.startswith(COMPLETED) and AGENT in line
                    )
            await asyncio.sleep(0.2)


async def places(tree: Stage) -> list[dict[str, Any]]:
    """Return where each supervisor is, and its host of agents that reserve nothing, once all run.

    As administrators see it: what the orchestrator says, and each shard of itself.
    """
    async with asyncio.timeout(60):
        while True:
            above = (await tree.directory.snapshot())["supervisors"]
            shards = await tree.door.supervisors()
            rows = [row for shard in shards for row in shard["hosts"] if is_light(row)]
            if len(above) == len(shards) and all(row["state"] == "up" for row in rows):
                break
            await asyncio.sleep(0.2)
    return [
        {
            "id": shard["id"],
            "node": above[shard["id"]]["node"],
            "light": [row["node"] for row in shard["hosts"] if is_light(row)],
        }
        for shard in shards
    ]


def is_light(row: dict[str, Any]) -> bool:
    """Tell whether a host is that of a team's light agents."""
    return ".shared." in row["id"]


async def spoken(tree: Stage, supervisor: Endpoints, token: str) -> dict[str, str]:
    """Return what a supervisor's TCP port answers to whom: the version of TLS, or a refusal."""
    assert supervisor.remote
    told: dict[str, dict[str, Any]] = {
        "certified": {"tls": client_context(credentials(tree))},
        "plain": {"plain_tcp": True},
    }
    found = {}
    for who, options in told.items():
        try:
            channel = await connect(supervisor.remote, token=token, peer=who, **options)
        except ChannelLost:
            found[who] = "refused"
            continue
        found[who] = str(channel._transport.get_extra_info("cipher")[1])
        channel.close()
    return found


def credentials(tree: Stage) -> Credentials:
    """Return the channels' certificates."""
    chosen = tree.config.settings.channel
    assert chosen.ca
    assert chosen.cert
    assert chosen.key
    return Credentials(chosen.ca, chosen.cert, chosen.key)


async def rays_tls(tree: Stage, cluster: Cluster) -> str | None:
    """Return by which TLS Ray's own control plane speaks to who has a channel's certificate."""
    context = client_context(credentials(tree))
    context.set_alpn_protocols(["h2"])
    host, _, port = cluster.address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    return tls.version()


async def run(folder: Path, cluster: Cluster) -> dict[str, Any]:
    """Start the tree and lose a node."""
    async with stage(folder) as tree:
        return await lose_a_node(tree, cluster)


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
        spawn.connect(cluster.address, INSTANCE)
        for _ in range(WORKERS):
            cluster.add_node(num_cpus=CPUS)
        seen = asyncio.run(run(folder, cluster))
    finally:
        spawn.disconnect()
        cluster.shutdown()
    tell(seen)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
