"""Kept answers are erased by those whose they are, and by administrators."""

import pytest

from actors.answerdesk import ERASE, AnswerDesk
from cartrita.answers import Question, Terms, TieredAnswers
from cartrita.clock import ManualClock, iso
from cartrita.errors import AuthorizationFailed, ServiceUnavailable
from cartrita.protocol.principal import Principal, Role
from cartrita.storage.answers import Owner
from cartrita.storage.memory_answers import InMemoryShelf
from cartrita.storage.memory_runtime import InMemoryAudit
from tests.support.records import ADA, EVE

ROOT = Principal("root", "root", Role.ADMIN)


class Away(InMemoryShelf):
    """A shelf that cannot be reached."""

    async def forget(self, **whose):
        raise ServiceUnavailable("Valkey is away.")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def audit():
    return InMemoryAudit()


@pytest.fixture
def desk(clock, audit):
    """Give a function that opens a desk over a shelf."""

    def make(shelf):
        answers = TieredAnswers(Terms(), clock, InMemoryShelf(clock), shelf=shelf)
        return answers, AnswerDesk(answers, audit, clock, lasts=30.0)

    return make


async def test_a_user_s_are_erased_in_every_tenant_and_nobody_else_s(desk, clock, audit):
    answers, open_desk = desk(InMemoryShelf(clock))
    for tenant, user in (("lab", "ada"), ("home", "ada"), ("lab", "eve")):
        await answers.keep(Question(Owner(tenant, user), user), {}, None)
    told = await open_desk.erase("user:ada", ADA)
    assert told == {"owner": "user:ada", "erased": 4, "goneBy": iso(clock.now() + 30)}
    assert await answers.find(Question(Owner("lab", "ada"), "ada")) is None
    assert await answers.find(Question(Owner("lab", "eve"), "eve"))
    (entry,) = await audit.entries(5, None)
    assert (entry.actor, entry.action, entry.target, entry.outcome, entry.detail) == (
        "ada", ERASE, "user:ada", "done", {"erased": 4},
    )  # fmt: skip


async def test_a_tenant_s_are_erased_by_administrators_alone(desk, clock, audit):
    answers, open_desk = desk(InMemoryShelf(clock))
    await answers.keep(Question(Owner("lab", "ada"), "k"), {}, None)
    for whose, who in (("tenant:lab", ADA), ("tenant:eve", EVE), ("user:ada", EVE)):
        with pytest.raises(AuthorizationFailed):
            await open_desk.erase(whose, who)
    assert await audit.entries(5, None) == []
    assert (await open_desk.erase("tenant:lab", ROOT))["erased"] == 2


async def test_what_could_not_be_reached_is_told_and_noted(desk, clock, audit):
    _, open_desk = desk(Away(clock))
    with pytest.raises(ServiceUnavailable):
        await open_desk.erase("user:ada", ADA)
    (entry,) = await audit.entries(5, None)
    assert (entry.outcome, entry.detail) == ("failed", {"error": "Valkey is away."})
