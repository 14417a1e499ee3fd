"""Tells jokes."""

from typing import Annotated, Literal

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import metered
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose
from cartrita.providers.ports import ChatModels
from cartrita.writing.orders import Order

CEILING = metered("0.05", 8_000)

Style = Literal["pun", "observational", "absurd", "dry", "story", "knock-knock", "dad"]
Short = Annotated[Prose, Field(max_length=300)]

TOLD = (
    "You are a comedian. Tell one {style} joke about the topic in the data, fit for {audience}. "
    "Make fun of nobody for what they are. Answer with the joke alone."
)


class JokeParams(Params):
    """What to joke about, and for whom."""

    topic: Short = "everyday life"
    style: Style = "observational"
    audience: Short = "everybody"
    model: Annotated[Name | None, Field(description="Default: the configured one.")] = None


class JokeResult(ModelResult):
    """The joke."""

    joke: str
    topic: str
    style: Style


class Comedian(Agent, team="intelligence"):
    """Tells jokes with a language model; there is none built in."""

    def __init__(self, models: ChatModels) -> None:
        from cartrita.writing.pen import Pen  # noqa: PLC0415 - imports LangChain

        self._pen = Pen(models)

    @task(
        "comedian.generate_joke",
        cost=CEILING,
        timeout=60,
        idempotent=True,
        example={"topic": "supervisors that restart everything", "style": "pun"},
    )
    async def joke(self, params: JokeParams, ctx: Context) -> JokeResult:
        """Tell a joke about a topic. Needs a configured language model."""
        chat = self._pen.chat(params.model, "A joke")
        told = TOLD.format(style=params.style, audience=" ".join(params.audience.split()))
        reply = await self._pen.write(chat, Order(told, params.topic), ctx, CEILING)
        return JokeResult(
            joke=reply.text.strip(),
            topic=params.topic,
            style=params.style,
            **reply.info.fields(),
        )
