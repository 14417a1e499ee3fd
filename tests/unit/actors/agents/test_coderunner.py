"""Tests of actors/agents/coderunner.py."""

import pytest

from actors.agents.coderunner import LONGEST_OUTPUT, CodeRunner
from cartrita.errors import InvalidParameters, SandboxUnavailable
from cartrita.providers.ports_sandbox import Ended, Ran, Sandbox
from cartrita.testing import run_task

RUN = "codewriter.run.code"


class OneRun:
    """A sandbox in which everything ends in the same way."""

    languages = ("python", "javascript", "bash")

    def __init__(self, end):
        self.end, self.programs = end, []

    async def run(self, program, timeout):
        self.programs.append((program, timeout))
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


async def run(params, end, **context):
    sandbox = OneRun(end)
    result = await run_task(CodeRunner, RUN, params, {Sandbox: sandbox}, **context)
    return result.to_wire(), sandbox.programs


async def test_what_a_program_wrote_is_told():
    end = Ran(Ended.EXITED, 0, "42\n", "", {"out.txt": b"abc"}, seconds=0.25)
    result, programs = await run({"code": "print(42)", "stdin": "7", "timeoutS": 3}, end)
    assert result == {
        "ok": True,
        "language": "python",
        "ended": "exited",
        "exitCode": 0,
        "stdout": "42\n",
        "stderr": "",
        "files": {"out.txt": 3},
        "seconds": 0.25,
    }
    ((program, timeout),) = programs
    assert (program.language, program.files[program.entry]) == ("python", b"print(42)")
    assert (program.stdin, timeout) == (b"7", 3)


async def test_a_program_that_fails_is_a_result_and_no_failure():
    result, _ = await run({"code": "x"}, Ran(Ended.EXITED, 1, "", "NameError", seconds=0.1))
    assert (result["ok"], result["exitCode"], result["stderr"]) == (False, 1, "NameError")


async def test_a_program_that_was_ended_has_no_exit_code():
    result, _ = await run({"code": "x"}, Ran(Ended.TIME, None, "so far"))
    assert (result["ok"], result["ended"], "exitCode" in result) == (False, "time", False)


async def test_the_end_of_a_long_output_is_kept_and_that_is_said():
    warnings = []
    end = Ran(Ended.EXITED, 0, "a" * LONGEST_OUTPUT + "end")
    result, _ = await run({"code": "x"}, end, warnings=warnings)
    assert result["stdout"].endswith("end")
    assert len(result["stdout"]) == LONGEST_OUTPUT
    assert len(warnings) == 1


async def test_without_a_sandbox_nothing_runs():
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        await run({"code": "x"}, SandboxUnavailable("Install bubblewrap."))


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"code": " "}, "code"),
        ({"code": "x" * 20_001}, "code"),
        ({"code": "x", "language": "perl"}, "language"),
        ({"code": "x", "timeoutS": 61}, "timeoutS"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(params, field):
    with pytest.raises(InvalidParameters) as caught:
        await run(params, Ran(Ended.EXITED, 0))
    assert caught.value.fields[0].field == f"parameters.{field}"
