"""A task's body as the old compact orchestrator took it."""

from collections.abc import Mapping
from typing import Any

from cartrita.catalog import Catalog
from cartrita.schema.shapes import LABEL, OBJECT, TIME, UUID, maybe, shape

_MOST_METADATA = 64
_FIELDS = {
    "task_type": LABEL,
    "task_id?": maybe(UUID),
    "parameters?": OBJECT,
    "metadata?": {**OBJECT, "propertyNames": LABEL, "maxProperties": _MOST_METADATA},
    "preferred_agent?": maybe(LABEL),
    "priority?": {"type": "integer", "minimum": 0, "maximum": 10, "default": 5},
    "deadline?": maybe(TIME),
}


def bridged(catalog: Catalog, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a body: one of several, by the type of the task.

    Args:
        catalog: What tasks there are.
        parameters: The schema of each type's parameters.
    """
    kinds = []
    for spec in catalog.tasks.values():
        own = {"task_type": {"const": spec.name}, "parameters": parameters[spec.name]}
        needed = spec.params.model_json_schema(by_alias=True).get("required")
        kinds.append({"properties": own, **({"required": ["parameters"]} if needed else {})})
    return {**shape(_FIELDS), "additionalProperties": False, "oneOf": kinds}
