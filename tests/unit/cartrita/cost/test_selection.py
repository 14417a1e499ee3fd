"""Tests of cartrita/cost/selection.py."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.cost.selection import (
    PRESETS,
    TRUSTED_AFTER,
    Observed,
    Option,
    Weights,
    complexity,
    preset_for,
    rank,
)
from cartrita.protocol.task import Preferences

PART = st.floats(0, 1)
OPTION = st.builds(
    Option,
    name=st.just(""),
    quality=PART,
    safety=PART,
    price=st.floats(0, 1),
    seconds=st.floats(0.1, 60),
    observed=st.builds(Observed, st.integers(0, 50), st.floats(0.1, 60), PART),
    well=st.booleans(),
)
OPTIONS = st.lists(OPTION, min_size=1, max_size=6).map(
    lambda found: [replace(option, name=str(n)) for n, option in enumerate(found)]
)
WEIGHTS = st.sampled_from(sorted(PRESETS.values()))

STRONG = Option("strong", 0.9, 0.85, 0.02, 2.5)
SMALL = Option("small", 0.7, 0.85, 0.00075, 1.5)
SAFE = Option("safe", 0.7, 0.99, 0.02, 4.0)


def best(preset, demand=0.0, options=(STRONG, SMALL, SAFE)):
    return rank(options, PRESETS[preset], demand)[0].name


@given(OPTIONS, WEIGHTS, PART)
def test_everybody_is_ranked_once(options, weights, demand):
    ranked = rank(options, weights, demand)
    assert sorted(option.name for option in ranked) == sorted(option.name for option in options)


@given(OPTIONS, WEIGHTS, PART)
def test_who_is_not_well_comes_after_all_who_are(options, weights, demand):
    wells = [option.well for option in rank(options, weights, demand)]
    assert wells == sorted(wells, reverse=True)


@given(OPTIONS, WEIGHTS, PART)
def test_who_is_better_in_everything_is_never_behind(options, weights, demand):
    worst = options[0]
    better = Option(
        "better",
        min(1.0, worst.quality + 0.1),
        min(1.0, worst.safety + 0.1),
        worst.price / 2,
        worst.latency / 2,
        Observed(),
        worst.well,
    )
    names = [option.name for option in rank([better, *options], weights, demand)]
    assert names.index("better") < names.index(worst.name)


@given(OPTIONS, WEIGHTS, PART, st.sampled_from([0.125, 2.0, 1024.0]))
def test_only_the_proportions_of_weights_matter(options, weights, demand, factor):
    scaled = Weights(*(weight * factor for weight in weights))
    assert rank(options, scaled, demand) == rank(options, weights, demand)


@given(OPTIONS, WEIGHTS, PART, PART)
def test_a_harder_request_never_goes_to_a_worse_model(options, weights, one, other):
    easy, hard = sorted((one, other))
    well = [replace(option, well=True) for option in options]
    chosen = [rank(well, weights, demand)[0] for demand in (easy, hard)]
    assert chosen[1].quality >= chosen[0].quality - 1e-9


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("quality-first", "strong"),
        ("cost-first", "small"),
        ("speed", "small"),
        ("safety", "small"),
        ("balanced", "small"),
    ],
)
def test_the_presets_choose_what_their_names_say(preset, name):
    assert best(preset) == name


def test_safety_prefers_the_safer_of_two_that_cost_the_same():
    assert best("safety", options=(STRONG, SAFE)) == "safe"


def test_a_hard_request_is_worth_the_better_model_even_when_cost_counts():
    assert best("balanced", 0.0) == "small"
    assert best("balanced", 1.0) == "strong"


def test_what_was_measured_counts_instead_of_the_table():
    slow = Observed()
    for _ in range(TRUSTED_AFTER):
        slow = slow.after(60.0)
    assert best("speed", options=(replace(SMALL, observed=slow), STRONG)) == "strong"


def test_a_model_that_fails_loses_against_its_equal():
    failing = Observed().after(None).after(None)
    twin = replace(SMALL, name="twin")
    assert best("speed", options=(replace(SMALL, observed=failing), twin)) == "twin"
    assert failing.errors == 1.0


@given(st.lists(st.one_of(st.none(), st.floats(0.001, 100)), max_size=60))
def test_what_is_observed_stays_within_what_was_seen(calls):
    seen = Observed()
    for call in calls:
        seen = seen.after(call)
    took = [call for call in calls if call is not None]
    assert seen.calls == len(calls)
    assert -1e-9 <= seen.errors <= 1 + 1e-9
    assert not took or min(took) * 0.999 <= seen.seconds <= max(took) * 1.001


@given(st.lists(st.text(), max_size=5), st.integers(0, 10))
def test_complexity_is_a_part_and_grows_with_what_was_said(texts, tools):
    found = complexity(texts, tools)
    assert 0 <= found <= 1
    assert found <= complexity(["x" * 1000, *texts], tools)


def test_hard_words_and_tools_count():
    easy = complexity(["Say hello."])
    assert easy == 0
    assert complexity(["Prove, step by step, that this algorithm ends."]) > 0.5
    assert complexity(["Say hello."], tools=2) > easy


@pytest.mark.parametrize(
    ("fields", "scarce", "preset"),
    [
        ({}, False, "balanced"),
        ({"quality_level": "fast"}, False, "speed"),
        ({"quality_level": "best"}, False, "quality-first"),
        ({"quality_level": "best", "cost_optimization": True}, False, "cost-first"),
        ({"quality_level": "best"}, True, "cost-first"),
    ],
)
def test_preferences_say_what_counts_unless_money_is_scarce(fields, scarce, preset):
    assert preset_for(Preferences(**fields), scarce=scarce) == preset


def test_without_options_nobody_is_chosen():
    assert rank([], PRESETS["balanced"]) == []
