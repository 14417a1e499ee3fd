"""Who is let in, and what a peer without manners can do."""

import asyncio
import socket
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartrita.channel import link, server
from cartrita.channel.address import Address
from cartrita.channel.client import connect
from cartrita.channel.frames import VERSION, Kind
from cartrita.errors import AuthenticationFailed, ChannelLost, ConfigurationInvalid
from tests.support.channels import TOKEN, Answers, hello, raw_peer, serving
from tests.support.processes import eventually

LOCAL = Address(host="127.0.0.1", port=0)
PIECE = 256 * 1024


async def works(address):
    """Whether an honest client is served."""
    channel = await connect(address, token=TOKEN, peer="honest", plain_tcp=True)
    try:
        return await channel.request("echo", "hello", 5) == "hello"
    finally:
        channel.close()


async def test_a_welcome_says_who_is_there_and_in_which_epoch():
    async with serving(Answers(), epoch=7) as (_, address):
        channel = await connect(address, token=TOKEN, peer="me")
        assert (channel.server, channel.epoch) == ("the server", 7)
        channel.close()


async def test_a_wrong_token_is_refused():
    async with serving(Answers()) as (channels, address):
        with pytest.raises(AuthenticationFailed):
            await connect(address, token="guess", peer="me")
        assert await eventually(lambda: not channels.sessions, 5)


async def test_a_client_of_an_older_epoch_is_refused_and_of_a_newer_one_not():
    async with serving(Answers(), epoch=5, least_epoch=5) as (_, address):
        with pytest.raises(AuthenticationFailed, match="epoch"):
            await connect(address, token=TOKEN, peer="zombie", epoch=4)
        for epoch in (5, 6):
            (await connect(address, token=TOKEN, peer="me", epoch=epoch)).close()


@pytest.mark.parametrize(
    "first",
    [
        hello(version=VERSION + 1),
        hello(token=None),
        hello(token=b"the token"),
        hello(epoch=float("nan")),
        hello()[:-1],
        [*hello(), "more"],
        [Kind.REQUEST, 1, "echo", 1000, None, "x"],
        [Kind.PING, 1],
    ],
)
async def test_whoever_does_not_greet_as_agreed_is_refused(first):
    service = Answers()
    async with serving(service) as (_, address), raw_peer(address, greet=False) as peer:
        peer.write(first)
        kind, _, error = await peer.frame()
        assert (kind, error["type"]) == (Kind.FAILURE, "AuthenticationFailed")
        assert await peer.gone()
    assert service.handled == 0


async def test_a_connection_has_one_guess():
    service = Answers()
    async with serving(service) as (_, address), raw_peer(address, greet=False) as peer:
        guess, right = hello(token="guess"), hello()
        peer.write(guess, guess, right, [Kind.REQUEST, 1, "echo", 1000, None, "x"])
        assert (await peer.frame())[0] == Kind.FAILURE
        assert await peer.frame() is None
    assert service.handled == 0


async def test_whoever_says_nothing_is_sent_away_and_whoever_spoke_may_stay(monkeypatch):
    monkeypatch.setattr(server, "HELLO_TIMEOUT", 0.02)
    async with serving(Answers()) as (channels, address), raw_peer(address) as early:
        async with raw_peer(address, greet=False) as silent:
            silent.write(b"\x00\x00")  # less than a length
            assert await silent.frame() is None
        assert len(channels.sessions) == 1
        early.write([Kind.PING, 9])  # its time to introduce itself was over before
        assert await early.frame() == [Kind.PONG, 9]


async def test_the_socket_is_private_takes_a_dead_one_s_place_and_is_removed(tmp_path):
    path = tmp_path / "s"
    path.write_text("left behind")
    channels = server.ChannelServer("s", Answers(), token=TOKEN)
    address = await channels.start(Address.unix(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await works(address)
    await channels.stop()
    assert not path.exists()


async def test_tcp_without_tls_must_be_allowed_by_name():
    channels = server.ChannelServer("s", Answers(), token=TOKEN)
    with pytest.raises(ConfigurationInvalid, match=r"needs TLS.*channel\.plain_tcp"):
        await channels.start(LOCAL)
    async with serving(Answers(), LOCAL, plain_tcp=True) as (_, address):
        assert address.port > 0
        assert await works(address)


async def test_a_client_without_its_certificate_is_not_connected(certificates):
    async with serving(Answers(), LOCAL, tls=certificates.server()) as (_, address):
        channel = await connect(address, token=TOKEN, peer="me", tls=certificates.client())
        assert await channel.request("echo", 1, 5) == 1
        channel.close()
        for stranger in (certificates.client(certified=False), None):
            with pytest.raises(ChannelLost):
                await connect(
                    address, token=TOKEN, peer="me", tls=stranger, plain_tcp=stranger is None
                )


HOSTILE = [
    [Kind.REQUEST, 1],
    [Kind.REQUEST, 1, "echo", "soon", None, 1],
    [Kind.REQUEST, 1, "echo", None, None, 1],
    [Kind.CREDIT, 1],
    [Kind.CREDIT, 1, "many"],
    [Kind.CANCEL, 99],
    [Kind.CANCEL, 1, 2, 3],
    [Kind.REPLY, 1],
    [Kind.FAILURE, 1, "text"],
    [Kind.WELCOME, 0],
    [Kind.HELLO, 0],
    [77, 1, "what?"],
    [-1, -1],
    [True, False],
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x01\xc1",
    b"\x00\x00\x00\x00",
    b"GET / HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("frame", HOSTILE, ids=str)
async def test_a_hostile_frame_harms_only_its_sender(frame):
    async with serving(Answers()) as (_, address), raw_peer(address) as peer:
        peer.write(frame)
        assert await works(address)
        peer.write([Kind.PING, 5])
        answer = await peer.frame()
        assert answer in (None, [Kind.PONG, 5])


@pytest.mark.parametrize("method", [None, 7, ["a"], {"b": 1}, "__init__", "nothing"])
async def test_a_method_nobody_knows_is_a_failure_of_that_request(method, defects):
    async with serving(Answers()) as (_, address), raw_peer(address) as peer:
        peer.write([Kind.REQUEST, 1, method, 1000, None, 1])
        kind, ident, error = await peer.frame()
        assert (kind, ident, error["type"]) == (Kind.FAILURE, 1, "InternalFailure")
    defects.clear()  # the service of this test raises AttributeError


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=30) | st.sampled_from(HOSTILE), max_size=5))
def test_no_bytes_of_a_friend_turned_foe_stop_the_server(parts):
    async def attack():
        async with serving(Answers()) as (channels, address):
            async with raw_peer(address) as peer:
                peer.write(*parts)
            assert await eventually(lambda: not channels.sessions, 5)
            assert await works(address)

    asyncio.run(attack())


