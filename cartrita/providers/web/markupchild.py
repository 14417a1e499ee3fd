"""Reads HTML in a process of its own, which can be killed."""

import json
import math
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from cartrita.providers.embedded.frames import READY, receive, send
from cartrita.providers.web.html import read_html

MEMORY = 512 << 20
"""Bytes of address space beyond what the interpreter and the parser take at first."""

CPU_SECONDS = 10
"""For one page; an orphaned process ends itself by it."""


def main() -> None:
    """Answer pages on standard input until it ends."""
    _limit_memory()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    send(target, READY)
    while (request := receive(source)) is not None:
        _allow_time()
        url, text, kind = json.loads(request)
        send(target, json.dumps(asdict(read_html(url, text, kind))).encode())


def _limit_memory() -> None:
    statm = Path("/proc/self/statm")
    if statm.exists():
        taken = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def _allow_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = math.ceil(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))
