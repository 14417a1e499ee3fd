"""The two tasks as Celery's workers run them: a queue each, since each has a pool that suits it."""

import os
import time
from typing import Any

from celery import Celery

ADDRESS = os.environ["PEERS_REDIS"]

app = Celery("peers", broker=ADDRESS, backend=ADDRESS)
app.conf.update(
    result_expires=120,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=int(os.environ.get("PEERS_PREFETCH", "4")),
    worker_hijack_root_logger=False,
)


@app.task(name="noop")
def noop(payload: dict[str, Any]) -> dict[str, Any]:
    """Give back what came."""
    return payload


@app.task(name="wait")
def wait(payload: dict[str, Any]) -> dict[str, Any]:
    """Give it back after 20 ms."""
    time.sleep(0.020)
    return payload
