"""Finds the interpreters of this machine and what of it they need."""

import os
import shutil
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cartrita.errors import SandboxUnavailable

SYSTEM = Path("/usr")
"""Where they are, with all they need; it has nothing in it that is nobody's business."""

OLDEST_PYTHON = (3, 9)
"""What `inside.py` needs."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A program that runs programs.

    Attributes:
        options: That it always gets.
        prefix: The folder that must be visible beside the system's, where it needs one.
        bounded_space: Whether its address space can be bounded; V8 reserves what it never uses.
    """

    program: Path
    options: tuple[str, ...] = ()
    prefix: Path | None = None
    bounded_space: bool = True


def interpreters(python: Path | None, memory: int) -> Mapping[str, Interpreter]:
    """Return the interpreters by language; Python is always there.

    Args:
        python: To be used for Python; by default the system's, or else ours.
        memory: Bytes that a program may have.
    """
    found = {"python": _python(python)}
    heap = f"--max-old-space-size={(memory >> 20) * 3 // 4}"
    for language, name, options in (("javascript", "node", (heap,)), ("bash", "bash", ())):
        path = shutil.which(name)
        if path is not None and (os.geteuid() != 0 or reachable(Path(path))):
            with suppress(SandboxUnavailable):  # that language is left out
                found[language] = _at(Path(path), options, bounded_space=name != "node")
    return found


def own_python() -> Path:
    """Return the interpreter that runs us, outside of any virtual environment."""
    return Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")


def _python(chosen: Path | None) -> Interpreter:
    return _at(chosen or next(filter(_new_enough, _system_pythons()), own_python()), ("-B",))


def reachable(program: Path) -> bool:
    """Tell whether everybody can get to a program: as root we become nobody, who is everybody."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in program.resolve().parents)


def _system_pythons() -> list[Path]:
    return [
        path for path in (Path("/usr/bin/python3"), Path("/usr/local/bin/python3")) if path.exists()
    ]


def _new_enough(path: Path) -> bool:
    """Tell by its name, such as `python3.11`, how old an interpreter is."""
    version = path.resolve().name.removeprefix("python").split(".")
    return all(part.isdecimal() for part in version) and tuple(map(int, version)) >= OLDEST_PYTHON


def _at(path: Path, options: tuple[str, ...], *, bounded_space: bool = True) -> Interpreter:
    real = path.resolve()
    prefix = None if real.is_relative_to(SYSTEM) else real.parent.parent
    if prefix is not None and Path.home().resolve().is_relative_to(prefix):
        raise SandboxUnavailable(
            f"{real} would show {prefix} to the code that runs: install it in a folder of its own."
        )
    return Interpreter(real, options, prefix, bounded_space)
