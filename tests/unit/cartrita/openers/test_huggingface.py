"""Tests of cartrita/openers/huggingface.py."""

import json
from decimal import Decimal

import pytest

from cartrita.config.settings import Settings
from cartrita.discretion import EMBEDDED
from cartrita.errors import ConfigurationInvalid, ModelRequired
from cartrita.openers.embeddings import BuiltInEmbedder
from cartrita.providers.ports import Embedder, Probes, Summarizer
from cartrita.providers.ports_huggingface import HuggingFace, LocalText, TextAsk, TextKind
from cartrita.services import open_services

SORT = TextKind.CLASSIFICATION


def services(tmp_path, **sections):
    return open_services(Settings.model_validate({"home": str(tmp_path), **sections}))


async def chosen(tmp_path, asked, kind=SORT, **sections):
    opened = services(tmp_path, **sections)
    try:
        return (await opened.get(HuggingFace)).choose(kind, asked)
    finally:
        await opened.close()


KEY = {"models": {"huggingface_api_key": "hf_x"}}


@pytest.mark.parametrize(
    ("asked", "sections", "expected"),
    [
        ("org/bert", {}, None),
        ("org/bert", KEY, "org/bert"),
        ("org/bert", {"huggingface": {"inference_url": "http://127.0.0.1:9"}}, "org/bert"),
        ("org/bert", {"huggingface": {"download": True}}, "org/bert"),
        (None, {"huggingface": {"classification": "org/bert"}}, "org/bert"),
        (None, {"huggingface": {"summarization": "org/bart"}}, None),
    ],
)
async def test_the_settings_tell_which_models_there_are(tmp_path, asked, sections, expected):
    assert await chosen(tmp_path, asked, **sections) == expected


@pytest.mark.parametrize("kind", TextKind)
async def test_every_kind_may_have_a_default(tmp_path, kind):
    field = {
        TextKind.GENERATION: "generation",
        TextKind.CLASSIFICATION: "classification",
    }.get(kind, kind.value.replace("-", "_"))
    assert await chosen(tmp_path, None, kind, huggingface={field: "org/x"}) == "org/x"


async def test_a_folder_of_models_is_one_of_names(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/config.json").write_text("{}")
    sections = {"huggingface": {"path": str(tmp_path)}}
    assert await chosen(tmp_path, "tiny", **sections) == "tiny"
    assert await chosen(tmp_path, str(tmp_path / "tiny"), **sections) is None


async def test_a_chat_server_has_the_names_that_could_be_its_own(tmp_path):
    chat = {"models": {"openai_base_url": "http://127.0.0.1:9", "huggingface_api_key": "hf_x"}}
    assert await chosen(tmp_path, "org/llama", TextKind.GENERATION, **chat) is None
    assert await chosen(tmp_path, "org/llama", TextKind.GENERATION, **KEY) == "org/llama"


async def test_nothing_is_fetched_unless_the_settings_say_so(tmp_path):
    local = await services(tmp_path, **KEY).get(LocalText)
    with pytest.raises(ModelRequired, match=r"huggingface\.download"):
        await local.run(TextAsk(kind=SORT, model="org/bert", text="x"))


class TestEmbedder:
    async def test_the_built_in_one_is_both(self, tmp_path):
        opened = services(tmp_path)
        assert (await opened.get(Embedder)).info.provider == EMBEDDED
        assert await opened.get(Embedder) is await opened.get(BuiltInEmbedder)

    async def test_another_one_is_for_what_is_kept_only(self, tmp_path):
        sections = {
            "embeddings": {"provider": "openai"},
            "models": {"openai_api_key": "sk-x"},
        }
        opened = services(tmp_path, **sections)
        embedder = await opened.get(Embedder)
        assert (embedder.info.model, embedder.dimensions) == ("text-embedding-3-small", 1536)
        summarizer = await opened.get(Summarizer)
        assert summarizer._embedder.info.provider == EMBEDDED
        probes = await opened.get(Probes)
        assert probes._probes[-1]._embedder.info.provider == EMBEDDED  # a look costs nothing
        await opened.close()

    async def test_one_elsewhere_costs_what_the_price_book_says(self, tmp_path):
        key = {"openai_api_key": "sk-x"}
        for model, usd in (("text-embedding-3-small", "0.00002"), ("mine", "0.00013")):
            chosen = {"provider": "openai", "model": model, "dimensions": 8}
            opened = services(tmp_path, embeddings=chosen, models=key)
            fee = (await opened.get(Embedder)).fee
            assert fee.price(1000) == Decimal(usd)
            assert fee.reads == (8192 if model.startswith("text") else None)
            await opened.close()

    async def test_the_inference_api_makes_vectors_too(self, tmp_path):
        chosen = {"provider": "huggingface", "model": "org/bge", "dimensions": 8}
        sections = {"embeddings": {**chosen, "hedge_after_s": 1}, **KEY}
        opened = services(tmp_path, **sections)
        embedder = await opened.get(Embedder)
        assert (embedder.info.model, embedder.info.provider) == ("org/bge", "huggingface")
        assert embedder.fee.calls == 2
        await opened.close()
        with pytest.raises(ConfigurationInvalid, match=r"embeddings\.dimensions"):
            await services(tmp_path, embeddings=chosen | {"dimensions": None}, **KEY).get(Embedder)

    async def test_without_a_key_or_an_address_openai_is_refused(self, tmp_path):
        with pytest.raises(ConfigurationInvalid, match="OPENAI_API_KEY"):
            await services(tmp_path, embeddings={"provider": "openai"}).get(Embedder)

    async def test_a_folder_is_named_below_the_models(self, tmp_path):
        chosen = {"provider": "folder", "model": "tiny"}
        sections = {"embeddings": chosen, "huggingface": {"path": str(tmp_path)}}
        with pytest.raises(ConfigurationInvalid, match="no model 'tiny'"):
            await services(tmp_path, **sections).get(Embedder)
        (tmp_path / "tiny").mkdir()
        for name in ("model.safetensors", "tokenizer.json"):
            (tmp_path / "tiny" / name).touch()
        config = {"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2}
        (tmp_path / "tiny/config.json").write_text(json.dumps(config))
        embedder = await services(tmp_path, **sections).get(Embedder)
        assert (embedder.info.model, embedder.dimensions) == ("tiny", 8)

    def test_a_folder_without_a_name_is_refused_at_the_start(self):
        with pytest.raises(ValueError, match=r"embeddings\.model"):
            Settings.model_validate({"embeddings": {"provider": "folder"}})
