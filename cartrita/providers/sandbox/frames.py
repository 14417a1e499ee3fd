"""Packs what goes into the sandbox and reads what comes out of it."""

import json
import struct
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cartrita.errors import InvalidParameters
from cartrita.providers.ports_sandbox import Ended, Program, Ran

LONGEST_NAME = 200
MOST_FOLDERS = 8
MOST_GIVEN = 64
LARGEST_GIVEN = 8 << 20
"""Bytes of all files and the input together."""

LONGEST_HEADER = 256 << 10
_LENGTH = struct.Struct(">I")

Size = Annotated[int, Field(ge=0)]


class _Header(BaseModel):
    """What `inside.py` says first."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ended: str
    code: Annotated[int, Field(ge=-255, le=255)] | None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    sizes: Annotated[list[Size], Field(min_length=2, max_length=2)]
    files: list[tuple[str, Size]]
    left_out: Size


def packed(
    program: Program, argv: list[str], env: Mapping[str, str], limits: Mapping[str, Any]
) -> bytes:
    """Return what `inside.py` reads.

    Raises:
        InvalidParameters: The program is not one that can be run.
    """
    _check(program)
    header = {
        "argv": argv,
        "env": dict(env),
        "files": [[path, len(data)] for path, data in program.files.items()],
        "stdin": len(program.stdin),
        "limits": dict(limits),
    }
    body = json.dumps(header).encode()
    return b"".join((_LENGTH.pack(len(body)), body, *program.files.values(), program.stdin))


def _check(program: Program) -> None:
    for path in program.files:
        if not usable(path):
            raise _invalid(f"{path!r} is no relative path of at most {LONGEST_NAME} characters")
    if program.entry not in program.files:
        raise _invalid(f"the entry {program.entry!r} is none of the files")
    size = sum(map(len, program.files.values())) + len(program.stdin)
    if len(program.files) > MOST_GIVEN or size > LARGEST_GIVEN:
        raise _invalid(f"at most {MOST_GIVEN} files and {LARGEST_GIVEN >> 20} MB can be given")
    if any("\x00" in text for text in (*program.options, *program.arguments)):
        raise _invalid("arguments have no NUL characters")


def _invalid(message: str) -> InvalidParameters:
    return InvalidParameters(f"This cannot be run: {message}.", fields=[("files", message)])


def usable(path: str) -> bool:
    """Tell whether a path is a relative one that stays below its folder."""
    parts = PurePosixPath(path).parts
    return (
        0 < len(path) <= LONGEST_NAME
        and path.isprintable()
        and len(parts) <= MOST_FOLDERS
        and not path.startswith(("/", "-"))
        and "/".join(parts) == path
        and ".." not in parts
        and path != "."
    )


def longest(limits: Mapping[str, Any]) -> int:
    """Return the most bytes that an answer may have."""
    return int(LONGEST_HEADER + 2 * limits["output"] + limits["returned"])


def unpacked(answer: bytes) -> Ran | None:
    """Return what an answer tells; None where it is none, as the program may have forged it."""
    if len(answer) < _LENGTH.size:
        return None
    end = _LENGTH.size + _LENGTH.unpack_from(answer)[0]
    try:
        header = _Header.model_validate_json(answer[_LENGTH.size : end])
        ended = Ended(header.ended)
    except (ValidationError, ValueError):
        return None
    body = memoryview(answer)[end:]
    sizes = [*header.sizes, *(size for _, size in header.files)]
    if sum(sizes) != len(body):
        return None
    parts = []
    for size in sizes:
        parts.append(bytes(body[:size]))
        body = body[size:]
    names = (path for path, _ in header.files)
    made = dict(zip(names, parts[2:], strict=True))
    kept = {path: data for path, data in made.items() if usable(path)}
    return Ran(
        ended=ended,
        exit_code=header.code,
        stdout=parts[0].decode(errors="replace"),
        stderr=parts[1].decode(errors="replace"),
        files=kept,
        left_out=header.left_out + len(made) - len(kept),
        seconds=header.seconds,
    )
