"""Channels over TCP with mutual TLS: who gets in, and what the others hear."""

import asyncio
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from cartrita.auth.certificates import issue, make_authority
from cartrita.channel import client
from cartrita.channel.address import Address
from cartrita.channel.client import connect
from cartrita.channel.tls import Credentials, client_context, server_context
from cartrita.clock import ManualClock, SystemClock
from cartrita.errors import ChannelLost, ConfigurationInvalid
from tests.support.channels import TOKEN, Answers, serving
from tests.support.processes import eventually

LOCAL = Address(host="127.0.0.1", port=0)


def credentials(folder):
    return Credentials(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give the credentials of two nodes, of one that expired, and of another cluster's."""
    ours, theirs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("theirs")
    clock, long_ago = SystemClock(), ManualClock()
    authority, other = make_authority(ours, clock), make_authority(theirs, clock)
    found = {
        "one": issue(authority, ours, ["one", "10.0.0.1"], 30, clock),
        "two": issue(authority, ours, ["two"], 30, clock),
        "expired": issue(authority, ours, ["expired"], 1, long_ago),
        "stranger": issue(other, theirs, ["stranger"], 30, clock),
    }
    return {name: credentials(node.folder) for name, node in found.items()}


async def refusal(address, context):
    """Return what a client hears that is not let in; without a context it speaks plainly."""
    plain = context is None
    with pytest.raises(ChannelLost) as caught:
        await connect(address, token=TOKEN, peer="me", tls=context, plain_tcp=plain)
    return caught.value.message


def listening(made, name="one", address=LOCAL):
    """Serve as one of the nodes."""
    return serving(Answers(), address, tls=server_context(made[name]))


async def test_two_nodes_of_one_authority_talk(made):
    async with listening(made) as (_, address):
        channel = await connect(address, token=TOKEN, peer="me", tls=client_context(made["two"]))
        assert await channel.request("echo", {"a": [1, None]}, 5) == {"a": [1, None]}
        spoken = channel._transport.get_extra_info("ssl_object").version()
        assert spoken == "TLSv1.3"
        channel.close()


async def test_a_thousand_requests_at_once_get_their_own_answers(made):
    async with listening(made) as (_, address):
        channel = await connect(address, token=TOKEN, peer="me", tls=client_context(made["two"]))
        async with asyncio.timeout(30):
            asked = (channel.request("echo", number, 30) for number in range(1000))
            assert await asyncio.gather(*asked) == list(range(1000))
        channel.close()


async def test_a_large_answer_arrives_whole(made):
    async with listening(made) as (_, address):
        channel = await connect(address, token=TOKEN, peer="me", tls=client_context(made["two"]))
        assert len(await channel.request("large", 3_000_000, 30)) == 3_000_000
        channel.close()


def refused(made, kind):
    """Return the context of a client that the server does not accept."""
    if kind == "bare":
        return ssl.create_default_context(cafile=made["one"].ca)
    return client_context(replace(made[kind], ca=made["one"].ca))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("bare", "certificate required"),
        ("stranger", "unknown ca"),
        ("expired", "certificate expired"),
    ],
)
async def test_a_client_that_is_refused_hears_why(made, kind, reason):
    async with listening(made) as (channels, address):
        for _ in range(5):  # whichever end is quicker
            assert reason in await refusal(address, refused(made, kind))
        assert not channels.sessions
        assert channels.service.handled == 0


async def talk_on(reader, writer):
    """Send, and read what comes back, until the connection ends."""
    async with asyncio.timeout(5):
        while not reader.at_eof():
            writer.write(b"\x00" * 1000)
            await writer.drain()
            await reader.read(1)


async def test_a_client_that_is_refused_never_reaches_the_server_by_talking_on(made):
    async with listening(made) as (channels, address):
        context = refused(made, "stranger")
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await talk_on(reader, writer)
        writer.close()
        assert not channels.sessions


@pytest.mark.parametrize(
    ("shown", "reason"),
    [("expired", "certificate has expired"), ("stranger", "self-signed certificate")],
)
async def test_a_client_tells_why_it_does_not_trust_the_server(made, shown, reason):
    async with listening(made, shown) as (_, address):
        assert reason in await refusal(address, client_context(made["two"]))


