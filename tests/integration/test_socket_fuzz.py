"""Mutated messages on every socket: none makes the server fail or hang."""

from tests.support.socket_fuzz import run


async def test_mutated_messages_do_no_harm():
    thrown = await run(seed=7, count=5000)

    assert set(thrown) == {"websocket", "messagepack", "socket.io", "grpc"}
    assert sum(thrown.values()) >= 5000
