"""A real S3 server on a free port, in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from cartrita.storage.s3_blobs import Bucket
from tests.support.processes import running

KEY, SECRET, REGION = "test-key", "test-secret", "us-east-1"
_SIGNED = f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/{REGION}/s3/aws4_request"
_SERVER = """
import logging
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
logging.getLogger("werkzeug").setLevel("ERROR")
application = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, application, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def s3_server() -> Iterator[str]:
    """Run the server and give its address."""
    with running(sys.executable, "-c", _SERVER, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        with process.stdout as told:
            endpoint = f"http://127.0.0.1:{int(told.readline())}"
        with httpx.Client(base_url=endpoint, headers={"authorization": _SIGNED}) as http:
            assert http.put("/blobs").is_success
        yield endpoint


def bucket_at(endpoint: str, name: str = "blobs", prefix: str = "") -> Bucket:
    return Bucket(name, endpoint, REGION, KEY, SECRET, prefix, timeout=5.0)


def unfinished_uploads(endpoint: str) -> int:
    """Return how many uploads were begun and neither ended nor given up."""
    listing = httpx.get(f"{endpoint}/blobs?uploads", headers={"authorization": _SIGNED})
    return listing.text.count("<Upload>")
