"""The shapes of a task's whole story."""

from typing import Any

from cartrita.effects import State
from cartrita.protocol.task import Delivery, TaskStatus
from cartrita.schema.shapes import OBJECT, TEXT, TIME, UUID, ref, rows, shape

_REAL, _WHOLE, _YES = {"type": "number"}, {"type": "integer"}, {"type": "boolean"}
_STATUS = {"type": "string", "enum": [status.value for status in TaskStatus]}
_WHEN = {"at": TIME, "afterMs": {**_REAL, "description": "Since the task's acceptance."}}


def story_schemas() -> dict[str, Any]:
    """Return the schemas that `TaskStory` is made of."""
    return {
        "TaskStory": {**_story(), "description": "All that the journal knows of a task."},
        "TaskCost": shape(
            {
                "taskId": UUID,
                "taskType": TEXT,
                "status": _STATUS,
                "totalUsd": _REAL,
                "tokens": _WHOLE,
                "complete": {**_YES, "description": "Whether all steps are told."},
                "steps": rows(ref("CostStep")),
            }
        ),
        "CostStep": shape(
            {
                "kind": {**TEXT, "enum": ["model", "task", "price"]},
                "name": {**TEXT, "description": "Of the model or the task type."},
                "afterMs": _REAL,
                "costUsd": {**_REAL, "description": "Of this step, without those within it."},
                "tokens": _WHOLE,
                "attempt?": _WHOLE,
                "taskId?": UUID,
            }
        ),
        "StoryAttempt": shape(
            {
                "attempt": _WHOLE,
                **_WHEN,
                "endedAt": _or_null(TIME),
                "outcome": {
                    **TEXT,
                    "description": "`running`, `lost` with its worker, `failed` before another "
                    "try, or how the task ended.",
                },
                "errorCode?": TEXT,
                "alone": {
                    **_or_null(_YES),
                    "description": "Whether nothing else ran on the worker it was lost with.",
                },
            }
        ),
        "StoryModelCall": shape({"model": TEXT, **_use(), **_tokens(), "totalUsd": _REAL}),
        "StoryToolCall": shape(
            {"name": TEXT, "input": {}, "output": {}, "shown": _YES, **_use(_or_null(_REAL))}
        ),
        "StoryChild": _child(),
        "StoryEffect": _effect(),
        "StoryCosts": _costs(),
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def _use(duration: dict[str, Any] = _REAL) -> dict[str, Any]:
    return {"attempt": _WHOLE, **_WHEN, "durationMs": duration, "failed": _YES}


def _tokens() -> dict[str, Any]:
    return {"tokensIn": _WHOLE, "tokensOut": _WHOLE, "costUsd": _REAL}


def _story() -> dict[str, Any]:
    event = {
        "allOf": [ref("TaskEvent"), shape({"afterMs": _REAL})],
    }
    return shape(
        {
            "taskId": UUID,
            "taskType": TEXT,
            "status": _STATUS,
            "shard": TEXT,
            "until": {**_or_null(TEXT), "description": "The cursor that was asked for."},
            "accepted": _accepted(),
            "attempts": rows(ref("StoryAttempt")),
            "events": rows(event),
            "modelCalls": rows(ref("StoryModelCall")),
            "toolCalls": rows(ref("StoryToolCall")),
            "usesCut": {**_YES, "description": "So many were used that not all are told."},
            "children": rows(ref("StoryChild")),
            "childrenCut": {**_YES, "description": "So many tasks are below it that some miss."},
            "costs": ref("StoryCosts"),
            "effects?": rows(ref("StoryEffect")),
            "response": {"anyOf": [ref("TaskResponse"), {"type": "null"}]},
        }
    )


def _accepted() -> dict[str, Any]:
    nullable = ("sessionId", "preferredAgent", "idempotencyKey", "traceId")
    return shape(
        {
            "at": TIME,
            "user": TEXT,
            "tenant": TEXT,
            "parameters": OBJECT,
            "priority": _WHOLE,
            "delivery": {"type": "string", "enum": [one.value for one in Delivery]},
            "maxAttempts": _WHOLE,
            "deadline": TIME,
            "preferences": OBJECT,
            "metadata": OBJECT,
            "parent": _or_null(UUID),
            "retryOf": _or_null(UUID),
            **{name: _or_null(TEXT) for name in nullable},
            "reserved": shape({"usd": _REAL, "tokens": _WHOLE}),
            "budget": shape({"maxUsd": _or_null(_REAL), "maxTokens": _or_null(_WHOLE)}),
        }
    )


def _child() -> dict[str, Any]:
    return shape(
        {
            "taskId": UUID,
            "taskType": TEXT,
            "status": _STATUS,
            **_WHEN,
            "endedAt": _or_null(TIME),
            "durationMs": _or_null(_REAL),
            "errorCode?": TEXT,
            "reason?": TEXT,
            "costUsd": _REAL,
            "tokens": _WHOLE,
            "children": rows(ref("StoryChild")),
        }
    )


def _effect() -> dict[str, Any]:
    return shape(
        {
            "effectId": UUID,
            "taskId": UUID,
            "attempt": _WHOLE,
            **_WHEN,
            "name": TEXT,
            "key": TEXT,
            "state": {"type": "string", "enum": [state.value for state in State]},
            "endedAt": _or_null(TIME),
            "result": {},
            "settledBy": _or_null(TEXT),
        }
    )


def _costs() -> dict[str, Any]:
    lost = {**_REAL, "description": "Models, in attempts that were lost; a part of `usd`."}
    return shape(
        {
            "usd": {**_REAL, "description": "The task's own: its models, and its type's price."},
            "modelsUsd": _REAL,
            "flatUsd": _REAL,
            "lostUsd": lost,
            "childrenUsd": _REAL,
            "totalUsd": _REAL,
            "tokens": _WHOLE,
            "childrenTokens": _WHOLE,
        }
    )
