"""The shapes that the API's document is made of."""

from typing import Any

from cartrita.approvals import LONGEST_REASON, Verdict
from cartrita.effects import State
from cartrita.errors import ErrorCode
from cartrita.protocol.task import TaskStatus

REF = "#/components/schemas/{model}"
JSON = "application/json"
PROBLEM = "application/problem+json"
MSGPACK = "application/msgpack"

EVENT_TYPES = (
    "accepted", "queued", "started", "progress", "token", "tool", "approval", "retry", "reset",
    *(status.lower() for status in TaskStatus if status.terminal),
)  # fmt: skip

TEXT = {"type": "string"}
LABEL = {**TEXT, "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]+$"}
CURSOR = {**TEXT, "pattern": "^([0-3][0-9a-f]{15}|40{15})$"}
TIME = {"type": "string", "format": "date-time"}
UUID = {"type": "string", "format": "uuid"}
OBJECT: dict[str, Any] = {"type": "object"}
LIMIT = {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
AGENT_STATES = ("up", "starting", "draining", "idle", "quarantined", "down")
_WHOLE = {"type": "integer"}
_COUNT = {**_WHOLE, "minimum": 0}
_YES = {"type": "boolean"}
_NULL = {"type": "null"}
TASK_ID = {"name": "taskId", "in": "path", "required": True, "schema": UUID}
EFFECT_ID = {**TASK_ID, "name": "effectId"}
APPROVAL_ID = {**TASK_ID, "name": "approvalId"}
KEY_ID = {**TASK_ID, "name": "keyId"}


SECURITY: list[dict[str, Any]] = [{"bearer": []}, {"apiKey": []}]
"""Either of the two will do."""


def ref(name: str) -> dict[str, Any]:
    """Return a reference to one of the document's schemas."""
    return {"$ref": REF.format(model=name)}


_ANY_TASK = {"anyOf": [ref("TaskRequest"), {"description": "What is none is refused for itself."}]}


def shape(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object; a name that ends in `?` may be missing."""
    return {
        "type": "object",
        "required": [name for name in fields if not name.endswith("?")],
        "properties": {name.rstrip("?"): schema for name, schema in fields.items()},
    }


def rows(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


def maybe(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that takes null, too."""
    return {**schema, "type": [schema["type"], "null"]}


def content(schema: dict[str, Any], kind: str = JSON, example: Any = None) -> dict[str, Any]:
    """Return what tells of a body; what is in JSON can be had in MessagePack, too."""
    kinds: dict[str, Any] = {kind: {"schema": schema}}
    if example is not None:
        kinds[kind]["example"] = example
    if kind in (JSON, PROBLEM):
        kinds.setdefault(MSGPACK, {"schema": schema})
    return {"content": kinds}


def plain_schemas() -> dict[str, Any]:
    """Return the schemas of what is no pydantic model."""
    real = {"type": "number"}
    account = shape({"id": TEXT, "email": TEXT, "name": TEXT, "role": TEXT})
    queue = shape({"depth": _WHOLE, "inFlight": _WHOLE, "capacity": _WHOLE, "utilization": real})
    problem = shape(
        {
            "type": {"type": "string", "format": "uri"},
            "title": TEXT,
            "status": _WHOLE,
            "detail": TEXT,
            "code": {"type": "string", "enum": [code.value for code in ErrorCode]},
            "retryable": _YES,
            "traceId": TEXT,
            "instance?": TEXT,
            "reason?": TEXT,
            "retryAfter?": real,
            "violated-policies?": rows(TEXT),
            "errors?": {"type": "array", "items": shape({"field": TEXT, "message": TEXT})},
        }
    )
    return {
        **_key_schemas(),
        **_budget_schemas(),
        **_runtime_schemas(),
        **_task_schemas(),
        "AuthAccount": account,
        "AuthSession": shape(
            {"token": TEXT, "refreshToken": TEXT, "expiresIn": _WHOLE, "user": account}
        ),
        "HealthReport": shape(
            {
                "status": {"type": "string", "enum": ["healthy", "degraded", "unhealthy"]},
                "timestamp": TIME,
                "version": TEXT,
                "uptime": real,
                "queues": {"type": "object", "additionalProperties": queue},
                "services": {"type": "object", "additionalProperties": shape({"ok": _YES})},
            }
        ),
        "Problem": {**problem, "description": "RFC 9457 problem details."},
    }


def _key_schemas() -> dict[str, Any]:
    key = {
        "keyId": UUID,
        "name": TEXT,
        "user": TEXT,
        "scopes": rows(TEXT),
        "createdAt": TIME,
        "expiresAt": TIME,
        "lastUsedAt": maybe(TIME),
    }
    secret = {**TEXT, "description": "The key itself, told only here."}
    return {
        "ApiKey": shape(key),
        "NewApiKey": shape({**key, "key": secret}),
        "ApiKeyList": shape({"keys": rows(ref("ApiKey")), "next": maybe(TEXT)}),
    }


def _budget_schemas() -> dict[str, Any]:
    real, count = {"type": "number"}, {"type": "integer", "minimum": 0}
    period = {"type": "string", "enum": ["day", "total"]}
    budget = {
        "budgetId": {**TEXT, "description": "Such as `user:0192…`."},
        "maxUsd": {**maybe(real), "description": "Null is no limit."},
        "maxTokens": maybe(_WHOLE),
        "usedUsd": real,
        "usedTokens": _WHOLE,
        "reservedUsd": {**real, "description": "Of tasks that have not ended."},
        "reservedTokens": _WHOLE,
        "pressure": {**real, "description": "How full it is, 0 to 1."},
        "period": period,
        "resetsAt": {**maybe(TIME), "description": "When what is used counts no more."},
        "isSet": {**_YES, "description": "False where it follows the settings."},
    }
    setting = {
        "maxUsd?": {**maybe(real), "minimum": 0, "maximum": 10**9},
        "maxTokens?": {**maybe(count), "maximum": 10**15},
        "period?": {**period, "default": "day"},
    }
    named = {"anyOf": [{"required": ["maxUsd"]}, {"required": ["maxTokens"]}]}
    sums = {
        "name": {**TEXT, "description": "Empty where no model was used."},
        **dict.fromkeys(("tasks", "modelCalls", "cacheHits", "tokensUsed"), _WHOLE),
        "costUsd": real,
    }
    usage = {"by": TEXT, "since": TIME, "until": TIME, "rows": rows(shape(sums))}
    return {
        "BudgetState": shape(budget),
        "BudgetList": shape({"budgets": rows(ref("BudgetState")), "next": maybe(TEXT)}),
        "BudgetSetting": {**shape(setting), **named, "additionalProperties": False},
        "Usage": shape({**usage, "costUsd": real, "tokensUsed": _WHOLE}),
    }


def _task_schemas() -> dict[str, Any]:
    listed = {
        "taskId": UUID,
        "taskType": TEXT,
        "status": {"type": "string", "enum": list(TaskStatus)},
        "priority": _WHOLE,
        "user": TEXT,
        "tenant": TEXT,
        "sessionId": maybe(TEXT),
        "acceptedAt": TIME,
        "finishedAt": maybe(TIME),
        "errorCode": maybe(TEXT),
        "reason": maybe(TEXT),
        "costUsd": {"type": "number"},
        "tokensUsed": _WHOLE,
        "parent": maybe(UUID),
        "retryOf": maybe(UUID),
    }
    host = {"shard": TEXT, "id": TEXT, "state": TEXT, "restarts": _WHOLE, "inFlight": _WHOLE}
    agent = {
        "name": TEXT,
        "team": TEXT,
        "summary": TEXT,
        "state": {"type": "string", "enum": [*AGENT_STATES]},
        "restart": TEXT,
        "pool": shape({"least": _WHOLE, "most": _WHOLE}),
        "concurrency": _WHOLE,
        "isolation": TEXT,
        "taskTypes": rows(TEXT),
        "hosts": rows(shape(host)),
        "tasks?": rows(OBJECT),
        "external?": {**OBJECT, "description": "Where it runs and how it answers, if elsewhere."},
    }
    registered = {"name": TEXT, "taskTypes": rows(TEXT), "replaced": _YES}
    accepted = shape({"accepted": {"const": True}, "taskId": UUID, "status": TEXT})
    refused = shape({"accepted": {"const": False}, "problem": ref("Problem")})
    verdicts = rows({"oneOf": [accepted, refused]})
    counts = {"accepted": _WHOLE, "refused": _WHOLE}
    return {
        "ListedTask": shape(listed),
        "TaskList": shape({"tasks": rows(ref("ListedTask")), "next": maybe(TEXT)}),
        "Batch": {
            **shape({"tasks": {**rows(_ANY_TASK), "minItems": 1, "maxItems": 1000}}),
            "additionalProperties": False,
        },
        "Agent": shape(agent),
        "AgentRegistered": shape(registered),
        "AgentList": shape({"agents": rows(ref("Agent"))}),
        "Blob": shape(
            {
                "blobId": UUID,
                "contentType": TEXT,
                "size": _WHOLE,
                "sha256": TEXT,
                "createdAt": TIME,
                "taskId": maybe(UUID),
            }
        ),
        "BatchVerdicts": shape({**counts, "results": verdicts, "traceId": TEXT}),
    }


def _resolution(outcome: State, result: dict[str, Any]) -> dict[str, Any]:
    found = shape({"outcome": {"const": outcome.value}, "result?": result})
    return {**found, "additionalProperties": False}


def _runtime_schemas() -> dict[str, Any]:
    result = {**shape({"id": TEXT, "ok": _YES}), "additionalProperties": True}
    some_id = {"type": ["string", "null"], "description": "Of the next page; null at the end."}
    some_number = {**some_id, "type": ["integer", "null"]}
    quarantined = {
        "taskId": UUID,
        "taskType": TEXT,
        "user": TEXT,
        "tenant": TEXT,
        "shard": TEXT,
        "acceptedAt": TIME,
        "endedAt": TIME,
        "settled": {"enum": ["retried", "discarded", None]},
        "retriedAs": {"type": ["string", "null"], "format": "uuid"},
    }
    effect = {
        "effectId": UUID,
        "taskId": UUID,
        "taskType": TEXT,
        "user": TEXT,
        "tenant": TEXT,
        "name": TEXT,
        "key": TEXT,
        "attempt": _WHOLE,
        "result": {},
        "state": {"enum": list(State)},
        "begunAt": TIME,
        "endedAt": {**TIME, "type": ["string", "null"]},
        "settledBy": {"type": ["string", "null"], "description": "`probe`, or who decided."},
    }
    approval = {
        "approvalId": UUID,
        "taskId": UUID,
        "taskType": TEXT,
        "user": TEXT,
        "tenant": TEXT,
        "tool": TEXT,
        "input": {"description": "What the tool would be given."},
        "state": {"enum": list(Verdict)},
        "askedAt": TIME,
        "expiresAt": TIME,
        "decidedBy": {"type": ["string", "null"]},
        "decidedAt": {**TIME, "type": ["string", "null"]},
        "reason": TEXT,
    }
    entry = shape(
        {
            "id": _WHOLE,
            "at": TIME,
            "actor": TEXT,
            "action": TEXT,
            "target": TEXT,
            "detail": OBJECT,
            "outcome": TEXT,
        }
    )
    return {
        "TaskEvent": shape(
            {
                "cursor": {**TEXT, "description": "Sorts within its task."},
                "taskId": UUID,
                "attempt": {"type": ["integer", "null"]},
                "type": {"type": "string", "enum": list(EVENT_TYPES)},
                "at": TIME,
                "data": {},
            }
        ),
        "QuarantinedTask": shape(quarantined),
        "QuarantinedStory": shape(
            {
                **quarantined,
                "parameters": OBJECT,
                "delivery": TEXT,
                "attempts": _WHOLE,
                "response": ref("TaskResponse"),
                "story": rows(ref("TaskEvent")),
            }
        ),
        "QuarantineList": shape({"tasks": rows(ref("QuarantinedTask")), "next": some_id}),
        "QuarantineRetry": ref("TaskRetry"),
        "TaskRetry": shape({"taskId": UUID, "status": TEXT, "retryOf": UUID}),
        "ErasedAnswers": shape({"owner": TEXT, "erased": _WHOLE, "goneBy": TIME}),
        "QuarantineDiscard": shape({"taskId": UUID, "discarded": _YES}),
        "Effect": shape(effect),
        "Resolution": {"oneOf": [_resolution(State.DONE, {}), _resolution(State.NOT_DONE, _NULL)]},
        "EffectList": shape({"effects": rows(ref("Effect")), "next": some_id}),
        "Approval": shape(approval),
        "ApprovalDecision": {
            **shape(
                {
                    "decision": {"enum": ["approve", "deny"]},
                    "reason?": {**TEXT, "maxLength": LONGEST_REASON},
                }
            ),
            "additionalProperties": False,
        },
        "ApprovalList": shape({"approvals": rows(ref("Approval")), "next": some_id}),
        "BridgeState": shape(
            {
                "v2Url": maybe(TEXT),
                "share": {"type": "number", "minimum": 0, "maximum": 1},
                "shadow": {"enum": ["off", "safe", "all"]},
                "whenAway": {"enum": ["bridge", "refuse"]},
                "rolledBack": _YES,
                "reason": TEXT,
                "by": maybe(TEXT),
                "at": maybe(TIME),
                "v2Away": maybe(_YES),
                "comparisons": rows(
                    shape(
                        {
                            "route": TEXT,
                            **dict.fromkeys(("same", "different", "failed", "leftOut"), _COUNT),
                            "sample": maybe(OBJECT),
                        }
                    )
                ),
            }
        ),
        "CommandResponse": shape({"command": TEXT, "target": TEXT, "results": rows(result)}),
        "AuditEntry": entry,
        "AuditList": shape({"entries": rows(ref("AuditEntry")), "next": some_number}),
    }
