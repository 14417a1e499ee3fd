"""Tests of serve_apps/bridge/streaming.py; whole streams are in tests/contract."""

import pytest
from pydantic import ValidationError
from pydantic_core import from_json

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


@pytest.mark.parametrize("secret", ["sk-abcdefghijklmnopqrst", "eyJhbGci.eyJzdWIi.c2lnbmF0dXJl"])
async def test_secrets_do_not_stream_wherever_they_are_cut(secret):
    text = f"it is\n{secret}, see."
    whole = f"it is\n{secret[:4]}***REDACTED***, see."
    for cut in range(len(text) - 3):
        pieces = [{"text": part} for part in (text[:cut], text[cut:-3], text[-3:])]
        lines = await written(*[("token", piece) for piece in pieces], ("completed", ENDED))
        told = b"".join(lines).removesuffix(DONE).split(b"\n\n")[:-1]
        assert "".join(from_json(line[6:])["content"] for line in told) == whole


async def test_what_waits_is_told_before_what_went_wrong():
    told = {"taskId": "t", "status": "FAILED", "errorMessage": "No.", "errorCode": "AGENT_ERROR"}
    lines = await written(("token", {"text": "One two"}), ("failed", told))
    assert lines[0] == b'data: {"content":"One "}\n\n'
    assert lines[1].startswith(b'data: {"content":"two"}\n\nevent: error')


async def test_a_word_without_an_end_does_not_wait_for_ever():
    lines = await written(*[("token", {"text": "a" * 1000})] * 40)
    assert sum(len(line) for line in lines) > 30_000


def test_only_a_task_streams():
    with pytest.raises(ValidationError, match="task"):
        Row(route="GET /api/x", page="body", streams="piece")
