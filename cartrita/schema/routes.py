"""The routes that are not about tasks, as the API's document tells of them."""

import re
from dataclasses import dataclass
from typing import Any

from cartrita.effects import State
from cartrita.schema.shapes import (
    EFFECT_ID,
    JSON,
    KEY_ID,
    LIMIT,
    OBJECT,
    SECURITY,
    TASK_ID,
    TEXT,
    TIME,
    UUID,
    answers,
    content,
    ref,
    rows,
    shape,
)

_EMAIL = {"type": "string", "format": "email", "maxLength": 320}
_PASSWORD = {"type": "string", "format": "password", "minLength": 8, "maxLength": 256}
_REFRESH = {"type": "string", "minLength": 1, "maxLength": 256}
_SESSION, _ACCOUNT, _HEALTH = ref("AuthSession"), ref("AuthAccount"), ref("HealthReport")
_STATE = {"type": "string", "enum": list(State), "default": State.UNKNOWN}
_OUTCOME = {"type": "string", "enum": [State.DONE, State.NOT_DONE]}
_NUMBER = {"type": "integer", "minimum": 0}
PATHS = {
    "taskId": TASK_ID,
    "effectId": EFFECT_ID,
    "keyId": KEY_ID,
    "blobId": {"name": "blobId", "in": "path", "required": True, "schema": UUID},
    "name": {"name": "name", "in": "path", "required": True, "schema": TEXT},
}
"""The parameters that stand in paths."""

