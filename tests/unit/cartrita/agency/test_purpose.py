"""Tests of cartrita/agency/purpose.py."""

import pytest

from cartrita.agency.purpose import purpose_of


@pytest.mark.parametrize(
    ("prompt", "purpose"),
    [
        ("Draw me a picture of a lighthouse", "image_generation"),
        ("tl;dr of this please", "summarization"),
        ("Say 'good morning' in French", "translation"),
        ("What is the sentiment of this review?", "classification"),
        ("Fix the bug in this function", "code"),
        ("Find me papers about owls", "search"),
        ("Write a poem", "text-generation"),
        ("How are you?", "chat"),
        ("My classmate paints", "chat"),
    ],
)
def test_words_tell_what_is_asked_for(prompt, purpose):
    assert purpose_of(prompt).name == purpose


def test_the_words_that_told_are_named():
    assert purpose_of("Please SUMMARIZE it").words == "SUMMARIZE"
    assert purpose_of("Hello").words == ""
