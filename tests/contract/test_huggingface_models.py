"""Models of Hugging Face, from checkpoints made on the spot, through the real loading code.

All that imports torch and transformers is in this file, so that one process pays for that.
"""

import asyncio
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from actors.agents.huggingface import HuggingFace as Host
from actors.agents.language import Language
from actors.agents.texts import Texts
from actors.agents.translation import Translation
from cartrita.catalog import Catalog
from cartrita.errors import (
    CartritaError,
    ConfigurationInvalid,
    MissingExtra,
    ModelRequired,
    ResourceLimitExceeded,
)
from cartrita.protocol.task import Preferences
from cartrita.providers.chat_models import chat_models
from cartrita.providers.embedded.encoder import FolderEncoder
from cartrita.providers.huggingface.folder import ModelFolder
from cartrita.providers.huggingface.hub import Hub
from cartrita.providers.huggingface.local import JOINED, LocalModels
from cartrita.providers.huggingface.routes import HuggingFaceModels
from cartrita.providers.ports import ChatModels
from cartrita.providers.ports_huggingface import (
    LOCAL_TASK,
    HuggingFace,
    LocalText,
    TextAsk,
    TextKind,
)
from cartrita.services import Services
from cartrita.testing import run_task
from tests.support.hub import hub_of
from tests.support.hugging import BUILT_IN, TOGETHER
from tests.support.records import ADA
from tests.support.stage import request
from tests.support.troupe import told

# What transformers warns of is its own business.
pytestmark = [pytest.mark.xdist_group("torch"), pytest.mark.filterwarnings("ignore")]

pytest.importorskip("torch", reason="make dev installs it")
pytest.importorskip("transformers", reason="make dev installs it")