_BRIDGE = {
    "task_type": TEXT,
    "task_id?": UUID,
    "parameters?": OBJECT,
    "metadata?": OBJECT,
    "preferred_agent?": TEXT,
    "priority?": {"type": "integer", "minimum": 0, "maximum": 10, "default": 5},
    "deadline?": TIME,
}
_BRIDGED = shape({"success": {"const": True}, "id": UUID, "task_id": UUID})
_LAST = shape({"success": {"const": True}, "data": rows(OBJECT)})
_BYTES = {"type": "string", "format": "binary"}
_LOGIN = {"email": _EMAIL, "password": _PASSWORD}
_KEY = {
    "name": {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,100}$"},
    "scopes?": {
        "type": ["array", "null"],
        "items": TEXT,
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
_NAMED = {**_LOGIN, "name?": {"type": "string", "maxLength": 200}}


@dataclass(frozen=True, slots=True)
class Route:
    """A route that is not about tasks.

    Attributes:
        fields: Of the request's body; a name that ends in `?` may be left out.
        body: The schema of the request's body, where fields do not tell all.
        query: What may be asked for, each with its schema.
        answer: The schema of a success; None for one without a body.
        private: Whether a token is needed.
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


ROUTES = (
    Route("post", "/auth/register", "Make an account and sign it in", "accounts", _SESSION, 201,
           _NAMED),
    Route("post", "/auth/login", "Sign in", "accounts", _SESSION, fields=_LOGIN),
    Route("post", "/auth/refresh", "Get a new session; the refresh token is spent", "accounts",
           _SESSION, fields={"refreshToken": _REFRESH}),
    Route("post", "/auth/logout", "End this session", "accounts", None, 204,
           {"refreshToken?": _REFRESH}, private=True),
    Route("get", "/auth/me", "The account of the token", "accounts", _ACCOUNT, private=True),
    Route("post", "/v3/keys", "Make an API key; this answer alone tells it", "accounts",
           ref("NewApiKey"), 201, _KEY, private=True),
    Route("get", "/v3/keys", "API keys, newest first; everybody's for administrators", "accounts",
           ref("ApiKeyList"), private=True, query={"limit": LIMIT, "before": UUID}),
    Route("delete", "/v3/keys/{keyId}", "Revoke an API key", "accounts", None, 204, private=True),
    Route("get", "/.well-known/jwks.json", "The public keys of our tokens", "accounts", OBJECT),
    Route("post", "/v3/tasks/batch", "Hand in many tasks; each is accepted or refused for itself",
          "tasks", ref("BatchVerdicts"), private=True, body=ref("Batch")),
    Route("get", "/v3/catalog", "Every task type, with its schemas and price", "catalogue",
           OBJECT, private=True),
    Route("post", "/v3/blobs", "Keep a large thing", "blobs", ref("Blob"), 201, private=True,
          takes="application/octet-stream"),
    Route("get", "/v3/blobs/{blobId}", "The bytes, or with `Range` a part of them", "blobs",
          _BYTES, private=True, kind="application/octet-stream"),
    Route("delete", "/v3/blobs/{blobId}", "Drop a blob", "blobs", None, 204, private=True),
    Route("get", "/v3/blobs/{blobId}/about", "What a blob is", "blobs", ref("Blob"),
          private=True),
    Route("get", "/v3/agents", "Every agent and how it is", "agents", ref("AgentList"),
          private=True),
    Route("get", "/v3/agents/{name}", "One agent with its task types", "agents", ref("Agent"),
          private=True),
    Route("post", "/v3/agents/register", "Register an agent that is called over HTTP, or replace "
          "it; for administrators", "agents", ref("AgentRegistered"), 201, private=True,
          body=ref("Registration")),
    Route("delete", "/v3/agents/{name}", "Remove an external agent; for administrators", "agents",
          shape({"name": TEXT, "removed": {"const": True}}), private=True),
    Route("get", "/v3/agents/{name}/status", "The same, where the old system had it", "agents",
          ref("Agent"), private=True),
    Route("post", "/v3/mcp/bridge", "Hand in a task as to the old compact orchestrator", "compact",
          _BRIDGED, 202, _BRIDGE, private=True),
    Route("get", "/v3/mcp/last-responses", "Responses of the last tasks that ended", "compact",
          _LAST, private=True),
    Route("get", "/healthz", "Whether the process runs", "compact", shape({"status": TEXT})),
    Route("get", "/v3/quarantine", "Tasks that kill whatever runs them, newest first",
           "quarantine", ref("QuarantineList"), private=True,
           query={"limit": LIMIT, "before": UUID}),
    Route("get", "/v3/quarantine/{taskId}", "All that is known of a quarantined task",
           "quarantine", ref("QuarantinedStory"), private=True),
    Route("post", "/v3/quarantine/{taskId}/retry", "Run it as a new task", "quarantine",
           ref("QuarantineRetry"), 202, {"parameters?": OBJECT}, private=True),
    Route("delete", "/v3/quarantine/{taskId}", "Give it up for good", "quarantine",
           ref("QuarantineDiscard"), private=True),
    Route("get", "/v3/effects", "Effects on the outside world, newest tasks first", "effects",
           ref("EffectList"), private=True,
           query={"state": _STATE, "limit": LIMIT, "before": UUID}),
    Route("post", "/v3/effects/{effectId}/resolve", "Say what became of an unknown effect",
           "effects", ref("Effect"), fields={"outcome": _OUTCOME, "result?": {}}, private=True),
    Route("post", "/v3/admin/commands", "Carry out a command; for administrators", "operations",
           ref("CommandResponse"), private=True, body=ref("Command")),
    Route("get", "/v3/admin/audit", "What was commanded, newest first; for administrators",
           "operations", ref("AuditList"), private=True,
           query={"limit": LIMIT, "before": _NUMBER}),
    Route("get", "/v3/tree", "The live tree of actors", "operations", OBJECT, private=True),
    Route("get", "/health", "Health of queues and services", "operations", _HEALTH),
    Route("get", "/livez", "Whether the process runs", "operations", OBJECT),
    Route("get", "/startupz", "Whether the process has started", "operations", OBJECT),
    Route("get", "/readyz", "Whether tasks can be accepted", "operations", OBJECT),
    Route("get", "/metrics", "Prometheus metrics of this node", "operations", TEXT,
           kind="text/plain"),
)  # fmt: skip


def operation(route: Route) -> dict[str, Any]:
    """Return what the document tells of a route."""
    words = re.split(r"[/.{}-]+", route.path.strip("/.}"))
    body = content(route.answer, route.kind) if route.answer else {}
    told: dict[str, Any] = {
        "operationId": route.method + "".join(word.title() for word in words),
        "summary": route.summary,
        "tags": [route.tag],
        "responses": answers({str(route.status): {"description": route.summary, **body}}),
    }
    named = [PATHS[name] for name in re.findall(r"{(\w+)}", route.path)]
    asks = [{"name": name, "in": "query", "schema": s} for name, s in (route.query or {}).items()]
    if named or asks:
        told["parameters"] = [*named, *asks]
    if route.takes:
        told["requestBody"] = {"required": True, **content(_BYTES, route.takes)}
    if route.body is not None:
        told["requestBody"] = {"required": True, **content(route.body)}
    if route.fields is not None:
        asked = {**shape(route.fields), "additionalProperties": False}
        told["requestBody"] = {"required": bool(asked["required"]), **content(asked)}
    if route.private:
        told["security"] = SECURITY
    return told
