"""What processes need on nodes of their own, and how they reach each other; starts no Ray."""

import pickle
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from actors import spawn
from actors.hosting import HostSpec
from actors.setup import Network, TreeConfig
from cartrita.auth.certificates import CA, CERT, KEY, issue, make_authority
from cartrita.channel.address import Endpoints
from cartrita.channel.server import ChannelServer
from cartrita.clock import SystemClock
from cartrita.config.load import load_settings
from cartrita.errors import ChannelLost, ConfigurationInvalid
from tests.support.channels import TOKEN, Answers

PLAIN = {"channel.tcp": "true", "channel.plain_tcp": "true"}


@pytest.fixture
def encrypted(tmp_path):
    """Return settings that name certificates made just now."""
    authority = make_authority(tmp_path / "tls", SystemClock())
    node = issue(authority, tmp_path / "tls", ["127.0.0.1"], 1, SystemClock()).folder
    files = {"ca": node / CA, "cert": node / CERT, "key": node / KEY}
    return {"channel.tcp": "true", **{f"channel.{name}": str(p) for name, p in files.items()}}


@pytest.fixture
def on(monkeypatch):
    """Return a function that gives the network of a process on a node, with settings."""
    monkeypatch.setattr(spawn, "address", lambda: "127.0.0.1")
    folder = TemporaryDirectory(prefix="ctn-", dir="/tmp")  # short: sockets lie in it

    def network(node, settings):
        monkeypatch.setattr(spawn, "node", lambda: node)
        settings = load_settings(settings, {"HOME": "/nowhere"})
        return Network(TreeConfig(settings, "run", "build", place, place, TOKEN))

    with folder as made:
        place = Path(made)
        yield network


@pytest.fixture
async def server():
    made = ChannelServer("the server", Answers(), token=TOKEN)
    yield made
    await made.stop()


async def answer(network, address):
    channel = await network.connect(address, token=TOKEN, peer="me")
    try:
        return await channel.request("call", None, 5), channel._transport.get_extra_info("cipher")
    finally:
        channel.close()


async def test_another_node_is_reached_by_tls_and_the_own_by_its_socket(on, encrypted, server):
    address = await on("node-a", encrypted).listen(server, "system/0.1")
    assert Endpoints.parse(address).node == "node-a"
    (_, cipher) = await answer(on("node-b", encrypted), address)
    assert cipher[1] == "TLSv1.3"
    (_, cipher) = await answer(on("node-a", encrypted), address)
    assert cipher is None


async def test_the_setting_that_allows_it_does_without_tls(on, server):
    address = await on("node-a", PLAIN).listen(server, "system/0.1")
    (said, cipher) = await answer(on("node-b", PLAIN), address)
    assert (said[0], cipher) == ("me", None)


async def test_without_certificates_no_token_is_sent_to_another_node(on, encrypted, server):
    address = await on("node-a", encrypted).listen(server, "system/0.1")
    with pytest.raises(ConfigurationInvalid, match=r"channel\.ca.*channel\.plain_tcp"):
        await answer(on("node-b", {}), address)
    assert not server.sessions
    with pytest.raises(ChannelLost):  # even if it were allowed there
        await answer(on("node-b", {"channel.plain_tcp": "true"}), address)
    assert not server.service.handled


async def test_a_node_that_does_not_listen_on_tcp_is_named_with_the_setting(on, encrypted, server):
    address = await on("node-a", {}).listen(server, "system/0.1")
    assert (await answer(on("node-a", {}), address))[0][0] == "me"
    with pytest.raises(ConfigurationInvalid, match=r"node 'node-a'.*channel\.tcp"):
        await answer(on("node-b", encrypted), address)


async def test_a_certificate_that_cannot_be_read_is_named_before_anything_listens(
    on, encrypted, server
):
    broken = {**encrypted, "channel.cert": "/nowhere/cert.pem"}
    with pytest.raises(ConfigurationInvalid, match=r"channel\.cert names"):
        await on("node-a", broken).listen(server, "system/0.1")
    address = await on("node-a", encrypted).listen(server, "system/0.1")
    with pytest.raises(ConfigurationInvalid, match=r"channel\.cert names"):
        await answer(on("node-b", broken), address)


FIRST = """
import asyncio, pickle, sys
from actors.tree import HostActor

async def begin():
    HostActor(*pickle.loads(bytes.fromhex(sys.argv[1])))._usage.report()

asyncio.run(begin())
"""


def test_the_first_process_on_a_node_finds_no_folders_and_makes_them(tmp_path):
    run = tmp_path / "run"
    settings = load_settings({"postgres.url": "postgresql://db"}, {"HOME": "/nowhere"})
    told = TreeConfig(settings, "run", "build", run, run / "metrics", TOKEN)
    spec = HostSpec("system/0.shared.0.1", (), 1, TOKEN)
    subprocess.run(
        [sys.executable, "-c", FIRST, pickle.dumps((told, spec)).hex()],
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **dict(told.needs.environment)},
        check=True,
        timeout=60,
    )
    for folder in (run, run / "metrics"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.name.split("_")[0] for file in (run / "metrics").iterdir()] == ["gauge"]
