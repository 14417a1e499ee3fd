"""Counts what the tasks of a run did: a small HTTP server, outside of all that is broken."""

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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

    def add(self, which: str, name: str) -> bool:
        """Count one more; False when there is nothing of that kind to count."""
        counter = {"ran": self.ran, "effects": self.effects}.get(which)
        if counter is None:
            return False
        with self._one_at_a_time:
            counter[name] += 1
        return True


@contextmanager
def listening(file: Path) -> Iterator[Tally]:
    """Count for as long as the context is open, at an address that `file` tells.

    Args:
        file: In the instance's home, where the agent looks for it.
    """
    tally, token = Tally(), secrets.token_urlsafe(24)
    server = _Server(("127.0.0.1", 0), _handler(tally, token))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    replace_file(file, json.dumps({"url": url, "token": token}))
    try:
        yield tally
    finally:
        file.unlink(missing_ok=True)
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that are killed in mid-sentence are what this is for."""


def _handler(tally: Tally, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers `POST /ran/ID`, `POST /effects/ID` and `GET /effects/ID`."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 120.0

        def do_POST(self) -> None:
            _, which, name = (self.path + "//").split("/", 2)
            known = self._allowed() and tally.add(which, name.rstrip("/"))
            self._answer(HTTPStatus.OK if known else HTTPStatus.NOT_FOUND, {})

        def do_GET(self) -> None:
            if self._allowed() and self.path.startswith("/effects/"):
                name = self.path.removeprefix("/effects/")
                self._answer(HTTPStatus.OK, {"hits": tally.effects[name]})
            else:
                self._answer(HTTPStatus.NOT_FOUND, {})

        def _allowed(self) -> bool:
            given = self.headers.get("Authorization", "")
            return secrets.compare_digest(given.encode(), f"Bearer {token}".encode())

        def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's
            """Say nothing."""

    return Handler
