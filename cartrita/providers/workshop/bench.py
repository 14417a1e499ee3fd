"""Reads, mends and tests code."""

import json
import sys
from importlib.resources import files
from typing import Any, Literal

from cartrita.errors import SandboxUnavailable
from cartrita.providers.ports_code import Mending, Parameter, Remark, Review, Routine, Tested
from cartrita.providers.ports_sandbox import Ended, Program, Sandbox
from cartrita.providers.workshop.child import done
from cartrita.providers.workshop.ruffed import mended, remarks
from cartrita.providers.workshop.verdicts import FRAMEWORKS, verdict

CHECK_SECONDS = 5.0


class Bench:
    """Python is parsed and held to rules; JavaScript is parsed by Node, in the sandbox.

    Other languages are not analysed, and that is said.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def review(self, code: str, language: str) -> Review:
        """Analyse code; what cannot be analysed is said to be so."""
        lines = sum(bool(line.strip()) for line in code.splitlines())
        if language == "python":
            return await _python(code, lines)
        if language == "javascript":
            return await self._javascript(code, lines)
        return Review((), None, lines, note=f"Nothing here analyses {language}.")

    async def mend(self, code: str, kind: Mending) -> str:
        """Return Python code with what fixed rules can safely correct, or as it was."""
        return await mended(code, kind)

    async def document(self, code: str) -> str:
        """Return Python code with a docstring for each public thing that had none."""
        found = await _outlined(code, "document")
        return str(found.get("code", code))

    async def test(
        self, code: str, tests: str, language: str, framework: str, timeout: float
    ) -> Tested:
        """Run tests against code, which they import as the module `solution`."""
        how = FRAMEWORKS.get(framework)
        if how is None or how.language != language:
            return Tested(False, note=f"Tests of {framework} for {language} cannot be run here.")
        if language not in self._sandbox.languages:
            return Tested(False, note=f"The sandbox has no interpreter for {language}.")
        given = {how.module: code.encode(), how.tests: tests.encode()}
        program = Program(language, how.tests, given, options=how.options)
        try:
            return verdict(framework, await self._sandbox.run(program, timeout))
        except SandboxUnavailable as error:
            return Tested(False, note=error.message)

    async def _javascript(self, code: str, lines: int) -> Review:
        if "javascript" not in self._sandbox.languages:
            return Review((), None, lines, note="Node, which analyses JavaScript, is not here.")
        name = "solution.mjs"
        program = Program("javascript", name, {name: code.encode()}, options=("--check",))
        try:
            ran = await self._sandbox.run(program, CHECK_SECONDS)
        except SandboxUnavailable as error:
            return Review((), None, lines, note=error.message)
        if ran.ended is not Ended.EXITED:
            return Review((), None, lines, note=f"Node did not come to an end: {ran.ended}.")
        by = ("node --check",)
        if ran.ok:
            return Review(by, parses=True, lines=lines)
        return Review(by, parses=False, lines=lines, remarks=(_complaint(ran.stderr),))


async def _python(code: str, lines: int) -> Review:
    found = await _outlined(code, "outline")
    if "error" in found:
        wrong = Remark("syntax", found["error"], found["line"], found["column"], "error")
        return Review(("python ast",), parses=False, lines=lines, remarks=(wrong,))
    told = tuple(await remarks(code))
    routines = tuple(map(_routine, found["routines"]))
    by = ("python ast", "ruff")
    return Review(by, parses=True, lines=lines, remarks=told, routines=routines)


async def _outlined(code: str, what: Literal["outline", "document"]) -> dict[str, Any]:
    source = files("cartrita.providers.workshop").joinpath("outline.py").read_text()
    answer = await done([sys.executable, "-I", "-S", "-c", source, what], code)
    if answer.code:
        last = answer.errors.strip().splitlines()[-1:] or ["unknown"]
        return {"error": f"it cannot be parsed ({last[0]})", "line": 1, "column": 1}
    found: dict[str, Any] = json.loads(answer.output)
    return found


def _routine(item: dict[str, Any]) -> Routine:
    parameters = tuple(Parameter(**one) for one in item["parameters"])
    examples = tuple((shown, value) for shown, value in item["examples"])
    return Routine(**{**item, "parameters": parameters, "examples": examples})


def _complaint(said: str) -> Remark:
    """Return the syntax error that Node printed: `file:line`, the line, a mark, the message."""
    lines = said.strip().splitlines()
    message = next((line for line in lines if line.startswith("SyntaxError")), "it does not parse")
    place = lines[0].rpartition(":")[2] if lines else ""
    mark = next((line for line in lines if line.strip() and not line.strip("^ ")), "")
    line = int(place) if place.isdecimal() else 1
    return Remark("syntax", message, line, mark.find("^") + 1 or 1, "error")
