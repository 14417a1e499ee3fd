"""The routes that are not about tasks, as the API's document tells of them."""

import re
from dataclasses import dataclass
from typing import Any, get_args

from cartrita.approvals import Verdict
from cartrita.effects import State
from cartrita.schema.links import links, next_page, to_body, to_task
from cartrita.schema.refusals import PRIVATE, READING, SUBMITTING, headers, refused
from cartrita.schema.shapes import (
    APPROVAL_ID,
    EFFECT_ID,
    JSON,
    KEY_ID,
    LABEL,
    LIMIT,
    OBJECT,
    SECURITY,
    TASK_ID,
    TEXT,
    TIME,
    UUID,
    content,
    maybe,
    ref,
    rows,
    shape,
)
from cartrita.storage.budgets import By

_EMAIL = {"type": "string", "format": "email", "maxLength": 320}
_PASSWORD = {"type": "string", "format": "password", "minLength": 8, "maxLength": 256}
_ANY_PASSWORD = {**_PASSWORD, "minLength": 0, "maxLength": 1024}
_REFRESH = {"type": "string", "minLength": 1, "maxLength": 256}
_SESSION, _ACCOUNT, _HEALTH = ref("AuthSession"), ref("AuthAccount"), ref("HealthReport")
_VERDICT = {"type": "string", "enum": list(Verdict), "default": Verdict.PENDING}
_STATE = {"type": "string", "enum": list(State), "default": State.UNKNOWN}
_BY = {"type": "string", "enum": list(get_args(By)), "default": "model"}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
PATHS = {
    "taskId": TASK_ID,
    "effectId": EFFECT_ID,
    "approvalId": APPROVAL_ID,
    "keyId": KEY_ID,
    "blobId": {"name": "blobId", "in": "path", "required": True, "schema": UUID},
    "name": {"name": "name", "in": "path", "required": True, "schema": LABEL},
    "kind": {
        "name": "kind",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": ["user", "tenant"]},
    },
    "owner": {"name": "owner", "in": "path", "required": True, "schema": LABEL},
}
"""The parameters that stand in paths."""

_KNOWN = {"If-None-Match": "The `ETag` of what one has; 304 says that it is that still."}
_SAME = 304
_KEY = {**TEXT, "pattern": "^[!#-~]([ -~]{0,248}[!#-~])?$"}
_PARTIAL = {"Range": "`bytes=0-99`, one range; others are ignored.", **_KNOWN}
_BRIDGED = shape({"success": {"const": True}, "id": UUID, "task_id": UUID})
_LAST = shape({"success": {"const": True}, "data": rows(OBJECT)})
_OF_BRIDGE = shape(
    {"routes": rows(shape({"route": TEXT, "state": {"enum": ["served", "later", "refused"]},
                           "auth": TEXT, "note": TEXT}))}
)  # fmt: skip
_BYTES = {"type": "string", "format": "binary"}
_LOGIN = {"email": _EMAIL, "password": _ANY_PASSWORD}
_SCOPE = {
    **TEXT,
    "maxLength": 128,
    "pattern": r"^(\*|(tasks|agents|budgets|keys|admin):[a-z0-9_.*-]+)$",
}
_API_KEY = {
    "name": {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,100}$"},
    "scopes?": {
        "type": ["array", "null"],
        "items": _SCOPE,
        "minItems": 1,
        "maxItems": 50,
        "description": "Patterns such as `tasks:research.*`; `tasks:*` and `agents:read` when "
        "left out.",
    },
    "expiresInDays?": {
        "type": ["integer", "null"],
        "minimum": 1,
        "description": "90 when left out; at most `auth.key_days`.",
    },
}
_ELSEWHERE = {
    "name": "translator",
    "endpoint": "https://agents.example.org/run",
    "summary": "Translates.",
    "taskTypes": [
        {
            "taskType": "outside.text.translate",
            "summary": "Translate a text.",
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
        }
    ],
}
_NAMED = {"email": _EMAIL, "password": _PASSWORD, "name?": {"type": "string", "maxLength": 200}}
_ADA = {"email": "ada@example.org", "password": "a long password"}
_TOKEN = "the refresh token of a session"  # noqa: S105 - an example
_SIGNED_IN = to_body("postAuthRefresh", refreshToken="/refreshToken")
_BLOB = ("getV3BlobsBlobid", "getV3BlobsBlobidAbout", "deleteV3BlobsBlobid")
_QUARANTINED = (
    "getV3QuarantineTaskid",
    "postV3QuarantineTaskidRetry",
    "deleteV3QuarantineTaskid",
)
_AGENT = ("getV3AgentsName", "getV3AgentsNameStatus")


