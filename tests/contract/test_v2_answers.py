"""What v2's clients send and read, as it was recorded, against the bridge's answers."""

import json
from pathlib import Path

import pytest

from cartrita.bridge.compare import Answer, differences
from tests.support.bridged import V2, bridged

RECORDED = json.loads((Path(__file__).parents[1] / "support" / "v2_answers.json").read_text())
TEXTS = ("error",)
"""Fields whose very words clients compare; of all others the kind counts."""


@pytest.mark.parametrize("door", [V2, {}], ids=["old port", "new port"])
async def test_what_clients_read_of_v2_is_there(door):
    async with bridged(guests=True) as api:
        people = {
            "somebody": await api.user("a@b.example"),
            "nobody": {},
            "stranger": {"Authorization": "Bearer a.b.c"},
        }
        wrong = []
        for one in RECORDED:
            method, path = one["route"].split()
            if path in ("/", "/health") and not door:
                continue  # on that port they are v3's
            sent = {"json": one["body"]} if "body" in one else {}
            sent = {"content": one["text"].encode()} if "text" in one else sent
            headers = {**door, **people[one.get("who", "somebody")]}
            answer = await api.http.request(method, path, headers=headers, **sent)
            what = f"{one['route']} {one.get('body', '')}"
            wrong += [f"{what}: {found}" for found in _different(one, answer)]
        assert not wrong, "\n".join(wrong)


def _different(one, answer):
    kind = answer.headers["content-type"].partition(";")[0]
    old = Answer(one.get("status", 200), "application/json", one["answer"])
    new = Answer(answer.status_code, kind, answer.json())
    for found in differences(old, new):
        if found.breaks and found.where not in one.get("except", {}):
            yield f"{found.where}: {found.v2} -> {found.bridge}"
    for name in TEXTS:
        told = one["answer"].get(name)
        if told and answer.json().get(name) != told:
            yield f"{name}: {told!r} -> {answer.json().get(name)!r}"
