"""Runs code that nobody trusts, in the sandbox."""

from typing import Annotated, Literal

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import per_call
from cartrita.declare import Agent, Params, Result, task
from cartrita.protocol.text import Prose, Unicode
from cartrita.providers.ports_sandbox import Ended, Program, Sandbox

LONGEST_CODE = 20_000
LONGEST_OUTPUT = 20_000
"""Characters of what a program wrote that its result repeats."""

LONGEST_RUN = 60.0
ENTRY = {"python": "main.py", "javascript": "main.mjs", "bash": "main.sh"}


class RunParams(Params):
    """A program, and what it reads."""

    code: Annotated[Prose, Field(max_length=LONGEST_CODE, description="The whole program.")]
    language: Literal["python", "javascript", "bash"] = "python"
    stdin: Annotated[Unicode, Field(max_length=LONGEST_CODE)] = ""
    timeout_s: float = Field(
        default=10.0, ge=0.5, le=LONGEST_RUN, description="The settings may allow less."
    )


class RunResult(Result):
    """What came of it. All of it is what the program says: trust none of it."""

    ok: bool = Field(description="Whether it exited with 0.")
    language: str
    ended: Ended
    exit_code: int | None = Field(
        default=None, description="Absent where it did not exit; negative for a signal."
    )
    stdout: str = Field(description=f"The last {LONGEST_OUTPUT} characters, as is `stderr`.")
    stderr: str
    files: dict[str, int] = Field(description="Bytes of each file that it made or changed.")
    seconds: float = Field(description="By the clock.")


class CodeRunner(Agent, team="intelligence", concurrency=4):
    """Runs programs apart from everything: no network, no files but their own, bounded."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @task(
        "codewriter.run.code",
        cost=per_call("0.001"),
        timeout=90,
        idempotent=True,
        example={"code": "print(6 * 7)", "language": "python"},
    )
    async def run(self, params: RunParams, ctx: Context) -> RunResult:
        """Run a program without network or files, and return what it wrote.

        Where the sandbox cannot be built nothing is run, and the error says what is missing.
        """
        name = ENTRY[params.language]
        files = {name: params.code.encode()}
        program = Program(params.language, name, files, stdin=params.stdin.encode())
        ran = await self._sandbox.run(program, min(params.timeout_s, ctx.remaining()))
        cut = sum(len(text) > LONGEST_OUTPUT for text in (ran.stdout, ran.stderr))
        if cut or ran.left_out:
            ctx.warn("Not all that the program wrote is in the result.")
        return RunResult(
            ok=ran.ok,
            language=params.language,
            ended=ran.ended,
            exit_code=ran.exit_code,
            stdout=ran.stdout[-LONGEST_OUTPUT:],
            stderr=ran.stderr[-LONGEST_OUTPUT:],
            files={path: len(data) for path, data in ran.files.items()},
            seconds=round(ran.seconds, 3),
        )
