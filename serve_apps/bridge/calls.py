"""One call of v2: what came in, who asks, and what a service may use."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import Request

from cartrita.auth.claims import Claims
from cartrita.clock import iso
from cartrita.errors import CartritaError, ErrorCode, InvalidParameters, NotFound, from_wire, leaves
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import Budget, TaskRequest, TaskStatus
from cartrita.protocol.wire import field_errors
from cartrita.spill import MARK
from cartrita.storage.ports import User
from serve_apps.gateway.gate import Desk, Gate

GUEST = Principal(user="guest", tenant="guest", scopes=("tasks:*",))
"""Whoever has no token, where that is allowed."""

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


@dataclass(slots=True)
class Call:
    """A request, or an event of a socket.

    Attributes:
        document: What expressions see.
        who: The principal; None for nobody.
        claims: What its token or key says; None for guests.
        files: Of a form, by their fields.
        request: None for an event.
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
    request: Request | None = None
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
            "v2Id": getattr(account, "v2_id", None),
        }

    async def submit(
        self,
        task_type: str,
        parameters: dict[str, Any],
        *,
        session: str | None = None,
        timeout: int | None = None,
        preferences: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run a task and return its response, whatever became of it.

        The document knows it as `task` then, and the answer's head tells its id.

        Args:
            task_type: Which.
            parameters: Its own.
            session: The conversation it belongs to.
            timeout: Milliseconds; by default its type's.
            preferences: As of a request.

        Raises:
            CartritaError: It was not accepted.
        """
        asked: dict[str, Any] = {"task_type": task_type, "parameters": parameters}
        optional = {"session_id": session, "timeout": timeout, "preferences": preferences}
        asked |= {name: value for name, value in optional.items() if value is not None}
        if self.who is GUEST and self.guest_budget:
            asked["budget"] = self.guest_budget
        try:
            request = TaskRequest.model_validate(asked)
        except ValidationError as error:
            fields = field_errors(error)
            raise InvalidParameters("The request does not fit.", fields=fields) from None
        response = await self.gate.tasks.submit(
            request, self.person, wait=True, traceparent=self.traceparent
        )
        self.headers["X-Task-ID"] = response["taskId"]
        self.document["task"] = _seen(response)
        return response

    async def run(
        self, task_type: str, parameters: dict[str, Any], **options: Any
    ) -> dict[str, Any]:
        """Run a task and return its response, with its result, large or small; else as `submit`.

        Raises:
            CartritaError: It was not accepted, or did not complete.
        """
        response = await self.submit(task_type, parameters, **options)
        if response["status"] != TaskStatus.COMPLETED:
            raise failure(response)
        result = response.get("result")
        if isinstance(result, dict) and MARK in result:
            kept = await self.blob(result[MARK]["id"])
            return {**response, "result": from_json(kept)}
        return response

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
        "warnings": response.get("warnings"),
        "error": response.get("errorMessage"),
        "code": response.get("errorCode"),
        "reason": response.get("reason"),
    }
