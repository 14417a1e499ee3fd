"""A gateway's gRPC, and a client that knows it by reflection alone, as grpcurl does."""

from contextlib import asynccontextmanager

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.rpc.server import Port, serving
from tests.support.sockets import socket_gateway


class Reflected:
    """Calls what the server says that it has."""

    def __init__(self, channel, who=None):
        self.channel, self.who = channel, who
        self._stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self._pool = descriptor_pool.DescriptorPool()
        self._known = set()

    async def _ask(self, **request):
        asked = reflection_pb2.ServerReflectionRequest(**request)
        (answer,) = [one async for one in self._stub.ServerReflectionInfo(iter([asked]))]
        return answer

    async def services(self):
        answer = await self._ask(list_services="")
        return [service.name for service in answer.list_services_response.service]

    async def _learn(self, **request):
        answer = await self._ask(**request)
        for data in reversed(answer.file_descriptor_response.file_descriptor_proto):
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in self._known:
                continue
            self._known.add(file.name)
            for needed in file.dependency:
                if needed not in self._known:
                    await self._learn(file_by_filename=needed)
            self._pool.Add(file)

    async def method(self, service, name):
        """Return a function that calls, and the class of its requests."""
        full = f"cartrita.mcp.v1.{service}"
        await self._learn(file_containing_symbol=full)
        found = self._pool.FindServiceByName(full).methods_by_name[name]
        request = message_factory.GetMessageClass(found.input_type)
        answer = message_factory.GetMessageClass(found.output_type)
        kind = "stream_stream" if found.client_streaming else "unary_unary"
        call = getattr(self.channel, kind)(
            f"/{full}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return call, request

    async def call(self, service, name, metadata=(), **fields):
        """Make one call, whose fields are plain values."""
        call, request = await self.method(service, name)
        return await call(request(**foreign(fields)), metadata=(*self.token, *metadata), timeout=20)

    @property
    def token(self):
        return (("authorization", self.who["Authorization"]),) if self.who else ()


def foreign(value):
    """Return values that a class of another pool of descriptors takes."""
    if isinstance(value, any_pb2.Any):
        return {"type_url": value.type_url, "value": value.value}
    if isinstance(value, dict):
        return {name: foreign(item) for name, item in value.items()}
    return value


@asynccontextmanager
async def rpc_gateway(bounds=None, *, port=0, **options):
    """Run a gateway with gRPC; give its API, its HTTP port and a channel to it."""
    async with (
        socket_gateway(bounds=bounds, **options) as (api, http),
        serving(api.app._app._app.gate, Port("127.0.0.1", port), bounds or Bounds()) as number,
        grpc.aio.insecure_channel(f"127.0.0.1:{number}") as channel,
    ):
        yield api, http, channel
