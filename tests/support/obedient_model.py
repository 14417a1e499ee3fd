"""A chat model that does whatever any text it reads tells it to."""

import json
import re
from decimal import Decimal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from cartrita.providers.ports import ChatModel
from tests.support.scripted_model import INFO, said

_ORDER = re.compile(r"CALL (\w+) (\{(?:[^{}]|\{\})*\})")


class ObedientModel(BaseChatModel):
    """Calls every tool that the last messages order it to: `CALL name {"argument": …}`.

    It asks for tools that it was never offered, and with arguments that no schema knows. An
    order in what a tool answers counts as much as one of the user's.
    """

    _heard: list = PrivateAttr(default_factory=list)

    @property
    def heard(self):
        """Everything that it was ever shown."""
        return self._heard

    @property
    def _llm_type(self):
        return "obedient"

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        raise AssertionError("agents call models asynchronously")

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        self._heard += [str(message.text) for message in messages]
        since = []
        for message in reversed(messages):
            if not isinstance(message, HumanMessage | ToolMessage):
                break
            since.append(str(message.text))
        orders = [order for text in reversed(since) for order in _ORDER.findall(text)]
        number = len(messages)
        calls = [
            {"name": name, "args": json.loads(args), "id": f"call-{number}-{place}"}
            for place, (name, args) in enumerate(orders)
        ]
        size = sum(len(str(message.text)) for message in messages) // 4 + 1
        answer = said("" if calls else "I did what I was told.", size, 16, tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=answer)])


class ObedientModels:
    """The port, with that model; a thousand tokens cost ten cents."""

    def __init__(self):
        self.model = ObedientModel()

    def open(self, name, *, temperature=None):
        return ChatModel(self.model, INFO, Decimal("0.1"), Decimal("0.1"))

    @property
    def heard(self):
        return "\n".join(self.model.heard)
