"""The baselines: the same no-op behind bare uvicorn, and behind bare Serve with HAProxy.

python benchmarks/bare.py uvicorn PORT
python benchmarks/bare.py serve RAY_ADDRESS NAMESPACE      (joins a Ray whose Serve runs)
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


async def answer(request: Request) -> Response:
    """Read the body and send some of the size of a TaskResponse."""
    body = await request.body()
    return Response(
        b'{"echo":' + body + b',"pad":"' + b"x" * 250 + b'"}', media_type="application/json"
    )


async def pause(request: Request) -> Response:
    """Answer after 20 ms."""
    await asyncio.sleep(0.020)
    return await answer(request)


async def stream(_request: Request) -> Response:
    """Say something, and then nothing but that the stream is alive."""
    return StreamingResponse(_silence(), media_type="text/event-stream")


async def _silence() -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    while True:
        await asyncio.sleep(15)
        yield b":\n\n"


async def converse(socket: WebSocket) -> None:
    """Take a WebSocket, and say the same to whatever it says."""
    await socket.accept()
    async for _ in socket.iter_text():
        await socket.send_text('{"ok":true}')


def application() -> Starlette:
    """Return the bare application."""
    return Starlette(
        routes=[
            Route("/stream", stream, methods=["GET"]),
            WebSocketRoute("/ws", converse),
            Route("/wait", pause, methods=["POST"]),
            Route("/{rest:path}", answer, methods=["GET", "POST"]),
        ]
    )


def run_uvicorn(port: int) -> None:
    """Serve it with uvicorn alone."""
    import uvicorn  # noqa: PLC0415 - only here

    uvicorn.run(application(), host="127.0.0.1", port=port, log_level="error", access_log=False)


def deploy_serve(address: str, namespace: str) -> None:
    """Deploy it beside Cartrita on the same Serve, with the same options."""
    import ray  # noqa: PLC0415 - only here
    from ray import serve  # noqa: PLC0415 - only here

    ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=40)
    deployment = serve.deployment(
        name="bare",
        max_ongoing_requests=4096,
        ray_actor_options={"num_cpus": 0, "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "1"}}},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    app = deployment(serve.ingress(application)()).bind()
    serve.run(app, name="bare", route_prefix="/bare", blocking=False)
    ray.shutdown()


if __name__ == "__main__":
    if sys.argv[1] == "uvicorn":
        run_uvicorn(int(sys.argv[2]))
    else:
        deploy_serve(sys.argv[2], sys.argv[3])
