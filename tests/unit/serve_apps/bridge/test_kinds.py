"""Tests of serve_apps/bridge/kinds.py, and of the kinds there are."""

import pytest

from actors.agents.analytics import DataQueryParams
from actors.agents.texts import FillMaskParams, SimilarityParams, TokenClassificationParams
from actors.agents.translation import GenerationParams, TranslationParams
from cartrita.catalog import AGENTS, discover
from cartrita.errors import ConfigurationInvalid, InvalidParameters
from serve_apps.bridge.answers import Refusal
from serve_apps.bridge.kinds import read_kinds

KINDS = read_kinds()
TEXT = "Ada lived in Rome."


def test_every_task_of_the_table_is_in_the_catalogue():
    assert KINDS.tasks <= set(discover(AGENTS).tasks)


@pytest.mark.parametrize(
    ("name", "inputs", "options", "params", "asked"),
    [
        ("ner", TEXT, {}, TokenClassificationParams, {"text": TEXT}),
        ("fill-mask", "[MASK]!", {"top_k": 3}, FillMaskParams, {"text": "[MASK]!", "most": 3}),
        (
            "generation",
            {"text": "Once"},
            {"max_new_tokens": 9, "temperature": 0},
            GenerationParams,
            {"text": "Once", "options": {"maxNewTokens": 9, "temperature": 0.0}},
        ),
        (
            "translation",
            "Hello",
            {"src_lang": "en", "tgt_lang": "de"},
            TranslationParams,
            {"text": "Hello", "sourceLanguage": "en", "targetLanguage": "de"},
        ),
        (
            "rerank",
            {"query": "q", "documents": ["a", "b"]},
            {},
            SimilarityParams,
            {"text": "q", "others": ["a", "b"]},
        ),
        (
            "table_qa",
            {"question": "How many?", "table": [{"a": 1}]},
            {},
            DataQueryParams,
            {"query": "How many?", "data": [{"a": 1}]},
        ),
    ],
)
def test_v2_s_fields_become_the_task_s(name, inputs, options, params, asked):
    found = KINDS.find(name).parameters({"inputs": inputs, "options": options})
    assert (
        params.model_validate(found).model_dump(
            by_alias=True, exclude_unset=True, exclude_none=True
        )
        == asked
    )


@pytest.mark.parametrize(
    ("name", "result", "given"),
    [
        (
            "ner",
            {"entities": [{"label": "PER", "score": 0.5, "text": "Ada", "start": 0, "end": 3}]},
            [{"entity_group": "PER", "word": "Ada", "score": 0.5, "start": 0, "end": 3}],
        ),
        (
            "fill-mask",
            {"words": [{"word": "Hi", "score": 0.5, "text": "Hi!"}]},
            [{"sequence": "Hi!", "token_str": "Hi", "score": 0.5}],
        ),
        ("generation", {"text": "a time"}, {"generated_text": "a time"}),
        ("translation", {"text": "Hallo"}, {"translation_text": "Hallo"}),
        (
            "rerank",
            {"likenesses": [{"text": "a", "score": 0.1}, {"text": "b", "score": 0.9}]},
            [{"text": "b", "score": 0.9}, {"text": "a", "score": 0.1}],
        ),
        (
            "table-qa",
            {"columns": ["n"], "rows": [[1]], "sql": "SELECT 1", "rowCount": 1},
            {"columns": ["n"], "rows": [[1]], "sql": "SELECT 1"},
        ),
    ],
)
def test_the_task_s_result_becomes_v2_s(name, result, given):
    assert KINDS.find(name).gives({"inputs": TEXT, "result": result}) == given


def test_names_are_the_same_in_any_case_and_with_either_dash():
    assert KINDS.find("Zero_Shot").name == "zero-shot-classification"


def test_a_kind_that_is_unknown_or_of_a_team_that_is_not_there_is_refused():
    with pytest.raises(InvalidParameters, match="summarization"):
        KINDS.find("dance")
    with pytest.raises(InvalidParameters):
        KINDS.find(None)
    with pytest.raises(Refusal) as refused:
        KINDS.find("object-detection")
    assert refused.value.status == 501


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('name = "a"\ngroup = "g"\ntimeout = 1000', "later"),
        ('name = "a"\ngroup = "g"\ntimeout = 1000\ntask = "t"', "takes"),
        ('name = "a"\ngroup = "g"\ntimeout = 10\nlater = "voice"', "timeout"),
        ('name = "a"\ngroup = "g"\ntimeout = 1000\ntask = "t"\ntakes = "{"', "JMESPath"),
        ('name = "a"\nalso = ["A"]\ngroup = "g"\ntimeout = 1000\nlater = "voice"\nx = 1', "x"),
    ],
)
def test_a_wrong_kind_says_what_is_wrong(tmp_path, text, wrong):
    path = tmp_path / "kinds.toml"
    path.write_text(f"[[kind]]\n{text}\n")
    with pytest.raises(ConfigurationInvalid, match=wrong):
        read_kinds(path)


def test_two_kinds_of_one_name_are_refused(tmp_path):
    path = tmp_path / "kinds.toml"
    one = '[[kind]]\nname = "a_b"\ngroup = "g"\ntimeout = 1000\nlater = "voice"\n'
    path.write_text(one + one.replace("a_b", "a-b"))
    with pytest.raises(ConfigurationInvalid, match="a-b"):
        read_kinds(path)
