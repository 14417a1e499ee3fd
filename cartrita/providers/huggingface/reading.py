"""Has a model read: sort, mark, answer, fill in, compare. Imports torch."""

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from threading import Event
from typing import Any

import torch

from cartrita.errors import ConfigurationInvalid, InvalidParameters
from cartrita.providers.huggingface.checkpoint import Checkpoint
from cartrita.providers.huggingface.writing import PROVIDER, Stopped
from cartrita.providers.ports_huggingface import Finding, TextAnswer, TextAsk, TextKind

BATCH = 8
"""Rows of one forward pass: a stop is noticed between two."""

WINDOW = 384
STRIDE = 128
"""Tokens of a question with a part of its text, and how far two parts overlap."""

LONGEST_ANSWER = 30
HYPOTHESIS = "This example is {}."
"""As models for natural language inference were tried with labels."""

MASKS = ("[MASK]", "<mask>")


def read(point: Checkpoint, asks: Sequence[TextAsk], stop: Event) -> list[TextAnswer]:
    """Do what is asked, all of it of one kind.

    Raises:
        ConfigurationInvalid: The model is not made for it.
        InvalidParameters: A text is not fit for it.
        Stopped: Nobody waits for it any more.
    """
    together = _TOGETHER.get(asks[0].kind)
    if together:
        found = together(point, asks, stop)
    else:
        found = [_KINDS[ask.kind](point, ask, stop) for ask in asks]
    return [_answer(point, one, ask.text) for one, ask in zip(found, asks, strict=True)]


def _answer(point: Checkpoint, findings: list[Finding], text: str) -> TextAnswer:
    limits = None
    if len(point.tokenizer(text, truncation=False)["input_ids"]) > point.longest:
        limits = [f"Reads {point.longest} tokens of a text at once."]
    return TextAnswer(
        findings=findings,
        model=point.name,
        provider=PROVIDER,
        generative=False,
        limitations=limits,
    )


def _rows(count: int, stop: Event) -> Iterator[slice]:
    """Cut rows into batches, and stop between two."""
    for first in range(0, count, BATCH):
        if stop.is_set():
            raise Stopped
        yield slice(first, first + BATCH)


def _run(point: Checkpoint, batch: Any) -> Any:
    known = signature(point.model.forward).parameters
    given = {k: value for k, value in batch.items() if k in known or k != "token_type_ids"}
    with torch.inference_mode():
        return point.model(**given)


def _logits(point: Checkpoint, first: list[str], second: list[str] | None, stop: Event) -> Any:
    """Return one row of logits for each text or pair."""
    found = []
    for rows in _rows(len(first), stop):
        pair = second[rows] if second else None
        batch = point.tokenizer(
            first[rows],
            pair,
            padding=len(first[rows]) > 1,
            truncation="only_first" if second else True,
            max_length=point.longest,
            return_tensors="pt",
        )
        found.append(_run(point, batch).logits)
    return torch.cat(found).float()


def _classified(point: Checkpoint, asks: Sequence[TextAsk], stop: Event) -> list[list[Finding]]:
    logits = _logits(point, [ask.text for ask in asks], None, stop)
    config = point.model.config
    problem = getattr(config, "problem_type", None)
    several = problem == "multi_label_classification" or config.num_labels == 1
    scores = logits.sigmoid() if several else logits.softmax(-1)
    found = []
    for ask, row in zip(asks, scores.tolist(), strict=True):
        labels = [Finding(label=config.id2label[n], score=score) for n, score in enumerate(row)]
        found.append(_best(labels, ask.most))
    return found


def _best(labels: list[Finding], most: int) -> list[Finding]:
    return sorted(labels, key=lambda one: -one.score)[:most]


