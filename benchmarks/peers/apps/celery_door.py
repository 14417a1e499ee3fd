"""FastAPI before Celery: a POST sends a task to the broker and waits for its result.

One pattern subscription hears of all results as they are stored, so nothing polls and no thread
waits. This side has no result backend of Celery's, which would subscribe anew for each task.
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import Redis

ADDRESS = os.environ["PEERS_REDIS"]
PREFIX = "celery-task-meta-"

sender = Celery("door", broker=ADDRESS)
waiting: dict[str, asyncio.Future[Any]] = {}


class Task(BaseModel):
    """What a task is given."""

    payload: dict[str, Any]


async def listen(redis: Redis) -> None:
    """Hand each result to the request that waits for it."""
    hears = redis.pubsub(ignore_subscribe_messages=True)
    await hears.psubscribe(f"{PREFIX}*")
    async for message in hears.listen():
        told = json.loads(message["data"])
        future = waiting.pop(told["task_id"], None)
        if future and not future.done():
            future.set_result(told)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Listen for as long as the door is open."""
    async with Redis.from_url(ADDRESS) as redis:
        listening = asyncio.create_task(listen(redis))
        yield
        listening.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/ok")
async def ok() -> str:
    """Say that the door is open."""
    return "ok"


@app.post("/{kind}")
async def run(kind: str, task: Task) -> dict[str, Any]:
    """Run a task and answer with its result."""
    task_id = str(uuid.uuid4())
    future = waiting[task_id] = asyncio.get_running_loop().create_future()
    sender.send_task(kind, [task.payload], task_id=task_id, queue=kind)
    told = await asyncio.wait_for(future, 30)
    return {"taskId": task_id, "status": told["status"], "result": told["result"]}
