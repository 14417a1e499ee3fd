"""v2's clients against a running instance, on v2's own port and on v3's."""

import json
import subprocess

import httpx
import pytest

from tests.support.node import fetched, front_end

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(400)]


def curl(url, body):
    """Do what v2's README shows."""
    words = ["curl", "-s", "-X", "POST", url, "-H", "Content-Type: application/json", "-d", body]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    return json.loads(told)


@pytest.mark.parametrize("port", ["v2", "api"])
def test_the_readmes_example_is_answered(instance, port):
    told = curl(f"{instance.urls[port]}/api/chat", '{"message": "What is 15% of 240?"}')

    assert told["success"] is True
    assert "36" in told["response"]
    assert told["response"] == told["text"]
    assert told["conversationId"]


def test_a_page_of_the_front_ends_kind_fetches_it(instance):
    told = fetched(f"{instance.urls['v2']}/api/chat", {"message": "What is 15% of 240?"})

    assert told["status"] == 200
    assert "36" in told["body"]["response"]
    assert told["headers"]["x-api-version"] == "v2-legacy"


def test_a_body_may_be_larger_than_v3_takes(instance):
    said = {"message": "hello", "padding": "x" * (2 << 20)}
    answer = httpx.post(f"{instance.urls['v2']}/api/chat", json=said, timeout=60)
    assert answer.status_code == 200, answer.text

    answer = httpx.post(f"{instance.urls['v2']}/v3/tasks", json=said, timeout=60)
    assert answer.status_code == 413


def test_the_front_ends_socket_chats(instance):
    client = instance.register("front@example.org")
    token = client.headers["Authorization"].removeprefix("Bearer ")

    told = front_end(instance.urls["v2"], token, "What is 15% of 240?")

    names = ["connected", "pong", "typing", "agent_response", "stopTyping"]
    assert [one["name"] for one in told] == names
    answer = told[3]["told"]
    assert "36" in answer["text"]
    assert answer["speaker"] == "cartrita"
