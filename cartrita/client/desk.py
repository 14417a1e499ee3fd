"""What operators ask of the tree: a part of both clients."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from cartrita.client.calls import ApprovalDecision, ApprovalState, EffectOutcome, EffectState
from cartrita.client.players import AsyncPart, Part

PAGE = 50

BudgetPeriod = Literal["day", "total"]
UsageBy = Literal["model", "agent", "user", "day"]


class Desk(Part):
    """Quarantine, effects, keys, budgets, commands and their record."""

    def quarantined(
        self, limit: int = PAGE, before: str | UUID | None = None
    ) -> list[dict[str, Any]]:
        """Return tasks that wait for a decision: they kill whatever runs them.

        Administrators see everybody's; newest first, older than the task `before`.
        """
        return self._play(self._talk.quarantined(limit, before))

    def inspect(self, task_id: str | UUID) -> dict[str, Any]:
        """Return all that is known of a quarantined task.

        Raises:
            NotFound: It is not quarantined, or somebody else's.
        """
        return self._play(self._talk.inspect(task_id))

    def discard(self, task_id: str | UUID) -> bool:
        """Give a quarantined task up for good; False when that was decided already."""
        return self._play(self._talk.discard(task_id))

    def effects(
        self, state: EffectState = "unknown", limit: int = PAGE, before: str | UUID | None = None
    ) -> list[dict[str, Any]]:
        """Return what tasks did to the outside world, or began and nobody knows of.

        Administrators see everybody's; those of the newest tasks first, older than the effect
        `before`.
        """
        return self._play(self._talk.effects(state, limit, before))

    def resolve(
        self, effect_id: str | UUID, outcome: EffectOutcome, result: Any = None
    ) -> dict[str, Any]:
        """Say what became of an effect that nobody knows of, and return it as it stands then.

        Args:
            effect_id: As `effects` names it.
            outcome: Whether it happened.
            result: What came of it, which a task that runs again is given.

        Raises:
            NotFound: There is none, or it is somebody else's.
            EffectSettled: It is known already, or an attempt is at it.
        """
        return self._play(self._talk.resolve(effect_id, outcome, result))

    def approvals(
        self, state: ApprovalState = "pending", limit: int = PAGE, before: str | UUID | None = None
    ) -> list[dict[str, Any]]:
        """Return tools that wait for a person, or that somebody decided about.

        Administrators see everybody's; those of the newest tasks first, older than the approval
        `before`.
        """
        return self._play(self._talk.approvals(state, limit, before))

    def decide(
        self, approval: str | UUID, decision: ApprovalDecision, reason: str = ""
    ) -> dict[str, Any]:
        """Let a task use the tool that it waits for, or not; return the approval as it stands.

        Raises:
            NotFound: There is none, or it is of somebody else's task.
            AlreadyDecided: It was decided, or its task has ended.
        """
        return self._play(self._talk.decide(approval, decision, reason))

    def create_key(
        self, name: str, scopes: Sequence[str] | None = None, days: int | None = None
    ) -> dict[str, Any]:
        """Make an API key and return it; what is under `key` is told only here.

        Args:
            name: For people.
            scopes: What it may be used for; `tasks:*` and `agents:read` by default.
            days: Until it expires; 90 by default.

        Raises:
            AuthorizationFailed: It would allow what this client may not do.
        """
        return self._play(self._talk.create_key(name, scopes, days))

    def keys(self, limit: int = PAGE, before: str | UUID | None = None) -> list[dict[str, Any]]:
        """Return API keys, newest first, older than `before`; everybody's for administrators."""
        return self._play(self._talk.keys(limit, before))

    def revoke_key(self, key_id: str | UUID) -> None:
        """Take an API key back, for good.

        Raises:
            NotFound: There is none, or it is somebody else's.
        """
        self._play(self._talk.revoke_key(key_id))

    def budgets(self, limit: int = PAGE, after: str | None = None) -> list[dict[str, Any]]:
        """Return the budgets of one's own user and tenant; for administrators everybody's.

        They come in the order of their `budgetId`, those behind `after`.
        """
        return self._play(self._talk.budgets(limit, after))

    def budget(self, budget: str) -> dict[str, Any]:
        """Return a budget by its id, such as `user:0192…`.

        Raises:
            NotFound: It is somebody else's.
        """
        return self._play(self._talk.budget("GET", budget))

    def set_budget(
        self,
        budget: str,
        max_usd: float | None,
        max_tokens: int | None,
        period: BudgetPeriod = "day",
    ) -> dict[str, Any]:
        """Have a budget hold so much, whatever is used of it; for administrators.

        Args:
            budget: `user:` or `tenant:` and its id.
            max_usd: None for no limit.
            max_tokens: None for no limit.
            period: Whether what is used counts for a day (UTC) or for ever.

        Raises:
            AuthorizationFailed: The account is no administrator's.
        """
        told = {"maxUsd": max_usd, "maxTokens": max_tokens, "period": period}
        return self._play(self._talk.budget("PUT", budget, told))

    def reset_budget(self, budget: str) -> dict[str, Any]:
        """Have a budget follow the settings again; for administrators.

        Raises:
            NotFound: Nobody had set it.
        """
        return self._play(self._talk.budget("DELETE", budget))

    def erase_answers(self, owner: str) -> dict[str, Any]:
        """Erase answers that are kept to be given again; tell how many, and when all are gone.

        Args:
            owner: `user:` and one's own id; administrators take anybody's, or `tenant:` and its.

        Raises:
            AuthorizationFailed: They are somebody else's.
            ServiceUnavailable: Some could not be reached; ask again.
        """
        return self._play(self._talk.erase_answers(owner))

    def usage(
        self,
        by: UsageBy = "model",
        user: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> dict[str, Any]:
        """Return what was charged for tasks that have ended, as sums in `rows` and in all.

        Args:
            by: Under which names.
            user: Whose; for administrators everybody's by default.
            since: From this day (UTC) on; 30 days back by default.
            until: As far as this; until now by default.
        """
        return self._play(self._talk.usage(by, user, since, until))

    def agents(self) -> list[dict[str, Any]]:
        """Return every agent and how it is."""
        return self._play(self._talk.agents())

    def register_agent(self, registration: Mapping[str, Any]) -> dict[str, Any]:
        """Have tasks carried to an agent that runs elsewhere; for administrators.

        Args:
            registration: As docs/reference/external-agents.md tells; it replaces what was
                registered under its name.

        Returns:
            Its `name` and `taskTypes`, and whether it `replaced` another.

        Raises:
            AuthorizationFailed: The account is no administrator's.
            InvalidParameters: A field is wrong, or a name is taken.
        """
        return self._play(self._talk.register_agent(registration))

    def remove_agent(self, name: str) -> None:
        """Remove an external agent; for administrators.

        Raises:
            NotFound: There is none of that name.
        """
        self._play(self._talk.remove_agent(name))

    def command(self, command: str, target: str, /, **arguments: Any) -> dict[str, Any]:
        """Have the tree carry out a command; for administrators.

        Args:
            command: `SHUTDOWN`, `RESTART`, `SCALE_UP`, `SCALE_DOWN`, `HEALTH_CHECK`,
                `CONFIG_UPDATE` or `EMERGENCY_STOP`.
            target: `tree`, a team, a shard (`intelligence/0`), `agent:NAME`, or a host.
            arguments: Under their names on the wire, such as `by=2` or `messageQueueSize=500`.

        Returns:
            `results` tells of each part its `id` and whether it is `ok`.

        Raises:
            AuthorizationFailed: The account is no administrator's.
            NotFound: There is no such target.
            InvalidParameters: The command does not take these arguments.
        """
        return self._play(self._talk.command(command, target, arguments))

    def audit(self, limit: int = PAGE, before: int | None = None) -> list[dict[str, Any]]:
        """Return what was commanded, newest first, older than the entry `before`."""
        return self._play(self._talk.audit(limit, before))


class AsyncDesk(AsyncPart):
    """The same for an event loop."""

    async def quarantined(
        self, limit: int = PAGE, before: str | UUID | None = None
    ) -> list[dict[str, Any]]:
        """Return quarantined tasks, newest first, older than `before`."""
        return await self._play(self._talk.quarantined(limit, before))

    async def inspect(self, task_id: str | UUID) -> dict[str, Any]:
        """Return all that is known of a quarantined task; raises as `Client.inspect` does."""
        return await self._play(self._talk.inspect(task_id))

    async def discard(self, task_id: str | UUID) -> bool:
        """Give a quarantined task up for good; False when that was decided already."""
        return await self._play(self._talk.discard(task_id))

    async def effects(
        self, state: EffectState = "unknown", limit: int = PAGE, before: str | UUID | None = None
    ) -> list[dict[str, Any]]:
        """Return what tasks did to the outside world; as `Client.effects` does."""
        return await self._play(self._talk.effects(state, limit, before))

    async def resolve(
        self, effect_id: str | UUID, outcome: EffectOutcome, result: Any = None
    ) -> dict[str, Any]:
        """Say what became of an effect that nobody knows of; raises as `Client.resolve` does."""
        return await self._play(self._talk.resolve(effect_id, outcome, result))

    async def approvals(
        self, state: ApprovalState = "pending", limit: int = PAGE, before: str | UUID | None = None
    ) -> list[dict[str, Any]]:
        """Return tools that wait for a person; as `Client.approvals` does."""
        return await self._play(self._talk.approvals(state, limit, before))

    async def decide(
        self, approval: str | UUID, decision: ApprovalDecision, reason: str = ""
    ) -> dict[str, Any]:
        """Let a task use a tool, or not; raises as `Client.decide` does."""
        return await self._play(self._talk.decide(approval, decision, reason))

    async def create_key(
        self, name: str, scopes: Sequence[str] | None = None, days: int | None = None
    ) -> dict[str, Any]:
        """Make an API key and return it; as `Client.create_key` does."""
        return await self._play(self._talk.create_key(name, scopes, days))

    async def keys(
        self, limit: int = PAGE, before: str | UUID | None = None
    ) -> list[dict[str, Any]]:
        """Return API keys, newest first, older than `before`; everybody's for administrators."""
        return await self._play(self._talk.keys(limit, before))

    async def revoke_key(self, key_id: str | UUID) -> None:
        """Take an API key back, for good; raises as `Client.revoke_key` does."""
        await self._play(self._talk.revoke_key(key_id))

    async def budgets(self, limit: int = PAGE, after: str | None = None) -> list[dict[str, Any]]:
        """Return budgets in the order of their ids; as `Client.budgets` does."""
        return await self._play(self._talk.budgets(limit, after))

    async def budget(self, budget: str) -> dict[str, Any]:
        """Return a budget by its id; raises as `Client.budget` does."""
        return await self._play(self._talk.budget("GET", budget))

    async def set_budget(
        self,
        budget: str,
        max_usd: float | None,
        max_tokens: int | None,
        period: BudgetPeriod = "day",
    ) -> dict[str, Any]:
        """Have a budget hold so much; as `Client.set_budget` does."""
        told = {"maxUsd": max_usd, "maxTokens": max_tokens, "period": period}
        return await self._play(self._talk.budget("PUT", budget, told))

    async def reset_budget(self, budget: str) -> dict[str, Any]:
        """Have a budget follow the settings again; as `Client.reset_budget` does."""
        return await self._play(self._talk.budget("DELETE", budget))

    async def erase_answers(self, owner: str) -> dict[str, Any]:
        """Erase answers that are kept to be given again; as `Client.erase_answers` does."""
        return await self._play(self._talk.erase_answers(owner))

    async def usage(
        self,
        by: UsageBy = "model",
        user: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> dict[str, Any]:
        """Return what was charged for tasks that have ended; as `Client.usage` does."""
        return await self._play(self._talk.usage(by, user, since, until))

    async def agents(self) -> list[dict[str, Any]]:
        """Return every agent and how it is."""
        return await self._play(self._talk.agents())

    async def register_agent(self, registration: Mapping[str, Any]) -> dict[str, Any]:
        """Have tasks carried to an agent that runs elsewhere; as `Client.register_agent` does."""
        return await self._play(self._talk.register_agent(registration))

    async def remove_agent(self, name: str) -> None:
        """Remove an external agent; raises as `Client.remove_agent` does."""
        await self._play(self._talk.remove_agent(name))

    async def command(self, command: str, target: str, /, **arguments: Any) -> dict[str, Any]:
        """Have the tree carry out a command; as `Client.command` does."""
        return await self._play(self._talk.command(command, target, arguments))

    async def audit(self, limit: int = PAGE, before: int | None = None) -> list[dict[str, Any]]:
        """Return what was commanded, newest first, older than the entry `before`."""
        return await self._play(self._talk.audit(limit, before))
