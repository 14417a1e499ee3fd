"""Tests of tasks with models: the agents' own, and those of a server's catalogue."""

import asyncio

import pytest
from pydantic import ValidationError

from actors.agents.health import EchoParams, EchoResult, Health
from cartrita import errors
from cartrita.client import AsyncClient, Client, TaskOutcome, TypedOutcome, shapes
from cartrita.protocol.task import TaskStatus
from tests.support.api_server import ADMIN, Nothing, Unlucky


@pytest.fixture
def client(api):
    with Client(api, None, *ADMIN) as opened:
        yield opened


def test_parameters_alone_name_their_task_and_type_its_result(client):
    answer = client.run(EchoParams(payload={"a": None}), timeout=20)
    assert isinstance(answer, TypedOutcome)
    assert answer.unwrap() == EchoResult(payload={"a": None})
    assert answer.status is TaskStatus.COMPLETED


def test_a_method_names_its_task_and_types_its_result(client):
    result = client.run(Health.echo, EchoParams(payload=None)).unwrap()
    assert isinstance(result, EchoResult)
    assert result.payload is None


def test_a_name_gives_a_plain_result_whatever_the_parameters(client):
    answer = client.run("system.echo", EchoParams(payload=1))
    assert type(answer) is TaskOutcome
    assert answer.unwrap() == {"payload": 1}


def test_a_failure_is_a_value_until_it_is_unwrapped(client):
    answer = client.run(Unlucky.fail, Nothing())
    assert answer.status is TaskStatus.FAILED
    with pytest.raises(errors.AgentFailed):
        answer.unwrap()


async def test_the_asynchronous_client_does_the_same(api):
    async with AsyncClient(api, None, *ADMIN) as client:
        asked = [client.run(EchoParams(payload=n)) for n in range(5)]
        answers = await asyncio.gather(*asked)
        handle = await client.submit(EchoParams(payload=9))
        assert (await handle.wait()).unwrap() == {"payload": 9}
        assert "system.echo" in await client.types()
    assert [answer.unwrap().payload for answer in answers] == list(range(5))


def test_a_servers_types_are_the_agents_own_where_they_are_installed(client):
    echo = client.types()["system.echo"]
    assert (echo.params, echo.result) == (EchoParams, EchoResult)


def test_a_servers_types_are_made_of_its_schemas_where_they_are_not(client, monkeypatch):
    monkeypatch.setattr(shapes, "AGENTS", "nowhere.at_all")
    echo = client.types()["system.echo"]
    assert echo.params is not EchoParams
    assert client.run(echo, echo.params(payload=[1], delay_ms=1)).unwrap().payload == [1]
    with pytest.raises(ValidationError, match="delay_ms"):
        echo.params(payload=1, delay_ms=-1)
    with pytest.raises(ValidationError, match="delay"):
        echo.params(payload=1, delay=1)
    unlucky = client.run(client.types()["test.unlucky"], Nothing())
    assert unlucky.status is TaskStatus.FAILED


def test_what_is_no_task_is_told(client):
    with pytest.raises(errors.InvalidParameters, match="@task"):
        client.run(print, EchoParams(payload=1))  # type: ignore[call-overload]
    with pytest.raises(errors.InvalidParameters, match="is no agent's"):
        client.run(EchoResult(payload=1))  # type: ignore[call-overload]
