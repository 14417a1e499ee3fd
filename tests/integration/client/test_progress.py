"""Tests of runs that are shown while they run."""

import asyncio
import io

import pytest
from rich.console import Console

from cartrita.client import AsyncClient, Client, progress
from tests.support.api_server import ADMIN


@pytest.fixture
def shown(monkeypatch):
    """Give what a terminal shows."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(progress, "_console", lambda: console)
    return console.file


def test_one_run_is_shown(api, shown):
    with Client(api, None, *ADMIN) as client:
        assert client.run("system.echo", {"payload": 1}, progress=True).unwrap() == {"payload": 1}
    assert "system.echo" in shown.getvalue()
    assert "completed" in shown.getvalue()


def test_all_runs_of_a_block_are_shown_and_none_after_it(api, shown):
    with Client(api, None, *ADMIN) as client:
        with client.progress():
            client.run("system.echo", {"payload": 1})
            client.run("test.unlucky")
        size = len(shown.getvalue())
        client.run("system.echo", {"payload": 1})
    assert "test.unlucky" in shown.getvalue()
    assert "failed" in shown.getvalue()
    assert len(shown.getvalue()) == size


async def test_many_runs_are_shown_together(api, shown):
    async with AsyncClient(api, None, *ADMIN) as client:
        with client.progress():
            asked = (client.run("system.echo", {"payload": n}) for n in range(4))
            answers = await asyncio.gather(*asked)
    assert [answer.unwrap()["payload"] for answer in answers] == list(range(4))
    assert shown.getvalue().count("completed") >= 4
