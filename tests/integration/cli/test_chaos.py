"""Tests of `cartrita chaos`: what it refuses."""

import pytest


def told(done):
    return " ".join(done.output.split())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "say what to break"),
        (("--kill", "sun"), "'sun' is none of worker"),
        (("--pause", "worker,moon"), "'moon' is none of worker"),
        (("--kill", "worker", "--power-cut"), "leaves nothing"),
        (("--kill", "worker", "--tasks", "0"), "--tasks"),
        (("--kill", "worker", "--rate", "0"), "--rate"),
        (("--kill", "worker", "--every", "-1"), "--every"),
    ],
)
def test_what_makes_no_run_is_named(cartrita, words, text):
    done = cartrita("chaos", "run", *words)
    assert done.exit_code == 2
    assert text in told(done)


def test_without_an_instance_there_is_nothing_to_break(cartrita):
    done = cartrita("chaos", "run", "--kill", "worker")
    assert done.exit_code == 3
    assert "cartrita up" in told(done)


def test_an_attached_instance_is_not_ours_to_break(cartrita, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    done = cartrita("chaos", "run", "--kill", "worker")
    assert done.exit_code == 2
    assert "RAY_ADDRESS" in told(done)


def test_an_instance_elsewhere_is_not_ours_to_break(cartrita, running, api):
    running("http://127.0.0.1:1")
    done = cartrita("--url", api, "chaos", "run", "--kill", "worker")
    assert done.exit_code == 2
    assert api in told(done)


def test_a_file_that_names_a_process_which_is_no_owner_breaks_nothing(cartrita, running, api):
    running(api)  # as process 1
    done = cartrita("chaos", "run", "--kill", "worker")
    assert done.exit_code == 2
    assert "Process 1" in told(done) or "another user" in told(done)
