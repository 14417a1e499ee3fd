"""Has a model write: go on from a prompt, summarise, translate. Imports torch."""

from collections.abc import Callable
from threading import Event
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList, TextStreamer

from cartrita.errors import InvalidParameters
from cartrita.providers.huggingface.checkpoint import Checkpoint
from cartrita.providers.ports_huggingface import TextAnswer, TextAsk, TextKind

Speak = Callable[[str], None]
"""Takes a piece of text in the model's thread."""

LANGUAGES = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "zh": "Chinese",
}
"""As T5 was told them."""

_NLLB = {
    "ar": "arb",
    "de": "deu",
    "en": "eng",
    "es": "spa",
    "fr": "fra",
    "hi": "hin",
    "it": "ita",
    "ja": "jpn",
    "ko": "kor",
    "nl": "nld",
    "pl": "pol",
    "pt": "por",
    "ro": "ron",
    "ru": "rus",
    "tr": "tur",
    "uk": "ukr",
    "zh": "zho",
}
"""Codes of three letters, as NLLB's begin."""

_CODE_LENGTHS = (2, 3)

PROVIDER = "huggingface"
CAUTION = "A language model: check what it states."


class Stopped(Exception):
    """Nobody waits for the answer any more."""


class _Stop(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
    """Ends a generation between two tokens."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop

    def __call__(self, input_ids: Any, _scores: Any, **_more: Any) -> Any:
        """Say for each row that it goes on, unless nobody wants any."""
        if self._stop.is_set():
            raise Stopped
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


class _Streamer(TextStreamer):  # type: ignore[misc]  # transformers is not typed
    """Passes text on as it becomes certain."""

    def __init__(self, tokenizer: Any, speak: Speak) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._speak = speak

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: FBT001, FBT002 - transformers calls it so
        """Take a piece."""
        if text:
            self._speak(text)


def write(point: Checkpoint, ask: TextAsk, stop: Event, speak: Speak | None) -> TextAnswer:
    """Write what was asked for.

    Raises:
        InvalidParameters: The model does not know the language.
        Stopped: Nobody waits for it any more.
    """
    causal = ask.kind is TextKind.GENERATION
    limits = [CAUTION]
    text, options = ask.text, _sampling(ask)
    if causal:
        room = max(point.longest - ask.max_tokens, point.longest // 2)
        inputs = point.tokenizer(text, return_tensors="pt")
        read = inputs["input_ids"].shape[1]
        inputs = {key: value[:, -room:] for key, value in inputs.items()}
        most = min(ask.max_tokens, point.longest - inputs["input_ids"].shape[1])
        if read > room:
            limits.append(f"Reads the last {room} tokens of a prompt.")
    else:
        text, told = _instructed(point, ask)
        inputs = point.tokenizer(
            text, return_tensors="pt", truncation=True, max_length=point.longest
        )
        options |= told | {"min_length": 0, "num_beams": 1}
        most = min(ask.max_tokens, point.longest - 1)
        if inputs["input_ids"].shape[1] >= point.longest:
            limits.append(f"Reads the first {point.longest} tokens of a text.")
    inputs.pop("token_type_ids", None)
    written = _generate(point, dict(inputs), most, options, stop, speak)
    prompt = inputs["input_ids"].shape[1]
    fresh = written[prompt:] if causal else written[1:]
    ends = _ends(point)
    return TextAnswer(
        text=point.tokenizer.decode(fresh, skip_special_tokens=True),
        tokens_in=prompt,
        tokens_out=len(fresh),
        cut=len(fresh) >= most and not (ends & {int(fresh[-1])} if len(fresh) else ends),
        model=point.name,
        provider=PROVIDER,
        generative=True,
        limitations=limits,
    )


def _generate(
    point: Checkpoint,
    inputs: dict[str, Any],
    most: int,
    options: dict[str, Any],
    stop: Event,
    speak: Speak | None,
) -> Any:
    padding = point.tokenizer.pad_token_id
    if padding is None:
        padding = min(_ends(point), default=0)
    streamer = _Streamer(point.tokenizer, speak) if speak else None
    if streamer:
        options = {**options, "num_beams": 1}
    with torch.inference_mode():
        rows = point.model.generate(
            **inputs,
            **options,
            max_new_tokens=most,
            pad_token_id=padding,
            stopping_criteria=StoppingCriteriaList([_Stop(stop)]),
            streamer=streamer,
        )
    return rows[0]


def _ends(point: Checkpoint) -> set[int]:
    told = point.model.generation_config.eos_token_id
    if told is None:
        told = point.tokenizer.eos_token_id
    return set(told) if isinstance(told, list) else {told} - {None}


def _sampling(ask: TextAsk) -> dict[str, Any]:
    if not ask.temperature:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": ask.temperature}


def _instructed(point: Checkpoint, ask: TextAsk) -> tuple[str, dict[str, Any]]:
    """Return the text as a model was trained to be given it, and what generation needs to know."""
    kind = point.model.config.model_type
    if ask.kind is TextKind.SUMMARIZATION:
        return (f"summarize: {ask.text}" if kind == "t5" else ask.text), {}
    if kind in ("t5", "mt5", "umt5"):
        source, target = (_named(point, tag) for tag in (ask.source_language, ask.target_language))
        return f"translate {source} to {target}: {ask.text}", {}
    if hasattr(point.tokenizer, "src_lang"):
        point.tokenizer.src_lang = _code(point, ask.source_language)
        target = point.tokenizer.convert_tokens_to_ids(_code(point, ask.target_language))
        return ask.text, {"forced_bos_token_id": target}
    return _paired(point, ask), {}


def _named(point: Checkpoint, tag: str) -> str:
    name = LANGUAGES.get(tag.partition("-")[0].lower())
    if name is None:
        raise _unknown(point, tag)
    return name


def _code(point: Checkpoint, tag: str) -> str:
    """Return a language as the tokens of a multilingual model write it: fr, fr_XX, fra_Latn."""
    short, long = _codes(tag)
    vocabulary = point.tokenizer.get_vocab()
    starts = (f"{short}_", f"{long}_")
    for token in (f"__{short}__", short, *sorted(point.tokenizer.all_special_tokens)):
        exact = token in (f"__{short}__", short) and token in point.tokenizer.all_special_tokens
        if token in vocabulary and (exact or token.startswith(starts)):
            return str(token)
    raise _unknown(point, tag)


def _paired(point: Checkpoint, ask: TextAsk) -> str:
    """Return the text for a model of one pair of languages, or of one group of them.

    Raises:
        InvalidParameters: The model is made for others.
    """
    for field, key, tag in (
        ("sourceLanguage", "source_lang", ask.source_language),
        ("targetLanguage", "target_lang", ask.target_language),
    ):
        own = (getattr(point.tokenizer, key, None) or "").lower()
        if len(own) in _CODE_LENGTHS and own not in _codes(tag):  # longer names are of groups
            raise InvalidParameters(
                f"{point.name!r} has the {field} {own!r}, not {tag!r}.",
                fields=[(f"parameters.{field}", f"must be {own!r} for this model")],
            )
    marks = getattr(point.tokenizer, "supported_language_codes", None) or ()
    fits = [f">>{code}<<" for code in _codes(ask.target_language) if f">>{code}<<" in marks]
    if marks and not fits:
        raise _unknown(point, ask.target_language)
    return " ".join([*fits[:1], ask.text])


def _codes(tag: str) -> tuple[str, str]:
    """Return a language's codes of two and of three letters, where both are known."""
    short = tag.partition("-")[0].lower()
    return short, _NLLB.get(short, short)


def _unknown(point: Checkpoint, tag: str) -> InvalidParameters:
    return InvalidParameters(
        f"{point.name!r} does not know the language {tag!r}.",
        fields=[("parameters.targetLanguage", "unknown to this model")],
    )
