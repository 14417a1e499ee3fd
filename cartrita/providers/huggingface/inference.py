"""Asks the inference API of Hugging Face, or a server that speaks as it does."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from cartrita.egress.policy import named_by_operators
from cartrita.egress.transport import GuardedTransport
from cartrita.errors import (
    AgentFailed,
    CartritaError,
    ConfigurationInvalid,
    ModelRequired,
    NetworkFailed,
    Reason,
)
from cartrita.protocol.patience import seconds_to_wait
from cartrita.providers.guarded import LONGEST_TURN
from cartrita.providers.ports_chat import Lane
from cartrita.providers.ports_huggingface import Finding, Say, TextAnswer, TextAsk, TextKind

OFFICIAL = "https://router.huggingface.co/hf-inference"
CONNECT_SECONDS = 10.0
MOST_BYTES = 4 << 20
"""Of an answer; a longer one is no answer to anything asked here."""

LONGEST_DETAIL = 300
FIRST_SERVER_ERROR = 500
TOO_MANY = 429
BUSY = (408, 425, TOO_MANY)
NO_TOKEN = (401, 403)
EVENT = "data:"

BYTES_PER_TOKEN = 3
"""Errs on the long side for English."""

_PATHS = {TextKind.SIMILARITY: "/pipeline/sentence-similarity"}
"""Where a model's own kind of task may be another one."""


