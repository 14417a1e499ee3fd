"""Tests of cartrita/providers/openai_chat.py: what it sends.

What it makes of answers is tested in tests/integration/test_openai_compatible.py.
"""

import pytest

from cartrita.providers.openai_chat import OpenAiChat


@pytest.mark.parametrize(
    ("official", "sent", "not_sent"),
    [
        (True, "max_completion_tokens", "max_tokens"),
        (False, "max_tokens", "max_completion_tokens"),
    ],
)
def test_the_limit_of_an_answer_goes_by_the_name_the_server_knows(official, sent, not_sent):
    model = OpenAiChat(model="m", api_key="sk-test", official=official)
    payload = model._get_request_payload("Hello", max_tokens=7)
    assert payload[sent] == 7
    assert not_sent not in payload


def test_without_a_limit_none_is_sent():
    model = OpenAiChat(model="m", api_key="sk-test", official=False)
    assert "max_tokens" not in model._get_request_payload("Hello")
