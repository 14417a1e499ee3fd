"""What people may do about effects: look, and decide about those nobody knows of."""

from dataclasses import asdict
from typing import Any, Literal

from cartrita.clock import Clock, iso
from cartrita.effects import Finding, State, to_json
from cartrita.errors import EffectSettled, InvalidParameters, NotFound
from cartrita.ledger import EffectBook, EffectRow
from cartrita.protocol.principal import Principal
from cartrita.storage.runtime import Audit, AuditEntry

Outcome = Literal["done", "not_done"]

Rows = list[dict[str, Any]]

RESOLVE = "RESOLVE_EFFECT"
"""What the audit log calls a decision."""


class EffectDesk:
    """Where effects are looked at and decided about. Lives beside the door.

    Args:
        book: The effects.
        audit: Where each decision is noted, a refused one included.
    """

    def __init__(self, book: EffectBook, audit: Audit, clock: Clock) -> None:
        self._book, self._audit, self._clock = book, audit, clock

    async def list(
        self,
        who: Principal,
        state: str = State.UNKNOWN,
        limit: int = 50,
        before: str | None = None,
    ) -> Rows:
        """Return effects in a state, those of the newest tasks first: one's own, or for admins all.

        Args:
            who: Who asks.
            state: `unknown`, `begun`, `done` or `not_done`.
            limit: How many at most.
            before: The last effect id of the page before.
        """
        user = None if who.admin else who.user
        return [_row(row) for row in await self._book.page(user, State(state), limit, before)]

    async def resolve(
        self, effect_id: str, who: Principal, outcome: Outcome, result: Any = None
    ) -> dict[str, Any]:
        """Decide what became of an effect, once and for all, and return it as it stands then.

        Args:
            effect_id: The effect.
            who: Who decides.
            outcome: Whether it happened.
            result: What came of it: what a task that runs again is given. For `done` only.

        Raises:
            NotFound: There is none, or it is somebody else's.
            EffectSettled: It is not unknown.
            InvalidParameters: It has a result and did not happen.
            ResourceLimitExceeded: The result is too large.
        """
        finding = Finding(State(outcome), result)
        if finding.state is State.NOT_DONE and result is not None:
            raise InvalidParameters(
                "What did not happen has no result.", fields=[("result", "is for 'done' only")]
            )
        to_json(result)
        await self._find(effect_id, who)
        done = await self._book.resolve(effect_id, finding, who.user)
        row = await self._find(effect_id, who)
        told = outcome if done else f"refused: {row.state.value} before"
        detail = {"taskId": row.task_id, "name": row.name}
        entry = AuditEntry(self._clock.now(), who.user, RESOLVE, effect_id, told, detail)
        await self._audit.note(entry)
        if not done:
            raise _settled(row)
        return _row(row)

    async def _find(self, effect_id: str, who: Principal) -> EffectRow:
        row = await self._book.find(effect_id)
        if row is None or not who.sees(row.user, row.task_type):
            raise NotFound(f"There is no effect {effect_id!r} of yours.")
        return row


def _settled(row: EffectRow) -> EffectSettled:
    if row.state is State.BEGUN:
        why = "is at work: an attempt began it and may still end it"
    else:
        why = f"was decided: {row.state.value}, by {row.settled_by or 'its task'}"
    return EffectSettled(f"The effect {row.id!r} {why}.", fields=[("effectId", why)])


def _row(row: EffectRow) -> dict[str, Any]:
    facts = asdict(row)
    return {
        "effectId": row.id,
        "taskId": row.task_id,
        "taskType": row.task_type,
        **{name: facts[name] for name in ("user", "tenant", "name", "key", "attempt", "result")},
        "state": row.state.value,
        "begunAt": iso(row.begun_at),
        "endedAt": None if row.ended_at is None else iso(row.ended_at),
        "settledBy": row.settled_by,
    }
