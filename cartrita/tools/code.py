"""Runs and reviews code."""

import json
from typing import Literal

from pydantic import Field

from cartrita.context import Context
from cartrita.providers.ports_code import Review, Workshop
from cartrita.providers.ports_sandbox import Ended, Program, Ran, Sandbox
from cartrita.tools.declare import Input, Tools, tool

LONGEST_CODE = 20_000
LONGEST_SAID = 3_000
"""Characters of the output, and of the errors, that a model gets to read."""

MOST_REMARKS = 30
AGENTS = ("chat", "langchain", "planner")
NAMES = {"python": "main.py", "javascript": "main.mjs", "bash": "main.sh"}
SUFFIXES = {"py": "python", "js": "javascript", "mjs": "javascript", "cjs": "javascript"}

Code = Field(min_length=1, max_length=LONGEST_CODE, description="The whole program.")


class ExecuteInput(Input):
    """A program to run."""

    code: str = Code
    language: Literal["python", "javascript", "bash"] = "python"
    timeout: float = Field(default=10.0, ge=0.5, le=60, description="Seconds.")
    stdin: str = Field(default="", max_length=LONGEST_CODE, description="Its standard input.")


class ReviewInput(Input):
    """Code to review."""

    code: str = Code
    language: str = Field(default="python", max_length=30)


class FileInput(Input):
    """A file of source code to analyse."""

    name: str = Field(min_length=1, max_length=200, description="Its name, such as `shop.py`.")
    content: str = Field(min_length=1, max_length=LONGEST_CODE)


class CodeTools(Tools):
    """Runs code in a sandbox, and analyses it without running it."""

    def __init__(self, sandbox: Sandbox, workshop: Workshop) -> None:
        self._sandbox, self._workshop = sandbox, workshop

    @tool("code_executor", agents=AGENTS)
    async def execute(self, given: ExecuteInput, ctx: Context) -> str:
        """Run a program without network or files and return its output, errors and files' sizes."""
        name = NAMES[given.language]
        files = {name: given.code.encode()}
        program = Program(given.language, name, files, stdin=given.stdin.encode())
        ran = await self._sandbox.run(program, min(given.timeout, ctx.remaining()))
        return _told(ran)

    @tool("code_reviewer", agents=AGENTS)
    async def review(self, given: ReviewInput, ctx: Context) -> str:
        """Analyse code without running it: syntax errors, likely bugs, security, complexity."""
        return _reviewed(await self._workshop.review(given.code, given.language.lower()))

    @tool("file_analyzer", agents=AGENTS)
    async def file(self, given: FileInput, ctx: Context) -> str:
        """Tell of a source file its language, size, functions and what static analysis notices."""
        suffix = given.name.rpartition(".")[2].lower()
        language = SUFFIXES.get(suffix, suffix or "text")
        size = f"{given.name}: {language}, {len(given.content.encode())} bytes"
        review = await self._workshop.review(given.content, language)
        return f"{size}, {review.lines} lines that are not blank\n{_reviewed(review)}"


def _told(ran: Ran) -> str:
    end = {
        Ended.EXITED: f"exit code {ran.exit_code}",
        Ended.TIME: "it was ended: it took too long",
        Ended.MEMORY: "it was ended: it took too much memory",
        Ended.OUTPUT: "it was ended: it said too much",
        Ended.FILES: "it was ended: it made too many files",
        Ended.BROKEN: "it ended its own sandbox",
    }[ran.ended]
    told = {"ended": end, "stdout": _cut(ran.stdout), "stderr": _cut(ran.stderr)}
    files = {path: len(data) for path, data in ran.files.items()}
    return json.dumps(told | ({"files": files} if files else {}), ensure_ascii=False)


def _cut(text: str) -> str:
    if len(text) <= LONGEST_SAID:
        return text
    half = LONGEST_SAID // 2
    return f"{text[:half]}\n[… {len(text) - LONGEST_SAID} characters …]\n{text[-half:]}"


def _reviewed(review: Review) -> str:
    if not review.by:
        return f"Not analysed: {review.note}"
    lines = [f"Analysed by {', '.join(review.by)}; nothing was run."]
    lines += [
        f"{it.line}:{it.column} {it.kind} {it.rule}: {it.message}"
        for it in review.remarks[:MOST_REMARKS]
    ]
    lines += [
        f"{it.line} function {it.owner + '.' if it.owner else ''}{it.name}: "
        f"complexity {it.complexity}{'' if it.documented else ', no docstring'}"
        for it in review.routines
    ]
    if not review.remarks:
        lines.append("Nothing was noticed.")
    return "\n".join(lines)
