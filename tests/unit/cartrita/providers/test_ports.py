"""Tests of cartrita/providers/ports.py."""

from cartrita.declare import ModelResult
from cartrita.providers.ports import ModelInfo


def test_a_model_describes_itself_in_the_fields_of_a_result():
    info = ModelInfo("local/x", "embedded", generative=False, limitations=("English.",))
    result = ModelResult(**info.fields())
    assert result.to_wire() == {
        "model": "local/x",
        "provider": "embedded",
        "generative": False,
        "limitations": ["English."],
    }


def test_a_model_without_limitations_leaves_them_out():
    info = ModelInfo("gpt", "openai", generative=True)
    assert "limitations" not in ModelResult(**info.fields()).to_wire()
