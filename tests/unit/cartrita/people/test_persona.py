"""Tests of personas and what follows from them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartrita.people.persona import MODES, TRAITS, derived, normalised

anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
personas = st.dictionaries(
    st.sampled_from([*TRAITS, "domain_focus", "style_notes", "interaction_modes", "other"]),
    anything,
)


def test_the_usual_persona_gives_what_v2_gave():
    usual = normalised({})
    assert usual == {
        **{name: int(value) for name, value in TRAITS.items()},
        "domain_focus": [],
        "style_notes": "",
        "interaction_modes": MODES,
    }
    assert derived(usual) == {
        "temperature": 0.7,  # 0.3 + 0.9 * 4.5 / 10 is a little less than 0.705
        "top_p": 0.85,
        "max_output_tokens": 2048,
        "reasoning_depth": 5,
        "humor_probability": 0.18,
        "suggestion_interval": 6,
        "style": {"empathy": "balanced", "directness": "balanced", "tone_level": 5},
        "persona": usual,
    }


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        ({"creativity": 0, "humor": 0}, {"temperature": 0.3, "top_p": 0.7}),
        ({"creativity": 10, "humor": 10}, {"temperature": 1.2, "top_p": 1.0}),
        ({"brevity": 10, "analytical_depth": 0}, {"max_output_tokens": 256, "reasoning_depth": 1}),
        ({"brevity": 0, "analytical_depth": 10}, {"max_output_tokens": 3840, "reasoning_depth": 8}),
        ({"proactivity": 0}, {"suggestion_interval": 10}),
        ({"proactivity": 10}, {"suggestion_interval": 2}),
        ({"humor": 10}, {"humor_probability": 0.45}),
    ],
)
def test_the_ends_of_the_ranges(traits, expected):
    found = derived(normalised(traits))
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("told", "held"),
    [(-3, 0), (99, 10), ("7", 7), ("x", 5), (None, 5), (6.25, 6.3), (True, 1), (10**400, 5)],
)
def test_what_is_out_of_range_is_brought_into_it(told, held):
    assert normalised({"tone": told})["tone"] == held


@pytest.mark.parametrize("config", [None, [], "x", 7])
def test_what_is_no_persona_is_the_usual_one(config):
    assert normalised(config) == normalised({})


def test_texts_are_cut_and_one_mode_is_always_on():
    persona = normalised(
        {
            "domain_focus": ["x" * 99] * 9,
            "style_notes": "n" * 999,
            "interaction_modes": {"witty": False, "unknown": True},
            "is_admin": True,
        }
    )
    assert [len(domain) for domain in persona["domain_focus"]] == [40] * 5
    assert len(persona["style_notes"]) == 400
    assert persona["interaction_modes"] == {**dict.fromkeys(MODES, False), "witty": True}
    assert "is_admin" not in persona


@settings(max_examples=50)
@given(personas)
def test_whatever_is_told_the_result_is_whole_and_in_range(told):
    persona = normalised(told)
    assert normalised(persona) == persona
    found = derived(persona)
    assert 0.3 <= found["temperature"] <= 1.2
    assert 0.7 <= found["top_p"] <= 1.0
    assert 256 <= found["max_output_tokens"] <= 3840
    assert 1 <= found["reasoning_depth"] <= 8
    assert 0 <= found["humor_probability"] <= 0.45
    assert 2 <= found["suggestion_interval"] <= 10
