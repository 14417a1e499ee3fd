"""Ports, and whoever is opened for them."""

import sys
from decimal import Decimal
from typing import get_type_hints

import asyncpg
import pytest

from cartrita.accounts import identity
from cartrita.auth.keys import open_keys
from cartrita.catalog import discover
from cartrita.clock import SystemClock
from cartrita.config.settings import Settings
from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import ConfigurationInvalid, MissingExtra
from cartrita.services import Services, blob_spill, blob_store, database_probes, open_services
from cartrita.storage.memory_blobs import InMemoryBlobs
from cartrita.tools.registry import discover as tool_sets
from tests.support.records import record


class Web:
    """A port."""


class Store:
    """Another."""


class Adapter:
    """Writes down that it was closed."""

    def __init__(self, name, closed):
        self._name, self._closed = name, closed

    def close(self):
        self._closed.append(self._name)


class AsyncAdapter(Adapter):
    """Closes in its own time."""

    async def close(self):
        self._closed.append(self._name)


class Nothing(Params):
    """Takes nothing."""


async def work(self, params: Nothing, ctx: Context) -> Result:
    """Work."""
    return Result()


class Plain(Agent, team="system"):
    """Needs nothing."""

    work = task("plain")(work)


class Finder(Agent, team="system"):
    """Needs two things."""

    def __init__(self, web: Web, store: Store) -> None:
        self.web, self.store = web, store

    @task("find")
    async def find(self, params: Nothing, ctx: Context) -> Result:
        """Find."""
        return Result()


async def test_a_port_is_opened_on_first_use_and_once():
    opened = []
    services = Services({Web: lambda _: opened.append("web") or "web"})
    assert opened == []
    assert [await services.get(Web), await services.get(Web)] == ["web", "web"]
    assert opened == ["web"]


async def test_a_factory_may_take_its_time_and_ask_for_other_ports():
    async def web(services):
        return f"web over {await services.get(Store)}"

    services = Services({Web: web, Store: lambda _: "store"})
    assert await services.get(Web) == "web over store"


async def test_a_port_nobody_provides_is_refused_by_name():
    with pytest.raises(ConfigurationInvalid, match="'Web'"):
        await Services({}).get(Web)


async def test_a_factory_that_failed_is_asked_again():
    answers = [ConfigurationInvalid("not yet"), "web"]

    def web(_):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    services = Services({Web: web})
    with pytest.raises(ConfigurationInvalid):
        await services.get(Web)
    assert await services.get(Web) == "web"


class TestBuild:
    async def test_an_agent_is_given_what_its_constructor_names(self):
        services = Services({Web: lambda _: "web", Store: lambda _: "store"})
        finder = await services.build(Finder)
        assert (finder.web, finder.store) == ("web", "store")

    async def test_an_agent_without_a_constructor_is_given_nothing(self):
        assert isinstance(await Services({}).build(Plain), Plain)

    async def test_an_agent_that_cannot_be_given_all_says_who_lacks_what(self):
        with pytest.raises(ConfigurationInvalid, match=r"Finder cannot start.*'Store'"):
            await Services({Web: lambda _: "web"}).build(Finder)


class TestClose:
    async def test_the_last_opened_is_closed_first_and_what_cannot_be_closed_is_left(self):
        closed = []
        services = Services(
            {
                Web: lambda _: Adapter("web", closed),
                Store: lambda _: AsyncAdapter("store", closed),
                int: lambda _: 1,
                Decimal: lambda _: Adapter("never opened", closed),
            }
        )
        for port in (Web, int, Store):
            await services.get(port)
        await services.close()
        assert closed == ["store", "web"]
        await services.close()
        assert closed == ["store", "web"]

    async def test_an_adapter_of_two_ports_is_closed_once(self):
        closed = []

        async def same(services):
            return await services.get(Web)

        services = Services({Web: lambda _: Adapter("both", closed), Store: same})
        assert await services.get(Store) is await services.get(Web)
        await services.close()
        assert closed == ["both"]

    async def test_fresh_services_open_their_own(self):
        closed = []
        services = Services({Web: lambda _: Adapter("web", closed)})
        mine = await services.get(Web)
        fresh = services.fresh()
        assert await fresh.get(Web) is not mine
        await fresh.close()
        assert await services.get(Web) is mine


