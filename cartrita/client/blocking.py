"""The client for programs without an event loop."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack, overload
from uuid import UUID

import httpx

from cartrita.client import calls, cluster, transport
from cartrita.client.blobs import Blobs
from cartrita.client.bulk_blocking import Bulk
from cartrita.client.calls import Parameters, TaskOptions
from cartrita.client.conversation import Conversation
from cartrita.client.desk import Desk
from cartrita.client.dialing import dial
from cartrita.client.exchange import Exchange, Login
from cartrita.client.listening import Way
from cartrita.client.models import Account, Session, TaskEvent, TaskOutcome, TaskType
from cartrita.client.moving import Moving
from cartrita.client.progress import Bars
from cartrita.client.sessions import MemorySessions, Sessions
from cartrita.client.shapes import task_types
from cartrita.client.steps import Alone, Broken, Call, Flow, Lost, Pause, Reply, T
from cartrita.client.typed import Declared, P, R, RemoteTask, Streaming, TypedOutcome, resolved
from cartrita.declare import Params
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus

DEFAULT_URL = "http://127.0.0.1:8002"
DEFAULT_TIMEOUT = 300.0
WAYS: tuple[Way, ...] = ("sse", "websocket")
RETRIES = 8
"""Failures in a row that are repeated: with the pauses between them, up to 16 seconds."""


class Client(Desk, Bulk, Moving):
    """Talks to Cartrita. Threads may share one.

        with Client(email="me@example.org", password="…") as cartrita:
            answer = cartrita.run("text.summarization", {"text": "…"}, timeout=20)
            print(answer.unwrap()["summary"])

    Lost connections and refusals that pass (503, 429) are tried again with growing pauses;
    every task has an id of its own before it is sent, so that a repeat is the same task.

    Args:
        base_url: Of the v3 API.
        token: An access token or an API key.
        email: With `password`, opens sessions as they are needed.
        timeout: Seconds a call waits, repeats included, that names no other number.
        retries: Failures in a row that are repeated.
        sessions: Where the session is kept; in memory by default. `token` goes before it.
        http: Carries the requests instead of the network, which has no WebSocket.
        ca: PEM file of an authority to trust beside the system's, as of a self-made certificate.
        ways: How events are read: when one breaks, the next goes on behind the same cursor.
        packed: Whether to speak MessagePack instead of JSON.

    Raises:
        ConfigurationInvalid: The address is none of HTTP's, or `ca` holds no certificate.
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
        ca: Path | str | None = None,
        ways: Sequence[Way] = WAYS,
        packed: bool = False,
    ) -> None:
        self.base_url, self._packed = base_url, packed
        self._http = httpx.Client(transport=http, **transport.options(base_url, ca))
        kept = sessions_of(token, sessions)
        exchange = Exchange(timeout, retries, login_of(email, password), kept)
        self._talk = Conversation(exchange, ways if http is None else WAYS[:1])
        self.blobs = Blobs(self._play, exchange)
        self._bars: Bars | None = None
        self._one_at_a_time = threading.Lock()

    @classmethod
    def connect_ray(
        cls, who: Principal, *, address: str | None = None, instance: str | None = None
    ) -> Self:
        """Return a client for a program inside the cluster, which needs no gateway.

        It joins the Ray on which the tree runs and reaches the supervisors directly. Whoever
        can do that holds the cluster's credentials and is believed: `who` is what it says.

        Args:
            who: In whose name it acts.
            address: Of Ray; by default the one that the settings name, or that of the instance
                that runs here.
            instance: The instance's name, by default that of the settings.

        Raises:
            ConfigurationInvalid: There is no such Ray, or this process has joined another one.
            ServiceUnavailable: It does not answer, or no tree runs on it.
        """
        inside = cluster.join(who, address, instance)
        return cls(cluster.URL, cluster.TOKEN, http=inside.blocking())

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

    @overload
    def run(
        self,
        task: str,
        parameters: Parameters | None = None,
        *,
        progress: bool = False,
        **options: Unpack[TaskOptions],
    ) -> TaskOutcome: ...

    @overload
    def run(
        self,
        task: Declared[P, R] | Streaming[P, R] | RemoteTask[P, R],
        parameters: P,
        *,
        progress: bool = False,
        **options: Unpack[TaskOptions],
    ) -> TypedOutcome[R]: ...

    @overload
    def run(
        self, task: Params, *, progress: bool = False, **options: Unpack[TaskOptions]
    ) -> TypedOutcome[Any]: ...

    def run(
        self,
        task: Any,
        parameters: Any = None,
        *,
        progress: bool = False,
        **options: Unpack[TaskOptions],
    ) -> Any:
        """Run a task to its end and return what became of it.

        Args:
            task: Its type, as the catalogue names it; or the method that does it, such as
                `Language.summarize`, or a type from `types()`; or its parameters alone.
            parameters: As the type declares them.
            progress: Whether to show a bar meanwhile.
            options: See `TaskOptions`.

        Returns:
            An outcome, whose `unwrap` gives the result: a dictionary where the task was named,
            else the model that is declared.

        Raises:
            StillRunning: It has not ended in time; without a `timeout`, that is the client's.
            CartritaError: It was not accepted; the class says why.
        """
        name, parameters, kind = resolved(task, parameters)
        submission = calls.submission(name, parameters, options)
        bars = self._bars or (Bars() if progress else None)
        if bars is None:
            outcome = self._play(self._talk.complete(submission))
        else:
            outcome = self._watched(name, submission, bars)
        return outcome if kind is None else TypedOutcome.of(outcome, kind)

    def _watched(self, name: str, task: calls.Submission, bars: Bars) -> TaskOutcome:
        """Run a task and show it, to its own end."""
        with bars.one(name) as bar:
            task_id = self._play(self._talk.submit(task)).task_id
            for event in self.events(task_id):
                bar.show(event)
            return self.wait(task_id)

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show a bar for each task that runs meanwhile, in a terminal or a notebook."""
        with Bars() as bars:
            self._bars = bars
            try:
                yield
            finally:
                self._bars = None

    def submit(
        self,
        task: str | Params | Declared[P, R] | Streaming[P, R] | RemoteTask[P, R],
        parameters: Parameters | None = None,
        **options: Unpack[TaskOptions],
    ) -> "TaskHandle":
        """Have a task accepted and return at once; takes and raises what `run` does."""
        name, parameters, _ = resolved(task, parameters)
        submission = calls.submission(name, parameters, options)
        return TaskHandle(self, self._play(self._talk.submit(submission)).task_id)

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
            source = self._play(self._talk.listen(listener)).source
            lost = transport.ENDED
            try:
                parts = source.parts()
                while not listener.ended and (part := next(parts, None)) is not None:
                    yield from listener.feed(part)
            except Broken as broken:
                lost = broken.lost
            finally:
                source.close()
            if not listener.ended:
                self._play(self._talk.resume(listener, lost))

    def retry(self, task_id: str | UUID, parameters: Parameters | None = None) -> "TaskHandle":
        """Run a quarantined task as a new one, perhaps with other parameters.

        Raises:
            NotFound: It is not quarantined, or somebody else's.
            CartritaError: It was retried or discarded before, or is not accepted.
        """
        return TaskHandle(self, self._play(self._talk.retry(task_id, parameters)))

    def try_again(self, task_id: str | UUID) -> "TaskHandle":
        """Run a task of one's own that did not complete as a new one; a repeat is the same one.

        Raises:
            CartritaError: It is nobody's or somebody else's, has not ended, or completed.
        """
        return TaskHandle(self, self._play(self._talk.try_again(task_id)))

    def catalog(self) -> list[TaskType]:
        """Return every task type."""
        return self._play(self._talk.catalog())

    def types(self) -> dict[str, RemoteTask[Any, Any]]:
        """Return every task type by name, with models of what it takes and gives."""
        return task_types(self.catalog())

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

    def logout(self) -> bool:
        """End the session, here and at the server; False when there is none."""
        return self._play(self._talk.logout())

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
        if call.upgraded:
            return dial(call, self.base_url, packed=self._packed)
        try:
            request = self._http.build_request(**transport.request(call, packed=self._packed))
            response = self._http.send(request, stream=call.streamed)
            if transport.streams(call, response):
                return transport.stream(response, transport.Body(response, self.base_url))
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
