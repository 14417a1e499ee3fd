"""Where the orchestrator says that each node's metrics are."""

from actors.exporting import FORGET, Exports


def test_each_node_is_listed_once_at_its_last_address():
    exports = Exports()
    exports.note("b", "10.0.0.2:1", 0.0)
    exports.note("a", "10.0.0.1:1", 0.0)
    exports.note("b", "10.0.0.2:7", 5.0)
    assert exports.rows("a", 6.0) == [
        {"node": "a", "address": "10.0.0.1:1"},
        {"node": "b", "address": "10.0.0.2:7"},
    ]


def test_a_node_that_says_nothing_for_long_is_forgotten():
    exports = Exports()
    exports.note("a", "10.0.0.1:1", 0.0)
    exports.note("b", "10.0.0.2:1", 1.0)
    assert [row["node"] for row in exports.rows("a", FORGET)] == ["b"]
    assert exports.rows("a", FORGET + 1) == []


def test_the_loopback_of_another_node_is_nobodys_to_read():
    exports = Exports()
    exports.note("a", "127.0.0.1:1", 0.0)
    exports.note("b", "[::1]:1", 0.0)
    exports.note("c", "[fd00::1]:1", 0.0)
    assert [row["node"] for row in exports.rows("a", 0.0)] == ["a", "c"]
