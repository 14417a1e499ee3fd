"""A chat model that plays a script, for unit tests."""

import asyncio
from decimal import Decimal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from cartrita.errors import ModelRequired
from cartrita.providers.ports import ChatModel, ModelInfo

INFO = ModelInfo("fake/writer", "fake", generative=True)


def said(text, tokens_in=10, tokens_out=5, **more):
    """Return a model's message with its usage."""
    usage = {
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
    return AIMessage(content=text, usage_metadata=usage, **more)


def called(tool, call_id="c1", **args):
    """Return a model's message that asks for a tool."""
    return said("", tool_calls=[{"name": tool, "args": args, "id": call_id}])


class ScriptedModel(BaseChatModel):
    """Answers with the given messages in turn and then for ever with the last one.

    An exception in the script is raised; None hangs, after setting `hangs`.
    """

    _script: list = PrivateAttr()
    _asked: list = PrivateAttr(default_factory=list)
    _hangs: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    def __init__(self, *script):
        super().__init__()
        self._script = list(script)

    @property
    def asked(self):
        """The messages and settings of every call."""
        return self._asked

    @property
    def script(self):
        """What it is still to say."""
        return self._script

    @property
    def hangs(self):
        return self._hangs

    @property
    def _llm_type(self):
        return "scripted"

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=[tool.name for tool in tools], **kwargs)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        raise AssertionError("agents call models asynchronously")

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        self._asked.append((messages, kwargs))
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if step is None:
            self._hangs.set()
            await asyncio.Event().wait()
        if isinstance(step, Exception):
            raise step
        return ChatResult(generations=[ChatGeneration(message=step.model_copy())])


class ScriptedModels:
    """The port, with one model; a thousand tokens cost a cent in and two out."""

    def __init__(self, *script, info=INFO):
        self.model = ScriptedModel(*script)
        self.info = info
        self.opened = []

    def open(self, name, *, temperature=None):
        if name == "unheard-of":
            raise ModelRequired("No model 'unheard-of' here.")
        self.opened.append((name, temperature))
        return self.chat

    @property
    def chat(self):
        return ChatModel(self.model, self.info, Decimal("0.01"), Decimal("0.02"))
