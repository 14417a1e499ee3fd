"""Tests of cartrita/providers/embedded/intent.py."""

import pytest

from cartrita.providers.embedded.intent import Tool, Unmet, Use, filled


def tool(required=(), **properties):
    schema = {"properties": {name: {"type": kind} for name, kind in properties.items()}}
    return Tool("lookup", "", schema | {"required": list(required)})


@pytest.mark.parametrize(
    ("made", "rest", "args"),
    [
        (tool(["id"], id="integer"), "17", {"id": 17}),
        (tool(["id"], id="integer"), "number 17 please", {"id": 17}),
        (tool(["x"], x="number"), "-1.5", {"x": -1.5}),
        (tool(["q"], q="string"), "red shoes", {"q": "red shoes"}),
        (tool([], q="string"), "red", {"q": "red"}),
        (tool([], q="string"), "", {}),
        (tool(), "", {}),
        (tool(["q"], q="string", limit="integer"), "red", {"q": "red"}),
    ],
)
def test_a_single_text_or_number_is_filled_in(made, rest, args):
    assert filled(made, "asked", rest) == Use("asked", "lookup", args)


@pytest.mark.parametrize(
    ("made", "rest"),
    [
        (tool(["id"], id="integer"), "seventeen"),
        (tool(["id"], id="integer"), "17 or 18"),
        (tool(["q"], q="string"), ""),
        (tool(["a", "b"], a="string", b="string"), "one two"),
        (tool(["a"], a="object"), "one"),
    ],
)
def test_what_would_be_a_guess_is_asked_for_instead(made, rest):
    step = filled(made, "asked", rest)
    assert isinstance(step, Unmet)
    assert "`lookup: …`" in step.why
    assert not step.needs_model
