"""A language model for the protocol server that gives every request the form it asks for."""

import json
import re
from collections.abc import Callable
from typing import Any

from tests.support.openai_replies import Say, Step
from tests.support.openai_server import Request

SCHEMA = "JSON object of this schema, nothing else: "
WANTED = re.compile(r"Write about (\d+) words")


def oblige(request: Request) -> Step:
    """Answer with what the first rule that fits says."""
    told = "\n".join(str(message["content"]) for message in request.body["messages"])
    answer = next(rule(told) for fits, rule in RULES if fits in told)
    return Say(answer, tokens=(len(told) // 4, len(answer) // 4 + 1))


def _object(told: str) -> str:
    schema = json.JSONDecoder().raw_decode(told.split(SCHEMA, 1)[1])[0]
    return json.dumps(example_of(schema, schema.get("$defs", {})))


def example_of(schema: dict[str, Any], defs: dict[str, Any]) -> Any:
    """Return the smallest value that a schema of ours allows."""
    for union in ("anyOf", "oneOf", "allOf"):
        schema = schema.get(union, [schema])[0]
    for union in ("anyOf", "oneOf", "allOf"):
        schema = schema.get(union, [schema])[0]
    if "$ref" in schema:
        return example_of(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        return {name: example_of(fields[name], defs) for name in schema.get("required", ())}
    if schema.get("type") == "array":
        return [example_of(schema["items"], defs)] * schema.get("minItems", 0)
    return {"string": "word", "integer": 1, "number": 0.5, "boolean": True, "null": None}[
        schema.get("type", "string")
    ]


def _prose(told: str) -> str:
    wanted = WANTED.search(told)
    body = " ".join(["word"] * (int(wanted[1]) if wanted else 20))
    return f"# A title\n\n## A section\n\nsupervision {body}"


GIVEN = re.compile(r"^(`{3,})\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
PYTHON = (
    "def answer():\n    return 42\n",
    (
        "import unittest\n\nimport solution\n\n\nclass Test(unittest.TestCase):\n"
        "    def test_it(self):\n        self.assertTrue(solution)\n"
    ),
)
JAVASCRIPT = (
    "export function answer() {\n  return 42;\n}\n",
    (
        "import test from 'node:test';\nimport assert from 'node:assert/strict';\n"
        "import * as solution from './solution.mjs';\n\n"
        "test('it', () => assert.ok(solution));\n"
    ),
)


def _blocks(*codes: str) -> str:
    return "\n\n".join(f"```\n{code}```" for code in codes)


def _code(told: str) -> tuple[str, str]:
    return JAVASCRIPT if "node:test" in told else PYTHON


def _same_code(told: str) -> str:
    given = GIVEN.findall(told)
    return _blocks(given[-1][1] if given else _code(told)[0])


RULES: list[tuple[str, Callable[[str], str]]] = [
    (SCHEMA, _object),
    ("one SELECT in DuckDB's SQL", lambda _: 'SELECT count(*) AS "rows" FROM "data"'),
    ("exactly two fenced code blocks", lambda told: _blocks(*_code(told))),
    ("one fenced code block, the tests", lambda told: _blocks(_code(told)[1])),
    ("one fenced code block, the whole code", _same_code),
    ("JSON array of short strings", lambda _: '["Look at it"]'),
    ("JSON array of at most", lambda _: "[]"),
    ("The first line is `Subject", lambda told: f"Subject: News\n\n{_prose(told)}"),
    ("", _prose),
]
"""What the request has in it, and what answers it; others' tasks add theirs before the last."""
