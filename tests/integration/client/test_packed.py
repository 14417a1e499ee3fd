"""Tests of the clients that speak MessagePack."""

import pytest

from cartrita import errors
from cartrita.client import Client
from tests.support.api_server import ADMIN


@pytest.fixture
def client(api):
    with Client(api, None, *ADMIN, packed=True) as opened:
        yield opened


def test_all_is_as_in_json(client, api):
    answer = client.run("system.echo", {"payload": {"a": [1, None, "é"]}})
    assert answer.unwrap() == {"payload": {"a": [1, None, "é"]}}
    with Client(api, None, *ADMIN) as plain:
        assert plain.get(answer.task_id) == client.get(answer.task_id)
        assert plain.catalog() == client.catalog()
    assert client.me().role == "admin"


def test_refusals_keep_their_class_and_fields(client):
    with pytest.raises(errors.InvalidParameters) as told:
        client.run("system.echo", {"payload": 1, "delay": 3})
    assert told.value.fields[0].field == "parameters.delay"


def test_it_is_said_so_on_the_wire(client):
    seen = []
    client._http.event_hooks["response"].append(seen.append)
    client.run("system.echo", {"payload": 1})
    kinds = {message.headers["content-type"] for one in seen for message in (one, one.request)}
    assert kinds == {"application/msgpack"}
