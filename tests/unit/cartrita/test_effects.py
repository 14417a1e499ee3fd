"""What the block of an effect ends with, and what is written down of it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.clock import new_id
from cartrita.effects import (
    LARGEST_RESULT,
    LONGEST_KEY,
    Effect,
    Finding,
    Register,
    State,
    effect_id,
    from_json,
    to_json,
)
from cartrita.errors import AgentFailed, NotDone, OutcomeUnknown, ResourceLimitExceeded

ROOT = "01920000-0000-7000-8000-000000000001"
BEGUN, DONE, NOT_DONE, UNKNOWN = State


class Book:
    """A ledger that answers what a test says, and keeps what it is told."""

    def __init__(self, *answers, probe=None):
        self.answers, self.found = list(answers) or [Finding(BEGUN)], probe
        self.begun, self.told, self.doubts = 0, [], []
        self.stands = None

    async def begin(self, name, key):
        self.begun += 1
        return self.answers.pop(0)

    async def end(self, name, key, finding):
        self.tell(name, key, finding)
        return self.stands or finding

    def tell(self, name, key, finding):
        self.told.append(finding)

    async def probe(self, doubt):
        self.doubts.append(doubt)
        return self.found or Finding.unknown()


def effect(book, name="email", key="ada"):
    return Effect(ROOT, name, key, book)


async def act(answer="receipt"):
    """Do it."""
    return answer


async def never():
    """Be done a second time."""
    raise AssertionError


async def raising(book, error, *acts):
    """Have a block act and then raise."""

    async def block():
        async with effect(book) as one:
            if not acts:
                assert not one.happened
            for what, *answer in acts:
                await one.once(what, *answer)
            if error:
                raise error

    with pytest.raises(error or AgentFailed) as raised:
        await block()
    return raised.value


class TestEnds:
    async def test_what_ended_well_is_done_with_its_result(self):
        book = Book()
        async with effect(book) as one:
            assert await one.once(act, answer={"a": 1}) == {"a": 1}
            assert book.told == []
        assert book.told == [Finding.done({"a": 1})]

    async def test_a_block_may_act_by_itself_when_it_asks(self):
        book = Book()
        async with effect(book) as one:
            assert not one.happened
            one.result = 5
        assert book.told == [Finding.done(5)]

    async def test_what_happened_before_is_not_done_again(self):
        book = Book(Finding.done("then"))
        async with effect(book) as one:
            assert await one.once(never) == "then"
            assert (one.happened, one.result) == (True, "then")
        assert book.told == []

    async def test_a_block_over_what_happened_may_fail_without_a_word(self):
        book = Book(Finding.done("then"))
        with pytest.raises(ZeroDivisionError):
            async with effect(book):
                raise ZeroDivisionError
        assert book.told == []

    @pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, AgentFailed])
    async def test_of_what_broke_off_nothing_is_said(self, error):
        book = Book()
        await raising(book, error)
        assert book.told == []

    @pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, NotDone])
    async def test_what_came_back_is_done_whatever_follows(self, error):
        book = Book()
        await raising(book, error, [act])
        assert book.told == [Finding.done("receipt")]

    async def test_an_error_that_says_so_means_not_done(self):
        book = Book()

        async def refused():
            raise NotDone("full")

        with pytest.raises(NotDone):
            async with effect(book) as one:
                await one.once(refused)
        assert book.told == [Finding.not_done()]

    @pytest.mark.parametrize("error", [None, ZeroDivisionError, asyncio.CancelledError])
    async def test_an_agent_s_word_means_not_done_whatever_follows(self, error):
        book = Book()
        try:
            async with effect(book) as one:
                one.not_done()
                if error:
                    raise error
        except (ZeroDivisionError, asyncio.CancelledError):
            assert error
        assert book.told == [Finding.not_done()]

    async def test_a_second_act_in_one_block_is_refused(self):
        book = Book()
        assert "'email'" in (await raising(book, None, [act], [never])).message
        assert book.told == [Finding.done("receipt")]

    async def test_a_block_that_does_not_ask_is_a_defect_and_done(self):
        book = Book()
        with pytest.raises(AgentFailed, match="`once`"):
            async with effect(book):
                await act()
        assert book.told == [Finding.done()]

    @pytest.mark.parametrize(
        ("result", "error"),
        [
            ("x" * LARGEST_RESULT, ResourceLimitExceeded),
            (b"", TypeError),
            (float("nan"), ValueError),
        ],
    )
    async def test_a_result_that_cannot_be_kept_is_an_error_and_done(self, result, error):
        book = Book()
        with pytest.raises(error):
            async with effect(book) as one:
                await one.once(act, result)
        assert book.told == [Finding.done()]

    async def test_such_a_result_does_not_hide_another_error(self):
        book = Book()
        await raising(book, ZeroDivisionError, [act, b""])
        assert book.told == [Finding.done()]

    async def test_whoever_decided_otherwise_is_noticed(self):
        book = Book()
        book.stands = Finding.not_done()
        with pytest.raises(OutcomeUnknown, match="not_done"):
            async with effect(book) as one:
                await one.once(act)


class TestDoubt:
    async def test_a_probe_that_finds_it_is_written_down(self):
        book = Book(Finding.unknown(), probe=Finding.done("found"))
        async with effect(book) as one:
            assert await one.once(never) == "found"
        assert book.told == [Finding.done("found")]
        (doubt,) = book.doubts
        assert (doubt.id, doubt.name, doubt.key) == (one.id, "email", "ada")

    async def test_one_that_finds_nothing_lets_it_begin_again(self):
        book = Book(Finding.unknown(), Finding(BEGUN), probe=Finding.not_done())
        async with effect(book) as one:
            await one.once(act)
        assert book.told == [Finding.not_done(), Finding.done("receipt")]
        assert book.begun == 2

    async def test_one_that_cannot_tell_leaves_it_as_it_is(self):
        book = Book(Finding.unknown())
        with pytest.raises(OutcomeUnknown) as doubt:
            async with effect(book):
                raise AssertionError
        assert "'email'" in doubt.value.message
        assert doubt.value.reason == "OUTCOME_UNKNOWN"
        assert book.told == []

    async def test_what_somebody_decided_meanwhile_holds(self):
        book = Book(Finding.unknown(), probe=Finding.not_done())
        book.stands = Finding.done("by hand")
        async with effect(book) as one:
            assert await one.once(never) == "by hand"

    async def test_one_that_began_elsewhere_meanwhile_is_unknown(self):
        book = Book(Finding.unknown(), Finding.unknown(), probe=Finding.not_done())
        with pytest.raises(OutcomeUnknown):
            async with effect(book):
                raise AssertionError

    async def test_a_found_result_that_cannot_be_kept_is_left_out(self):
        book = Book(Finding.unknown(), probe=Finding.done(b""))
        async with effect(book) as one:
            assert await one.once(never) is None
        assert book.told == [Finding.done()]


class TestId:
    @given(st.text(), st.text())
    def test_it_follows_from_the_task_the_name_and_the_key(self, one, other):
        assert effect_id(ROOT, "email", one) == effect_id(ROOT, "email", one)
        same = effect_id(ROOT, "email", one) == effect_id(ROOT, "email", other)
        assert same == (one == other)

    def test_each_of_them_matters(self):
        ids = {
            effect_id(root, name, key)
            for root in (ROOT, new_id())
            for name in ("a", "a.b")
            for key in ("c", "b/c", "")
        }
        assert len(ids) == 12

    def test_it_sorts_beside_its_task(self):
        assert effect_id(ROOT, "email", "ada")[:13] == ROOT[:13]

    @pytest.mark.parametrize("key", ["", "a\x00b", "line\n", "\ud800", "x" * (LONGEST_KEY + 1)])
    def test_some_keys_are_none(self, key):
        with pytest.raises(ValueError, match="key"):
            effect(Book(), key=key)

    def test_others_are(self):
        for key in ("a", "Ä ö@x.org / 7", "x" * LONGEST_KEY):
            assert effect(Book(), key=key).id == effect_id(ROOT, "email", key)


class TestRegister:
    def test_each_effect_stands_once(self):
        register = Register("mail.send", ("email", "letter"))
        for where in (("email", "a"), ("email", "b"), ("letter", "a")):
            register.enter(*where)
        for state in (BEGUN, DONE, UNKNOWN):
            register.note("email", "a", state)
            with pytest.raises(AgentFailed, match=r"'mail\.send' .* 'email' .* 'a' twice"):
                register.enter("email", "a")

    def test_one_that_was_not_done_may_stand_again(self):
        register = Register("mail.send", ("email",))
        register.enter("email", "a")
        register.note("email", "a", NOT_DONE)
        register.enter("email", "a")
        assert register.state("email", "a") is BEGUN

    def test_what_is_not_declared_stands_nowhere(self):
        with pytest.raises(AgentFailed, match="does not declare the effect 'sms'"):
            Register("mail.send", ("email",)).enter("sms", "a")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON.filter(lambda value: float("inf") not in _floats(value)))
def test_a_result_reads_back_as_it_was_written(value):
    assert from_json(to_json(value)) == value


def _floats(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return {abs(number) for item in value for number in _floats(item)}
    return {abs(value)} if isinstance(value, float) else set()
