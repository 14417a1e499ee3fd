"""Requests over a channel: their answers, their ends, and the end of the channel."""

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace

import pytest

from cartrita.channel import client
from cartrita.channel.address import Address
from cartrita.channel.client import Exchange, connect
from cartrita.channel.frames import CREDIT, MAX_FRAME, VERSION, Kind
from cartrita.channel.link import Link
from cartrita.channel.window import Window
from cartrita.errors import (
    AuthenticationFailed,
    ChannelLost,
    ConfigurationInvalid,
    InternalFailure,
    InvalidMessage,
    QueueFull,
    ResourceLimitExceeded,
    TaskTimeout,
)
from tests.support.channels import TOKEN, Answers, serving
from tests.support.processes import eventually

LOCAL = Address(host="127.0.0.1", port=0)


@pytest.fixture
def service():
    return Answers()


@pytest.fixture(params=["unix", "tcp"])
async def channel(request, service):
    """Give a channel to the service, and by `channel.host` the server's end of it."""
    options = {"address": LOCAL, "plain_tcp": True} if request.param == "tcp" else {}
    async with serving(service, **options) as (channels, address):
        channel = await connect(address, token=TOKEN, peer="me", plain_tcp=True)
        channel.host = channels
        yield channel
        channel.close()


class TestRequests:
    async def test_each_of_many_at_once_gets_its_own_answer(self, channel):
        asked = [channel.request("echo", {"n": n}, 30) for n in range(500)]
        assert await asyncio.gather(*asked) == [{"n": n} for n in range(500)]
        assert channel.in_flight == 0

    async def test_answers_come_in_the_order_of_the_work_not_of_the_questions(
        self, channel, service
    ):
        slow = asyncio.create_task(channel.request("hold", "slow", 30))
        await service.entered.get()
        assert await channel.request("echo", "quick", 30) == "quick"
        assert not slow.done()
        service.release.set()
        assert await slow == "slow"

    async def test_the_deadline_and_the_trace_travel_along(self, channel):
        assert await channel.request("call", None, 12.5, "00-abc") == ["me", 12.5, "00-abc"]

    async def test_a_refusal_arrives_as_it_was_raised(self, channel):
        with pytest.raises(QueueFull) as refused:
            await channel.request("refuse", None, 5)
        assert refused.value.message == "no room"
        assert refused.value.fields == (("a", "b"),)
        assert refused.value.retry_after == 2.5

    async def test_a_defect_is_reported_there_and_told_here_without_its_details(
        self, channel, defects
    ):
        with pytest.raises(InternalFailure, match="ZeroDivisionError") as failed:
            await channel.request("break", "secret", 5)
        assert "secret" not in failed.value.message
        assert isinstance(defects.pop()["exception"], ZeroDivisionError)

    async def test_work_that_awaits_something_cancelled_is_answered(self, channel):
        with pytest.raises(InternalFailure, match="from within"):
            await channel.request("lose", None, 5)

    async def test_a_reply_that_has_no_form_is_a_failure_of_that_request_only(self, channel):
        with pytest.raises(InvalidMessage):
            await channel.request("unsayable", None, 5)
        assert await channel.request("echo", 1, 5) == 1

    async def test_a_request_that_has_no_form_is_not_sent(self, channel, service):
        with pytest.raises(InvalidMessage):
            await channel.request("echo", object(), 5)
        assert await channel.request("echo", 1, 5) == 1
        assert service.handled == 1

    async def test_what_is_too_large_fails_alone_in_both_directions(self, channel):
        with pytest.raises(ResourceLimitExceeded):
            await channel.request("echo", b"x" * MAX_FRAME, 5)
        with pytest.raises(ResourceLimitExceeded):
            await channel.request("large", MAX_FRAME, 5)
        assert await channel.request("large", 1_000_000, 5) == b"x" * 1_000_000


class TestEnds:
    async def test_a_timeout_cancels_the_work_and_spares_the_others(self, channel, service):
        other = asyncio.create_task(channel.request("hold", "patient", 30))
        with pytest.raises(TaskTimeout, match=r"'the server'.*'hold'"):
            await channel.request("hold", "hasty", 0.01)
        assert await asyncio.wait_for(service.left.get(), 5) == "hasty"
        service.release.set()
        assert await other == "patient"

    async def test_whoever_is_cancelled_cancels_the_work(self, channel, service):
        asked = asyncio.create_task(channel.request("hold", "mine", 30))
        await service.entered.get()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await asyncio.wait_for(service.left.get(), 5) == "mine"
        assert channel.in_flight == 0

    async def test_a_caller_that_leaves_cancels_all_its_work(self, channel, service):
        asked = [asyncio.create_task(channel.request("hold", n, 30)) for n in range(3)]
        assert [await service.entered.get() for _ in asked] == [0, 1, 2]
        channel.close()
        assert sorted([await asyncio.wait_for(service.left.get(), 5) for _ in asked]) == [0, 1, 2]
        for lost in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(lost, ChannelLost)

    async def test_a_server_that_goes_loses_what_waits_and_what_comes(self, channel, service):
        asked = [asyncio.create_task(channel.request("hold", n, 30)) for n in range(3)]
        for _ in asked:
            await service.entered.get()
        (session,) = channel.host.sessions
        session.abort(ChannelLost("power cut"))
        for lost in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(lost, ChannelLost)
        assert channel.closed.done()
        with pytest.raises(ChannelLost):
            await channel.request("echo", 1, 30)
        assert channel.in_flight == 0

    async def test_nothing_is_left_behind_by_those_who_waited_for_room(self, channel, service):
        channel._window = Window(1)
        asked = [asyncio.create_task(channel.request("hold", n, 30)) for n in range(5)]
        await service.entered.get()
        channel.host.sessions.copy().pop().abort(ChannelLost("power cut"))
        for lost in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(lost, ChannelLost)