async def test_a_server_under_a_name_that_is_not_its_own_is_refused(made):
    # All of 127/8 is loopback, and one address of it is in the certificate.
    async with listening(made, "one", replace(LOCAL, host="127.0.0.2")) as (_, address):
        said = await refusal(address, client_context(made["two"]))
        assert "IP address mismatch" in said


async def test_a_name_is_as_good_as_an_address(made):
    async with listening(made) as (_, address):
        named = replace(address, host="localhost")
        channel = await connect(named, token=TOKEN, peer="me", tls=client_context(made["two"]))
        assert await channel.request("echo", 1, 5) == 1
        channel.close()


async def test_a_client_without_tls_is_lost_at_a_server_with_it(made):
    async with listening(made) as (channels, address):
        assert "handshake" in await refusal(address, None)
        assert await eventually(lambda: not channels.sessions, 5)


async def test_a_client_with_tls_is_lost_at_a_server_without_it(made):
    async with serving(Answers(), LOCAL, plain_tcp=True) as (channels, address):
        await refusal(address, client_context(made["two"]))
        assert await eventually(lambda: not channels.sessions, 5)


async def test_a_server_that_never_answers_the_handshake_is_given_up(made, monkeypatch):
    monkeypatch.setattr(client, "CONNECT_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts for it
        address = replace(LOCAL, port=silent.getsockname()[1])
        async with asyncio.timeout(5):
            await refusal(address, client_context(made["two"]))


async def test_a_node_that_dies_without_a_word_is_noticed_by_the_kernel_at_both_ends(made):
    async with listening(made) as (channels, address):
        channel = await connect(address, token=TOKEN, peer="me", tls=client_context(made["two"]))
        (session,) = channels.sessions
        for end in (channel, session):
            option = end._transport.get_extra_info("socket").getsockopt
            assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
            idle, pause, tries = (option(socket.IPPROTO_TCP, getattr(socket, n)) for n in names)
            assert idle + pause * tries < 2 * client.HEARTBEAT  # two hours, if nobody asks
        channel.close()


async def test_tls_before_1_3_is_refused(made):
    old = client_context(made["two"])
    old.minimum_version, old.maximum_version = (ssl.TLSVersion.TLSv1_2,) * 2
    async with listening(made) as (channels, address):
        await refusal(address, old)
        assert not channels.sessions


@pytest.fixture
def files(tmp_path, made):
    """Give a copy of a node's files, which the test may spoil."""
    for path in (made["one"].ca, made["one"].cert, made["one"].key):
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(path.stat().st_mode)
    return credentials(tmp_path)


def complaint(found):
    """Return what both ends say of wrong files."""
    said = set()
    for context in (server_context, client_context):
        with pytest.raises(ConfigurationInvalid) as caught:
            context(found)
        said.add(caught.value.message)
    (message,) = said
    return message


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_a_missing_file_is_named_with_its_setting(files, name):
    getattr(files, name).unlink()
    message = complaint(files)
    assert message.startswith(f"channel.{name} names '{getattr(files, name)}'")
    assert "No such file" in message


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_a_folder_in_the_place_of_a_file_is_named_with_its_setting(files, name):
    broken = replace(files, **{name: files.ca.parent})
    assert complaint(broken).startswith(f"channel.{name} names")


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
@pytest.mark.parametrize("content", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_of_something_else_is_named_with_its_setting(files, name, content):
    getattr(files, name).write_bytes(content)
    assert complaint(files).startswith(f"channel.{name} names")


def test_a_key_of_another_certificate_is_refused(files, made):
    files.key.write_bytes(made["two"].key.read_bytes())
    assert "is not the key of channel.cert" in complaint(files)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(files, mode):
    files.key.chmod(mode)
    assert f"mode {mode:o}" in complaint(files)


def test_a_key_with_a_passphrase_is_refused_instead_of_asking_for_it(files):
    key = load_pem_private_key(files.key.read_bytes(), None)
    locked = BestAvailableEncryption(b"secret")
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    assert "has a passphrase" in complaint(files)


def test_a_certificate_and_its_key_in_one_file_are_taken(files):
    both = Path(files.key.parent / "both.pem")
    both.touch(0o600)
    both.write_bytes(files.cert.read_bytes() + files.key.read_bytes())
    server_context(Credentials(files.ca, both, both))
