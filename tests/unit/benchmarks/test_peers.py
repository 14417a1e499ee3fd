"""What the comparison with peers computes, and how its load reads answers."""

import json

import pytest

from benchmarks.peers.environment import pinned
from benchmarks.peers.figures import medians, percentiles, ratios
from benchmarks.peers.guarantees import GUARANTEES
from benchmarks.peers.load import NUMBER, answer_of, batch, single
from benchmarks.peers.peers import PEERS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


def test_percentiles_are_of_the_sorted_latencies_in_milliseconds():
    rows = [i / 1000 for i in reversed(range(100))]
    assert percentiles(rows) == {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0}


def test_nobody_answered_is_no_latency():
    assert set(percentiles([]).values()) == {None}


def row(rps, cpu=100, errors=0):
    return {"rps": rps, "cpu_us_total": cpu, "requests": 10, "errors": errors, "p50_ms": None}


def test_medians_are_per_figure_and_errors_add_up():
    found = medians([row(1, 5, 1), row(9, 4, 2), row(2, 3, 0)])
    assert (found["rps"], found["cpu_us_total"], found["p50_ms"]) == (2, 4, None)
    assert (found["requests"], found["errors"]) == (30, 3)
    assert found["tasks_per_core_s"] == 250_000


def test_a_ratio_is_taken_within_a_round_so_that_a_slow_hour_cancels_out():
    found = ratios(
        {
            "cartrita-http": [row(100), row(10), row(50)],
            "cartrita-batch": [row(200), row(20), row(100)],
            "celery": [row(20, 400), row(2, 400), row(10, 400)],
        }
    )
    assert found == {
        "celery": {
            "http_rps": 5.0,
            "http_cpu_us_total": 0.25,
            "batch_rps": 10.0,
            "batch_cpu_us_total": 0.25,
        }
    }


def test_a_peer_that_did_nothing_has_no_ratio_but_does_not_stop_the_others():
    found = ratios({"cartrita-http": [row(100)], "celery": [row(0)], "uvicorn": [row(400)]})
    assert found["celery"]["http_rps"] is None
    assert found["uvicorn"]["http_rps"] == 0.25


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_an_answer_is_read_only_when_it_is_complete(cut):
    whole = OK % (12, b'{"a": "bcd"}')
    assert answer_of(whole) == (True, b'{"a": "bcd"}')
    assert cut >= len(whole) or answer_of(whole[:cut]) is None


def test_a_chunked_answer_is_complete_with_its_last_chunk():
    head = b"HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\n"
    assert answer_of(head + b"3\r\nabc\r\n") is None
    good, body = answer_of(head + b"3\r\nabc\r\n0\r\n\r\n")
    assert not good
    assert b"abc" in body


def ended(turn, answer):
    with pytest.raises(StopIteration) as stop:
        turn.send(answer)
    return stop.value.value


def test_an_answer_with_another_tasks_number_is_wrong():
    for echo, right in (lambda number: number, 1), (lambda _: b"00000000", 0):
        turn = single(b"POST / HTTP/1.1\r\n\r\n" + NUMBER)
        number = next(turn)[-8:]
        assert ended(turn, (True, echo(number))) == right


def test_a_batch_counts_what_was_accepted_once_its_last_task_gave_its_own_number_back():
    for told, right in (True, 3), (False, 0):
        turn = batch("http://h/v3/tasks/batch", "t", '{"n":"@@@@@@@@"}', 3)
        body = next(turn).partition(b"\r\n\r\n")[2]
        numbers = [task["n"] for task in json.loads(body)["tasks"]]
        assert len(set(numbers)) == 3
        rows = [{"accepted": True, "taskId": f"id{n}"} for n in range(3)]
        look = turn.send((True, json.dumps({"results": rows}).encode()))
        assert look.startswith(b"GET /v3/tasks/id2?wait=30 ")
        assert ended(turn, (True, (numbers[-1] if told else "else").encode())) == right


def test_a_refused_task_of_a_batch_is_not_counted_as_done():
    turn = batch("http://h/v3/tasks/batch", "t", '"@@@@@@@@"', 2)
    next(turn)
    rows = [{"accepted": True, "taskId": "a"}, {"accepted": False, "problem": {}}]
    assert turn.send((True, json.dumps({"results": rows}).encode())).startswith(b"GET /v3/tasks/a?")
    assert ended(turn, (True, b"{}")) == 1


def test_each_way_to_use_a_peer_says_what_it_guarantees():
    names = [name for peer in PEERS for name in peer.subjects]
    assert sorted(names) == sorted(GUARANTEES)


def test_the_versions_that_are_told_are_the_pinned_ones():
    assert pinned("celery", "celery", "redis").keys() == {"celery", "redis"}