class TestFlow:
    async def test_a_client_keeps_to_the_server_s_window(self, service):
        async with serving(service, window=4) as (_, address):
            channel = await connect(address, token=TOKEN, peer="me", plain_tcp=True)
            asked = [asyncio.create_task(channel.request("hold", n, 30)) for n in range(20)]
            for _ in range(4):
                await service.entered.get()
            assert (await self.ping(channel), service.handled) == (True, 4)
            service.release.set()
            assert await asyncio.gather(*asked) == list(range(20))
            assert service.most == 4
            channel.close()

    async def ping(self, channel):
        """Let a frame go to the server and back, behind all requests that were sent."""
        channel._unanswered = 1
        channel.send(Kind.PING, 1)
        return await eventually(lambda: channel._unanswered == 0, 5)

    async def test_the_wait_for_room_counts_towards_the_timeout(self, service):
        async with serving(service, window=1) as (_, address):
            channel = await connect(address, token=TOKEN, peer="me", plain_tcp=True)
            first = asyncio.create_task(channel.request("hold", 1, 30))
            await service.entered.get()
            with pytest.raises(TaskTimeout, match="no room"):
                await channel.request("echo", 2, 0.01)
            service.release.set()
            assert await first == 1
            assert await channel.request("echo", 3, 5) == 3
            channel.close()

    async def test_a_peer_that_does_not_read_holds_up_requests_only_until_their_timeout(
        self, service
    ):
        async with serving(service) as (_, address):
            channel = await connect(address, token=TOKEN, peer="me", plain_tcp=True)
            channel.pause_writing()  # as the transport does when its buffer is full
            with pytest.raises(TaskTimeout):
                await channel.request("echo", 1, 0.01)
            waiting = asyncio.create_task(channel.request("echo", 2, 5))
            channel.resume_writing()
            assert await waiting == 2
            assert service.handled == 1
            channel.close()

    async def test_events_come_in_order_before_the_reply_and_by_request(self, channel):
        heard = {1: [], 2: []}
        counts = {1: 3, 2: 2}
        replies = [
            channel.request("emit", count, 5, exchange=Exchange(heard[which].append))
            for which, count in counts.items()
        ]
        assert await asyncio.gather(*replies) == ["done", "done"]
        assert heard == {which: list(range(count)) for which, count in counts.items()}

    async def test_a_writer_waits_for_credit_and_goes_on_with_it(self, channel):
        heard = []
        exchange = Exchange(heard.append)
        reply = asyncio.create_task(channel.request("pour", CREDIT + 5, 5, exchange=exchange))
        assert await eventually(lambda: len(heard) == CREDIT, 5)
        assert await channel.request("echo", "meanwhile", 5) == "meanwhile"
        assert len(heard) == CREDIT
        exchange.grant(2)
        assert await eventually(lambda: len(heard) == CREDIT + 2, 5)
        exchange.grant(3)
        assert await reply == "done"
        assert heard == list(range(CREDIT + 5))

    async def test_credit_for_what_is_over_is_nobody_s(self, channel):
        exchange = Exchange([].append)
        exchange.grant(1)
        assert await channel.request("emit", 1, 5, exchange=exchange) == "done"
        exchange.grant(1)
        assert await channel.request("echo", "still here", 5) == "still here"

    @pytest.mark.parametrize("amount", [0, -1, 1 << 21])
    async def test_a_reader_that_miscounts_is_cut_off(self, channel, service, amount):
        exchange = Exchange([].append)
        reply = asyncio.create_task(channel.request("hold", 1, 5, exchange=exchange))
        await asyncio.wait_for(service.entered.get(), 5)
        exchange.grant(amount)
        with pytest.raises(ChannelLost):
            await reply

    async def test_events_nobody_asked_for_are_dropped(self, channel):
        assert await channel.request("emit", 3, 5) == "done"


