"""The messages and services of `mcp.proto`, compiled when the program starts.

Nothing is generated into the tree: what was compiled from another version of the file, or for
another version of the runtime, cannot be left over.
"""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import FileDescriptor
from grpc_tools import protoc

from cartrita.errors import InternalFailure

ROOT = Path(__file__).parent / "proto"
PROTO = "cartrita/mcp/v1/mcp.proto"
PACKAGE = "cartrita.mcp.v1"

KNOWN = (any_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
"""What ours builds upon, or its `Any`s hold; the pool knows them once they are imported."""


@cache
def compiled() -> FileDescriptor:
    """Return the file's descriptor.

    Raises:
        InternalFailure: The file does not compile.
    """
    google = Path(str(protoc.__file__)).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "mcp.binpb"
        words = ["protoc", f"-I{ROOT}", f"-I{google}", f"--descriptor_set_out={out}", PROTO]
        if protoc.main(words):
            raise InternalFailure(f"{PROTO} does not compile.")
        found = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(found.file[0].SerializeToString())
    file: FileDescriptor = pool.FindFileByName(PROTO)
    return file


@cache
def message(name: str) -> Any:
    """Return the class of one of our messages."""
    return message_factory.GetMessageClass(compiled().message_types_by_name[name])


def number(enum: str, name: str) -> int:
    """Return the number of an enum's value by its name without the prefix; 0 when unknown."""
    values = compiled().enum_types_by_name[enum].values_by_name
    prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum).lstrip("_")
    value = values.get(f"{prefix}_{name}")
    return value.number if value else 0


def name_of(enum: str, value: int) -> str | None:
    """Return the name of an enum's value without the prefix; None for 0 and unknown ones."""
    found = compiled().enum_types_by_name[enum].values_by_number.get(value)
    if found is None or value == 0:
        return None
    prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum).lstrip("_")
    return str(found.name.removeprefix(f"{prefix}_"))
