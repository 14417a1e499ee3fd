"""A Ray of a test's own that adds and removes nodes, all of them on this machine.

Not `ray.cluster_utils.AutoscalingCluster`, which ends every Ray of the machine.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from tests.support.cluster import end
from tests.support.database import free_ports
from tests.support.instance import wait_until

HEAD = "f" * 51 + "00000"
"""The provider's own name for it; must be the head's node id."""

LISTS = (
    "initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands",
    "head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files",
    "rsync_exclude", "rsync_filter",
)  # fmt: skip
"""What Ray demands of every cluster, and one without shells has no use for."""

IDLE = 3
"""Seconds after which a node without work is removed."""


def _plan(address: str) -> dict[str, object]:
    """Return the configuration of a cluster that rests with a head without CPUs."""
    package = "ray.autoscaler._private.fake_multi_node.node_provider"
    none: dict[str, object] = {"node_config": {}, "min_workers": 0}
    return {
        "cluster_name": "growing",
        "provider": {
            "type": "external",
            "module": f"{package}.FakeMultiNodeProvider",
            "launch_multiple": True,
            "head_node_id": HEAD,
            "gcs_address": address,
        },
        "available_node_types": {
            "ray.head.default": {**none, "resources": {"CPU": 0}, "max_workers": 0},
            "light": {**none, "resources": {"CPU": 1}, "max_workers": 2},
        },
        "head_node_type": "ray.head.default",
        "max_workers": 2,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": IDLE / 60,
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{name: [] for name in LISTS},
        "file_mounts_sync_continuously": False,
    }  # fmt: skip


@contextmanager
def scaling_ray(folder: Path, variables: dict[str, str]) -> Iterator[str]:
    """Run it; yields its address. Nothing of it is left afterwards."""
    port, client, agent = free_ports(3)
    address = f"{ray.util.get_node_ip_address()}:{port}"
    plan = folder / "plan.yaml"
    plan.write_text(json.dumps(_plan(address)))
    flags = {
        "port": port, "ray-client-server-port": client, "dashboard-agent-listen-port": agent,
        "min-worker-port": 0, "max-worker-port": 0, "num-cpus": 0, "include-dashboard": False,
        "object-store-memory": 100_000_000, "temp-dir": folder / "r", "autoscaling-config": plan,
    }  # fmt: skip
    told = {
        **variables,
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    log = folder / "ray.log"
    with log.open("w") as out:
        head = subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in flags.items())],
            env=told, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            wait_until("Ray is up", lambda: "Ray runtime started" in log.read_text(), 60)
            yield address
        finally:
            end(head)
