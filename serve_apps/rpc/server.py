"""The gRPC server of one gateway, on a port that all gateways of a node share."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection

from cartrita.errors import CartritaError, ConfigurationInvalid, InternalFailure, InvalidMessage
from cartrita.telemetry.log import get_logger, traceparent
from cartrita.telemetry.metrics import TRANSPORT_ERRORS, labelled
from serve_apps.gateway.gate import Gate
from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.rpc import agents, messages, tasks
from serve_apps.rpc.caller import caller_of
from serve_apps.rpc.credentials import credentials_of
from serve_apps.rpc.failures import detail_of, status_of, trailers_of
from serve_apps.rpc.schema import compiled

log = get_logger(__name__)

GRACE = 10.0
"""Seconds that calls have to end when the gateway does."""

Read = Callable[[bytes], Any]
Unary = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Port:
    """Where to listen.

    Attributes:
        number: 0 picks a free one.
        certificate: PEM file of the chain; None serves without TLS.
        key: PEM file of the certificate's key.
    """

    host: str
    number: int
    certificate: Path | None = None
    key: Path | None = None


@asynccontextmanager
async def serving(gate: Gate, port: Port, bounds: Bounds) -> AsyncIterator[int]:
    """Serve gRPC and give the port's number.

    Raises:
        ConfigurationInvalid: The port cannot be had, or a file of the certificate not be read.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", bounds.message_bytes),
            # The edge lets a client have half as many, and counts a call as over before we do.
            ("grpc.max_concurrent_streams", 2 * bounds.subscriptions),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.max_connection_idle_ms", round(bounds.idle * 1000)),
            ("grpc.so_reuseport", 1),
        ],
        maximum_concurrent_rpcs=bounds.connections,
    )
    names = [reflection.SERVICE_NAME]
    for service in compiled().services_by_name.values():
        names.append(service.full_name)
        server.add_generic_rpc_handlers((_service(service, gate, bounds),))
    reflection.enable_server_reflection(names, server)
    number = _listen(server, port)
    await server.start()
    try:
        yield number
    finally:
        await server.stop(GRACE)


def _listen(server: Any, port: Port) -> int:
    host = f"[{port.host}]" if ":" in port.host else port.host
    address = f"{host}:{port.number}"
    try:
        if port.certificate and port.key:
            credentials = credentials_of(port.certificate, port.key)
            return int(server.add_secure_port(address, credentials))
        return int(server.add_insecure_port(address))
    except (OSError, RuntimeError) as error:
        raise ConfigurationInvalid(
            f"gRPC cannot listen on {address!r}; set server.grpc_port to a free port: {error}"
        ) from None


def _service(service: Any, gate: Gate, bounds: Bounds) -> Any:
    """Return the handlers of one service; each RPC is the function of its name."""
    route = partial(messages.route_message, bounds=bounds)
    verbs: dict[str, Any] = {**vars(agents), **vars(tasks), "route_message": route}
    streams = {
        "stream_task": partial(tasks.stream_task, bounds=bounds),
        "stream_messages": partial(messages.stream_messages, bounds=bounds),
    }
    handlers = {}
    for method in service.methods:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
        read = _reader(method.input_type)
        # Requests are read by us: gRPC would tell what cannot be read as a failure of ours.
        if name in streams:
            handle: Any = partial(_streamed, gate, streams[name], read)
            make = grpc.stream_stream_rpc_method_handler
        else:
            handle = partial(_answered, gate, verbs[name], read)
            make = grpc.unary_unary_rpc_method_handler
        handlers[method.name] = make(handle, None, _write)
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _reader(kind: Any) -> Read:
    made = message_factory.GetMessageClass(kind)

    def read(body: bytes) -> Any:
        try:
            return made.FromString(body)
        except DecodeError as error:
            raise InvalidMessage(f"The message cannot be read: {error}.") from None

    return read


def _write(message: Any) -> bytes:
    written: bytes = message.SerializeToString()
    return written


async def _answered(gate: Gate, verb: Unary, read: Read, body: bytes, context: Any) -> Any:
    try:
        caller = await caller_of(gate, context)
        context.set_trailing_metadata((("traceparent", traceparent()),))
        return await verb(read(body), caller)
    except CartritaError as error:
        await _abort(context, error)
    except (grpc.aio.AbortError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("call_failed")
        await _abort(context, InternalFailure("The call failed on our side."))


async def _streamed(
    gate: Gate, verb: Callable[[Any, Any], Any], read: Read, bodies: Any, context: Any
) -> AsyncIterator[Any]:
    try:
        caller = await caller_of(gate, context)
        requests = (read(body) async for body in bodies)
        async with aclosing(verb(requests, caller)) as told:
            async for message in told:
                yield message
    except CartritaError as error:
        await _abort(context, error)
    except (grpc.aio.AbortError, grpc.aio.UsageError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("call_failed")
        await _abort(context, InternalFailure("The call failed on our side."))


async def _abort(context: Any, error: CartritaError) -> None:
    labelled(TRANSPORT_ERRORS, "grpc", error.code.value).inc()
    await context.abort(status_of(error), detail_of(error), trailers_of(error))
