"""Tests of serve_apps/bridge/streaming.py; whole streams are in tests/contract."""

import pytest
from pydantic import ValidationError

from serve_apps.bridge.streaming import Spoken
from serve_apps.bridge.table import Row

ROW = Row(
    route="GET /api/chat/stream",
    auth="guest",
    task="langchain.chat.execute",
    streams="{content: either(piece.text, result.message)}",
)
DONE = b"data: [DONE]\n\n"
ENDED = {"taskId": "t", "status": "COMPLETED", "result": {"message": "One two."}}


async def _nothing():
    return
    yield


async def written(*events):
    """Return what is written of events of these types and data."""
    spoken = Spoken(_nothing(), ROW, "/api/chat/stream")
    lines = [spoken.write({"type": kind, "data": data}) for kind, data in events]
    await spoken.close()
    return lines


async def test_pieces_go_out_as_they_come_and_the_whole_does_not_come_again():
    lines = await written(
        ("accepted", None),
        ("started", None),
        ("token", {"text": "One "}),
        ("progress", {"fraction": 0.5}),
        ("token", {"text": "two."}),
        ("completed", ENDED),
    )
    pieces = [b'data: {"content":"One "}\n\n', b'data: {"content":"two."}\n\n']
    assert [line for line in lines if line] == [*pieces, DONE]


async def test_what_was_not_shown_while_it_was_written_comes_whole():
    assert await written(("completed", ENDED)) == [b'data: {"content":"One two."}\n\n' + DONE]


@pytest.mark.parametrize("status", ["FAILED", "TIMEOUT", "CANCELLED"])
async def test_what_went_wrong_is_an_event_and_nothing_is_done(status):
    told = {"taskId": "t", "status": status, "errorMessage": "No.", "errorCode": "AGENT_ERROR"}
    (line,) = await written((status.lower(), told))
    assert line.startswith(b'event: error\ndata: {"message":"No."')
    assert b"DONE" not in line


async def test_secrets_do_not_stream_either():
    (line,) = await written(("token", {"text": "sk-abcdefghijklmnopqrst"}))
    assert b"sk-a***REDACTED***" in line


def test_only_a_task_streams():
    with pytest.raises(ValidationError, match="task"):
        Row(route="GET /api/x", page="body", streams="piece")
