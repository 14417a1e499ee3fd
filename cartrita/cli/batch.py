"""`cartrita batch`."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cartrita.cli.batch_feed import Feed
from cartrita.cli.batch_lines import Line, Tally
from cartrita.cli.batch_meter import Meter
from cartrita.cli.batch_results import Complaints, Results, row_of
from cartrita.cli.batch_state import State, StateFile
from cartrita.cli.connection import connect_async, reachable
from cartrita.cli.exits import Exit
from cartrita.cli.options import Options, options_of
from cartrita.cli.output import AsJson
from cartrita.client import AsyncClient, BatchResult
from cartrita.client.bulk import AT_ONCE, MOST_TASKS, Asked
from cartrita.clock import new_id
from cartrita.errors import CartritaError, ConfigurationInvalid

RETRIES = 24
"""Failures in a row that are repeated: about a hundred seconds, in which a server restarts."""


class Order(StrEnum):
    """In which order results are written."""

    INPUT = "input"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class _Job:
    options: Options
    source: str
    output: Path | None
    order: Order
    at_once: int
    as_json: bool


def batch(  # noqa: PLR0913 - one for each thing to choose
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="JSON Lines; `-` is standard input.")],
    *,
    output: Annotated[
        Path | None, typer.Option(help="File of the results, instead of standard output.")
    ] = None,
    order: Annotated[
        Order, typer.Option(help="Results in the order of the lines, or as tasks end.")
    ] = Order.INPUT,
    resume: Annotated[
        Path | None,
        typer.Option(help="File of the state; FILE.state by default, which goes away at the end."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, whatever an earlier run has done.")
    ] = False,
    at_once: Annotated[
        int, typer.Option(help="Tasks under way at a time.", min=1, max=MOST_TASKS)
    ] = AT_ONCE,
    as_json: AsJson = False,
) -> None:
    """Run the tasks of a file, one a line, and write a line of JSON for each.

    A line is what `POST /v3/tasks` takes: `{"taskType": "system.echo", "parameters":
    {"payload": 1}}`. A run that was interrupted, however that was, goes on when the same
    command is given again, and no task runs twice. Results in a file are each there once.

    Exits with 0 when all completed, 1 when some did not, 3 when the server could not go on.
    """
    _check(file, output)
    default = None if file == "-" else Path(f"{file}.state")
    kept = StateFile(resume or default)
    job = _Job(options_of(ctx), file, output, order, at_once, as_json)
    with kept.held():
        if fresh:
            kept.remove()
        state = _begun(job, kept)
        if not state.finished:
            state = _run(job, state, kept)
        if resume is None:
            kept.remove()
    _tell(state, job)


def _run(job: _Job, state: State, kept: StateFile) -> State:
    try:
        return asyncio.run(_all(job, state, kept))
    except KeyboardInterrupt:
        typer.echo(f"Interrupted. {_advice(kept)}", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except CartritaError as error:
        error.add_note(_advice(kept))
        raise


def _advice(kept: StateFile) -> str:
    if kept.path is None:
        return "Name a file with --resume to be able to go on next time."
    return f"The same command goes on from {str(kept.path)!r}."


def _check(file: str, output: Path | None) -> None:
    if file != "-" and not os.access(file, os.R_OK):
        raise typer.BadParameter(f"Cannot read {file!r}.", param_hint="'FILE'")
    if file != "-" and Path(file).is_dir():
        raise typer.BadParameter(f"{file!r} is a folder.", param_hint="'FILE'")
    if output is not None and file != "-" and output.absolute() == Path(file).absolute():
        raise typer.BadParameter("The results would replace the tasks.", param_hint="'--output'")


def _begun(job: _Job, kept: StateFile) -> State:
    """Return the state to go on from.

    Raises:
        ConfigurationInvalid: The earlier run wrote elsewhere, or to another server.
    """
    url = reachable(job.options).url
    output = None if job.output is None else str(job.output.absolute())
    state = kept.read()
    if state is None:
        state = State(batch=new_id(), url=url, output=output)
        kept.write(state)  # before the first task has its id
    for what, before, now in (("server", state.url, url), ("--output", state.output, output)):
        if before != now:
            raise ConfigurationInvalid(
                f"The batch began with {what} {before!r}, not {now!r}: name that one, or begin "
                "anew with --fresh."
            )
    return state


async def _all(job: _Job, state: State, kept: StateFile) -> State:
    # Left to the reading thread, which may wait in it: the end of the process closes it.
    descriptor = sys.stdin.fileno() if job.source == "-" else os.open(job.source, os.O_RDONLY)
    run = _Run(job, state, kept, descriptor)
    try:
        async with connect_async(job.options, RETRIES) as client:
            await run.all(client)
        run.finished = True
    finally:
        state = run.close()
    return state


class _Run:
    """One run of a batch.

    Attributes:
        finished: Whether all lines are done with.
    """

    def __init__(self, job: _Job, state: State, kept: StateFile, descriptor: int) -> None:
        self._job, self._state, self._kept = job, state, kept
        self._tally = Tally(state.low, bytes.fromhex(state.digest), frozenset(state.beyond))
        self._feed = Feed(descriptor, state.batch, self._tally)
        self._results = Results(job.output, state.written)
        self._meter = Meter(_size(descriptor), state.completed, state.failed + state.refused)
        self._complaints = Complaints(self._meter.say)
        self._lines: dict[int, Line] = {}
        self._count = {"completed": state.completed, "failed": state.failed}
        self._count["refused"] = state.refused
        self.finished = False

    async def all(self, client: AsyncClient) -> None:
        """Run everything that is not done with."""
        ordered = self._job.order is Order.INPUT
        source = self._asked()
        with self._meter:
            results = client.batch(source, ordered=ordered, at_once=self._job.at_once)
            async with aclosing(results):
                async for result in results:
                    self._take(result)

    async def _asked(self) -> AsyncIterator[Asked]:
        place = 0
        async for line, asked in self._feed.read():
            self._lines[place] = line
            place += 1
            yield asked

    def _take(self, result: BatchResult) -> None:
        line = self._lines.pop(result.place)
        row = row_of(line.number, result)
        self._results.write(row)
        kind = "completed" if result.completed else "failed" if result.outcome else "refused"
        self._count[kind] += 1
        if kind != "completed":
            self._complaints.tell(row)
        self._tally.done(line.number)
        self._meter.step(line.size, self._feed.skipped, good=kind == "completed")
        if self._kept.due:
            self._kept.write(self.state())

    def state(self) -> State:
        """Return how far it is."""
        told = {
            "low": self._tally.low,
            "digest": self._tally.digest.hex(),
            "beyond": self._tally.beyond,
            "written": self._results.written,
            "finished": self.finished,
            **self._count,
        }
        return self._state.model_copy(update=told)

    def close(self) -> State:
        """Keep how far it is, and return that."""
        state = self.state()
        self._kept.write(state)
        self._results.close()
        return state


def _size(descriptor: int) -> int | None:
    facts = os.fstat(descriptor)
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def _tell(state: State, job: _Job) -> None:
    """Tell how it went, where the results are not."""
    told = {name: getattr(state, name) for name in ("completed", "failed", "refused")}
    if job.as_json:
        text = json.dumps({**told, "output": state.output})
    else:
        text = ", ".join(f"{number} {name}" for name, number in told.items()) + "."
    typer.echo(text, err=job.output is None)
    if state.failed or state.refused:
        raise typer.Exit(Exit.FAILED)
