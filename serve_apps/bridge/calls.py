"""One call of v2: what came in, who asks, and what a service may use."""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from cartrita.auth.claims import Claims
from cartrita.clock import iso, new_id
from cartrita.errors import CartritaError, ErrorCode, InvalidParameters, NotFound, from_wire, leaves
from cartrita.protocol.principal import GUEST, Principal
from cartrita.protocol.task import Budget, TaskRequest, TaskStatus
from cartrita.protocol.wire import field_errors
from cartrita.spill import MARK
from cartrita.storage.ports import User
from serve_apps.bridge.table import Table
from serve_apps.gateway.gate import Desk, Gate

_MINTED = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""An id as `new_id` makes them."""

_FIELDS = {"session": "session_id"}

_CLASSES = {kind.code: kind for kind in reversed(leaves().values()) if kind.default_reason is None}


Document = dict[str, Any]
"""What expressions see: `body`, `query`, `path`, `headers`, `files`, `user`, `now`, `call`, and
once there is one, `session`, `task` and `result`."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form."""

    name: str
    kind: str
    data: bytes

    @property
    def seen(self) -> dict[str, Any]:
        """What expressions see of it."""
        size = len(self.data)
        return {"name": self.name, "contentType": self.kind, "size": size, "data": self.data}


class Ran(NamedTuple):
    """What came of a task that completed.

    Attributes:
        task: What expressions see of it.
    """

    result: Any
    task: dict[str, Any]


@dataclass(slots=True)
class Call:
    """A request, or an event of a socket.

    Attributes:
        document: What expressions see.
        who: The principal; None for nobody.
        claims: What its token or key says; None for guests.
        files: Of a form, by their fields.
        table: All rows.
        status: Of the answer, where a service sets another than the row's.
        headers: Of the answer, which a service may add to.
        media_type: Of a binary answer.
    """

    gate: Gate
    desk: Desk
    document: Document
    who: Principal | None = None
    claims: Claims | None = None
    files: dict[str, list[Upload]] = field(default_factory=dict)
    table: Table | None = None
    traceparent: str | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/octet-stream"
    guest_budget: Budget | None = None
    _account: User | None = None

    @property
    def body(self) -> Any:
        """The body that came."""
        return self.document.get("body")

    @property
    def person(self) -> Principal:
        """Who asks, where the row lets in nobody else."""
        assert self.who is not None
        return self.who

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self.gate.clock.now()

    def conversation(self, told: Any) -> str:
        """Return the conversation that a caller means.

        Guests are one principal, so what could be guessed is not theirs to name: they go on with
        an id as we gave it to them, and with nothing else.

        Raises:
            InvalidParameters: It is no text and no number.
        """
        if not isinstance(told, str | int):
            raise InvalidParameters("A conversation's id is a text or a number.")
        if self.who is GUEST and not _MINTED.fullmatch(str(told)):
            return new_id()
        return str(told)

    async def account(self) -> User:
        """Return the account of who asks.

        Raises:
            NotFound: It has none here.
        """
        if self._account is None:
            self._account = await self.gate.identity.me(self.person)
        return self._account

    async def know(self) -> None:
        """Have the document say what only the account knows, as far as there is one."""
        try:
            account = await self.account()
        except NotFound:
            return
        self.document["user"] |= {
            "name": account.name,
            "email": account.email,
            "createdAt": iso(account.created_at),
            "v2Id": account.v2_id,
        }

    async def submit(
        self, task_type: str, parameters: dict[str, Any], *, wait: bool = True, **more: Any
    ) -> dict[str, Any]:
        """Run a task and return its response, whatever became of it.

        Args:
            task_type: Which.
            parameters: Its own.
            wait: Whether for its end.
            more: `session`, `timeout` in milliseconds, `preferences`, `priority`; None is as if
                left out.

        Raises:
            CartritaError: It was not accepted.
        """
        asked: dict[str, Any] = {"task_type": task_type, "parameters": parameters}
        for name, value in more.items():
            if value is not None:
                told = self.conversation(value) if name == "session" else value
                asked[_FIELDS.get(name, name)] = told
        if self.who is GUEST and self.guest_budget:
            asked["budget"] = self.guest_budget
        try:
            request = TaskRequest.model_validate(asked)
        except ValidationError as error:
            fields = field_errors(error)
            raise InvalidParameters("The request does not fit.", fields=fields) from None
        return await self.gate.tasks.submit(
            request, self.person, wait=wait, traceparent=self.traceparent
        )

    async def ran(self, task_type: str, parameters: dict[str, Any], **more: Any) -> Ran:
        """Run one of several tasks of this call, and return what came of it; else as `submit`.

        Raises:
            CartritaError: It was not accepted, or did not complete.
        """
        response = await self.submit(task_type, parameters, **more)
        return await self._completed(response, _seen(response))

    async def run(self, task_type: str, parameters: dict[str, Any], **more: Any) -> Ran:
        """Run the task of this call, as `ran`.

        The document knows it as `task` then, and the answer's head tells its id.
        """
        response = await self.submit(task_type, parameters, **more)
        return await self._completed(response, self._know_task(response))

    async def begin(self, task_type: str, parameters: dict[str, Any], **more: Any) -> str:
        """Have the task of this call run and return its id, without waiting for its end."""
        response = await self.submit(task_type, parameters, wait=False, **more)
        self._know_task(response)
        return str(response["taskId"])

    def _know_task(self, response: dict[str, Any]) -> dict[str, Any]:
        """Have the document and the answer's head tell of the task of this call; return it."""
        self.headers["X-Task-ID"] = response["taskId"]
        seen = self.document["task"] = _seen(response)
        return seen

    async def _completed(self, response: dict[str, Any], seen: dict[str, Any]) -> Ran:
        if response["status"] != TaskStatus.COMPLETED:
            raise failure(response)
        result = response.get("result")
        if isinstance(result, dict) and MARK in result:  # it was too large to travel inline
            result = from_json(await self.blob(result[MARK]["id"]))
        return Ran(result, seen)

    async def blob(self, blob_id: str) -> bytes:
        """Return a blob of who asks.

        Raises:
            NotFound: There is none.
        """
        found = await self.gate.blobs.find(self.person.user, blob_id)
        if found is None:
            raise NotFound(f"There is no blob {blob_id!r} of yours.")
        parts = self.gate.blobs.read(self.person.user, found, 0, found.size)
        return b"".join([part async for part in parts])


