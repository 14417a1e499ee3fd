"""Tests of cartrita/agency/sessions.py."""

from cartrita.agency.sessions import Sessions, owner_of
from cartrita.context import Context
from cartrita.errors import ModelRequired
from cartrita.protocol.principal import Principal
from cartrita.storage.memory_threads import InMemoryConversations
from cartrita.storage.threads import Owner
from tests.support.fakes import FirstWords, WordCounter
from tests.support.tools import sessions

OWNER = Owner("acme", "ann", "s1")


async def contents(kept, task="next"):
    known = await kept.recall(OWNER, task)
    return [turn.content for turn in known.turns]


def test_the_owner_is_who_asks_and_nobody_the_request_names():
    ctx = Context("t", principal=Principal("ann", "acme"), session_id="s1")
    assert owner_of(ctx) == OWNER
    assert owner_of(Context("t", principal=Principal("ann", "acme"))) is None


async def test_turns_come_back_in_order():
    kept = sessions()
    await kept.keep(OWNER, "t1", "Hi", "Hello.")
    await kept.keep(OWNER, "t2", "How are you?", "Well.")
    assert await contents(kept) == ["Hi", "Hello.", "How are you?", "Well."]


async def test_a_task_that_runs_again_neither_hears_itself_nor_speaks_twice():
    kept = sessions()
    await kept.keep(OWNER, "t1", "Hi", "Hello.")
    assert await contents(kept, "t1") == []
    await kept.keep(OWNER, "t1", "Hi", "Good day.")
    assert await contents(kept) == ["Hi", "Good day."]


async def test_beyond_the_bound_the_older_half_becomes_a_summary():
    kept = sessions(most_tokens=10)
    for number in range(4):
        await kept.keep(OWNER, f"t{number}", f"question {number} a", f"answer {number} b")
    known = await kept.recall(OWNER, "next")
    words = sum(len(turn.content.split()) for turn in known.turns)
    assert words <= 10
    assert known.summary.startswith("User: question 0")
    assert known.turns[-1].content == "answer 3 b"


async def test_one_turn_that_is_too_long_is_summed_up_as_well():
    kept = sessions(most_tokens=10)
    await kept.keep(OWNER, "t1", "word " * 50, "fine")
    known = await kept.recall(OWNER, "next")
    assert sum(len(turn.content.split()) for turn in known.turns) <= 10
    assert known.summary == "User: word word"


async def test_without_the_summarizer_s_model_the_end_is_kept():
    class NoWeights(FirstWords):
        async def summarize(self, text, max_tokens):
            raise ModelRequired("none")

    kept = Sessions(InMemoryConversations(), NoWeights(), WordCounter(), 4)
    await kept.keep(OWNER, "t1", "one two three", "four five six")
    known = await kept.recall(OWNER, "next")
    assert "one two three" in known.summary


async def test_nobody_else_remembers_it():
    kept = sessions()
    await kept.keep(OWNER, "t1", "My secret", "Noted.")
    for other in (
        Owner("acme", "bob", "s1"),
        Owner("evil", "ann", "s1"),
        Owner("acme", "ann", "s2"),
    ):
        assert (await kept.recall(other, "next")).turns == ()
        assert await kept.forget(other) == 0
    assert len(await contents(kept)) == 2


async def test_what_is_forgotten_is_gone():
    kept = sessions(most_tokens=4)
    await kept.keep(OWNER, "t1", "one two three", "four five")
    before = await kept.recall(OWNER, "next")
    assert (before.summary, len(before.turns)) == ("User: one two", 1)
    assert await kept.forget(OWNER) == 2
    known = await kept.recall(OWNER, "next")
    assert (known.summary, known.turns) == ("", ())
