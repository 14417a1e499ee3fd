"""How an owner plans a start of Ray."""

from cartrita.cli.head import Head
from cartrita.config.settings import Settings
from cartrita.instance import paths_of


def planned(tmp_path, **server):
    settings = Settings.model_validate({"home": tmp_path, "server": server})
    return Head.plan(settings, paths_of(settings))


def test_no_two_services_of_a_start_share_a_port(tmp_path):
    head = planned(tmp_path)
    assert len(set(head.ports)) == len(head.ports)


def test_a_start_after_a_death_keeps_the_ports_that_the_edge_knows(tmp_path, monkeypatch):
    first = planned(tmp_path)
    kept = [first.serve_port, first.rpc_port]
    fresh = [*range(1, 6), *kept, *range(6, 11)]  # they are free again, as Serve is dead
    monkeypatch.setattr("cartrita.cli.head.free_ports", lambda count: fresh[:count])
    second = first.successor()
    assert [second.serve_port, second.rpc_port] == kept
    assert sorted(second.ports) == sorted([*range(1, 11), *kept])


def test_a_port_of_the_settings_stays_anyway(tmp_path):
    first = planned(tmp_path, serve_port=8123)
    assert (first.serve_port, first.successor().serve_port) == (8123, 8123)