SENTENCE = "Ada Lovelace lived in London."
LONG = "The shop in Rome closes at six in the evening. " * 40
ENDLESS = {"kind": TextKind.GENERATION, "model": "org/llama", "text": "Ada"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    from tests.support.tiny import build

    return build(tmp_path_factory.mktemp("models"))


def local_models(root, hub=None, **bounds):
    return LocalModels(ModelFolder(root), hub, **{"threads": 1, "most": 4, "most_mb": 64, **bounds})


@pytest.fixture(scope="module")
def local(root):
    return local_models(root, most=20)


@pytest.fixture
def run(root, local):
    """Run a public task with the real agents; what runs in the models' host runs here."""
    agents = {task.name: agent for agent in AGENTS for task in agent.spec.tasks}
    routes = HuggingFaceModels(ModelFolder(root), {}, None, download=False, chat_ids=False)

    async def carry(params):
        return await run_task(Host, LOCAL_TASK, params, {LocalText: local}, inner=True)

    async def run(task, params, **more):
        name = f"huggingface.text.{task}"
        providers = {HuggingFace: routes, ChatModels: chat_models(), **BUILT_IN}
        calls = {LOCAL_TASK: carry}
        return (
            await run_task(agents[name], name, params, providers, calls=calls, **more)
        ).to_wire()

    return run


AGENTS = (Language, Translation, Texts)


class TestTasks:
    @pytest.mark.parametrize("model", ["gpt", "org/llama"])
    @pytest.mark.parametrize("options", [{}, {"temperature": 0.7}])
    async def test_generation_goes_on_from_a_prompt(self, run, model, options):
        usages = []
        params = {"text": "Ada lived", "model": model, "options": {"maxNewTokens": 6, **options}}
        result = await run("generation", params, usages=usages)
        assert result["text"]
        assert not result["text"].startswith("Ada lived")
        assert (result["model"], result["provider"]) == (model, "huggingface")
        assert result["generative"] is True
        assert usages[-1].tokens_in >= 2
        assert 1 <= usages[-1].tokens_out <= 6

    async def test_greedy_generation_is_the_same_every_time(self, run):
        params = {"text": "Ada", "model": "org/llama", "options": {"maxNewTokens": 6}}
        assert await run("generation", params) == await run("generation", params)

    async def test_a_prompt_longer_than_the_model_reads_is_read_from_its_end(self, run):
        warnings = []
        params = {"text": LONG, "model": "org/llama", "options": {"maxNewTokens": 8}}
        result = await run("generation", params, warnings=warnings)
        assert result["text"]
        assert "Reads the last" in result["limitations"][-1]
        assert warnings == ["The answer was cut off at its token limit."]

    async def test_summaries_keep_their_length(self, run):
        params = {"text": LONG, "model": "bart", "maxLength": 8}
        result = await run("summarization", params)
        assert isinstance(result["summary"], str)
        assert "sentences" not in result
        assert "Reads the first 64 tokens" in result["limitations"][-1]

    async def test_translation_tells_the_model_both_languages(self, run):
        params = {"text": "the shop", "model": "t5", "sourceLanguage": "en", "targetLanguage": "de"}
        result = await run("translation", params)
        assert isinstance(result["text"], str)
        assert (result["sourceLanguage"], result["targetLanguage"]) == ("en", "de")

    @pytest.mark.parametrize(
        ("model", "target"), [("t5", "xx"), ("many", "xx"), ("pair", "fr"), ("pair", "xx")]
    )
    async def test_a_language_that_the_model_does_not_know_is_refused(self, run, model, target):
        params = {"text": "the shop", "model": model, "targetLanguage": target}
        with pytest.raises(CartritaError, match=repr(target)) as refused:
            await run("translation", params)
        assert refused.value.code == "INVALID_PARAMETERS"

    async def test_a_model_of_one_pair_translates_it(self, run):
        params = {"text": "the shop", "model": "pair", "targetLanguage": "de-AT"}
        assert isinstance((await run("translation", params))["text"], str)

    @pytest.mark.parametrize(
        ("model", "kind", "text", "options"),
        [
            ("t5", "translation", "translate English to French: the shop", {}),
            ("t5", "summarization", "summarize: the shop", {}),
            ("pair", "summarization", "the shop", {}),
            ("many", "translation", "the shop", {"forced_bos_token_id": "fra_Latn"}),
        ],
    )
    def test_models_are_told_what_to_do_as_they_were_trained(
        self, root, model, kind, text, options
    ):
        from cartrita.providers.huggingface import checkpoint, writing

        ask = TextAsk(
            kind=kind, model=model, text="the shop", source_language="en", target_language="fr"
        )
        point = checkpoint.load(TextKind.TRANSLATION, model, root / model)
        expected = {
            key: point.tokenizer.convert_tokens_to_ids(token) for key, token in options.items()
        }
        assert writing._instructed(point, ask) == (text, expected)

    async def test_classification_has_the_model_s_own_labels(self, run):
        result = await run("classification", {"text": SENTENCE, "model": "mood"})
        assert {one["label"] for one in result["labels"]} == {"NEGATIVE", "POSITIVE"}
        scores = [one["score"] for one in result["labels"]]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1)

    @pytest.mark.parametrize("task", ["classification", "zero_shot_classification"])
    async def test_labels_of_the_caller_are_scored_against_each_other(self, run, task):
        params = {"text": SENTENCE, "labels": ["sport", "food", "travel"], "model": "inference"}
        result = await run(task, params)
        assert {one["label"] for one in result["labels"]} == {"sport", "food", "travel"}
        assert sum(one["score"] for one in result["labels"]) == pytest.approx(1)

    @pytest.mark.parametrize("context", [SENTENCE, LONG])
    async def test_an_answer_is_a_passage_of_the_context(self, run, context):
        params = {"question": "Where?", "context": context, "model": "answers"}
        result = await run("question_answering", params)
        assert result["answer"]
        assert context[result["start"] : result["end"]] == result["answer"]
        assert 0 < result["score"] <= 1

    @pytest.mark.parametrize("text", [SENTENCE, LONG])
    async def test_entities_stand_where_they_say(self, run, text):
        result = await run("token_classification", {"text": text, "model": "names"})
        assert {one["label"] for one in result["entities"]} <= {"PER", "LOC"}
        for one in result["entities"]:
            assert text[one["start"] : one["end"]] == one["text"]

    @pytest.mark.parametrize("gap", ["[MASK]", "<mask>"])
    async def test_a_gap_is_filled(self, run, gap):
        params = {"text": f"Ada lived in {gap}.", "model": "mask", "most": 3}
        result = await run("fill_mask", params)
        assert len(result["words"]) == 3
        best = result["words"][0]
        assert best["text"] == f"Ada lived in {best['word']}."

    @pytest.mark.parametrize("text", ["No gap.", "[MASK] and [MASK]"])
    async def test_a_text_without_one_gap_is_refused(self, run, text):
        with pytest.raises(CartritaError, match=r"one \[MASK\]"):
            await run("fill_mask", {"text": text, "model": "mask"})

    async def test_a_text_is_most_alike_to_itself(self, run):
        others = ["The shop in Rome closes.", SENTENCE, "ten days"]
        params = {"text": SENTENCE, "others": others, "model": "sentences"}
        alike = (await run("sentence_similarity", params))["likenesses"]
        assert [one["text"] for one in alike] == others
        assert max(alike, key=lambda one: one["score"])["text"] == SENTENCE
        assert alike[1]["score"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", JOINED)
async def test_texts_of_several_callers_go_through_a_model_together(local, monkeypatch, kind):
    model, given = TOGETHER[kind]
    asks = [TextAsk(kind=kind, model=model, **fields) for fields in given]
    await local.run(asks[0])
    from cartrita.providers.huggingface import reading

    sizes, real = [], reading.read

    def read(point, asks, stop):
        sizes.append(len(asks))
        return real(point, asks, stop)

    monkeypatch.setattr(reading, "read", read)
    together = await asyncio.gather(*(local.run(ask) for ask in asks))
    assert sizes == [4]
    assert set(reading._TOGETHER) == set(JOINED)
    alone = [await local.run(ask) for ask in asks]
    for one, other in zip(together, alone, strict=True):
        assert len(one.findings) == len(other.findings)
        assert one.findings[0].label == other.findings[0].label
        assert one.findings[0].score == pytest.approx(other.findings[0].score, abs=1e-5)


class TestRefusals:
    @pytest.mark.parametrize(
        ("kind", "model", "what"),
        [
            (TextKind.FILL_MASK, "pickled", "safetensors"),
            (TextKind.FILL_MASK, "coded", "cannot do"),
            (TextKind.ANSWERING, "mask", "was not trained for question-answering"),
            (TextKind.CLASSIFICATION, "gpt", "was not trained for text-classification"),
            (TextKind.SUMMARIZATION, "mask", "cannot do summarization"),
            (TextKind.ZERO_SHOT, "mood", "not trained on inference"),
        ],
    )
    async def test_a_model_that_cannot_or_may_not_do_it(self, root, local, kind, model, what):
        with pytest.raises(ConfigurationInvalid, match=what):
            await local.run(TextAsk(kind=kind, model=model, text=SENTENCE, labels=["a", "b"]))
        assert not list(root.rglob("ran"))

    @pytest.mark.parametrize("model", ["absent", "../models/gpt", "org/absent"])
    async def test_one_that_is_not_there(self, local, model):
        with pytest.raises(ModelRequired, match=r"huggingface\.path"):
            await local.run(TextAsk(kind=TextKind.GENERATION, model=model, text="x"))

    async def test_one_that_is_too_large(self, root):
        small = local_models(root, most_mb=0.01)
        with pytest.raises(ResourceLimitExceeded, match=r"huggingface\.most_mb"):
            await small.run(TextAsk(kind=TextKind.GENERATION, model="gpt", text="x"))
        assert small.loaded == []

    async def test_without_torch_the_package_is_named(self, root, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(MissingExtra, match=r"cartrita\[torch\]"):
            await local_models(root).run(TextAsk(kind=TextKind.GENERATION, model="gpt", text="x"))


async def test_only_so_many_models_are_kept_loaded(root):
    local = local_models(root, most=2)
    for kind, name in (
        (TextKind.CLASSIFICATION, "mood"),
        (TextKind.FILL_MASK, "mask"),
        (TextKind.CLASSIFICATION, "mood"),
        (TextKind.ANSWERING, "answers"),
    ):
        await local.run(TextAsk(kind=kind, model=name, text="in [MASK]", question="Where?"))
    assert local.loaded == [(TextKind.CLASSIFICATION, "mood"), (TextKind.ANSWERING, "answers")]


class TestWriting:
    async def test_pieces_make_up_the_text(self, local):
        pieces = []

        async def say(text):
            pieces.append(text)

        answer = await local.run(TextAsk(**ENDLESS, max_tokens=20), say)
        assert len(pieces) > 1
        assert "".join(pieces).strip() == answer.text.strip()

    async def test_being_cancelled_stops_the_model_at_its_next_token(self, local):
        begun = asyncio.Event()

        async def say(_text):
            begun.set()
            await asyncio.Event().wait()

        running = asyncio.create_task(local.run(TextAsk(**ENDLESS, max_tokens=60), say))
        await asyncio.wait_for(begun.wait(), 20)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        after = await asyncio.wait_for(local.run(TextAsk(**ENDLESS, max_tokens=1)), 20)
        assert after.tokens_out == 1


class TestTree:
    @pytest.fixture
    async def tree(self, root, local):
        from actors.local import local_tree

        routes = HuggingFaceModels(ModelFolder(root), {}, None, download=False, chat_ids=False)
        given = {HuggingFace: routes, LocalText: local, ChatModels: chat_models(), **BUILT_IN}
        services = Services({port: lambda _, made=made: made for port, made in given.items()})
        with TemporaryDirectory(prefix="ctl-", dir="/tmp") as short:  # sockets have short names
            async with local_tree(Catalog.of([*AGENTS, Host]), services, Path(short)) as tree:
                yield tree

    async def test_text_is_shown_as_the_caller_s_own_task_while_another_host_writes_it(self, tree):
        options = {"maxNewTokens": 12}
        parameters = {"text": "Ada", "model": "org/llama", "options": options}
        asked = request(
            "huggingface.text.generation",
            parameters=parameters,
            preferences=Preferences(streaming=True),
        )
        answer = await tree.door.submit(asked, ADA, wait=True)
        assert answer["status"] == "COMPLETED", answer
        assert answer["metrics"]["tokensUsed"] > 12
        events = await told(tree, answer["taskId"], ADA)
        text = "".join(event["data"]["text"] for event in events if event["type"] == "token")
        assert text.strip() == answer["result"]["text"].strip()

    async def test_a_model_that_cannot_do_it_is_the_caller_s_answer(self, tree):
        parameters = {"text": SENTENCE, "model": "pickled"}
        asked = request("huggingface.text.token_classification", parameters=parameters)
        answer = await tree.door.submit(asked, ADA, wait=True)
        assert (answer["status"], answer["errorCode"]) == ("FAILED", "CONFIGURATION_ERROR")
        assert "safetensors" in answer["errorMessage"]

    async def test_nobody_may_ask_for_the_models_host_by_itself(self, tree):
        with pytest.raises(CartritaError, match=r"no task type 'huggingface\.text\.local'"):
            await tree.door.submit(request(LOCAL_TASK, parameters={}), ADA, wait=True)


class TestHub:
    async def test_a_model_is_fetched_once_and_without_what_may_hold_code(self, root, tmp_path):
        repository = tmp_path / "mood"
        shutil.copytree(root / "mood", repository)
        (repository / "pytorch_model.bin").write_bytes(b"x")
        (repository / "own.py").write_text("raise SystemExit")
        ask = TextAsk(kind=TextKind.CLASSIFICATION, model="org/mood", text=SENTENCE)
        with hub_of({"org/mood": repository}) as hub:
            source = Hub(tmp_path / "cache", "hf_token", hub.url, 64)
            answer = await local_models(None, source).run(ask)
            assert {one.label for one in answer.findings} == {"NEGATIVE", "POSITIVE"}
            fetched = {name for name in hub.given if not name.startswith("/api")}
            assert any(name.endswith("model.safetensors") for name in fetched)
            assert not any(name.endswith((".bin", ".py")) for name in fetched)
            assert hub.tokens == {"Bearer hf_token"}
            with pytest.raises(ModelRequired, match="org/none"):
                await local_models(None, source).run(ask.model_copy(update={"model": "org/none"}))
            tight = Hub(tmp_path / "other", None, hub.url, 0.01)
            with pytest.raises(ResourceLimitExceeded, match=r"huggingface\.most_mb"):
                await local_models(None, tight).run(ask)


async def test_sentence_models_of_the_bert_family_need_no_torch(root):
    """The numpy encoder makes the vectors that transformers makes."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = [SENTENCE, "the shop", "ten days in Rome, and refunds"]
    found = await FolderEncoder("sentences", root / "sentences").embed(texts)
    model = AutoModel.from_pretrained(root / "sentences").eval()
    tokenizer = AutoTokenizer.from_pretrained(root / "sentences")
    with torch.inference_mode():
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        batch.pop("token_type_ids", None)
        states = model(**batch).last_hidden_state
        there = batch["attention_mask"][:, :, None]
        mean = (states * there).sum(1) / there.sum(1)
        expected = torch.nn.functional.normalize(mean, dim=-1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
