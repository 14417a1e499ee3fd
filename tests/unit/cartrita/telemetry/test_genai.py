"""Calls of models, agents and tools by OpenTelemetry's names."""

from cartrita.errors import NetworkFailed
from cartrita.telemetry import genai
from cartrita.telemetry.metrics import REGISTRY

PREFIX = "gen_ai_client"


def value(name, **labels):
    return REGISTRY.get_sample_value(name, {f"gen_ai_{key}": text for key, text in labels.items()})


def test_a_call_is_counted_with_its_time_and_its_tokens():
    whose = {"operation_name": "chat", "provider_name": "test", "request_model": "counted"}
    genai.called("chat", "test", "counted", 0.5)
    genai.used("chat", "test", "counted", 10, 3)

    assert value(f"{PREFIX}_token_usage_sum", **whose, token_type="input") == 10
    assert value(f"{PREFIX}_token_usage_sum", **whose, token_type="output") == 3
    took = {f"gen_ai_{key}": text for key, text in whose.items()} | {"error_type": ""}
    assert REGISTRY.get_sample_value(f"{PREFIX}_operation_duration_seconds_sum", took) == 0.5


def test_vectors_have_no_output_tokens():
    genai.used("embeddings", "test", "vectors", 7)
    whose = {"operation_name": "embeddings", "provider_name": "test", "request_model": "vectors"}
    assert value(f"{PREFIX}_token_usage_sum", **whose, token_type="input") == 7
    assert value(f"{PREFIX}_token_usage_sum", **whose, token_type="output") is None


def test_an_error_is_told_by_its_code_or_its_class():
    assert genai.name_of(NetworkFailed("gone")) == "NETWORK_ERROR"
    assert genai.name_of(ValueError("odd")) == "ValueError"


def test_names_without_end_become_one():
    names = genai.Names(most=2)
    assert [names.bounded(name) for name in "abcab"] == ["a", "b", "other", "a", "b"]
