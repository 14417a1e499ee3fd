"""Tests of cartrita/providers/routing.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.cost.selection import Option
from cartrita.cost.traits import trait_book
from cartrita.protocol.task import Preferences
from cartrita.providers.ports_chat import Demand
from cartrita.providers.routing import Rules, Step, plan

BOOK = trait_book()
NAMES = ["gpt-4o", "gpt-4o-mini", "gpt-4", "anthropic:claude-3-opus", "llama3"]
RULES = Rules("gpt-4o", ("gpt-4o-mini", "anthropic:claude-3-opus"))
PRICES = {"gpt-4o": 0.02, "gpt-4o-mini": 0.00075, "gpt-4": 0.09, "anthropic:claude-3-opus": 0.09}


def option(name, **fields):
    traits = BOOK.traits(name)
    given = {"well": True} | fields
    return Option(
        name, traits.quality, traits.safety, PRICES.get(name, 0.0), traits.seconds, **given
    )


def names(name, demand=None, rules=RULES, option_of=option):
    return [step.name for step in plan(name, demand or Demand(), rules, option_of, BOOK)]


def first(name, demand=None, rules=RULES, option_of=option):
    return plan(name, demand or Demand(), rules, option_of, BOOK)[0]


@given(
    st.one_of(st.none(), st.just("auto"), st.sampled_from(NAMES)),
    st.builds(Demand, st.builds(Preferences), st.floats(0, 1), st.floats(0, 1)),
    st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(tuple),
)
def test_a_plan_names_somebody_and_nobody_twice(name, demand, fallbacks):
    found = names(name, demand, Rules("gpt-4o", fallbacks))
    assert found
    assert len(set(found)) == len(found)


def test_without_a_name_the_default_answers_and_the_fallbacks_after_it():
    assert names(None)[:3] == ["gpt-4o", "gpt-4o-mini", "anthropic:claude-3-opus"]


def test_a_named_model_has_no_fallback_but_what_costs_less_when_money_is_short():
    assert plan("gpt-4", Demand(), RULES, option, BOOK) == [
        Step("gpt-4"),
        Step(
            "gpt-4o-mini",
            "'gpt-4o-mini' answers because 'gpt-4' does not fit what may still be spent.",
            to_save=True,
        ),
    ]


@pytest.mark.parametrize(
    ("pressure", "answers"),
    [
        (0.0, "anthropic:claude-3-opus"),
        (0.69, "anthropic:claude-3-opus"),
        (0.7, "anthropic:claude-3-sonnet"),
        (0.9, "anthropic:claude-3-haiku"),
        (1.0, "anthropic:claude-3-haiku"),
    ],
)
def test_the_fuller_a_budget_the_further_down_the_ladder(pressure, answers):
    step = first("anthropic:claude-3-opus", Demand(pressure=pressure))
    assert step.name == answers
    assert bool(step.why) == (pressure >= 0.7)


def test_the_reason_says_how_full_it_is():
    why = first("gpt-4", Demand(pressure=0.72)).why
    assert why == "'gpt-4o-mini' answers in place of 'gpt-4': 72% of a budget is used."


def test_whoever_was_asked_still_answers_where_the_cheaper_model_is_not_served():
    assert names("gpt-4", Demand(pressure=0.95)) == ["gpt-4o-mini", "gpt-4"]


def test_thresholds_are_the_operator_s():
    rules = Rules("gpt-4o", warning=0.2, critical=0.3)
    assert first(None, Demand(pressure=0.25), rules).name == "gpt-4o-mini"
    assert first(None, Demand(pressure=0.1), rules).name == "gpt-4o"


def test_a_model_without_a_ladder_stays():
    assert names("llama3", Demand(pressure=1.0)) == ["llama3"]


@pytest.mark.parametrize(
    ("fields", "answers"),
    [
        ({"quality_level": "best"}, "gpt-4o"),
        ({"quality_level": "fast"}, "gpt-4o-mini"),
        ({"cost_optimization": True}, "gpt-4o-mini"),
    ],
)
@pytest.mark.parametrize("name", [None, "auto"])
def test_preferences_choose_among_the_configured_models(name, fields, answers):
    assert first(name, Demand(Preferences(**fields))).name == answers


def test_auto_gives_hard_requests_to_the_better_model():
    assert first("auto", Demand(complexity=0.0)).name == "gpt-4o-mini"
    assert first("auto", Demand(complexity=1.0)).name == "gpt-4o"


def test_auto_with_one_model_is_that_model():
    assert names("auto", rules=Rules("llama3")) == ["llama3"]


def test_the_operator_s_preset_goes_before_preferences():
    rules = Rules("gpt-4o", ("gpt-4o-mini",), preset="quality-first")
    assert first("auto", Demand(Preferences(quality_level="fast")), rules).name == "gpt-4o"


def test_auto_passes_over_a_model_that_is_not_well():
    def ill(name):
        return option(name, well=name != "gpt-4o-mini")

    assert first("auto", option_of=ill).name != "gpt-4o-mini"


def test_auto_is_frugal_while_a_budget_is_nearly_used_up():
    best = Demand(Preferences(quality_level="best"), pressure=0.8)
    assert first("auto", best).name == "gpt-4o-mini"
