"""The real MiniLM model: its vectors, and what is built on them."""

import asyncio

import numpy as np
import pytest

from actors.agents.language import Language
from actors.agents.memory import Memory
from cartrita.errors import QueueFull
from cartrita.providers.embedded import minilm
from cartrita.providers.embedded.classifier import EmbeddedClassifier
from cartrita.providers.embedded.minilm import BATCH_TOKENS, MAX_TOKENS, MiniLm
from cartrita.providers.embedded.passages import SentenceRetrieval
from cartrita.providers.embedded.sentences import split
from cartrita.providers.embedded.summarizer import ExtractiveSummarizer
from cartrita.providers.ports import Embedder, QuestionAnswerer, Summarizer, TextClassifier
from cartrita.providers.ports_huggingface import HuggingFace
from cartrita.providers.probes import ModelProbe
from cartrita.storage.memory import InMemoryMemories
from cartrita.storage.ports import Memories
from cartrita.testing import run_task
from tests.support.hugging import NOTHING

ROBOTS = (
    "Harbor Robotics, a startup based in Portland, announced on Tuesday that it has raised $42 "
    "million to expand its fleet of dock-cleaning robots. The round was led by Pacific Ventures. "
    "Founded in 2021 by marine engineer Lena Ortiz, the company builds machines that scrub algae "
    "from ship hulls while vessels are moored. “We spent two winters sleeping in a warehouse,” "
    "Ortiz recalled. Growth on hulls can raise fuel consumption by as much as 40 percent. "
    "Traditional cleaning requires divers or dry docking, both of which are expensive and slow. "
    "The company says it has cleaned more than 300 ships in eleven ports so far.\n\n"
    "The new funds will pay for a second factory, in Rotterdam, and about 120 employees. Ortiz "
    "said the company expects to become profitable in 2027."
)
TOPICS = ["sports", "politics", "technology", "travel", "food", "health"]


@pytest.fixture(scope="module")
def model():
    return MiniLm()


async def test_vectors_are_those_of_the_original_implementation(model):
    # The similarities that the documentation of Sentence Transformers prints for this model.
    vectors = await model.embed(
        ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    )
    published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(vectors @ vectors.T, published, atol=1e-4)
    assert vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "paraphrase", "other"),
    [
        ("How do I reset my password?", "I forgot my login credentials", "The soup is cold"),
        ("The cat sat on the mat.", "A kitten rested on the rug.", "Stocks fell sharply today."),
        ("He bought a new car.", "She purchased an automobile.", "The moon orbits the earth."),
        ("Refunds take ten days.", "When do I get my money back?", "Our office is in Rome."),
    ],
)
async def test_paraphrases_are_closer_than_other_texts(model, text, paraphrase, other):
    vectors = await model.embed([text, paraphrase, other])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


async def test_a_text_has_one_vector_whatever_it_is_batched_with(model):
    texts = ["short", "a text of middling length, by and large", "long " * 300, "", "🎉 é 今日"]
    together = await model.embed(texts * 8)
    alone = np.concatenate([await model.embed([text]) for text in texts])
    np.testing.assert_allclose(together[: len(texts)], alone, atol=1e-5)
    np.testing.assert_allclose(together[-len(texts) :], alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


async def test_the_first_256_tokens_of_a_text_are_read_marks_included(model):
    read, unread = "word " * 253, "word " * 254
    apples, pears = await model.embed([f"{read} apples", f"{read} pears"])
    assert not np.array_equal(apples, pears)
    apples, pears = await model.embed([f"{unread} apples", f"{unread} pears"])
    np.testing.assert_array_equal(apples, pears)


async def test_counts_all_tokens_of_a_text_however_long(model):
    assert await model.count_tokens(["hello world", "a " * 1000, "", "don't"]) == [2, 1000, 0, 3]


async def test_concurrent_callers_get_their_own_vectors(model):
    texts = [f"text number {number}" for number in range(20)]
    expected = await model.embed(texts)
    found = await asyncio.gather(*(model.embed([text]) for text in texts))
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-5)


async def test_more_callers_than_places_are_refused(model):
    calls = (model.embed(["hello"]) for _ in range(minilm._LANE._callers + 1))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results].count(QueueFull) == 1


