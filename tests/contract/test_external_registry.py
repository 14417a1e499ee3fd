"""What every registry of external agents promises."""

import asyncio
from dataclasses import replace

import pytest

from cartrita.clock import new_id
from cartrita.errors import InvalidParameters, ServiceUnavailable
from cartrita.external.registration import Registration
from cartrita.external.registry import Registered
from cartrita.storage.memory_external import InMemoryRegistry
from cartrita.storage.postgres.external import PostgresRegistry
from tests.support.elsewhere import registration, task_type

SECRET = {"kind": "bearer", "secret": "correct horse battery"}


def registered(name="weather", *types, secret=None, **changes):
    told = registration(
        name=name,
        taskTypes=[task_type(item) for item in types or (f"{name}.forecast",)],
        **({"authentication": SECRET} if secret else {}),
        **changes,
    )
    return Registered(Registration.model_validate(told), new_id(), "ada", 1.7e9, secret=secret)


class RegistryContract:
    """Subclass it with a fixture `registry`."""

    async def test_at_first_there_are_none(self, registry):
        assert await registry.all() == []
        assert await registry.named("weather") is None
        assert await registry.serving("weather.forecast") is None
        assert not await registry.remove("weather")

    async def test_what_was_registered_is_read_back_by_name_and_by_task_type(self, registry):
        schema = {"type": "object", "properties": {"x": {"default": None, "enum": [1, None]}}}
        one = registered(
            "weather", "weather.forecast", "weather.past", maxConcurrency=3, healthPath="/live"
        )
        typed = task_type("tide.high", parameters=schema, example=None)
        other = replace(one, registration=Registration.model_validate(
            registration(name="tide", taskTypes=[typed], team="system")
        ), revision=new_id())  # fmt: skip
        assert await registry.put(one)
        assert await registry.put(other)
        assert await registry.all() == [other, one]
        assert await registry.named("weather") == one
        assert await registry.serving("weather.past") == one
        assert (await registry.serving("tide.high")).registration.task_types[0].parameters == schema
        assert await registry.serving("weather") is None

    async def test_secrets_are_told_to_who_calls_only(self, registry):
        await registry.put(registered(secret="correct horse battery"))
        assert [one.secret for one in await registry.all()] == [None]
        for found in (await registry.named("weather"), await registry.serving("weather.forecast")):
            assert found.secret == "correct horse battery"
            assert found.registration.authentication.kind == "bearer"
            assert "horse" not in f"{found!r} {found.registration!r}"
            assert "horse" not in str(found.registration.authentication.secret.get_secret_value())

    async def test_a_registration_replaces_the_one_before_and_how_it_was(self, registry):
        old, new = registered(secret="correct horse battery"), registered("weather", "weather.tide")
        await registry.put(old)
        await registry.suspect("weather")
        await registry.note("weather", old.revision, "quarantined", 1.7e9 + 5, "away")
        assert not await registry.put(new)
        assert await registry.all() == [new]
        assert (await registry.named("weather")).secret is None
        assert await registry.serving("weather.forecast") is None

    async def test_a_task_type_has_one_agent(self, registry):
        await registry.put(registered("weather", "sky.colour", "sky.stars"))
        with pytest.raises(InvalidParameters) as caught:
            await registry.put(registered("tide", "tide.high", "sky.stars"))
        assert caught.value.fields[0].field == "taskTypes"
        assert "'sky.stars'" in caught.value.message
        assert [one.name for one in await registry.all()] == ["weather"]

    async def test_of_two_that_want_one_task_type_at_once_one_gets_it(self, registry):
        asked = [registry.put(registered(f"agent{n}", "sky.colour")) for n in range(6)]
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(str(one) for one in done if one is True) == ["True"]
        assert sum(isinstance(one, InvalidParameters) for one in done) == 5

    async def test_how_an_agent_is_is_kept_for_the_registration_that_was_looked_at(self, registry):
        one = registered()
        await registry.put(one)
        await registry.note("weather", one.revision, "up", 1.7e9 + 1, "its health answers 200")
        (found,) = await registry.all()
        assert (found.standing, found.checked_at) == ("up", 1.7e9 + 1)
        assert found.detail == "its health answers 200"
        await registry.note("weather", new_id(), "quarantined", 1.7e9 + 2, "another")
        await registry.note("nobody", one.revision, "quarantined", 1.7e9 + 2, "another")
        assert await registry.all() == [found]

    async def test_suspicions_are_counted(self, registry):
        await registry.put(registered())
        for _ in range(3):
            await registry.suspect("weather")
        await registry.suspect("nobody")
        assert [one.suspected for one in await registry.all()] == [3]

    async def test_a_removed_agent_is_gone(self, registry):
        await registry.put(registered())
        assert await registry.remove("weather")
        assert await registry.all() == []
        assert await registry.put(registered())


class TestInMemoryRegistry(RegistryContract):
    """Keeps them in a dictionary."""

    @pytest.fixture
    def registry(self):
        return InMemoryRegistry()


@pytest.mark.database
class TestPostgresRegistry(RegistryContract):
    """Keeps them in a table."""

    @pytest.fixture
    def registry(self, pool):
        return PostgresRegistry(pool)

    async def test_another_process_reads_the_same(self, registry, pool):
        one = registered(secret="correct horse battery")
        await registry.put(one)
        assert (await PostgresRegistry(pool).named("weather")).secret == "correct horse battery"
        assert [found.name for found in await PostgresRegistry(pool).all()] == ["weather"]

    async def test_the_secret_stands_in_one_column(self, registry, pool):
        await registry.put(registered(secret="correct horse battery"))
        row = await pool.fetchrow("SELECT * FROM external_agents")
        assert [name for name, value in row.items() if "horse" in str(value)] == ["secret"]

    async def test_a_lost_server_is_said_in_our_words(self, registry, pool):
        await pool.close()
        for asked in (registry.all(), registry.named("a"), registry.put(registered())):
            with pytest.raises(ServiceUnavailable):
                await asked
