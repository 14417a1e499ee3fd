"""Who of an instance's processes is hit."""

import pytest

from cartrita.chaos.plan import SINGLE, Kind
from cartrita.chaos.victims import Row, candidates

HAPROXY = "/venv/ray_haprox/bin/haproxy -db -f"
ROWS = [
    Row(10, "python3.11", "python -m ray.scripts.scripts start --head --block"),
    Row(11, "gcs_server", "/ray/gcs_server --log_dir=/tmp/x"),
    Row(12, "raylet", "/ray/raylet --raylet_socket_name=/tmp/x"),
    Row(20, "python3.11", "ray::OrchestratorActor.watch"),
    Row(21, "python3.11", "ray::SupervisorActor"),
    Row(22, "python3.11", "ray::SupervisorActor.trouble"),
    Row(31, "python3.11", "ray::HostActor"),
    Row(32, "python3.11", "ray::HostActor.watch"),
    Row(40, "python3.11", "ray::ServeController.listen_for_change"),
    Row(41, "python3.11", "ray::ServeReplica:cartrita:gateway"),
    Row(42, "python3.11", "ray::HAProxyManager"),
    Row(43, "haproxy", f"{HAPROXY} /tmp/ct0-1/h/haproxy.cfg"),
    Row(44, "haproxy", f"{HAPROXY} /tmp/ct0-1/edge.cfg"),
    Row(50, "postgres", "/venv/bin/postgres -D /home/postgres/data -p 5435"),
    Row(51, "postgres", "postgres: cartrita cartrita [local] idle"),
    Row(60, "valkey-server", "/venv/valkey-server unixsocket:/tmp/ct0-1/valkey.sock"),
]
TREE = {
    "orchestrator": {"state": "up", "pid": 20},
    "supervisors": [
        {"id": "system/0", "state": "up", "pid": 21, "hosts": [{"pid": 31}, {"pid": None}]},
        {"id": "intelligence/0", "state": "up", "pid": 22, "hosts": [{"pid": 999}]},
        {"id": "multimodal/0", "state": "down", "hosts": []},
    ],
}
EXPECTED = {
    Kind.WORKER: [31],
    Kind.SUPERVISOR: [21, 22],
    Kind.ORCHESTRATOR: [20],
    Kind.GATEWAY: [41],
    Kind.CONTROLLER: [40],
    Kind.PROXY: [42],
    Kind.HAPROXY: [43],
    Kind.EDGE: [44],
    Kind.POSTGRES: [50],
    Kind.VALKEY: [60],
    Kind.GCS: [11],
    Kind.RAYLET: [12],
}


@pytest.mark.parametrize("name", SINGLE)
def test_each_kind_is_known_by_what_it_is(name):
    assert candidates(Kind(name), TREE, ROWS) == EXPECTED[Kind(name)]


@pytest.mark.parametrize("name", SINGLE)
def test_nobody_is_found_who_is_not_below_the_owner(name):
    assert candidates(Kind(name), TREE, []) == []


def test_while_nobody_can_tell_which_workers_are_up_none_is_hit():
    assert candidates(Kind.WORKER, None, ROWS) == []
    assert candidates(Kind.SUPERVISOR, None, ROWS) == [21, 22]