async def test_a_cancelled_call_stops_at_the_next_batch(model):
    call = asyncio.create_task(model.embed(["word " * MAX_TOKENS] * (BATCH_TOKENS // 8)))
    await model.embed(["the call above has begun by now"])
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(5):  # the rest would take some twenty seconds
        await model.embed(["next"])


async def test_the_probe_names_the_model(model):
    assert await ModelProbe(model).check() == "local/all-MiniLM-L6-v2"


@pytest.mark.parametrize("budget", [10, 60, 130, 1024])
async def test_summaries_are_verbatim_and_within_the_budget(model, budget):
    summary = await ExtractiveSummarizer(model, model).summarize(ROBOTS, budget)
    (tokens,) = await model.count_tokens([summary.text])
    assert 0 < tokens <= budget
    whole = [span.text for span in split(ROBOTS)]
    for sentence in summary.sentences:
        assert whole[sentence.index].startswith(sentence.text)
    if budget >= 60:
        assert "raised $42 million" in summary.text
        assert "two winters" not in summary.text


@pytest.mark.timeout(60)
async def test_a_huge_text_is_summarised_in_seconds(model):
    text = (ROBOTS + "\n\n") * 110
    summary = await ExtractiveSummarizer(model, model).summarize(text[:100_000], 130)
    assert summary.text
    assert summary.info.limitations[-1].startswith("Considered 256 of")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who founded the company?", "Lena Ortiz"),
        ("How much money was raised?", "$42 million"),
        ("Where will the second factory be built?", "Rotterdam"),
        ("When will the company make a profit?", "2027"),
        ("How much more fuel does a dirty hull need?", "40 percent"),
        ("How many ships have been cleaned?", "300 ships"),
    ],
)
async def test_the_sentence_that_answers_is_found_at_its_place(model, question, expected):
    passage = await SentenceRetrieval(model).answer(question, ROBOTS)
    assert passage.found
    assert expected in passage.answer
    assert ROBOTS[passage.start : passage.end] == passage.answer


@pytest.mark.parametrize("question", ["What is the capital of Mongolia?", "How do I cook rice?"])
async def test_a_question_on_something_else_finds_nothing(model, question):
    passage = await SentenceRetrieval(model).answer(question, ROBOTS)
    assert not passage.found
    assert passage.score < 0.3


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("The striker scored twice in the final minutes to win the cup.", "sports"),
        ("She broke the marathon record by eleven seconds.", "sports"),
        ("The senate voted down the budget bill late on Thursday.", "politics"),
        ("The prime minister reshuffled her cabinet.", "politics"),
        ("The new chip doubles the battery life of laptops.", "technology"),
        ("We took the night train from Vienna to Rome.", "travel"),
        ("Simmer the tomatoes with garlic and basil for an hour.", "food"),
        ("Regular walking lowers blood pressure.", "health"),
    ],
)
async def test_topics_are_told_apart(model, text, topic):
    found = await EmbeddedClassifier(model).classify(text, TOPICS)
    assert found.labels[0].label == topic
    assert sum(label.score for label in found.labels) == pytest.approx(1)


EXAMPLES = [*Language.spec.tasks, *Memory.spec.tasks]


@pytest.mark.parametrize("spec", EXAMPLES, ids=lambda spec: spec.name)
async def test_the_examples_of_the_agents_run_on_the_built_in_models(model, spec):
    providers = {
        Summarizer: ExtractiveSummarizer(model, model),
        TextClassifier: EmbeddedClassifier(model),
        QuestionAnswerer: SentenceRetrieval(model),
        Embedder: model,
        Memories: InMemoryMemories(),
        HuggingFace: NOTHING,
    }
    agent = next(agent for agent in (Language, Memory) if spec in agent.spec.tasks)
    wire = (await run_task(agent, spec.name, spec.example, providers)).to_wire()
    assert wire["model"].startswith("local/")
    assert wire["generative"] is False
    assert wire["limitations"]


async def test_the_example_answers_make_sense(model):
    by_name = {spec.name: spec.example for spec in Language.spec.tasks}
    example = by_name["huggingface.text.question_answering"]
    passage = await SentenceRetrieval(model).answer(example["question"], example["context"])
    assert passage.answer == "The shop in Rome closes at six in the evening."
    example = by_name["huggingface.text.classification"]
    found = await EmbeddedClassifier(model).classify(example["text"], example["labels"])
    assert found.labels[0].label == "sports"
