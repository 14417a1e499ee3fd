"""Tests of cartrita/providers/embedded/spoken.py."""

import pytest

from cartrita.providers.embedded.spoken import continued, expression, zone


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("what is 15% of 240", "15/100*240"),
        ("15 percent of 240", "15/100*240"),
        ("20% off 80", "((1-20/100)*80)"),
        ("two plus two", "2+2"),
        ("what is 2 + 2?", "2+2"),
        ("how much is 1,234.50 times 3", "1234.50*3"),
        ("square root of 2", "sqrt(2)"),
        ("3 x 4", "3*4"),
        ("6 \u00d7 7", "6*7"),
        ("8 \u00f7 2 \u2212 1", "8/2-1"),
        ("5 squared", "5**2"),
        ("10 to the power of 3", "10**3"),
        ("half of 90", "1/2*90"),
        ("100 divided by 7 minus 1", "100/7-1"),
        ("what does 3 times 4 equal", "3*4"),
        ("max(1,200)", "max(1,200)"),
    ],
)
def test_arithmetic_in_words_becomes_an_expression(clause, expected):
    assert expression(clause) == expected


@pytest.mark.parametrize(
    "clause",
    [
        "how many days off do i get each month",
        "what is 5",
        "what is 2024-01-01",
        "how much is twenty five plus 1",
        "how much is 20 5 plus 1",
        "what is the plus side",
        "then times 3",
        "call 555-1234",
    ],
)
def test_what_is_not_only_arithmetic_is_left_alone(clause):
    assert expression(clause) is None


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("times 3", "(1+1)*3"),
        ("multiply it by 3", "(1+1)*3"),
        ("plus 2", "(1+1)+2"),
        ("add 5", "(1+1)+5"),
        ("minus 2", "(1+1)-2"),
        ("subtract 2.5", "(1+1)-2.5"),
        ("divide that by 4", "(1+1)/4"),
        ("plus tax", None),
        ("times", None),
    ],
)
def test_goes_on_from_the_expression_before(clause, expected):
    assert continued(clause, "1+1") == expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("Tokyo", "Asia/Tokyo"),
        ("new york", "America/New_York"),
        ("Europe/Berlin", "Europe/Berlin"),
        ("utc", "UTC"),
        ("Atlantis", None),
    ],
)
def test_a_city_with_a_zone_of_its_name_is_found(place, expected):
    assert zone(place) == expected
