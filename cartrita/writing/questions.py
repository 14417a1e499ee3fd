"""Has a language model put questions about tables into SQL."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cartrita.context import Context
from cartrita.conversation import Said, converse
from cartrita.cost.price import Price
from cartrita.errors import AgentFailed, CartritaError, Reason
from cartrita.figures.profile import kind_of
from cartrita.figures.table import Row, columns, label, present
from cartrita.providers.ports import ChatModel, ChatModels, ModelInfo
from cartrita.writing.pen import DATA, Pen, as_data

SAMPLES = 3
"""Values of each column that the model sees."""

MOST_COLUMNS = 100
MOST_TABLES = 20
ANSWER_TOKENS = 1_000

TOLD = (
    "Put the question into one SELECT in DuckDB's SQL over these tables, and answer with that "
    "alone. Quote names with double quotes. If the tables cannot answer it, answer with a comment "
    f"that begins with `--` and says why. {DATA}"
)

_FENCED = re.compile(r"```\w*\s*(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asked:
    """SQL that a model wrote, and how it came to that."""

    sql: str
    chat: ChatModel
    said: tuple[Said, ...]
    info: ModelInfo

    def failed(self, error: CartritaError) -> AgentFailed:
        """Return what to raise when this could not be run either."""
        return AgentFailed(
            f"{self.info.model!r} put the question into SQL that cannot be run: {error.message} "
            f"It was: {self.sql}",
            Reason.QUALITY_REJECTED,
        )


class Asker:
    """Asks a model for SQL; it sees names, kinds and a few values of each column."""

    def __init__(self, models: ChatModels) -> None:
        self._pen = Pen(models)

    def chat_if_any(self, name: str | None) -> ChatModel | None:
        """Return a model that can be asked; None where there is none and none is asked for."""
        return self._pen.chat_if_any(name, "A question in words")

    async def sql(
        self,
        chat: ChatModel,
        question: str,
        tables: Mapping[str, Sequence[Row]],
        ctx: Context,
        ceiling: Price,
    ) -> Asked:
        """Return SQL for a question.

        Raises:
            AgentFailed: The model says that these tables cannot answer it.
        """
        put = await ctx.in_thread(_put, question, tables)
        said = (Said("system", TOLD), Said("user", put))
        return await _answered(Asked("", chat, said, chat.info), ctx, ceiling)

    async def repaired(self, asked: Asked, problem: str, ctx: Context, ceiling: Price) -> Asked:
        """Return other SQL for a question, after what was wrong with the first."""
        again = Said("user", f"That cannot be run: {problem} Answer with corrected SQL alone.")
        said = (*asked.said, Said("assistant", asked.sql), again)
        return await _answered(replace(asked, said=said), ctx, ceiling)


async def _answered(asked: Asked, ctx: Context, ceiling: Price) -> Asked:
    reply = await converse(asked.chat, asked.said, [], ctx, ceiling, answer_tokens=ANSWER_TOKENS)
    fenced = _FENCED.search(reply.text)
    sql = (fenced[1] if fenced else reply.text).strip()
    if reply.refused or (sql.startswith("--") and "\n" not in sql):
        raise AgentFailed(
            f"{reply.info.model!r} cannot answer this from the data: {sql.lstrip('- ')}",
            Reason.QUALITY_REJECTED,
        )
    return replace(asked, sql=sql, info=reply.info)


def _put(question: str, tables: Mapping[str, Sequence[Row]]) -> str:
    described = {name: _columns(rows) for name, rows in [*tables.items()][:MOST_TABLES]}
    return as_data(f"Tables: {json.dumps(described)}\n\nQuestion: {question}")


def _columns(rows: Sequence[Row]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in columns(rows)[:MOST_COLUMNS]:
        values = present(rows, name)
        found[name] = {"kind": kind_of(values), "such as": [label(v) for v in values[:SAMPLES]]}
    return found
