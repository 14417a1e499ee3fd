"""v2's clients, unchanged, on a running instance: curl, fetch, and a front end's socket."""

import json
import subprocess

import pytest

from tests.support.node import run_node

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(400)]

ASKED = "What is 15% of 240?"


def old(instance):
    return instance.urls["v2"]


def assert_answered(body):
    assert body["success"] is True
    assert "36" in body["response"]
    assert body["text"] == body["response"]
    assert body["conversationId"]
    assert body["metadata"]["response_time_ms"] >= 0


def test_curl_does_the_old_readmes_example(instance):
    words = [
        "curl", "-sS", "-X", "POST", f"{old(instance)}/api/chat",
        "-H", "Content-Type: application/json", "-d", json.dumps({"message": ASKED}),
        "-w", "\n%{http_code} %header{x-legacy-bridge} %header{deprecation}",
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    body, _, facts = done.stdout.rpartition("\n")
    assert_answered(json.loads(body))
    assert facts.split()[:2] == ["200", "true"]


def test_fetch_does_it_in_node(instance):
    (told,) = run_node("v2_fetch.cjs", old(instance), ASKED)
    assert told["status"] == 200
    assert_answered(told["body"])


def test_a_front_ends_socket_chats(instance):
    client = instance.register("front@example.org")
    token = client.headers["Authorization"].removeprefix("Bearer ")

    told = run_node("v2_client.cjs", old(instance), token, ASKED)

    assert {one["by"] for one in told} == {"websocket"}
    heard = {one["name"]: one.get("told") for one in told}
    assert heard["pong"] == 17
    assert heard["typing"] == {"isTyping": True}
    assert heard["agent_response"]["speaker"] == "cartrita"
    assert "36" in heard["agent_response"]["text"]
    assert "error" not in heard
    assert told[-1]["name"] == "stopTyping"
    names = [one["name"] for one in told]
    assert names.index("typing") < names.index("agent_response")