def _sorted(point: Checkpoint, asks: Sequence[TextAsk], stop: Event) -> list[list[Finding]]:
    names = {label.lower(): n for label, n in point.model.config.label2id.items()}
    entailed = next((n for name, n in names.items() if name.startswith("entail")), None)
    if entailed is None:
        raise ConfigurationInvalid(
            f"{point.name!r} cannot sort by labels of yours: it was not trained on inference, "
            "as bart-large-mnli was."
        )
    texts = [ask.text for ask in asks for _ in ask.labels]
    hypotheses = [HYPOTHESIS.format(label) for ask in asks for label in ask.labels]
    logits = _logits(point, texts, hypotheses, stop)[:, entailed]
    found = []
    for ask, row in zip(asks, logits.split([len(ask.labels) for ask in asks]), strict=True):
        pairs = zip(ask.labels, row.softmax(-1).tolist(), strict=True)
        labels = [Finding(label=label, score=score) for label, score in pairs]
        found.append(_best(labels, len(labels)))
    return found


def _answered(point: Checkpoint, ask: TextAsk, stop: Event) -> list[Finding]:
    window = min(WINDOW, point.longest)
    try:
        parts = point.tokenizer(
            ask.question,
            ask.text,
            truncation="only_second",
            max_length=window,
            stride=min(STRIDE, window // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=True,
            return_tensors="pt",
        )
    except Exception as error:  # the tokenizer has a kind of its own for this
        raise InvalidParameters(
            f"The question is too long for {point.name!r}.",
            fields=[("parameters.question", "too long for this model")],
        ) from error
    offsets = parts.pop("offset_mapping").tolist()
    parts.pop("overflow_to_sample_mapping")
    best = Finding(label="", score=0.0)
    for rows in _rows(len(offsets), stop):
        batch = {key: value[rows] for key, value in parts.items()}
        out = _run(point, batch)
        for n, place in enumerate(range(*rows.indices(len(offsets)))):
            mask = [part == 1 for part in parts.sequence_ids(place)]
            found = _span(out.start_logits[n], out.end_logits[n], mask)
            if found is not None and found[0] > best.score:
                score, first, last = found
                start, end = offsets[place][first][0], offsets[place][last][1]
                best = Finding(label=ask.text[start:end], score=score, start=start, end=end)
    return [best] if best.end > best.start else []


def _span(starts: Any, ends: Any, inside: list[bool]) -> tuple[float, int, int] | None:
    """Return the most likely span within the text: its score, first and last token."""
    allowed = torch.tensor(inside)
    if not allowed.any():
        return None
    begin, finish = starts.float().softmax(-1) * allowed, ends.float().softmax(-1) * allowed
    joint = (begin[:, None] * finish[None, :]).triu().tril(LONGEST_ANSWER - 1)
    place = int(joint.argmax())
    first, last = divmod(place, joint.shape[1])
    return float(joint[first, last]), first, last


def _marked(point: Checkpoint, ask: TextAsk, stop: Event) -> list[Finding]:
    parts = point.tokenizer(
        ask.text,
        truncation=True,
        max_length=point.longest,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=True,
        return_tensors="pt",
    )
    offsets = parts.pop("offset_mapping").tolist()
    parts.pop("overflow_to_sample_mapping")
    marks: list[Finding] = []
    for rows in _rows(len(offsets), stop):
        batch = {key: value[rows] for key, value in parts.items()}
        scores, numbers = _run(point, batch).logits.float().softmax(-1).max(-1)
        for n, place in enumerate(range(*rows.indices(len(offsets)))):
            labels = [point.model.config.id2label[number] for number in numbers[n].tolist()]
            marks += _joined(ask.text, labels, scores[n].tolist(), offsets[place])
    return marks


def _joined(
    text: str, labels: list[str], scores: list[float], offsets: list[list[int]]
) -> list[Finding]:
    """Make one finding of neighbouring tokens with one label."""
    groups: list[tuple[str, list[float], int, int]] = []
    former = ""
    for label, score, (start, end) in zip(labels, scores, offsets, strict=True):
        name = label[2:] if label[:2] in ("B-", "I-") else label
        if start == end or name == "O":  # a mark of the tokenizer's, or nothing
            former = ""
            continue
        if groups and name == former and not label.startswith("B-"):
            _, shares, first, _ = groups[-1]
            groups[-1] = (name, [*shares, score], first, end)
        else:
            groups.append((name, [score], start, end))
        former = name
    return [
        Finding(
            label=name, score=sum(shares) / len(shares), text=text[start:end], start=start, end=end
        )
        for name, shares, start, end in groups
    ]


def _filled(point: Checkpoint, asks: Sequence[TextAsk], stop: Event) -> list[list[Finding]]:
    texts = [_with_mask(point, ask.text) for ask in asks]
    found: list[list[Finding]] = []
    for rows in _rows(len(texts), stop):
        some = texts[rows]
        batch = point.tokenizer(
            some,
            padding=len(some) > 1,
            truncation=True,
            max_length=point.longest,
            return_tensors="pt",
        )
        gaps = [_gap(point, numbers) for numbers in batch["input_ids"]]
        logits = _run(point, batch).logits.float()
        for n, (text, ask) in enumerate(zip(some, asks[rows], strict=True)):
            found.append(_fillings(point, text, logits[n, gaps[n]].softmax(-1), ask.most))
    return found


def _with_mask(point: Checkpoint, text: str) -> str:
    for written in MASKS:
        text = text.replace(written, point.tokenizer.mask_token)
    return text


def _gap(point: Checkpoint, numbers: Any) -> int:
    """Return where a text's one gap is."""
    places = (numbers == point.tokenizer.mask_token_id).nonzero().flatten().tolist()
    if len(places) != 1:
        raise InvalidParameters(
            f"The text needs one {MASKS[0]}, not {len(places)}, within {point.longest} tokens.",
            fields=[("parameters.text", f"needs one {MASKS[0]}")],
        )
    return int(places[0])


def _fillings(point: Checkpoint, text: str, shares: Any, most: int) -> list[Finding]:
    best = shares.topk(min(most, shares.shape[-1]))
    found = []
    for score, number in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        word = point.tokenizer.decode([number]).strip()
        filled = text.replace(point.tokenizer.mask_token, word)
        found.append(Finding(label=word, score=score, text=filled))
    return found


def _compared(point: Checkpoint, asks: Sequence[TextAsk], stop: Event) -> list[list[Finding]]:
    texts, vectors = [text for ask in asks for text in (ask.text, *ask.labels)], []
    for rows in _rows(len(texts), stop):
        batch = point.tokenizer(
            texts[rows],
            padding=True,
            truncation=True,
            max_length=point.longest,
            return_tensors="pt",
        )
        states = _run(point, batch).last_hidden_state.float()
        there = batch["attention_mask"][:, :, None].float()
        vectors.append((states * there).sum(1) / there.sum(1))
    unit = torch.nn.functional.normalize(torch.cat(vectors), dim=-1)
    found = []
    for ask, own in zip(asks, unit.split([1 + len(ask.labels) for ask in asks]), strict=True):
        pairs = zip(ask.labels, (own[1:] @ own[0]).tolist(), strict=True)
        found.append([Finding(label=text, score=score) for text, score in pairs])
    return found


_TOGETHER: dict[TextKind, Callable[[Checkpoint, Sequence[TextAsk], Event], list[list[Finding]]]] = {
    TextKind.CLASSIFICATION: _classified,
    TextKind.ZERO_SHOT: _sorted,
    TextKind.FILL_MASK: _filled,
    TextKind.SIMILARITY: _compared,
}
"""What several callers' texts go through a model for together; `local.JOINED` names them, too."""

_KINDS: dict[TextKind, Callable[[Checkpoint, TextAsk, Event], list[Finding]]] = {
    TextKind.ANSWERING: _answered,
    TextKind.TOKENS: _marked,
}