def settings(tmp_path, **sections):
    return Settings.model_validate({"home": str(tmp_path), **sections})


OUTSIDE = {"postgres": {"url": "postgresql://u:p@h/d"}, "redis": {"url": "redis://h"}}


class TestFromSettings:
    async def test_whatever_an_agent_asks_for_somebody_is_named_for_it(self, tmp_path):
        """Each factory is there; only the database is not, and says how to name one."""
        services = open_services(settings(tmp_path))
        agents = discover("actors.agents").agents.values()
        ports = {port for agent in agents for port in ports_of(agent.cls)}
        assert ports
        ports |= {port for kind in tool_sets() for port in ports_of(kind)}
        assert ports <= set(services._factories)

    async def test_without_a_database_its_port_says_what_to_set(self, tmp_path):
        with pytest.raises(ConfigurationInvalid, match="CARTRITA_POSTGRES__URL"):
            await open_services(settings(tmp_path)).get(asyncpg.Pool)

    async def test_nothing_is_opened_before_it_is_asked_for(self, tmp_path):
        assert open_services(settings(tmp_path, **OUTSIDE))._open == {}

    def test_only_databases_that_are_named_are_probed(self, tmp_path):
        assert database_probes(settings(tmp_path)) == []
        named = database_probes(settings(tmp_path, **OUTSIDE))
        assert [probe.name for probe in named] == ["postgres", "redis"]

    def test_a_key_that_is_named_is_the_key(self, tmp_path):
        made = open_keys(tmp_path / "made", SystemClock())
        (path,) = [p for p in (tmp_path / "made").rglob("*.pem") if "PRIVATE" in p.read_text()]
        _, keys = identity(
            settings(tmp_path, auth={"private_key_path": str(path)}), None, SystemClock()
        )
        assert keys.jwks() == made.jwks()

    def test_without_a_name_keys_are_kept_at_home(self, tmp_path):
        _, keys = identity(settings(tmp_path), None, SystemClock())
        assert keys.jwks() == open_keys(tmp_path / "keys", SystemClock()).jwks()


def ports_of(cls):
    hints = {} if cls.__init__ is object.__init__ else get_type_hints(cls.__init__)
    return {port for name, port in hints.items() if name != "return"}


S3 = {"s3_bucket": "blobs", "s3_endpoint": "http://127.0.0.1:9", "s3_key": "k", "s3_secret": "s"}


@pytest.mark.parametrize(("chosen", "kind"), [({}, "DiskBlobs"), (S3, "S3Blobs")])
def test_blobs_are_kept_where_the_settings_say(tmp_path, chosen, kind):
    settings = Settings.model_validate({"home": tmp_path, "blobs": chosen})
    assert type(blob_store(settings, SystemClock())).__name__ == kind


@pytest.mark.parametrize(
    ("chosen", "tcp", "together"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"directory": "/mnt/shared"}, True, True),
        (S3, True, True),
    ],
)
async def test_nodes_pass_large_things_only_by_blobs_that_they_share(chosen, tcp, together):
    channel = {"tcp": tcp, "plain_tcp": tcp}
    settings = Settings.model_validate({"blobs": chosen, "channel": channel})
    spill = blob_spill(settings, InMemoryBlobs(SystemClock(), 1 << 30))
    huge = {"text": "x" * (2 << 20)}
    if together:
        assert "$blob" in await spill.result(record(), huge)
    else:
        with pytest.raises(ConfigurationInvalid, match=r"blobs\.s3_bucket"):
            await spill.result(record(), huge)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    settings = Settings.model_validate({"blobs": S3})
    with pytest.raises(MissingExtra, match=r"cartrita\[s3\]"):
        blob_store(settings, SystemClock())
