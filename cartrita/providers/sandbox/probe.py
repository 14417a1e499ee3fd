"""Looks from inside whether the sandbox holds, and says what it found.

Runs in the sandbox's Python as any other program, before any other program does; so it keeps to
the standard library, and to what Python 3.9 has.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import socket
import sys
import threading
import time

SMALLEST_STACK = 64 << 10
SEEN = 0.2
"""Seconds that it stays, so that it is seen from outside, too."""


def main() -> None:
    """Print what holds, by what it is called."""
    memory, disk, processes = map(int, sys.argv[1:4])
    status = _status()
    found = {
        "not root": os.getuid() != 0 and os.getgid() != 0,
        "no rights": all(not int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")),
        "no new rights": status["NoNewPrivs"] == "1",
        "calls are filtered": status["Seccomp"] == "2" and _refused("unshare", 0x10000000),
        "no other processes": _pids() <= {1, os.getppid(), os.getpid()},
        "no network": _only_loopback() and _unreachable(),
        "the system is read-only": not any(map(_writable, ("/", "/usr", "/usr/bin", "/dev"))),
        "the environment is empty": set(os.environ) <= set(sys.argv[4].split(",")),  # noqa: TID251 - its own
        "memory is bounded": _bounded_memory(memory),
        "disk is bounded": _bounded_disk(disk),
        "processes are bounded": _bounded_processes(processes),
    }
    time.sleep(SEEN)
    print(json.dumps(found))  # noqa: T201 - its answer


def _status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        pairs = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in pairs}


def _refused(call: str, *arguments: int) -> bool:
    done = getattr(ctypes.CDLL(None, use_errno=True), call)(*arguments)
    return bool(done == -1) and ctypes.get_errno() == errno.EPERM


def _pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdecimal()}


def _only_loopback() -> bool:
    with open("/proc/net/dev") as file:
        return [line.split(":")[0].strip() for line in file.readlines()[2:]] == ["lo"]


def _unreachable() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(("192.0.2.1", 9)) == errno.ENETUNREACH


def _writable(folder: str) -> bool:
    place = os.path.join(folder, "cartrita-probe")
    try:
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        return False
    return True


def _bounded_memory(most: int) -> bool:
    if resource.getrlimit(resource.RLIMIT_DATA)[1] != most:
        return False
    try:
        bytearray(most)
    except MemoryError:
        return True
    return False


def _bounded_disk(most: int) -> bool:
    place = os.statvfs(".")
    if place.f_blocks * place.f_frsize > most + place.f_frsize:
        return False
    try:
        with open("large", "wb") as file:
            file.truncate(most + 1)
    except OSError as error:
        return error.errno == errno.EFBIG
    return False


def _bounded_processes(most: int) -> bool:
    """Start threads, which count as processes do, until that fails; then let all end."""
    threading.stack_size(SMALLEST_STACK)
    end = threading.Event()
    born: list[threading.Thread] = []
    bounded = False
    while len(born) <= most and not bounded:
        thread = threading.Thread(target=end.wait)
        try:
            thread.start()
            born.append(thread)
        except RuntimeError:
            bounded = True
    end.set()
    for thread in born:
        thread.join()
    return bounded and len(born) > most // 2


if __name__ == "__main__":
    main()
