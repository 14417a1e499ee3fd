"""AutoGen Core's runtime in one process: behind uvicorn, or called as it is.

uvicorn autogen_local:app
python autogen_local.py call KIND CLIENTS SECONDS
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from autogen_agent import Worker, door, run_call
from autogen_core import SingleThreadedAgentRuntime


@asynccontextmanager
async def opened() -> AsyncIterator[SingleThreadedAgentRuntime]:
    """Run the runtime with its agent."""
    runtime = SingleThreadedAgentRuntime()
    await Worker.register(runtime, "worker", Worker)
    runtime.start()
    yield runtime
    await runtime.stop()


app = door(opened)

if __name__ == "__main__":
    uvloop.run(run_call(opened, sys.argv[2:]))