@dataclass(frozen=True, slots=True)
class Route:
    """A route that is not about tasks.

    Attributes:
        answer: The schema of a success; None for one without a body.
        fields: Of the request's body; a name that ends in `?` may be left out.
        private: Whether a token is needed.
        kind: The media type of a success.
        body: The schema of the request's body, where fields do not tell all.
        query: What may be asked for, each with its schema.
        takes: The media type of the request's body, where it is not JSON.
        example: A body that works.
        asks: Headers of the request, each with what it does.
        tells: Headers of a success.
        leads: Links of a success.
        also: Other answers, each with its description; all but 304 have the same body.
        refused: Statuses of refusals beside those of all such routes.
    """

    method: str
    path: str
    summary: str
    tag: str
    answer: dict[str, Any] | None
    status: int = 200
    fields: dict[str, Any] | None = None
    private: bool = False
    kind: str = JSON
    body: dict[str, Any] | None = None
    query: dict[str, Any] | None = None
    takes: str = ""
    example: Any = None
    asks: dict[str, str] | None = None
    tells: tuple[str, ...] = ()
    leads: dict[str, Any] | None = None
    also: dict[int, str] | None = None
    refused: tuple[int, ...] = ()


ROUTES = (
    Route("post", "/auth/register", "Make an account and sign it in", "accounts", _SESSION, 201,
           _NAMED, example={**_ADA, "name": "Ada"}, leads=_SIGNED_IN, refused=(403, 429)),
    Route("post", "/auth/login", "Sign in", "accounts", _SESSION, fields=_LOGIN, example=_ADA,
           leads=_SIGNED_IN, refused=(401, 429)),
    Route("post", "/auth/refresh", "Get a new session; the refresh token is spent", "accounts",
           _SESSION, fields={"refreshToken": _REFRESH}, example={"refreshToken": _TOKEN},
           leads=_SIGNED_IN, refused=(401, 429)),
    Route("post", "/auth/logout", "End this session", "accounts", None, 204,
           {"refreshToken?": maybe(_REFRESH)}, private=True, example={"refreshToken": _TOKEN}),
    Route("get", "/auth/me", "The account of the token", "accounts", _ACCOUNT, private=True,
           refused=(404,)),
    Route("post", "/v3/keys", "Make an API key; this answer alone tells it", "accounts",
           ref("NewApiKey"), 201, _API_KEY, private=True,
           example={"name": "ci", "scopes": ["tasks:*"], "expiresInDays": 1},
           leads=links("keyId", "/keyId", "deleteV3KeysKeyid")),
    Route("get", "/v3/keys", "API keys, newest first; everybody's for administrators", "accounts",
           ref("ApiKeyList"), private=True, query={"limit": LIMIT, "before": UUID},
           leads={**links("keyId", "/keys/0/keyId", "deleteV3KeysKeyid"),
                  **next_page("getV3Keys", "before")}),
    Route("delete", "/v3/keys/{keyId}", "Revoke an API key", "accounts", None, 204, private=True),
    Route("get", "/.well-known/jwks.json", "The public keys of our tokens", "accounts", OBJECT),
    Route("post", "/v3/tasks/batch", "Hand in many tasks; each is accepted or refused for itself",
          "tasks", ref("BatchVerdicts"), private=True, body=ref("Batch"),
          example={"tasks": [{"taskType": "system.echo", "parameters": {"payload": 1}}]},
          asks={"Idempotency-Key": "Repeats are the same tasks.",
                "Cache-Control": "As with one task."},
          leads=to_task("/results/0/taskId")),
    Route("post", "/v3/tasks/{taskId}/retry", "Try a task again that did not complete, as a new "
          "one; for its owner, and once", "tasks", ref("TaskRetry"), 202, private=True,
          tells=("Location",), leads=to_task("/taskId"), refused=SUBMITTING),
    Route("get", "/v3/catalog", "Every task type, with its schemas and price", "catalogue",
           OBJECT, private=True, asks=_KNOWN, tells=("ETag",), also={304: "It is the same."}),
    Route("post", "/v3/blobs", "Keep a large thing", "blobs", ref("Blob"), 201, private=True,
          takes="application/octet-stream", tells=("Location",),
          leads=links("blobId", "/blobId", *_BLOB)),
    Route("get", "/v3/blobs/{blobId}", "The bytes, or with `Range` a part of them", "blobs",
          _BYTES, private=True, kind="*/*", asks=_PARTIAL, tells=("ETag",),
          also={206: "The part that was asked for.", 304: "It is the same."}, refused=(416,)),
    Route("delete", "/v3/blobs/{blobId}", "Drop a blob", "blobs", None, 204, private=True),
    Route("get", "/v3/blobs/{blobId}/about", "What a blob is", "blobs", ref("Blob"),
          private=True),
    Route("get", "/v3/agents", "Every agent and how it is", "agents", ref("AgentList"),
          private=True, leads=links("name", "/agents/0/name", *_AGENT)),
    Route("get", "/v3/agents/{name}", "One agent with its task types", "agents", ref("Agent"),
          private=True),
    Route("post", "/v3/agents/register", "Register an agent that is called over HTTP, or replace "
          "it; for administrators", "agents", ref("AgentRegistered"), 201, private=True,
          body=ref("Registration"), example=_ELSEWHERE, tells=("Location",),
          leads=links("name", "/name", *_AGENT, "deleteV3AgentsName"),
          also={200: "It replaced one of that name."}),
    Route("delete", "/v3/agents/{name}", "Remove an external agent; for administrators", "agents",
          shape({"name": TEXT, "removed": {"const": True}}), private=True),
    Route("get", "/v3/agents/{name}/status", "The same, where the old system had it", "agents",
          ref("Agent"), private=True),
    Route("post", "/v3/mcp/bridge", "Hand in a task as to the old compact orchestrator", "compact",
          _BRIDGED, 202, private=True, body=ref("Bridged"),
          example={"task_type": "system.echo", "parameters": {"payload": 1}},
          tells=("Location",), leads=to_task("/task_id"), refused=(404, *SUBMITTING)),
    Route("get", "/v3/mcp/last-responses", "Responses of the last tasks that ended", "compact",
          _LAST, private=True),
    Route("get", "/healthz", "Whether the process runs", "compact", shape({"status": TEXT})),
    Route("get", "/v3/quarantine", "Tasks that kill whatever runs them, newest first",
           "quarantine", ref("QuarantineList"), private=True,
           query={"limit": LIMIT, "before": UUID},
           leads={**links("taskId", "/tasks/0/taskId", *_QUARANTINED),
                  **next_page("getV3Quarantine", "before")}),
    Route("get", "/v3/quarantine/{taskId}", "All that is known of a quarantined task",
           "quarantine", ref("QuarantinedStory"), private=True),
    Route("post", "/v3/quarantine/{taskId}/retry", "Run it as a new task", "quarantine",
           ref("QuarantineRetry"), 202, {"parameters?": maybe(OBJECT)}, private=True,
           example={"parameters": {"payload": 1}}, tells=("Location",), leads=to_task("/taskId"),
           refused=SUBMITTING),
    Route("delete", "/v3/quarantine/{taskId}", "Give it up for good", "quarantine",
           ref("QuarantineDiscard"), private=True),
    Route("get", "/v3/effects", "Effects on the outside world, newest tasks first", "effects",
           ref("EffectList"), private=True,
           query={"state": _STATE, "limit": LIMIT, "before": UUID},
           leads={**links("effectId", "/effects/0/effectId", "postV3EffectsEffectidResolve"),
                  **next_page("getV3Effects", "before")}),
    Route("post", "/v3/effects/{effectId}/resolve", "Say what became of an unknown effect",
           "effects", ref("Effect"), private=True, body=ref("Resolution"),
           example={"outcome": "done", "result": {"receipt": "r-1"}}, refused=(409,)),
    Route("get", "/v3/approvals", "Tools that wait for a person, newest tasks first", "approvals",
           ref("ApprovalList"), private=True,
           query={"state": _VERDICT, "limit": LIMIT, "before": UUID},
           leads={**links("approvalId", "/approvals/0/approvalId", "postV3ApprovalsApprovalid"),
                  **next_page("getV3Approvals", "before")}),
    Route("post", "/v3/approvals/{approvalId}", "Approve or deny", "approvals",
           ref("Approval"), private=True, body=ref("ApprovalDecision"),
           example={"decision": "approve", "reason": "As agreed."}, refused=(409,)),
    Route("get", "/v3/budgets", "One's own budgets; everybody's for administrators", "budgets",
           ref("BudgetList"), private=True, query={"limit": LIMIT, "after": LABEL},
           leads=next_page("getV3Budgets", "after")),
    Route("get", "/v3/budgets/{kind}/{owner}", "One budget", "budgets", ref("BudgetState"),
           private=True),
    Route("put", "/v3/budgets/{kind}/{owner}", "Set a budget; for administrators", "budgets",
           ref("BudgetState"), private=True, body=ref("BudgetSetting"),
           example={"maxUsd": 5, "maxTokens": None, "period": "day"}),
    Route("delete", "/v3/budgets/{kind}/{owner}", "Have it follow the settings again; for "
          "administrators", "budgets", ref("BudgetState"), private=True),
    Route("get", "/v3/usage", "What was charged for ended tasks, added up by whole days",
           "budgets", ref("Usage"), private=True,
           query={"by": _BY, "user": LABEL, "since": TIME, "until": TIME}),
    Route("delete", "/v3/answers/{kind}/{owner}", "Erase answers that are kept to be given again: "
          "one's own, for administrators anybody's", "answers", ref("ErasedAnswers"),
          private=True),
    Route("post", "/v3/admin/commands", "Carry out a command; for administrators", "operations",
           ref("CommandResponse"), private=True, body=ref("Command"),
           example={"command": "HEALTH_CHECK", "target": "tree"}, refused=(404, 409, 501)),
    Route("get", "/v3/admin/audit", "What was commanded, newest first; for administrators",
           "operations", ref("AuditList"), private=True,
           query={"limit": LIMIT, "before": _NUMBER},
           leads=next_page("getV3AdminAudit", "before")),
    Route("get", "/v3/admin/bridge", "How v2's routes are shared out, and how answers compared; "
          "for administrators", "operations", ref("BridgeState"), private=True),
    Route("put", "/v3/admin/bridge", "Send v2's routes to v2, or share them out again; for "
          "administrators", "operations", ref("BridgeState"), private=True,
          fields={"rolledBack": {"type": "boolean"}, "reason?": {**TEXT, "maxLength": 500}},
          example={"rolledBack": False, "reason": "It was a false alarm."}, refused=(501,)),
    Route("delete", "/v3/admin/bridge/comparisons", "Begin to count comparisons anew; for "
          "administrators", "operations", None, 204, private=True),
    Route("get", "/v3/admin/bridge/routes", "What the bridge makes of each route of v2; for "
          "administrators", "operations", _OF_BRIDGE, private=True),
    Route("get", "/v3/tree", "The live tree of actors", "operations", OBJECT, private=True),
    Route("get", "/health", "Health of queues and services", "operations", _HEALTH,
           also={503: "Nothing can be accepted."}),
    Route("get", "/livez", "Whether the process runs", "operations", OBJECT),
    Route("get", "/startupz", "Whether the process has started", "operations", OBJECT),
    Route("get", "/readyz", "Whether tasks can be accepted", "operations", OBJECT),
    Route("get", "/metrics", "Prometheus metrics of this node", "operations", TEXT,
           kind="text/plain"),
    Route("get", "/metrics/targets", "Where each node's metrics are, for Prometheus's discovery",
          "operations", {"type": "array", "items": OBJECT}, refused=(503,)),
)  # fmt: skip


