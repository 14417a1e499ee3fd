"""Reading, mending and testing code, with the real parsers and the real sandbox."""

import ast

import pytest

from cartrita.errors import ResourceLimitExceeded, SandboxUnavailable
from cartrita.providers.workshop.bench import Bench
from tests.support.sandboxed import sandbox
from tests.support.workshop import ROOMY

CODE = '''
import os, subprocess

class Shop:
    """Sells."""

    def price(self, article: str, *, tax: float = 0.2) -> float:
        if article == "lamp" and tax:
            return 1.0
        return eval(article)

def run(command, log=[]):
    """Run it.

    >>> run("a")
    'a'
    >>> print(1)
    1
    """
    subprocess.call(command, shell=True)
    return undefined
'''


@pytest.fixture
def bench():
    return Bench(sandbox(ROOMY))


async def test_python_is_parsed_and_held_to_rules(bench):
    review = await bench.review(CODE, "python")
    assert review.parses is True
    assert review.by == ("python ast", "ruff")
    kinds = {remark.rule: remark.kind for remark in review.remarks}
    assert kinds["F821"] == "error"
    assert kinds["S602"] == "security"
    assert kinds["B006"] == kinds["F401"] == "warning"
    price, run = review.routines
    assert (price.owner, price.name, price.complexity, price.returns) == (
        "Shop",
        "price",
        3,
        "float",
    )
    assert [(it.name, it.annotation, it.default) for it in price.parameters] == [
        ("self", "", ""),
        ("article", "str", ""),
        ("tax", "float", "0.2"),
    ]
    assert (run.documented, run.examples) == (True, (('run("a")', "'a'"), ("print(1)", "1")))


async def test_what_does_not_parse_is_said_with_its_place(bench):
    review = await bench.review("def f(:\n  pass", "python")
    assert review.parses is False
    (remark,) = review.remarks
    assert (remark.kind, remark.line) == ("error", 1)


async def test_what_is_made_to_break_a_parser_breaks_nothing_of_ours(bench):
    for code in (
        "(" * 9000,
        "-" * 19_000 + "1",
        "x" + "[0]" * 6000,
        "a\0b",
        "\ud800".encode("utf-8", "replace").decode(),
    ):
        try:
            review = await bench.review(code, "python")
            assert review.parses is not None
        except ResourceLimitExceeded:
            pass
    assert (await bench.review("x = 1", "python")).parses is True


async def test_javascript_is_parsed_by_node(bench):
    assert (await bench.review("export const a = 1;", "javascript")).parses is True
    review = await bench.review("const a = 1;\nconst = 2;", "javascript")
    assert review.parses is False
    assert (review.remarks[0].line, review.remarks[0].column) == (2, 7)
    assert "Unexpected token" in review.remarks[0].message


async def test_other_languages_are_said_not_to_be_analysed(bench):
    review = await bench.review("fn main() {}", "rust")
    assert (review.by, review.parses, review.note) == ((), None, "Nothing here analyses rust.")


async def test_rules_mend_what_they_safely_can(bench):
    assert await bench.mend("import os, sys\nprint( sys.argv )\n", "style") == (
        "import sys\n\nprint(sys.argv)\n"
    )
    assert await bench.mend("def f(x): return not x in y and x != None", "bugs") != ""
    fixed = await bench.mend("names = list([name for name in people])\n", "speed")
    assert fixed == "names = list(people)\n"
    assert await bench.mend("x = 1\n", "bugs") == "x = 1\n"
    assert await bench.mend("def f(:", "style") == "def f(:"


LISTEN = '''
        """Listen on.

        Args:
            port (int): Default: 80.
            *names (str):

        Returns:
            bool
        """
'''


async def test_docstrings_are_added_and_nothing_else_is_changed(bench):
    code = '''import os
class HTTPServer:
    def listenOn(self, port: int = 80, *names: str) -> bool:
        @os.wraps
        def inner(): return "\\\\"
        return True
    def quick(self): return 1
    def _hidden(self):
        pass
def told():
    """Said."""
async def x_y(
    a,
):
\treturn a
'''
    made = await bench.document(code)
    for text in (
        '    """Httpserver."""',
        LISTEN,
        '\t"""X y.\n\n\tArgs:\n\t    a:\n\t"""',
    ):
        assert text in made
    assert "quick(self): return 1" in made
    assert _bare(made) == _bare(code)
    assert await bench.document(made) == made


def _bare(code):
    """Return what stands in code besides docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        if isinstance(node, kinds) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)


PYTHON_TESTS = """
import unittest
from solution import double

class DoubleTest(unittest.TestCase):
    def test_right(self):
        self.assertEqual(double(2), 4)

    def test_wrong(self):
        self.assertEqual(double(2), 5)
"""
NODE_TESTS = """
import test from 'node:test';
import assert from 'node:assert/strict';
import { double } from './solution.mjs';

test('right', () => assert.equal(double(2), 4));
test('wrong', () => assert.equal(double(2), 5));
"""


@pytest.mark.parametrize(
    ("language", "framework", "code", "tests"),
    [
        ("python", "unittest", "def double(n): return n * 2", PYTHON_TESTS),
        ("javascript", "node:test", "export const double = (n) => n * 2;", NODE_TESTS),
    ],
)
async def test_tests_are_really_run(bench, language, framework, code, tests):
    tested = await bench.test(code, tests, language, framework, 10)
    assert (tested.ran, tested.passed, tested.failed) == (True, 1, 1), tested
    assert "5" in tested.output


async def test_tests_that_cannot_be_run_are_said_not_to_have_run(bench):
    tested = await bench.test("x", "y", "python", "jest", 5)
    assert (tested.ran, tested.note) == (False, "Tests of jest for python cannot be run here.")
    tested = await bench.test("x = 1", "def test_x(): assert True", "python", "pytest", 10)
    assert tested.ran or tested.note == "pytest is not installed in the sandbox."


async def test_without_a_sandbox_python_is_analysed_and_nothing_is_run():
    class Without:
        languages = ("python", "javascript")

        async def run(self, program, timeout):
            raise SandboxUnavailable("no walls")

    bench = Bench(Without())
    assert (await bench.review("x = 1", "python")).by == ("python ast", "ruff")
    assert (await bench.review("let x", "javascript")).note == "no walls"
    tested = await bench.test("x", "y", "python", "unittest", 5)
    assert (tested.ran, tested.note) == (False, "no walls")
