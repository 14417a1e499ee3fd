"""An agent that does everything of which a story tells."""

from decimal import Decimal

from cartrita.context import Context, ToolRun, Usage
from cartrita.cost.price import metered
from cartrita.declare import Agent, Params, Result, task


class Matter(Params):
    """A text."""

    text: str = "it"


class Outcome(Result):
    """A text."""

    text: str


class Busy(Agent, team="system"):
    """Says, uses, shows and calls."""

    @task("busy.work", idempotent=True, example={}, cost=metered("1", 1000))
    async def work(self, params: Matter, ctx: Context) -> Outcome:
        """Do a bit of everything."""
        for word in ("one ", "two ", "three"):
            await ctx.token(word)
        await ctx.tool("lookup", {"query": params.text}, {"found": 1})
        ctx.spent(Usage("model/a", 10, 5, Decimal("0.125"), seconds=0.5))
        ctx.note(ToolRun("calculator", {"expression": "6*7"}, "42", 0.25))
        await ctx.call("system.echo", {"payload": params.text})
        return Outcome(text=params.text)
