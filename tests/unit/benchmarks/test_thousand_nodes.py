"""The simulation of many nodes: it counts every task, and is the same again."""

import pytest

from benchmarks import thousand_nodes
from benchmarks.nodes.model import Terms
from benchmarks.service_times import ServiceTime
from benchmarks.thousand_nodes import simulate, uneven, waits
from cartrita.catalog import AGENTS, discover

KINDS = [
    (ServiceTime("langchain.chat.execute", "chat", "intelligence", (0.05, 0.1, 0.4)), 0.7),
    (ServiceTime("system.echo", "health", "system", (0.001, 0.002)), 0.3),
]
ROUGH = Terms(
    load=0.9, host_life=6.0, node_life=8.0, node_away=2.0, host_start=0.5, warm=1.0, users=5
)
TIMED = ("decisions_per_s", "wall_us", "cpu_us", "us_per_task", "us_by", "simulation_wall_s")


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(thousand_nodes, "LEAST", 0)


def simulated(seed, nodes=5):
    return simulate(nodes, KINDS, discover(AGENTS), ROUGH, 8.0, seed)


def test_no_task_is_lost_while_hosts_and_nodes_die():
    found = simulated(seed=1)
    assert found["host_deaths"] > 0
    assert found["node_deaths"] > 0
    assert found["taken_up"] > 0
    assert found["lost"] == 0


def test_a_seed_gives_the_same_decisions_again():
    first, second = (simulated(seed=5, nodes=2) for _ in range(2))
    for key in TIMED:
        del first[key], second[key]
    assert first == second


def test_service_times_are_drawn_from_their_quantiles():
    class Chance:
        def __init__(self, value):
            self.random = lambda: value

    kind = KINDS[0][0]
    drawn = [kind.draw(Chance(at)) for at in (0.0, 0.25, 0.5, 0.75)]
    assert drawn == pytest.approx([0.05, 0.075, 0.1, 0.25])
    assert kind.mean == pytest.approx((0.075 + 0.25) / 2)


def test_unevenness_and_percentiles_are_of_what_was_given():
    assert uneven([1.0, 1.0, 4.0]) == {"max_over_mean": 2.0, "cv": 0.707}
    found = waits([number / 1000 for number in range(1000)])
    assert (found["p50"], found["p99"]) == (500.0, 990.0)
