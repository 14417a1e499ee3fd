"""Tests of the files EmbeddedValkey writes."""

import asyncio
import stat
import tempfile
from pathlib import Path

import pytest
from redis.connection import parse_url

from cartrita.storage.embedded.valkey import EmbeddedValkey
from tests.support.database import free_ports


@pytest.fixture
def valkey(tmp_path):
    with tempfile.TemporaryDirectory(dir="/tmp") as runtime:
        server = EmbeddedValkey(tmp_path / 'da"ta', Path(runtime), free_ports(1)[0])
        asyncio.run(server.prepare())
        yield server


def test_the_password_is_in_a_private_file_and_not_in_the_arguments(valkey, tmp_path):
    secret = parse_url(valkey.url)["password"]
    configuration = Path(valkey.spec().argv[1])
    assert f"requirepass {secret}" in configuration.read_text()
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
    assert not any(secret in part for part in valkey.spec().argv)


def test_paths_are_quoted(valkey, tmp_path):
    text = Path(valkey.spec().argv[1]).read_text()
    assert f'dir "{tmp_path}/da\\"ta"' in text


def test_it_keeps_nothing_on_disk_and_little_in_memory(valkey):
    lines = Path(valkey.spec().argv[1]).read_text().splitlines()
    assert {'save ""', "appendonly no", "maxmemory 64mb", "bind 127.0.0.1"} <= set(lines)


def test_the_password_stays_from_one_start_to_the_next(valkey):
    before = valkey.url
    asyncio.run(valkey.prepare())
    assert valkey.url == before