class InferenceApi:
    """One address below which models answer, each at its own path.

    Args:
        token: Sent as a bearer token, where there is one.
        url: Such as `https://host/hf-inference`; Hugging Face's own by default.
        timeout: Seconds one call may take; the task's deadline ends it earlier.
        lane: The way to each model, by its name.
    """

    def __init__(
        self,
        token: str | None,
        url: str | None = None,
        timeout: float = 120.0,
        *,
        lane: Callable[[str], Lane],
    ) -> None:
        self._lane = lane
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(named_by_operators(), connections=None, keep=20),
            base_url=url or OFFICIAL,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        )

    async def run(self, ask: TextAsk, say: Say | None = None) -> TextAnswer:
        """Have a model do it, in its turn; being cancelled closes the connection.

        Args:
            ask: What to do, and with which model.
            say: Takes the pieces of a text that is being written.

        Raises:
            NetworkFailed: It cannot be reached, is busy, or left alone for now; says when to try
                again if that is known.
            ConfigurationInvalid: It refuses the token.
            ModelRequired: It has no such model.
            AgentFailed: It cannot do this, or answers something else.
        """
        async with self._lane(ask.model).turn(LONGEST_TURN) as turn:
            answer = await self._run(ask, say)
            turn.tokens = answer.tokens_out
        return answer

    async def _run(self, ask: TextAsk, say: Say | None) -> TextAnswer:
        body = _BODIES[ask.kind](ask)
        try:
            if say is not None:
                return _written(ask, await self._streamed(ask, {**body, "stream": True}, say))
            answered = await self._answered(ask, body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            late = isinstance(error, httpx.TimeoutException)
            what = "did not answer in time" if late else "could not be reached, or hung up"
            raise NetworkFailed(
                f"The inference API of {ask.model!r} {what}; see `huggingface.inference_url`."
            ) from error
        try:
            return _READERS[ask.kind](ask, json.loads(answered))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise AgentFailed(
                f"The inference API answered something else than {ask.kind} does: does "
                f"{ask.model!r} do that?"
            ) from error

    async def _answered(self, ask: TextAsk, body: dict[str, Any]) -> bytearray:
        async with self._asked(ask, body) as response:
            read = bytearray()
            async for piece in response.aiter_bytes():
                read += piece
                if len(read) > MOST_BYTES:
                    raise AgentFailed(f"The inference API said more than {MOST_BYTES} bytes.")
        return read

    async def _streamed(self, ask: TextAsk, body: dict[str, Any], say: Say) -> str:
        written: list[str] = []
        async with self._asked(ask, body) as response:
            async for line in response.aiter_lines():
                if not line.startswith(EVENT) or line.endswith("[DONE]"):
                    continue
                piece = json.loads(line.removeprefix(EVENT))
                token = piece.get("token") or {}
                text = str(token.get("text", ""))
                if text and not token.get("special"):
                    written.append(text)
                    await say(text)
        return "".join(written)

    @asynccontextmanager
    async def _asked(self, ask: TextAsk, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        path = f"models/{ask.model}{_PATHS.get(ask.kind, '')}"
        async with self._client.stream("POST", path, json=body) as response:
            if response.status_code != httpx.codes.OK:
                read = b""
                async for piece in response.aiter_bytes():
                    read += piece
                    if len(read) > LONGEST_DETAIL * 10:
                        break
                raise refused(ask.model, response, read)
            yield response

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def refused(model: str, response: httpx.Response, read: bytes) -> CartritaError:
    """Return what a refusal means here."""
    status = response.status_code
    try:
        told: Any = json.loads(read)
    except ValueError:
        told = read.decode(errors="replace")
    error = told.get("error", told) if isinstance(told, dict) else told
    detail = " ".join(str(error).split())[:LONGEST_DETAIL]
    if status in NO_TOKEN:
        return ConfigurationInvalid(
            f"The inference API refused the token for {model!r} ({status}): set "
            "HUGGINGFACE_API_KEY to one that may use it."
        )
    if status == httpx.codes.NOT_FOUND:
        return ModelRequired(f"The inference API does not serve {model!r}: name another model.")
    if status in BUSY or status >= FIRST_SERVER_ERROR:
        estimate = told.get("estimated_time") if isinstance(told, dict) else None
        asked = seconds_to_wait(response.headers.get("retry-after"))
        return NetworkFailed(
            f"The inference API of {model!r} answered {status}: {detail}",
            Reason.PROVIDER_BUSY if status == TOO_MANY else None,
            retry_after=asked or seconds_to_wait(estimate),
        )
    return AgentFailed(f"The inference API of {model!r} refused ({status}): {detail}")


def _body(ask: TextAsk, **parameters: Any) -> dict[str, Any]:
    given = {key: value for key, value in parameters.items() if value is not None}
    return {"inputs": ask.text, "parameters": given} if given else {"inputs": ask.text}


def _generation(ask: TextAsk) -> dict[str, Any]:
    return _body(
        ask,
        max_new_tokens=ask.max_tokens,
        temperature=ask.temperature or None,
        do_sample=bool(ask.temperature),
        return_full_text=False,
    )


_BODIES: dict[TextKind, Callable[[TextAsk], dict[str, Any]]] = {
    TextKind.GENERATION: _generation,
    TextKind.SUMMARIZATION: lambda ask: _body(
        ask, generate_parameters={"max_length": ask.max_tokens}
    ),
    TextKind.TRANSLATION: lambda ask: _body(
        ask, src_lang=ask.source_language, tgt_lang=ask.target_language
    ),
    TextKind.CLASSIFICATION: lambda ask: _body(ask, top_k=ask.most),
    TextKind.ZERO_SHOT: lambda ask: _body(ask, candidate_labels=ask.labels),
    TextKind.ANSWERING: lambda ask: {"inputs": {"question": ask.question, "context": ask.text}},
    TextKind.TOKENS: lambda ask: _body(ask, aggregation_strategy="simple"),
    TextKind.FILL_MASK: lambda ask: _body(ask, top_k=ask.most),
    TextKind.SIMILARITY: lambda ask: {
        "inputs": {"source_sentence": ask.text, "sentences": ask.labels}
    },
}


def _first(answer: Any) -> Any:
    """Return the answer to the one text that was sent, which some servers put into a list."""
    return answer[0] if isinstance(answer, list) else answer


def _written(ask: TextAsk, text: str) -> TextAnswer:
    return TextAnswer(
        text=text,
        model=ask.model,
        provider="huggingface",
        generative=True,
        limitations=["A language model: check what it states."],
        tokens_in=_tokens(ask.text),
        tokens_out=_tokens(text),
    )


def _tokens(text: str) -> int:
    """Estimate what a text is counted as: the API does not tell."""
    return len(text.encode()) // BYTES_PER_TOKEN


def _found(ask: TextAsk, findings: list[Finding]) -> TextAnswer:
    return TextAnswer(findings=findings, model=ask.model, provider="huggingface", generative=False)


def _classified(ask: TextAsk, answer: Any) -> TextAnswer:
    rows = answer[0] if isinstance(answer[0], list) else answer
    found = [Finding(label=row["label"], score=row["score"]) for row in rows]
    return _found(ask, sorted(found, key=lambda one: -one.score)[: ask.most])


def _sorted(ask: TextAsk, answer: Any) -> TextAnswer:
    if isinstance(answer, list):
        return _classified(ask, answer)
    pairs = zip(answer["labels"], answer["scores"], strict=True)
    return _found(ask, [Finding(label=label, score=score) for label, score in pairs])


def _answered(ask: TextAsk, answer: Any) -> TextAnswer:
    row = _first(answer)
    text, start = str(row["answer"]), int(row["start"])
    end = start + len(text)
    if ask.text[start:end] != text:  # some servers count in other units
        start = ask.text.index(text)
        end = start + len(text)
    found = Finding(label=text, score=row["score"], start=start, end=end)
    return _found(ask, [found] if text else [])


def _marked(ask: TextAsk, answer: Any) -> TextAnswer:
    return _found(
        ask,
        [
            Finding(
                label=row.get("entity_group") or row["entity"],
                score=row["score"],
                text=ask.text[row["start"] : row["end"]],
                start=row["start"],
                end=row["end"],
            )
            for row in answer
        ],
    )


def _filled(ask: TextAsk, answer: Any) -> TextAnswer:
    rows = [
        Finding(label=r["token_str"].strip(), score=r["score"], text=r["sequence"]) for r in answer
    ]
    return _found(ask, rows[: ask.most])


def _compared(ask: TextAsk, answer: Any) -> TextAnswer:
    pairs = zip(ask.labels, answer, strict=True)
    return _found(ask, [Finding(label=text, score=float(score)) for text, score in pairs])


_READERS: dict[TextKind, Callable[[TextAsk, Any], TextAnswer]] = {
    TextKind.GENERATION: lambda ask, told: _written(ask, str(_first(told)["generated_text"])),
    TextKind.SUMMARIZATION: lambda ask, told: _written(ask, str(_first(told)["summary_text"])),
    TextKind.TRANSLATION: lambda ask, told: _written(ask, str(_first(told)["translation_text"])),
    TextKind.CLASSIFICATION: _classified,
    TextKind.ZERO_SHOT: _sorted,
    TextKind.ANSWERING: _answered,
    TextKind.TOKENS: _marked,
    TextKind.FILL_MASK: _filled,
    TextKind.SIMILARITY: _compared,
}
