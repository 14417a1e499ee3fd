"""Counts what the tasks of a run did: a small server, outside of all that is broken."""

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from typing import Any

from cartrita.instance import replace_file


@dataclass(slots=True)
class Tally:
    """What was counted.

    Attributes:
        ran: How many attempts of each task began.
        effects: How often each effect was had, by its idempotency id.
    """

    ran: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    _one_at_a_time: Lock = field(default_factory=Lock, repr=False)

    def answer(self, line: str) -> int | None:
        """Do what a line says, `ran ID`, `hit ID` or `hits ID`; returns the count, if any."""
        verb, _, name = line.partition(" ")
        counter = {"ran": self.ran, "hit": self.effects, "hits": self.effects}.get(verb)
        if counter is None or not name:
            return None
        with self._one_at_a_time:
            counter[name] += verb != "hits"
            return counter[name]


@contextmanager
def listening(file: Path) -> Iterator[Tally]:
    """Count for as long as the context is open, at an address that `file` tells.

    Args:
        file: In the instance's home, where the agent looks for it.
    """
    tally, token = Tally(), secrets.token_urlsafe(24)
    with _Server(("127.0.0.1", 0), _handler(tally, token)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        replace_file(file, json.dumps({"port": server.server_address[1], "token": token}))
        try:
            yield tally
        finally:
            file.unlink(missing_ok=True)
            server.shutdown()
            thread.join()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that are killed in mid-sentence are what this is for."""


def _handler(tally: Tally, token: str) -> type[StreamRequestHandler]:
    class Handler(StreamRequestHandler):
        """Reads the token, then line after line, and answers each with a number."""

        disable_nagle_algorithm = True

        def handle(self) -> None:
            if not secrets.compare_digest(self.rfile.readline(256).strip(), token.encode()):
                return
            while line := self.rfile.readline(256):
                count = tally.answer(line.decode().strip())
                if count is None:
                    return
                self.wfile.write(f"{count}\n".encode())

    return Handler
