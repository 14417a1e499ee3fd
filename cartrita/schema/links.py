"""Where an answer leads: its links, in the words of OpenAPI."""

from typing import Any

TASK = ("getTask", "cancelTask", "readTaskEvents", "readTaskStory", "readTaskCost")
"""Operations on one task."""


def links(parameter: str, value: str, *operations: str) -> dict[str, Any]:
    """Return links that hand a part of an answer on as a parameter.

    Args:
        parameter: The one it becomes.
        value: Where it stands in the answer's body, as a JSON pointer.
        operations: Which take it.
    """
    return {
        operation: {
            "operationId": operation,
            "parameters": {parameter: f"$response.body#{value}"},
        }
        for operation in operations
    }


def to_task(value: str) -> dict[str, Any]:
    """Return links to all that can be asked of the task with this id."""
    return links("taskId", value, *TASK)


def next_page(operation: str, parameter: str) -> dict[str, Any]:
    """Return the link to the page behind this one."""
    return {f"{operation}Next": links(parameter, "/next", operation)[operation]}


def to_body(operation: str, **fields: str) -> dict[str, Any]:
    """Return a link that hands parts of an answer on in the next request's body."""
    body = {name: f"{{$response.body#{value}}}" for name, value in fields.items()}
    return {operation: {"operationId": operation, "requestBody": body}}
