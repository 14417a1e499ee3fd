"""What the settings open: answers in this process, in Valkey and in Postgres, with a real model."""

import asyncpg
import pytest
from pydantic import SecretStr

from cartrita.answers import Answers, Question
from cartrita.catalog import Catalog
from cartrita.clock import new_id
from cartrita.config.answers import Cache, Privacy
from cartrita.config.bounds import Limits
from cartrita.config.databases import Postgres, Redis
from cartrita.config.settings import Settings
from cartrita.openers.answers import eraser, lasting
from cartrita.privacy.masking import Rules
from cartrita.services import open_services
from cartrita.storage.answers import Owner
from tests.support.asking import Asking

pytestmark = pytest.mark.database


@pytest.fixture
def settings(services, database_url):
    return Settings(
        instance=f"t{new_id()[-12:]}",
        postgres=Postgres(url=SecretStr(database_url)),
        redis=Redis(url=SecretStr(services.redis_url)),
    )


@pytest.fixture
async def opened():
    """Give a function that opens services, all closed in the end."""
    kept = []

    def make(settings):
        kept.append(open_services(settings))
        return kept[-1]

    yield make
    for each in kept:
        await each.close()


def asked(text, key=None):
    return Question(Owner("shop", "ada"), key or new_id(), text, "rest")


async def test_hosts_share_answers_and_find_them_by_meaning(settings, opened):
    here, there = [await opened(settings).get(Answers) for _ in range(2)]
    question = asked("How do I change the password of my account?", "key")
    await here.keep(question, {"answer": "In the settings."}, None)
    await here.settle()

    same = await there.find(asked(None, "key"))
    alike = await there.find(asked("How can I change my account's password?"))
    different = await there.find(asked("How do I delete my account?"))

    assert (same.tier, same.result) == ("valkey", {"answer": "In the settings."})
    assert (alike.tier, alike.result) == ("meaning", {"answer": "In the settings."})
    assert 0.85 <= alike.score < 1
    assert different is None
    assert await there.forget(tenant="shop") == 3  # in its own memory, Valkey and Postgres


async def test_an_eraser_reaches_what_hosts_share_also_where_nothing_is_kept_any_more(
    settings, opened
):
    first = await opened(settings).get(Answers)
    for key in ("one", "two"):
        await first.keep(asked(f"What is number {key}?", key), {}, None)
    await first.settle()

    none = settings.model_copy(update={"limits": Limits(cache_timeout_s=0)})
    desk = eraser(none, await opened(settings).get(asyncpg.Pool))
    assert await desk.forget(user="ada") == 4  # each in Valkey and in Postgres
    assert await desk.forget(user="ada") == 0
    await desk.close()

    other = await opened(settings).get(Answers)
    assert await other.find(asked("What is number one?", "one")) is None


def test_a_host_s_own_memory_lasts_a_moment_where_it_can_ask_others_and_else_to_the_end(settings):
    alone = settings.model_copy(update={"redis": Redis(url=None)})
    none = settings.model_copy(update={"limits": Limits(cache_timeout_s=0)})
    catalog = Catalog.of([Asking])
    told = [lasting(each, catalog) for each in (settings, alone, none)]
    assert told == [settings.cache.own_s, settings.limits.cache_timeout_s, 0.0]


async def test_without_a_life_nothing_is_kept(settings, opened):
    none = settings.model_copy(update={"limits": Limits(cache_timeout_s=0)})
    assert await opened(none).find(Answers) is None


async def test_other_models_have_a_name_of_their_own(settings, opened):
    changed = settings.models.model_copy(update={"chat_model": "gpt-4"})
    both = [settings, settings.model_copy(update={"models": changed})]
    one, other = [await opened(each).get(Answers) for each in both]
    assert one.models != other.models


async def test_likeness_can_be_off(settings, opened):
    exact = settings.model_copy(update={"cache": Cache(similarity=1)})
    answers = await opened(exact).get(Answers)
    await answers.keep(asked("How do I get in?"), {}, None)
    await answers.settle()
    assert await answers.find(asked("How do I get in?")) is None


async def test_the_rules_about_personal_data_are_the_settings(settings, opened):
    privacy = Privacy(pii="redact", unmask=False, phone_region="DE")
    changed = settings.model_copy(update={"privacy": privacy})
    assert await opened(changed).get(Rules) == Rules("redact", unmask=False, region="DE")