def failure(response: dict[str, Any]) -> CartritaError:
    """Return what became of a task that did not complete, as the error it is."""
    status = response["status"]
    code = {
        TaskStatus.TIMEOUT: ErrorCode.TASK_TIMEOUT,
        TaskStatus.CANCELLED: ErrorCode.TASK_CANCELLED,
    }.get(status) or response.get("errorCode")
    kind = _CLASSES.get(ErrorCode(code)) if code else None
    body = {
        "type": kind.__name__ if kind else "",
        "message": response.get("errorMessage") or f"The task ended {status}.",
        "reason": response.get("reason"),
    }
    return from_wire(body)


def _seen(response: dict[str, Any]) -> dict[str, Any]:
    """Return what expressions see of a task."""
    metrics = response.get("metrics") or {}
    return {
        "id": response["taskId"],
        "status": response["status"],
        "model": metrics.get("modelUsed"),
        "costs": metrics.get("costUsd"),
        "tokens": metrics.get("tokensUsed"),
        "milliseconds": metrics.get("processingTimeMs"),
        "retries": metrics.get("retryCount"),
        "custom": metrics.get("customMetrics"),
        "warnings": response.get("warnings"),
        "error": response.get("errorMessage"),
        "code": response.get("errorCode"),
        "reason": response.get("reason"),
    }


def document_of(
    gate: Gate, who: Principal | None, method: str, path: str, *, timed: bool
) -> Document:
    """Return what expressions see of any call; `now` where one is `timed`."""
    user = None
    if who is not None:  # `Call.know` adds what only the account knows
        user = {
            "id": who.user,
            "tenant": who.tenant,
            "role": who.role,
            "isAdmin": who.admin,
            "isGuest": who is GUEST,
        }
    document: Document = {"user": user, "call": {"method": method, "path": path}}
    return {**document, "now": iso(gate.clock.now())} if timed else document