async def test_an_id_that_is_in_use_ends_the_connection_and_what_it_asked_for():
    service = Answers()
    async with serving(service) as (_, address), raw_peer(address) as peer:
        peer.write([Kind.REQUEST, 1, "hold", 60_000, None, "first"])
        assert await service.entered.get() == "first"
        peer.write([Kind.REQUEST, 1, "hold", 60_000, None, "second"])
        assert await peer.gone()
        assert await asyncio.wait_for(service.left.get(), 5) == "first"
    assert service.handled == 1


async def test_a_request_that_is_cancelled_before_it_began_gives_back_its_place():
    async with serving(Answers(), window=2) as (channels, address), raw_peer(address) as peer:
        for ident in range(10):
            peer.write([Kind.REQUEST, ident, "hold", 60_000, None, ident], [Kind.CANCEL, ident])
            peer.write([Kind.PING, ident])
            assert await peer.frame() == [Kind.PONG, ident]
        (session,) = channels.sessions
        assert await eventually(lambda: not session._running, 5)
        peer.write([Kind.REQUEST, 10, "echo", 60_000, None, "served"])
        assert await peer.frame() == [Kind.REPLY, 10, "served"]


async def test_a_peer_that_ignores_its_window_is_told_so():
    service = Answers()
    async with serving(service, window=2) as (_, address), raw_peer(address) as peer:
        peer.write(*([Kind.REQUEST, n, "hold", 60_000, None, n] for n in range(3)))
        kind, ident, error = await peer.frame()
        assert (kind, ident, error["type"]) == (Kind.FAILURE, 2, "QueueFull")
        service.release.set()
        assert sorted([await peer.frame() for _ in range(2)]) == [[3, 0, 0], [3, 1, 1]]


def large(idents):
    return ([Kind.REQUEST, ident, "large", 60_000, None, PIECE] for ident in idents)


async def stalled(service, peer, channels):
    """Ask for so much that the next replies have to wait for us to read."""
    peer.write(*large(range(8)))
    (session,) = channels.sessions
    assert await eventually(lambda: service.handled == 8 and session._writable, 5)
    return session


async def test_a_slow_reader_holds_up_its_own_requests_and_gets_every_reply():
    service = Answers()
    async with serving(service, window=8) as (channels, address), raw_peer(address) as peer:
        session = await stalled(service, peer, channels)
        peer.write(*large(range(8, 17)))
        assert await eventually(lambda: service.handled == 16, 5)
        assert len(session._running) == 8  # replies that are not taken count as running
        assert await works(address)
        answers = [await peer.frame() for _ in range(17)]
        assert [frame[0] for frame in answers].count(Kind.FAILURE) == 1  # over its window
        assert {frame[1] for frame in answers} == set(range(17))
        assert await eventually(lambda: not session._running, 5)


async def test_a_reader_that_stopped_is_given_up(monkeypatch):
    monkeypatch.setattr(link, "DRAIN_TIMEOUT", 0.05)
    service = Answers()
    async with serving(service) as (channels, address), raw_peer(address) as peer:
        await stalled(service, peer, channels)
        peer.write(*large([100]))
        assert await eventually(lambda: not channels.sessions, 5)
        assert await works(address)


async def test_what_waits_for_a_reader_has_a_bound(monkeypatch):
    monkeypatch.setattr(link, "MAX_BACKLOG", 4 * PIECE)
    async with serving(Answers(), window=1_000) as (channels, address), raw_peer(address) as peer:
        peer.write(*large(range(64)))
        assert await eventually(lambda: not channels.sessions, 5)
        assert await works(address)


async def test_stopping_ends_what_runs_and_takes_nobody_in():
    service = Answers()
    async with serving(service) as (channels, address), raw_peer(address) as peer:
        peer.write([Kind.REQUEST, 1, "hold", 60_000, None, "x"])
        await service.entered.get()
        await channels.stop()
        assert await peer.gone()
        assert await asyncio.wait_for(service.left.get(), 5) == "x"
        with pytest.raises(ChannelLost):
            await connect(address, token=TOKEN, peer="late")


async def test_whoever_was_just_being_accepted_is_hung_up_on():
    async with serving(Answers()) as (channels, _):
        session = server.Session(channels)
        await channels.stop()
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().connect_accepted_socket(lambda: session, sock=ours)
        reader, writer = await asyncio.open_connection(sock=theirs)
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        assert not channels.sessions
