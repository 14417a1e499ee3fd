"""The Python client of the HTTP API, blocking and asynchronous."""

from cartrita.client.asynchronous import AsyncClient, AsyncTaskHandle
from cartrita.client.blocking import Client, TaskHandle
from cartrita.client.bulk import BatchResult, ListedTask, TaskPage
from cartrita.client.calls import TaskOptions
from cartrita.client.models import Account, BlobInfo, TaskEvent, TaskOutcome, TaskType
from cartrita.client.typed import RemoteTask, TypedOutcome

__all__ = [
    "Account",
    "AsyncClient",
    "AsyncTaskHandle",
    "BatchResult",
    "BlobInfo",
    "Client",
    "ListedTask",
    "RemoteTask",
    "TaskEvent",
    "TaskHandle",
    "TaskOptions",
    "TaskOutcome",
    "TaskPage",
    "TaskType",
    "TypedOutcome",
]
