"""Tests of cartrita/tools/code.py."""

import json

import pytest

from cartrita.context import Context
from cartrita.providers.ports_sandbox import Ended, Ran
from cartrita.tools.code import CodeTools
from cartrita.tools.registry import ToolRegistry
from tests.support.sandboxed import sandbox
from tests.support.workshop import workshop


def tools(box=None, agent="chat"):
    made = CodeTools(box or sandbox(), workshop())
    return {tool.name: tool for tool in ToolRegistry([made]).tools(Context("t"), agent)}


async def test_code_is_really_run():
    code = "print(6 * 7); open('note.txt', 'w').write('hi')"
    answer = json.loads(await tools()["code_executor"].ainvoke({"code": code}))
    assert answer == {
        "ended": "exit code 0",
        "stdout": "42\n",
        "stderr": "",
        "files": {"note.txt": 2},
    }


async def test_what_goes_wrong_is_told():
    answer = json.loads(await tools()["code_executor"].ainvoke({"code": "1 / 0"}))
    assert answer["ended"] == "exit code 1"
    assert "ZeroDivisionError" in answer["stderr"]


@pytest.mark.parametrize("ended", Ended)
async def test_every_end_has_words_and_long_output_is_cut_in_the_middle(ended):
    class Done:
        languages = ("python",)

        async def run(self, program, timeout):
            return Ran(ended, 0, "a" * 2000 + "b" * 2000)

    answer = json.loads(await tools(Done())["code_executor"].ainvoke({"code": "x"}))
    assert answer["ended"]
    assert "1000 characters" in answer["stdout"]


async def test_code_is_reviewed_without_running_it():
    answer = await tools()["code_reviewer"].ainvoke({"code": "def f():\n    return eval('x')\n"})
    assert "security" in answer
    assert "function f: complexity 1, no docstring" in answer


async def test_a_file_is_analysed_by_its_name():
    given = {"name": "shop.py", "content": "x = 1\n\ny = 2\n"}
    answer = await tools()["file_analyzer"].ainvoke(given)
    assert answer.startswith("shop.py: python, 13 bytes, 2 lines that are not blank")
    assert "Nothing was noticed." in answer
    answer = await tools()["file_analyzer"].ainvoke(given | {"name": "shop.rs"})
    assert "Not analysed: Nothing here analyses rs." in answer


def test_only_some_agents_may_run_code():
    assert set(tools(agent="language")) == set()
