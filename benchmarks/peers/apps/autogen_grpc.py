"""AutoGen's runtime over gRPC: a host, a worker with the agent, and who calls it.

python autogen_grpc.py host
python autogen_grpc.py worker
uvicorn autogen_grpc:app
python autogen_grpc.py call KIND CLIENTS SECONDS

All of them read the host's address from PEERS_GRPC.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autogen_agent import Message, Worker, door, run_call
from autogen_core import try_get_known_serializers_for_type
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime, GrpcWorkerAgentRuntimeHost

ADDRESS = os.environ["PEERS_GRPC"]


async def host() -> None:
    """Pass messages between the others."""
    service = GrpcWorkerAgentRuntimeHost(address=ADDRESS)
    service.start()
    await service.stop_when_signal()


async def worker() -> None:
    """Have the agent."""
    runtime = GrpcWorkerAgentRuntime(host_address=ADDRESS)
    await runtime.start()
    await Worker.register(runtime, "worker", Worker)
    await runtime.stop_when_signal()


@asynccontextmanager
async def opened() -> AsyncIterator[GrpcWorkerAgentRuntime]:
    """Join as one that only calls."""
    runtime = GrpcWorkerAgentRuntime(host_address=ADDRESS)
    runtime.add_message_serializer(try_get_known_serializers_for_type(Message))
    await runtime.start()
    yield runtime
    await runtime.stop()


app = door(opened)

if __name__ == "__main__":
    part, *rest = sys.argv[1:]
    asyncio.run({"host": host, "worker": worker}[part]() if not rest else run_call(opened, rest))