class TestHeartbeat:
    async def test_a_peer_that_answers_pings_stays(self, service, monkeypatch):
        monkeypatch.setattr(client, "HEARTBEAT", 0.001)
        async with serving(service) as (_, address):
            channel = await connect(address, token=TOKEN, peer="me", plain_tcp=True)
            pongs = []
            receive = channel.receive
            monkeypatch.setattr(
                channel, "receive", lambda frame: (pongs.append(frame), receive(frame))
            )
            assert await eventually(lambda: len(pongs) >= 10, 5)
            assert not channel.closed.done()
            channel.close()

    async def test_a_peer_that_fell_silent_is_lost(self, monkeypatch):
        monkeypatch.setattr(client, "HEARTBEAT", 0.005)
        async with peer_that(lambda frame: frame[0] == Kind.HELLO and WELCOME) as address:
            channel = await connect(address, token=TOKEN, peer="me", plain_tcp=True)
            with pytest.raises(ChannelLost, match="does not answer pings"):
                await channel.request("echo", 1, 30)


WELCOME = [Kind.WELCOME, 0, VERSION, "mute", 0, 10]


class _Scripted(Link):
    """A server that answers each frame as a function says."""

    def __init__(self, answer):
        super().__init__()
        self._answer = answer

    def receive(self, frame):
        if answer := self._answer(frame):
            self.send(*answer)


def peer_that(answer):
    """Listen on a free port and answer with a function of the frame."""
    return _Listening(answer)


class _Listening:
    def __init__(self, answer):
        self._answer = answer

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Scripted(self._answer), "127.0.0.1", 0)
        return Address(host="127.0.0.1", port=self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_):
        self._server.close()


class TestHandshake:
    async def test_where_nobody_listens_the_channel_is_lost(self, tmp_path):
        for nowhere in (f"unix:{tmp_path}/none", "tcp:127.0.0.1:1"):
            with pytest.raises(ChannelLost, match="Nobody answers"):
                await connect(nowhere, token=TOKEN, peer="me", plain_tcp=True)

    async def test_nothing_is_sent_by_tcp_without_tls_unless_a_setting_allows_it(self):
        heard = []
        async with peer_that(heard.append) as address:
            with pytest.raises(ConfigurationInvalid, match=r"channel\.plain_tcp"):
                await connect(address, token=TOKEN, peer="me")
            with pytest.raises(ChannelLost):
                await connect(replace(address, port=1), token=TOKEN, peer="me", plain_tcp=True)
        assert not heard

    async def test_an_address_that_is_none_is_refused(self):
        with pytest.raises(ConfigurationInvalid):
            await connect("http://example.org", token=TOKEN, peer="me")

    async def test_a_server_that_says_nothing_is_lost(self, monkeypatch):
        monkeypatch.setattr(client, "CONNECT_TIMEOUT", 0.02)
        async with peer_that(lambda _: None) as address:
            with pytest.raises(ChannelLost, match="handshake"):
                await connect(address, token=TOKEN, peer="me", plain_tcp=True)

    @pytest.mark.parametrize(
        "answer",
        [
            [Kind.WELCOME, 0, VERSION + 1, "newer", 0, 10],
            [Kind.WELCOME, 0],
            [Kind.WELCOME, 0, VERSION, "s", 0, "wide"],
            [Kind.WELCOME, 0, VERSION, "s", 0, -1],
            [Kind.FAILURE, 0, {"type": "QueueFull", "message": "later"}],
            [Kind.FAILURE, 0, "text"],
            [Kind.FAILURE, 0],
        ],
        ids=str,
    )
    async def test_a_server_that_answers_anything_else_is_lost(self, answer):
        async with peer_that(lambda _: answer) as address:
            with pytest.raises(ChannelLost):
                await connect(address, token=TOKEN, peer="me", plain_tcp=True)

    async def test_the_judgement_on_a_token_is_told_as_it_is(self):
        refusal = AuthenticationFailed("go away").to_wire()
        async with peer_that(lambda _: [Kind.FAILURE, 0, refusal]) as address:
            with pytest.raises(AuthenticationFailed, match="go away"):
                await connect(address, token=TOKEN, peer="me", plain_tcp=True)

    async def test_giving_up_in_the_handshake_leaves_no_connection(self, service):
        greeted = asyncio.Event()
        gone = asyncio.Event()

        class Patient(_Scripted):
            def lost(self, error):
                gone.set()

        loop = asyncio.get_running_loop()
        listening = await loop.create_server(
            lambda: Patient(lambda _: greeted.set()), "127.0.0.1", 0
        )
        address = Address(host="127.0.0.1", port=listening.sockets[0].getsockname()[1])
        connecting = asyncio.create_task(connect(address, token=TOKEN, peer="me", plain_tcp=True))
        await asyncio.wait_for(greeted.wait(), 5)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await asyncio.wait_for(gone.wait(), 5)
        listening.close()


SERVER = """
import asyncio, sys
from cartrita.channel.address import Address
from tests.support.channels import Answers, serving

async def main():
    async with serving(Answers(), Address(path=sys.argv[1])):
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_server_that_is_killed_fails_what_waits_at_once(tmp_path):
    path = str(tmp_path / "s")
    argv = [sys.executable, "-c", SERVER, path]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 10) == b"up\n"
        channel = await connect(f"unix:{path}", token=TOKEN, peer="me")
        asked = asyncio.create_task(channel.request("hold", 1, 60))
        assert await channel.request("echo", 1, 5) == 1
        process.kill()
        with pytest.raises(ChannelLost):
            await asyncio.wait_for(asked, 5)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
