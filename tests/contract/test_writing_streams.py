"""What is written is shown while it is written, over a real socket."""

from actors.agents.writer import Writer
from cartrita.protocol.task import Preferences
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels, Summarizer
from cartrita.stream import Token
from cartrita.testing import run_task
from tests.support.fakes import FirstWords
from tests.support.openai_server import Say, serving

POST = "# Actors\n\nThey restart. " + "word " * 18


async def written(server, streaming):
    models = chat_models(api_key="sk-test", base_url=server.base_url)
    emitted, usages = [], []
    result = await run_task(
        Writer,
        "writer.content.create",
        {"prompt": "Actors", "length": 20, "format": "markdown"},
        {ChatModels: models, Summarizer: FirstWords()},
        emitted=emitted,
        usages=usages,
        preferences=Preferences(streaming=streaming),
    )
    await models.close()
    return result, emitted, usages


async def test_who_asks_for_it_reads_the_text_as_it_is_written():
    async with serving(Say(POST, tokens=(50, 30), pause=0.01)) as server:
        result, emitted, usages = await written(server, streaming=True)
    assert all(isinstance(item, Token) for item in emitted)
    assert len(emitted) > 5
    assert "".join(item.text for item in emitted).strip() == result.text == POST.strip()
    assert [(usage.tokens_in, usage.tokens_out) for usage in usages] == [(50, 30)]


async def test_who_does_not_reads_it_in_the_end():
    async with serving(Say(POST)) as server:
        result, emitted, _ = await written(server, streaming=False)
    assert (result.text, emitted) == (POST.strip(), [])
