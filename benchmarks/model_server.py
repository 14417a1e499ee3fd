"""A model server that speaks OpenAI's protocol and computes nothing: for benchmarks.

Run as a program of its own; it prints its address. Answers are the same words each time, as bytes
that were made once; `max_tokens` of a request says how many.

    python -m benchmarks.model_server [--think-ms 40] [--pause-ms 10] [--words 20]
"""

import argparse
import asyncio
import json

import uvloop

WORD = " word"
FRAME = {"id": "c", "created": 1, "model": "bench"}


def _plain(words: int) -> bytes:
    """Return a whole answer as an HTTP response."""
    message = {"role": "assistant", "content": WORD * words}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {**FRAME, "object": "chat.completion", "choices": [choice], "usage": _usage(words)}
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    return head.encode() + b"\r\n\r\n" + data


def _usage(words: int) -> dict[str, int]:
    return {"prompt_tokens": 20, "completion_tokens": words, "total_tokens": 20 + words}


def _event(choices: list[dict], **more: object) -> bytes:
    event = {**FRAME, "object": "chat.completion.chunk", "choices": choices, **more}
    line = f"data: {json.dumps(event)}\n\n".encode()
    return f"{len(line):x}\r\n".encode() + line + b"\r\n"


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ONE = _event([{"index": 0, "delta": {"content": WORD}, "finish_reason": None}])
STOP = _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
LAST = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


async def main(think: float, pause: float, words: int) -> None:
    """Serve until ended."""
    whole = _plain(words)
    usage = _event([], usage=_usage(words))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(
                    line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line
                )
                body = await reader.readexactly(int(fields[b"content-length"]))
                await asyncio.sleep(think)
                if b'"stream":true' not in body:
                    writer.write(whole)
                    continue
                writer.write(HEAD)
                for _ in range(words):
                    writer.write(ONE)
                    await asyncio.sleep(pause)
                writer.write(STOP + usage + LAST)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--think-ms", type=float, default=40)
    parser.add_argument("--pause-ms", type=float, default=10)
    parser.add_argument("--words", type=int, default=20)
    chosen = parser.parse_args()
    uvloop.run(main(chosen.think_ms / 1000, chosen.pause_ms / 1000, chosen.words))
