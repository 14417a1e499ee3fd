"""Which texts are refusals or toxic, and which only speak of such things."""

import pytest

from cartrita.quality.rules import rulebook

RULES = rulebook()


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, I cannot assist with this request.",
        "Sorry, I can't do that.",
        "Unfortunately, I am unable to provide that.",
        "I cannot translate this text.",
        "I can't help with that request.",
        "As an AI language model, I cannot have opinions.",
        "I must decline.",
        "**I won't** help you with that.",
        "This request violates our policy.",
    ],
)
def test_a_refusal_is_seen(text):
    assert RULES.refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "I am sorry to hear that. Here is what to do.",
        "I can't wait to see you, she said.",
        "The answer is that he cannot help it.",
        "Sorry for the delay: the parcel comes on Friday.",
        "Unfortunately, the train was late.",
        "I can help with that. I can't promise that it is quick, though.",
        "I can't help with that. " + "But here is a long and useful answer. " * 30,
    ],
)
def test_other_answers_are_none(text):
    assert not RULES.refuses(text)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("I will kill you.", "threat"),
        ("I'm going to hurt your family", "threat"),
        ("You deserve to die!", "threat"),
        ("Just kill yourself.", "abuse"),
        ("You are such a pathetic idiot", "abuse"),
        ("You're a *worthless* piece", "abuse"),
        ("All immigrants should be shot.", "hate"),
        ("I hate all Muslims", "hate"),
        ("Women are inferior.", "hate"),
    ],
)
def test_what_is_toxic_is_told_by_its_kind(text, sign):
    assert RULES.toxicity(text) == sign


@pytest.mark.parametrize(
    "text",
    [
        "I hate to say it, but the build is broken.",
        "Threat modelling finds abuse cases early.",
        "Kill the process with `kill -9`; it deserves to die.",
        "The killer whale will hurt no one.",
        "Hate speech is illegal in many countries.",
        "Children should be seen as people; women are half of them.",
        "You are not stupid. You are tired.",
        "The idiot is a novel by Dostoevsky.",
    ],
)
def test_speaking_of_it_is_not(text):
    assert RULES.toxicity(text) is None


def test_what_was_asked_may_be_quoted_but_not_added_to():
    assert RULES.toxicity("He said: I will kill you", "Who said 'I will kill you'?") is None
    assert RULES.toxicity("I will kill you. Just kill yourself", "I will kill you") == "abuse"
