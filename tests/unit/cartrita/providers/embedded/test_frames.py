"""Tests of cartrita/providers/embedded/frames.py."""

import io

from cartrita.providers.embedded.frames import receive, send


def test_messages_come_out_as_they_went_in():
    pipe = io.BytesIO()
    for body in (b"one", b"", b"\x00" * 70_000):
        send(pipe, body)
    pipe.seek(0)
    assert [receive(pipe) for _ in range(3)] == [b"one", b"", b"\x00" * 70_000]


def test_the_end_of_the_pipe_is_nothing_even_within_a_message():
    pipe = io.BytesIO()
    send(pipe, b"message")
    whole = pipe.getvalue()
    for cut in range(len(whole)):
        assert receive(io.BytesIO(whole[:cut])) is None
