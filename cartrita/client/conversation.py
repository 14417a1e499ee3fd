"""What is said to the API, and in which order."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from cartrita.client import calls
from cartrita.client.calls import Parameters, Submission
from cartrita.client.exchange import Exchange, Login
from cartrita.client.listening import Listener, Way
from cartrita.client.models import (
    Account,
    Cancelled,
    Catalogue,
    Discarded,
    Retried,
    TaskOutcome,
    TaskType,
)
from cartrita.client.patience import Patience
from cartrita.client.problems import checked, plain, read, read_object, read_rows, read_value
from cartrita.client.steps import Call, Flow, Lost, Pause, Reply
from cartrita.errors import CartritaError, ChannelLost, ErrorCode, NotFound, StillRunning
from cartrita.spill import reference_in

_NOTHING_MORE = 204


class Conversation:
    """Every flow of a client.

    Args:
        ways: How events are read: the first, or when that breaks the next, and so on.
    """

    def __init__(self, exchange: Exchange, ways: Sequence[Way] = ("sse",)) -> None:
        self._exchange, self._ways = exchange, tuple(ways)

    @property
    def exchange(self) -> Exchange:
        """What asks one thing at a time."""
        return self._exchange

    # --- tasks

    def complete(self, task: Submission) -> Flow[TaskOutcome]:
        """Submit a task and follow it to its end.

        The server knows the task's id, so a lost answer is looked for before anything is sent
        again, and what is sent again is the same task.
        """
        patience = self._exchange.patience(task.patience)
        outcome = yield from self._follow(task.task_id, task.waiting(), patience, _ended)
        return (yield from self._whole(outcome))

    def submit(self, task: Submission) -> Flow[TaskOutcome]:
        """Submit a task and return as soon as it is accepted."""
        patience = self._exchange.patience(None)
        return (yield from self._follow(task.task_id, task.asynchronous(), patience, _known))

    def wait(self, task_id: str | UUID, timeout: float | None) -> Flow[TaskOutcome]:
        """Follow a task to its end."""
        patience = self._exchange.patience(timeout)
        outcome = yield from self._follow(str(task_id), None, patience, _ended)
        return (yield from self._whole(outcome))

    def _whole(self, outcome: TaskOutcome) -> Flow[TaskOutcome]:
        """Fetch a result that is only referred to."""
        blob_id = reference_in(outcome.result or {})
        if blob_id is None:
            return outcome
        reply = yield from self._exchange.ask(calls.contents(blob_id))
        return outcome.model_copy(update={"result": read_value(reply)})

    def _follow(
        self,
        task_id: str,
        submission: Call | None,
        patience: Patience,
        enough: Callable[[TaskOutcome], bool],
    ) -> Flow[TaskOutcome]:
        call = submission or calls.look(task_id, patience.left)
        while True:
            try:
                outcome = read(TaskOutcome, (yield from self._exchange.once(call, patience)))
            except NotFound:
                if submission is None or call is submission:
                    raise
                call = submission  # it never arrived
                continue
            except CartritaError as error:
                yield _pause(error, task_id, patience)
                call = calls.look(task_id) if _doubtful(error) else call
                continue
            if enough(outcome):
                return outcome
            if patience.left <= 0:
                raise _unended(outcome.task_id, patience)
            patience.succeeded()
            task_id = outcome.task_id
            call = calls.look(task_id, patience.left)

    def get(self, task_id: str | UUID) -> Flow[TaskOutcome]:
        """Look at a task."""
        reply = yield from self._exchange.ask(calls.look(task_id))
        return (yield from self._whole(read(TaskOutcome, reply)))

    def cancel(self, task_id: str | UUID) -> Flow[bool]:
        """Cancel a task."""
        reply = yield from self._exchange.ask(calls.cancellation(task_id))
        return read(Cancelled, reply).cancelled

    def story(self, task_id: str | UUID, until: str | None) -> Flow[dict[str, Any]]:
        """Read a task's whole story."""
        reply = yield from self._exchange.ask(calls.replay(task_id, until))
        return read_object(reply)

    def listener(self, task_id: str | UUID, after: str | None) -> Listener:
        """Return a reader of a task's events, who waits for as long as the task runs."""
        return Listener(task_id, after, self._exchange.patience(math.inf), self._ways)

    def listen(self, listener: Listener) -> Flow[Reply]:
        """Open a stream of events; one that is empty tells that the task's end is known."""
        while True:
            try:
                reply = yield from self._exchange.once(listener.call(), listener.patience)
            except CartritaError as error:
                pause = listener.patience.after(error, repeatable=True)
                listener.hop()
                yield pause
            else:
                listener.ended = reply.status == _NOTHING_MORE
                return reply

    def resume(self, listener: Listener, lost: Lost) -> Flow[None]:
        """Wait before a stream that broke is opened again, another way if there is one.

        Raises:
            ChannelLost: It broke too often without saying anything.
        """
        pause = listener.patience.after(ChannelLost(lost.why), repeatable=True)
        listener.hop()
        yield pause

    # --- quarantine

    def quarantined(self, limit: int, before: str | UUID | None) -> Flow[list[dict[str, Any]]]:
        """List quarantined tasks."""
        reply = yield from self._exchange.ask(calls.quarantined(limit, before))
        return read_rows("tasks", reply)

    def inspect(self, task_id: str | UUID) -> Flow[dict[str, Any]]:
        """Look at a quarantined task."""
        reply = yield from self._exchange.ask(calls.inspection(task_id))
        return read_object(reply)

    def retry(self, task_id: str | UUID, parameters: Parameters | None) -> Flow[str]:
        """Try a quarantined task again."""
        reply = yield from self._exchange.ask(calls.retrial(task_id, parameters))
        return read(Retried, reply).task_id

    def try_again(self, task_id: str | UUID) -> Flow[str]:
        """Try a task again that did not complete."""
        reply = yield from self._exchange.ask(calls.trying_again(task_id))
        return read(Retried, reply).task_id

    def discard(self, task_id: str | UUID) -> Flow[bool]:
        """Give a quarantined task up."""
        reply = yield from self._exchange.ask(calls.discarding(task_id))
        return read(Discarded, reply).discarded

    # --- effects

    def effects(
        self, state: str, limit: int, before: str | UUID | None
    ) -> Flow[list[dict[str, Any]]]:
        """List effects on the outside world."""
        reply = yield from self._exchange.ask(calls.effects(state, limit, before))
        return read_rows("effects", reply)

    def resolve(self, effect_id: str | UUID, outcome: str, result: Any) -> Flow[dict[str, Any]]:
        """Say what became of an effect."""
        reply = yield from self._exchange.ask(calls.resolution(effect_id, outcome, result))
        return read_object(reply)

    # --- approvals

    def approvals(
        self, state: str, limit: int, before: str | UUID | None
    ) -> Flow[list[dict[str, Any]]]:
        """List tools that wait for a person."""
        reply = yield from self._exchange.ask(calls.approvals(state, limit, before))
        return read_rows("approvals", reply)

    def decide(self, approval: str | UUID, said: str, reason: str) -> Flow[dict[str, Any]]:
        """Approve or deny."""
        reply = yield from self._exchange.ask(calls.decision(approval, said, reason))
        return read_object(reply)

    # --- API keys

    def create_key(
        self, name: str, scopes: Sequence[str] | None, days: int | None
    ) -> Flow[dict[str, Any]]:
        """Make an API key."""
        reply = yield from self._exchange.ask(calls.key_making(name, scopes, days))
        return read_object(reply)

    def keys(self, limit: int, before: str | UUID | None) -> Flow[list[dict[str, Any]]]:
        """List API keys."""
        reply = yield from self._exchange.ask(calls.keys(limit, before))
        return read_rows("keys", reply)

    def revoke_key(self, key_id: str | UUID) -> Flow[None]:
        """Take an API key back."""
        yield from self._exchange.ask(calls.key_revocation(key_id))

    # --- budgets

    def budgets(self, limit: int, after: str | None) -> Flow[list[dict[str, Any]]]:
        """List budgets."""
        reply = yield from self._exchange.ask(calls.budgets(limit, after))
        return read_rows("budgets", reply)

    def budget(
        self, method: str, budget: str, told: Mapping[str, Any] | None = None
    ) -> Flow[dict[str, Any]]:
        """Look at a budget, or change it."""
        reply = yield from self._exchange.ask(calls.budget(method, budget, told))
        return read_object(reply)

    def usage(
        self, by: str, user: str | None, since: datetime | None, until: datetime | None
    ) -> Flow[dict[str, Any]]:
        """Add up what was charged."""
        reply = yield from self._exchange.ask(calls.usage(by, user, since, until))
        return read_object(reply)

    # --- answers

    def erase_answers(self, owner: str) -> Flow[dict[str, Any]]:
        """Erase answers that are kept to be given again."""
        reply = yield from self._exchange.ask(calls.erasure(owner))
        return read_object(reply)

    # --- operators

    def command(
        self, command: str, target: str, arguments: Mapping[str, Any]
    ) -> Flow[dict[str, Any]]:
        """Give a command."""
        call = calls.order(command, target, arguments)
        reply = yield from self._exchange.ask(call, self._exchange.patience(call.timeout))
        return read_object(reply)

    def audit(self, limit: int, before: int | None) -> Flow[list[dict[str, Any]]]:
        """Read what was commanded."""
        reply = yield from self._exchange.ask(calls.record(limit, before))
        return read_rows("entries", reply)

    # --- the move from v2

    def bridge(self) -> Flow[dict[str, Any]]:
        """Look at it."""
        return read_object((yield from self._exchange.ask(calls.bridge("GET"))))

    def bridge_routes(self) -> Flow[list[dict[str, Any]]]:
        """List what the bridge makes of v2's routes."""
        reply = yield from self._exchange.ask(calls.bridge("GET", "/routes"))
        return read_rows("routes", reply)

    def turn_bridge(self, reason: str, *, rolled_back: bool) -> Flow[dict[str, Any]]:
        """Turn the switch."""
        told = {"rolledBack": rolled_back, "reason": reason}
        return read_object((yield from self._exchange.ask(calls.bridge("PUT", told=told))))

    def clear_comparisons(self) -> Flow[None]:
        """Begin to count anew."""
        yield from self._exchange.ask(calls.bridge("DELETE", "/comparisons"))

    # --- the system

    def catalog(self) -> Flow[list[TaskType]]:
        """List the task types."""
        reply = yield from self._exchange.ask(calls.CATALOGUE)
        return read(Catalogue, reply).tasks

    def agents(self) -> Flow[list[dict[str, Any]]]:
        """List the agents."""
        reply = yield from self._exchange.ask(calls.AGENTS)
        return read_rows("agents", reply)

    def register_agent(self, registration: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Register an external agent."""
        reply = yield from self._exchange.ask(calls.joining(registration))
        return read_object(reply)

    def remove_agent(self, name: str) -> Flow[None]:
        """Remove an external agent."""
        yield from self._exchange.ask(calls.parting(name))

    def tree(self) -> Flow[dict[str, Any]]:
        """Look at the live actors."""
        reply = yield from self._exchange.ask(calls.TREE)
        return read_object(reply)

    def health(self) -> Flow[dict[str, Any]]:
        """Look at the health of queues and services; bad health is an answer, too."""
        patience = self._exchange.patience(None)
        while True:
            answer = yield calls.HEALTH
            if isinstance(answer, Reply) and "queues" in plain(answer):
                return plain(answer)
            try:
                return read_object(checked(answer))
            except CartritaError as error:
                yield patience.after(error, repeatable=True)

    # --- accounts

    def me(self) -> Flow[Account]:
        """Look at one's own account."""
        reply = yield from self._exchange.ask(calls.ME)
        return read(Account, reply)

    def register(self, email: str, password: str, name: str) -> Flow[Account]:
        """Make an account and sign in."""
        call = calls.registration(email, password, name)
        return (yield from self._exchange.enter(Login(email, password), call))

    def login(self, email: str, password: str) -> Flow[Account]:
        """Sign in."""
        call = calls.sign_in(email, password)
        return (yield from self._exchange.enter(Login(email, password), call))

    def logout(self) -> Flow[bool]:
        """Sign out."""
        return (yield from self._exchange.leave())


def _doubtful(error: CartritaError) -> bool:
    """Tell whether the task may have been accepted all the same."""
    return isinstance(error, ChannelLost) or error.code is ErrorCode.SERVICE_UNAVAILABLE


def _pause(error: CartritaError, task_id: str, patience: Patience) -> Pause:
    if _doubtful(error) and patience.left <= 0:
        raise _unended(task_id, patience) from error
    return patience.after(error, repeatable=True)


def _ended(outcome: TaskOutcome) -> bool:
    return outcome.status.terminal


def _known(_outcome: TaskOutcome) -> bool:
    return True


def _unended(task_id: str, patience: Patience) -> StillRunning:
    return StillRunning(
        f"Task {task_id!r} has not ended within {patience.seconds:g} s; it may go on: wait for "
        "it again, or cancel it."
    )
