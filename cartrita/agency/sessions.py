"""What is remembered of a conversation from one task to the next."""

from collections.abc import Sequence
from itertools import accumulate

from cartrita.context import Context
from cartrita.errors import ModelRequired
from cartrita.providers.ports import Summarizer, TokenCounter
from cartrita.storage.threads import Conversations, Owner, Recollection, Turn

MOST_TOKENS = 3_000
"""Of the turns that are kept word for word; beyond them the older half becomes a summary."""

SUMMARY_TOKENS = 300
LONGEST_TEXT = 20_000
"""Characters that are summed up at a time."""


def owner_of(ctx: Context) -> Owner | None:
    """Return whose conversation a task belongs to; None without a session.

    The tenant and the user are the credentials', never the request's: nobody can name another's.
    """
    if ctx.session_id is None:
        return None
    return Owner(ctx.principal.tenant, ctx.principal.user, ctx.session_id)


class Sessions:
    """Conversations, bounded in tokens.

    Args:
        conversations: Where they are kept.
        summarizer: Makes one text of turns that are too many.
        counter: Counts.
        most_tokens: Of the turns kept word for word.
    """

    def __init__(
        self,
        conversations: Conversations,
        summarizer: Summarizer,
        counter: TokenCounter,
        most_tokens: int = MOST_TOKENS,
    ) -> None:
        self._conversations, self._summarizer = conversations, summarizer
        self._counter, self._most = counter, most_tokens

    async def recall(self, owner: Owner, task: str) -> Recollection:
        """Return what is known, without what an earlier attempt at a task said."""
        known = await self._conversations.recall(owner)
        turns = tuple(turn for turn in known.turns if turn.task != task)
        return Recollection(known.summary, turns)

    async def keep(self, owner: Owner, task: str, asked: str, answered: str) -> None:
        """Remember what a task was asked and answered."""
        turns = [Turn("user", asked, task), Turn("assistant", answered, task)]
        await self._conversations.add(owner, turns)
        known = await self._conversations.recall(owner)
        folded = known.turns[: await self._too_many(known.turns)]
        if folded:
            summary = await self._summary(known.summary, folded)
            await self._conversations.fold(owner, folded[-1].number, summary, known.summary)

    async def forget(self, owner: Owner) -> int:
        """Delete a conversation and return how many turns it had."""
        return await self._conversations.forget(owner)

    async def _too_many(self, turns: Sequence[Turn]) -> int:
        """Return how many of the first turns to fold, so that half the room is free again."""
        sizes = await self._counter.count_tokens([turn.content for turn in turns])
        total = sum(sizes)
        if total <= self._most:
            return 0
        spare = total - self._most // 2
        return next(n for n, size in enumerate(accumulate(sizes), 1) if size >= spare)

    async def _summary(self, before: str, turns: Sequence[Turn]) -> str:
        names = {"user": "User", "assistant": "Assistant"}
        said = "\n".join(f"{names[turn.role]}: {turn.content}" for turn in turns)
        text = f"{before}\n{said}".strip()[-LONGEST_TEXT:]
        try:
            made = await self._summarizer.summarize(text, SUMMARY_TOKENS)
        except ModelRequired:  # the weights are an option: keep the end of it
            return text[-4 * SUMMARY_TOKENS :]
        return made.text
