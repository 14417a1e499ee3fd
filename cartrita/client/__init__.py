"""The Python client of the HTTP API, blocking and asynchronous."""

from cartrita.client.asynchronous import AsyncClient, AsyncTaskHandle
from cartrita.client.blocking import Client, TaskHandle
from cartrita.client.bulk import BatchResult, ListedTask, TaskPage
from cartrita.client.calls import TaskOptions
from cartrita.client.models import Account, TaskEvent, TaskOutcome, TaskType

__all__ = [
    "Account",
    "AsyncClient",
    "AsyncTaskHandle",
    "BatchResult",
    "Client",
    "ListedTask",
    "TaskEvent",
    "TaskHandle",
    "TaskOptions",
    "TaskOutcome",
    "TaskPage",
    "TaskType",
]
