"""A hub of models on a real socket: folders, as Hugging Face's client asks for them."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FolderHub(ThreadingHTTPServer):
    """What a test looks at.

    Attributes:
        given: Paths that were fetched with GET.
        tokens: `Authorization` headers that came.
    """

    daemon_threads = True

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories
        self.given: list[str] = []
        self.tokens: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FolderHub

    def log_message(self, *_args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(whole=False)

    def do_GET(self) -> None:
        self.server.given.append(self.path)
        self._answer(whole=True)

    def _answer(self, *, whole: bool) -> None:
        if token := self.headers.get("authorization"):
            self.server.tokens.add(token)
        path = self.path.partition("?")[0].removeprefix("/")
        for name, folder in self.server.repositories.items():
            if path.startswith(f"api/models/{name}"):
                return self._send(json.dumps(_told(name, folder, path)).encode(), whole=whole)
            file = folder / path.removeprefix(f"{name}/resolve/{COMMIT}/")
            if path.startswith(name) and file.is_file():
                return self._send(file.read_bytes(), whole=whole)
        return self._send(b"{}", 404, whole=whole)

    def _send(self, data: bytes, status: int = 200, *, whole: bool) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.send_header("etag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("x-repo-commit", COMMIT)
        if status != 200:
            self.send_header("x-error-code", "RepoNotFound")
        self.end_headers()
        if whole:
            self.wfile.write(data)


def _told(name: str, folder: Path, path: str) -> object:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    if "/tree/" in path:
        return [
            {
                "type": "file",
                "path": str(file.relative_to(folder)),
                "size": file.stat().st_size,
                "oid": COMMIT,
            }
            for file in files
        ]
    siblings = [
        {"rfilename": str(file.relative_to(folder)), "size": file.stat().st_size} for file in files
    ]
    return {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": []}


@contextmanager
def hub_of(repositories: dict[str, Path]) -> Iterator[FolderHub]:
    """Run a hub for the length of a block."""
    hub = FolderHub(repositories)
    thread = threading.Thread(target=hub.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
