"""A price list of one's own, read again when it changes."""

from decimal import Decimal

import pytest

from cartrita.clock import ManualClock
from cartrita.cost.book import price_book
from cartrita.cost.prices import LOOK_EVERY, PriceFile, prices_of
from cartrita.errors import ConfigurationInvalid

HEAD = "as_of = 2026-11-26\n[models]\n"


def listed(price, model="gpt-4o"):
    return f'{HEAD}"{model}" = {{ in = "{price}", out = "0.02" }}\n'


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(listed("0.01"))
    return path


def test_an_own_price_goes_before_ours_which_stay_for_the_rest(path, clock):
    prices = PriceFile(path, clock)
    assert prices.price("gpt-4o").prompt == Decimal("0.01")
    assert prices.price("gpt-4") == price_book().price("gpt-4")
    assert prices.price("unknown").prompt == Decimal("0.01")  # what the fallback costs
    assert prices.book.as_of.isoformat() == "2026-11-26"


def test_a_file_that_changes_is_read_again_a_moment_later(path, clock):
    prices = PriceFile(path, clock)
    path.write_text(listed("0.0123"))
    assert prices.price("gpt-4o").prompt == Decimal("0.01")
    clock.advance(LOOK_EVERY)
    assert prices.price("gpt-4o").prompt == Decimal("0.0123")


@pytest.mark.parametrize(
    "spoilt",
    ["", "as_of = 1", f"{HEAD}x = 1", f'{HEAD}x = {{ in = "a", out = "1" }}', listed("-1"), "["],
)
def test_a_file_that_is_spoilt_is_refused_and_while_running_ignored(path, clock, spoilt):
    prices = PriceFile(path, clock)
    path.write_text(spoilt)
    clock.advance(LOOK_EVERY)
    assert prices.price("gpt-4o").prompt == Decimal("0.01")
    with pytest.raises(ConfigurationInvalid, match=r"budgets\.prices"):
        PriceFile(path, clock)
    path.write_text(listed("0.04"))
    clock.advance(LOOK_EVERY)
    assert prices.price("gpt-4o").prompt == Decimal("0.04")


def test_a_file_that_goes_away_leaves_its_prices(path, clock):
    prices = PriceFile(path, clock)
    path.unlink()
    clock.advance(LOOK_EVERY)
    assert prices.price("gpt-4o").prompt == Decimal("0.01")


def test_a_fallback_without_a_price_is_refused(path):
    path.write_text(f'fallback = "mine"\n{listed("0.01")}')
    with pytest.raises(ConfigurationInvalid, match="mine"):
        PriceFile(path)


def test_without_a_file_the_shipped_prices_hold():
    assert prices_of(None) is price_book()
