"""Has code written, looks at it, tests it, and has it corrected once."""

import difflib
from dataclasses import dataclass

from cartrita.coding.forms import Analysis, CodeResult, TestsResult
from cartrita.coding.orders import Order, blocks
from cartrita.context import Context
from cartrita.conversation import Said, converse
from cartrita.cost.price import Price
from cartrita.errors import AgentFailed, InsufficientBudget, ModelRequired, Reason
from cartrita.providers.ports import AUTO, ChatModel, ChatModels, ModelInfo
from cartrita.providers.ports_code import Review, Tested, Workshop

ANSWER_TOKENS = 8192
TEST_SECONDS = 10.0
LONGEST_COMPLAINT = 2_000
"""Characters of what tests said that a model is told."""

SETTINGS = (
    "set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server such as Ollama or vLLM, or "
    "name a configured model in `model`."
)


@dataclass(frozen=True, slots=True)
class Draft:
    """Code that was written, and what was found out about it."""

    code: str
    tests: str
    review: Review
    tested: Tested | None

    @property
    def wrong(self) -> str:
        """What its author should correct; empty where nothing is known to be wrong."""
        if self.review.parses is False:
            first = self.review.remarks[0]
            return f"The code does not parse: line {first.line}: {first.message}"
        if self.tested is not None and self.tested.ran and not self.tested.ok:
            said = self.tested.output[-LONGEST_COMPLAINT:]
            return f"The tests do not pass. {self.tested.note}\n{said}"
        return ""

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Which of two drafts is better: the greater one."""
        failed = self.tested.failed if self.tested else 0
        return self.review.parses is not False, not self.wrong, -failed


class Hand:
    """Writes code with a chat model, and checks all code the same way."""

    def __init__(self, models: ChatModels, workshop: Workshop) -> None:
        self._models, self._workshop = models, workshop

    def chat(self, name: str | None) -> ChatModel | None:
        """Return a model that writes; None where none is configured and none is asked for.

        Raises:
            ModelRequired: One is asked for that is not there, or does not write.
        """
        chat = self._models.open(name)
        if chat.info.generative:
            return chat
        if name not in (None, AUTO):
            raise ModelRequired(f"{chat.info.model!r} does not write code: {SETTINGS}")
        return None

    async def write(
        self, chat: ChatModel, order: Order, ctx: Context, ceiling: Price
    ) -> CodeResult:
        """Have a model write what is ordered, and correct once what is found wrong with it.

        Raises:
            AgentFailed: The model declined, or wrote what does not parse even when told so.
        """
        said = [Said("system", order.system), Said("user", order.request)]
        answer = await self._answer(chat, said, ctx, ceiling)
        first = await self._draft(order, answer, ctx)
        wrong = _shape(order, answer) or (first.wrong if first else "")
        best, repaired = first, False
        if wrong:
            said += [Said("assistant", answer), Said("user", f"{wrong}\n\n{order.system}")]
            second = await self._again(chat, said, order, ctx, ceiling)
            if second is not None and (first is None or second.rank > first.rank):
                best, repaired = second, True
        if best is None or best.review.parses is False:
            why = best.wrong if best else wrong
            raise AgentFailed(
                f"{chat.info.model!r} wrote no code that can be used. {why}",
                Reason.QUALITY_REJECTED,
            )
        return self.result(order, best, chat.info, ctx, repaired=repaired)

    async def _answer(self, chat: ChatModel, said: list[Said], ctx: Context, ceiling: Price) -> str:
        reply = await converse(chat, said, [], ctx, ceiling, answer_tokens=ANSWER_TOKENS)
        if reply.refused:
            raise AgentFailed(
                f"{chat.info.model!r} declined: {reply.text}", Reason.QUALITY_REJECTED
            )
        return reply.text

    async def _again(
        self, chat: ChatModel, said: list[Said], order: Order, ctx: Context, ceiling: Price
    ) -> Draft | None:
        await ctx.progress(text="Correcting what was found wrong")
        try:
            answer = await self._answer(chat, said, ctx, ceiling)
        except InsufficientBudget:
            ctx.warn("What was found wrong was not corrected: too little of the budget was left.")
            return None
        return await self._draft(order, answer, ctx)

    async def _draft(self, order: Order, answer: str, ctx: Context) -> Draft | None:
        found = blocks(answer)
        if len(found) != order.blocks:
            return None
        if order.only_tests:
            return await self.draft(order, order.original, found[0], ctx)
        return await self.draft(order, found[0], found[1] if order.tests else "", ctx)

    async def draft(self, order: Order, code: str, tests: str, ctx: Context) -> Draft:
        """Find out about code, and run its tests where it has any."""
        await ctx.progress(text="Analysing the code")
        review = await self._workshop.review(code, order.language)
        tested = None
        if tests and review.parses is not False:
            await ctx.progress(text="Running the tests")
            seconds = min(TEST_SECONDS, ctx.remaining())
            tested = await self._workshop.test(
                code, tests, order.language, order.framework, seconds
            )
        return Draft(code, tests, review, tested)

    def result(
        self, order: Order, draft: Draft, info: ModelInfo, ctx: Context, *, repaired: bool = False
    ) -> CodeResult:
        """Return a draft as a result, with warnings about what is not as it should be."""
        tested, review = draft.tested, draft.review
        if tested is not None and not tested.ran:
            ctx.warn(f"The tests were not run: {tested.note}")
        elif tested is not None and not tested.ok:
            ctx.warn(f"Not all tests pass ({tested.failed} failed); see `tests.output`.")
        if not review.by:
            ctx.warn(f"The code was not analysed: {review.note}")
        ctx.measure("linesOfCode", review.lines)
        tests = TestsResult.of(draft.tests, order.framework, tested) if tested else None
        return CodeResult(
            code=draft.code,
            language=order.language,
            lines_of_code=review.lines,
            analysis=Analysis.of(review),
            tests=tests,
            changes=_changes(order.original, draft.code) if order.original else None,
            repaired=repaired,
            **info.fields(),
        )


def _shape(order: Order, answer: str) -> str:
    """Return what is wrong with the form of an answer."""
    found = len(blocks(answer))
    if found == order.blocks:
        return ""
    return f"The answer has {found} fenced code blocks in place of {order.blocks}."


def _changes(before: str, after: str) -> str | None:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "before", "after", lineterm=""
    )
    return "\n".join(lines) or None
