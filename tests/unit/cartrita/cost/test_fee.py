"""Tests of cartrita/cost/fee.py, and of how what a provider counts is shared out."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from cartrita.cost.fee import MARKS, Fee
from cartrita.cost.price import and_embedding, free, per_call
from cartrita.privacy.masking import Masker
from cartrita.providers.far_embeddings import parts

USD = Decimal("0.00002")
FEE = Fee(lambda: USD)


@given(st.lists(st.text(max_size=50), max_size=20), st.integers(1, 9000), st.integers(1, 2))
def test_no_text_is_held_for_less_than_a_byte_a_token_or_what_is_read_of_it(texts, reads, calls):
    least = sum(min(len(text.encode()) + MARKS, reads) for text in texts)
    assert Fee(lambda: USD, reads, calls).worst(texts) >= calls * least
    assert FEE.worst(texts) >= sum(len(text.encode()) + MARKS for text in texts)


@given(st.text("ab@.co <>1", max_size=40))
def test_what_stands_for_personal_data_is_no_longer_than_what_was_held_for(text):
    assert len(Masker().faceless(text)) + MARKS <= FEE.worst([text])


def test_a_task_that_embeds_nothing_has_nothing_reserved_for_that():
    assert FEE.reserve(per_call("0.01"), object()) == (0, 0)


def test_what_a_task_embeds_is_told_by_its_parameters():
    cost = and_embedding(free(), lambda params: params["texts"], most_texts=9)
    usd, tokens = FEE.reserve(cost, {"texts": ["seventy"]})
    assert (usd, tokens) == (9 * USD / 1000, 9)


def test_parameters_that_are_only_referred_to_may_hold_the_most_that_is_read():
    cost = and_embedding(free(), lambda params: params["texts"], most_texts=9)
    assert Fee(lambda: USD, 8192).reserve(cost, None)[1] == 9 * 8192


def test_the_price_is_that_of_the_book_as_it_is_now():
    prices = [Decimal(1), Decimal(2)]
    fee = Fee(lambda: prices.pop(0))
    assert [fee.price(1000), fee.price(1000)] == [1, 2]


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_what_is_counted_for_many_is_shared_to_the_last_token(total, weights):
    shares = list(parts(total, weights))
    assert sum(shares) == total
    assert all(share >= 0 for share in shares)


def test_a_text_is_charged_by_its_length():
    assert list(parts(100, [9, 29, 59])) == [10, 30, 60]
