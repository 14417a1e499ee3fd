"""The client for programs without an event loop."""

import threading
import time
from types import TracebackType
from typing import Any, Self, Unpack
from uuid import UUID

import httpx

from cartrita.client import calls, transport
from cartrita.client.calls import Parameters, TaskOptions
from cartrita.client.conversation import Conversation
from cartrita.client.exchange import Exchange, Login
from cartrita.client.models import Account, Session, TaskOutcome, TaskType
from cartrita.client.sessions import MemorySessions, Sessions
from cartrita.client.steps import Alone, Call, Flow, Lost, Pause, Reply, T
from cartrita.protocol.task import TaskStatus

DEFAULT_URL = "http://127.0.0.1:8002"
DEFAULT_TIMEOUT = 300.0
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

    def catalog(self) -> list[TaskType]:
        """Return every task type."""
        return self._play(self._talk.catalog())

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
            return transport.reply(self._http.request(**transport.request(call)))
        except httpx.RequestError as error:
            return transport.lost(error, self.base_url)


class TaskHandle:
    """A task that was accepted."""

    def __init__(self, client: Client, task_id: str) -> None:
        self._client, self.task_id = client, task_id

    def wait(self, timeout: float | None = None) -> TaskOutcome:
        """Wait for its end; raises `StillRunning` when that is not within `timeout` seconds."""
        return self._client.wait(self.task_id, timeout)

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
