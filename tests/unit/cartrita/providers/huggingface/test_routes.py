"""Tests of cartrita/providers/huggingface/routes.py."""

import pytest

from cartrita.context import Context
from cartrita.errors import ModelRequired
from cartrita.protocol.task import Preferences
from cartrita.providers.huggingface.folder import ModelFolder
from cartrita.providers.huggingface.routes import HuggingFaceModels
from cartrita.providers.ports_huggingface import LOCAL_TASK, TextAnswer, TextAsk, TextKind

SORT, WRITE = TextKind.CLASSIFICATION, TextKind.GENERATION
ANSWER = TextAnswer(
    model="m", provider="huggingface", generative=False, text="hi", tokens_in=3, tokens_out=2
)


class Api:
    """Remembers what it was asked, and says a word."""

    def __init__(self):
        self.asked = []

    async def run(self, ask, say=None):
        self.asked.append(ask.model)
        if say:
            await say("hi")
        return ANSWER


class Reach:
    """Remembers what was called for, and what was said."""

    def __init__(self):
        self.called, self.said = [], []

    async def call(self, task_type, params, timeout, priority, *, relay=False):
        self.called.append((task_type, params["model"], relay))
        return {"status": "COMPLETED", "result": ANSWER.to_wire()}

    async def say(self, item):
        self.said.append(item.text)

    def note(self, use):
        pass


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/config.json").write_text("{}")
    return ModelFolder(tmp_path)


def models(folder=None, api=None, defaults=None, *, download=False, chat_ids=False):
    folder = folder or ModelFolder(None)
    return HuggingFaceModels(folder, defaults or {}, api, download=download, chat_ids=chat_ids)


@pytest.mark.parametrize("asked", [None, "auto", "local/minilm", "bert", "org/bert", "../x"])
def test_without_settings_none_of_these_models_does_anything(asked):
    assert models().choose(SORT, asked) is None


def test_a_folder_s_name_is_chosen(folder):
    assert models(folder).choose(SORT, "tiny") == "tiny"
    assert models(folder).choose(WRITE, "tiny") == "tiny"


def test_a_default_is_of_its_kind():
    chosen = models(defaults={SORT: "org/bert"})
    assert [chosen.choose(SORT, asked) for asked in (None, "auto")] == ["org/bert"] * 2
    assert chosen.choose(WRITE, None) is None


def test_the_api_and_the_hub_have_whatever_is_named_as_a_model_of_theirs():
    assert models(api=Api()).choose(SORT, "org/bert") == "org/bert"
    assert models(api=Api()).choose(SORT, "bert") == "bert"
    assert models(download=True).choose(SORT, "org/bert") == "org/bert"
    assert models(download=True).choose(SORT, "bert") is None
    assert models(api=Api()).choose(SORT, "local/minilm") is None
    assert models(api=Api()).choose(SORT, "org/../../v1/secrets") is None


def test_a_chat_model_s_name_is_left_to_chat_models():
    assert models(api=Api()).choose(WRITE, "gpt-4o") is None
    assert models(api=Api()).choose(WRITE, "org/llama") == "org/llama"
    assert models(api=Api(), chat_ids=True).choose(WRITE, "org/llama") is None
    assert models(api=Api(), chat_ids=True).choose(SORT, "org/bert") == "org/bert"


async def run(chosen, model, kind=SORT, *, streaming=False):
    reach = Reach()
    ctx = Context("t", reach=reach, preferences=Preferences(streaming=streaming))
    await chosen.run(TextAsk(kind=kind, model=model, text="x"), ctx)
    return reach, ctx


async def test_a_model_of_this_machine_runs_in_the_host_that_is_its_own(folder):
    api = Api()
    reach, ctx = await run(models(folder, api), "tiny")
    assert reach.called == [(LOCAL_TASK, "tiny", False)]
    assert api.asked == []
    assert [(use.model, use.tokens_in, use.tokens_out) for use in ctx.usages] == [("m", 0, 0)]


async def test_what_is_fetched_runs_there_too_even_where_there_is_an_api():
    api = Api()
    reach, _ = await run(models(api=api, download=True), "org/bert")
    assert reach.called == [(LOCAL_TASK, "org/bert", False)]
    reach, _ = await run(models(api=api, download=True), "bert")
    assert (reach.called, api.asked) == ([], ["bert"])


@pytest.mark.parametrize(("kind", "streaming"), [(WRITE, True), (WRITE, False), (SORT, True)])
async def test_text_is_shown_while_it_is_written_to_those_who_want_that(folder, kind, streaming):
    shown = kind is WRITE and streaming
    reach, _ = await run(models(folder), "tiny", kind, streaming=streaming)
    assert reach.called == [(LOCAL_TASK, "tiny", shown)]
    reach, ctx = await run(models(api=Api()), "org/x", kind, streaming=streaming)
    assert reach.said == (["hi"] if shown else [])
    assert len(ctx.warnings) == (1 if kind is WRITE else 0)
    tokens = (3, 2) if kind is WRITE else (0, 0)
    assert [(use.tokens_in, use.tokens_out) for use in ctx.usages] == [tokens]


async def test_a_default_that_nothing_has_is_refused_and_what_would_enable_it_is_said():
    with pytest.raises(ModelRequired, match=r"pip install.*huggingface\.path"):
        await run(models(defaults={SORT: "gone"}), "gone")