def operation(route: Route) -> dict[str, Any]:
    """Return what the document tells of a route."""
    words = re.split(r"[/.{}-]+", route.path.strip("/.}"))
    told: dict[str, Any] = {
        "operationId": route.method + "".join(word.title() for word in words),
        "summary": route.summary,
        "tags": [route.tag],
        "responses": {**_refusals(route), **_answers(route)},
    }
    if parameters := _parameters(route):
        told["parameters"] = parameters
    if takes := _body(route):
        told["requestBody"] = takes
    if route.private:
        told["security"] = SECURITY
    return told


def _answers(route: Route) -> dict[str, Any]:
    body = content(route.answer, route.kind) if route.answer else {}
    tells = (*route.tells, "RateLimit", "RateLimit-Policy") if route.private else route.tells
    done = {"description": route.summary, "headers": headers(*tells), **body}
    if route.leads:
        done["links"] = route.leads
    found = {str(route.status): done}
    for status, text in (route.also or {}).items():
        shown = {} if status == _SAME else body
        found[str(status)] = {"description": text, "headers": headers(*tells), **shown}
    return found


def _refusals(route: Route) -> dict[str, Any]:
    reads = route.takes or route.body or route.fields
    return refused(
        *route.refused,
        *(PRIVATE if route.private else ()),
        *(READING if reads else ()),
        *((404, 422) if "{" in route.path else ()),
        *((422,) if route.query else ()),
    )


def _parameters(route: Route) -> list[dict[str, Any]]:
    named = [PATHS[name] for name in re.findall(r"{(\w+)}", route.path)]
    asks = [{"name": name, "in": "query", "schema": s} for name, s in (route.query or {}).items()]
    return [*named, *asks, *(header(*item) for item in (route.asks or {}).items())]


def header(name: str, text: str) -> dict[str, Any]:
    """Return what the document tells of a request's header."""
    schema = _KEY if name == "Idempotency-Key" else TEXT
    return {"name": name, "in": "header", "description": text, "schema": schema}


def _body(route: Route) -> dict[str, Any] | None:
    if route.takes:
        return {"required": True, **content(_BYTES, route.takes)}
    if route.body is not None:
        return {"required": True, **content(route.body, example=route.example)}
    if route.fields is None:
        return None
    asked = {**shape(route.fields), "additionalProperties": False}
    return {"required": bool(asked["required"]), **content(asked, example=route.example)}
