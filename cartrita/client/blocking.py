"""The client for programs without an event loop."""

import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self, Unpack
from uuid import UUID

import httpx

from cartrita.client import calls, transport
from cartrita.client.calls import EffectOutcome, EffectState, Parameters, TaskOptions
from cartrita.client.conversation import Conversation
from cartrita.client.exchange import Exchange, Login
from cartrita.client.models import Account, Session, TaskEvent, TaskOutcome, TaskType
from cartrita.client.sessions import MemorySessions, Sessions
from cartrita.client.steps import Alone, Call, Flow, Lost, Pause, Reply, T
from cartrita.protocol.task import TaskStatus

DEFAULT_URL = "http://127.0.0.1:8002"
DEFAULT_TIMEOUT = 300.0
PAGE = 50
RETRIES = 8
"""Failures in a row that are repeated: with the pauses between them, up to 16 seconds."""


class Client:
    """Talks to Cartrita. Threads may share one.

        with Client(email="me@example.org", password="…") as cartrita:
            answer = cartrita.run("text.summarization", {"text": "…"}, timeout=20)
            print(answer.unwrap()["summary"])

    Lost connections and refusals that pass (503, 429) are tried again with growing pauses;
    every task has an id of its own before it is sent, so that a repeat is the same task.

    Args:
        base_url: Of the v3 API.
        token: An access token.
        email: With `password`, opens sessions as they are needed.
        timeout: Seconds a call waits, repeats included, that names no other number.
        retries: Failures in a row that are repeated.
        sessions: Where the session is kept; in memory by default. `token` goes before it.
        http: Carries the requests instead of the network.

    Raises:
        ConfigurationInvalid: The address is none of HTTP's.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own, and most are left alone
        self,
        base_url: str = DEFAULT_URL,
        token: str | None = None,
        email: str | None = None,
        password: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = RETRIES,
        sessions: Sessions | None = None,
        http: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url
        self._http = httpx.Client(transport=http, **transport.options(base_url))
        self._talk = Conversation(
            Exchange(timeout, retries, login_of(email, password), sessions_of(token, sessions))
        )
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def run(
        self,
        task_type: str,
        parameters: Parameters | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskOutcome:
        """Run a task to its end and return what became of it.

        Args:
            task_type: As the catalogue names it.
            parameters: As the type declares them.
            options: See `TaskOptions`.

        Raises:
            StillRunning: It has not ended in time; without a `timeout`, that is the client's.
            CartritaError: It was not accepted; the class says why.
        """
        return self._play(self._talk.complete(calls.submission(task_type, parameters, options)))

    def submit(
        self,
        task_type: str,
        parameters: Parameters | None = None,
        **options: Unpack[TaskOptions],
    ) -> "TaskHandle":
        """Have a task accepted and return at once; raises as `run` does."""
        task = calls.submission(task_type, parameters, options)
        return TaskHandle(self, self._play(self._talk.submit(task)).task_id)

    def get(self, task_id: str | UUID) -> TaskOutcome:
        """Look at a task.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
        """
        return self._play(self._talk.get(task_id))

    def wait(self, task_id: str | UUID, timeout: float | None = None) -> TaskOutcome:
        """Wait for a task's end.

        Raises:
            StillRunning: It has not ended within `timeout` seconds.
            NotFound: There is no such task, or it is somebody else's.
        """
        return self._play(self._talk.wait(task_id, timeout))

    def cancel(self, task_id: str | UUID) -> bool:
        """Cancel a task; False when it had ended already."""
        return self._play(self._talk.cancel(task_id))

    def story(self, task_id: str | UUID, until: str | None = None) -> dict[str, Any]:
        """Return all that is known of a task: its events, models, tools, sub-tasks and costs.

        Args:
            task_id: The task.
            until: A cursor: how the task stood when that had been told.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
        """
        return self._play(self._talk.story(task_id, until))

    def events(self, task_id: str | UUID, after: str | None = None) -> Iterator[TaskEvent]:
        """Yield what a task says, as it comes, to its end; lost connections are taken up again.

        Args:
            task_id: The task.
            after: The cursor of the last event that the caller knows; none begins at acceptance.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
            ChannelLost: The connection breaks again and again.
        """
        listener = self._talk.listener(task_id, after)
        while not listener.ended:
            source: httpx.Response = self._play(self._talk.listen(listener)).source
            lost = transport.ENDED
            try:
                for chunk in source.iter_bytes():
                    yield from listener.feed(chunk)
            except httpx.RequestError as error:
                lost = transport.lost(error, self.base_url)
            finally:
                source.close()
            if not listener.ended:
                self._play(self._talk.resume(listener, lost))

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

    def retry(self, task_id: str | UUID, parameters: Parameters | None = None) -> "TaskHandle":
        """Run a quarantined task as a new one, perhaps with other parameters.

        Raises:
            NotFound: It is not quarantined, or somebody else's.
            CartritaError: It was retried or discarded before, or is not accepted.
        """
        return TaskHandle(self, self._play(self._talk.retry(task_id, parameters)))

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

    def catalog(self) -> list[TaskType]:
        """Return every task type."""
        return self._play(self._talk.catalog())

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

    def tree(self) -> dict[str, Any]:
        """Return the live tree of actors; processes and nodes for administrators only."""
        return self._play(self._talk.tree())

    def health(self) -> dict[str, Any]:
        """Return the health of queues and services, be it good or bad."""
        return self._play(self._talk.health())

    def me(self) -> Account:
        """Return the account that is signed in."""
        return self._play(self._talk.me())

    def login(self, email: str, password: str) -> Account:
        """Sign in, and again whenever the session ends.

        Raises:
            AuthenticationFailed: The address or the password is wrong.
        """
        return self._play(self._talk.login(email, password))

    def register(self, email: str, password: str, name: str = "") -> Account:
        """Make an account and sign in.

        Raises:
            AuthorizationFailed: Registration is closed.
            InvalidParameters: A field is wrong, or the address is in use.
        """
        return self._play(self._talk.register(email, password, name))

    def _play(self, flow: Flow[T]) -> T:
        answer: Reply | Lost | None = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = self._take(step)

    def _take(self, step: Call | Pause | Alone) -> Reply | Lost | None:
        match step:
            case Call():
                return self._send(step)
            case Pause():
                time.sleep(step.seconds)
            case Alone():
                with self._one_at_a_time:
                    self._play(step.flow)
        return None

    def _send(self, call: Call) -> Reply | Lost:
        try:
            request = self._http.build_request(**transport.request(call))
            response = self._http.send(request, stream=call.streamed)
            if transport.streams(call, response):
                return transport.stream(response)
            response.read()
            return transport.reply(response)
        except httpx.RequestError as error:
            return transport.lost(error, self.base_url)


class TaskHandle:
    """A task that was accepted."""

    def __init__(self, client: Client, task_id: str) -> None:
        self._client, self.task_id = client, task_id

    def wait(self, timeout: float | None = None) -> TaskOutcome:
        """Wait for its end; raises `StillRunning` when that is not within `timeout` seconds."""
        return self._client.wait(self.task_id, timeout)

    def events(self, after: str | None = None) -> Iterator[TaskEvent]:
        """Yield what it says, as it comes, to its end; raises as `Client.events` does."""
        return self._client.events(self.task_id, after)

    def status(self) -> TaskStatus:
        """Return where it stands."""
        return self._client.get(self.task_id).status

    def cancel(self) -> bool:
        """Cancel it; False when it had ended already."""
        return self._client.cancel(self.task_id)


def login_of(email: str | None, password: str | None) -> Login | None:
    """Return the credentials, if both halves are given."""
    return Login(email, password) if email and password else None


def sessions_of(token: str | None, sessions: Sessions | None) -> Sessions | None:
    """Return where the session is kept."""
    return MemorySessions(Session(token=token)) if token else sessions
