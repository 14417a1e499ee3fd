"""Has schemathesis hold the gateway to its own OpenAPI document."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from zlib import crc32

import msgpack
import requests
import schemathesis
from schemathesis import engine
from schemathesis.config import (
    GenerationConfig,
    PhasesConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.config import (
    CoveragePhaseConfig as Coverage,
)
from schemathesis.engine import events
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

from tests.support.api_server import serving, short_folder
from tests.support.gateway import ADMIN, Stand

UNSAYABLE = (
    "422 .*is in use already",  # somebody has an account with that address
    "422 .*printable characters",
    "422 .*is below 'least'",
    "422 .*was (retried|discarded) before",
)
"""Refusals of bodies that fit the schema."""

SOON = "2099-01-01T00:00:00Z"
"""A deadline that can be met; one that cannot is answered with 503, as the contract says."""

PATIENCE = 20.0
"""Seconds after which an answer counts as a failure."""

OPERATIONS = 40
"""About as many as the document has."""


@schemathesis.serializer("application/msgpack")
def packed(context, value):
    return msgpack.packb(value)


@schemathesis.deserializer("application/msgpack")
def unpacked(context, response):
    return msgpack.unpackb(response.content)


class Prepared(Stand):
    """A gateway of which there is something to see, and whose tasks end at once."""

    @asynccontextmanager
    async def opened(self):
        async with super().opened() as gate:
            self.latch.released.set()
            for _ in range(50):
                self.ward.admit("somebody")
            yield gate


@dataclass
class Found:
    """What came of a run.

    Attributes:
        failures: What was wrong, each kind once, with the request that shows it.
    """

    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(self, event: events.ScenarioFinished) -> None:
        """Count a scenario's cases and keep what failed."""
        recorder = event.recorder
        self.cases[event.phase.value] += len(recorder.interactions)
        for told in recorder.interactions.values():
            self.statuses[told.response.status_code if told.response else 0] += 1
        for case_id, checks in recorder.checks.items():
            case = recorder.cases[case_id].value
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    key = (case.operation.label, failure.title)
                    told = recorder.interactions[case_id].response
                    said = told.content[:400] if told else None
                    sample = f"{failure.message}\n{check.failure_info.code_sample}\n{said!r}"
                    self.failures.setdefault(key, sample[:2500])


def run(cases: int, seed: int) -> Found:
    """Try at least so many cases, round after round, each with another seed."""
    found = Found()
    with _gateway() as url:
        while sum(found.cases.values()) < cases:
            left = cases - sum(found.cases.values())
            _round(url, seed, max(1, left // (4 * OPERATIONS)), found, first=not found.cases)
            seed += 1
    return found


def _round(url: str, seed: int, each: int, found: Found, *, first: bool) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=_config(seed, each, first))
    schema.auth(refresh_interval=None)(_session_of(url))
    for hook in (map_body, filter_failure):
        schema.hook(hook)
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found.note(event)
        elif isinstance(event, events.NonFatalError):
            found.failures.setdefault((event.label, "error"), repr(event.value)[:2000])
        elif isinstance(event, events.FatalError):
            raise event.exception


def _config(seed: int, each: int, first: bool) -> SchemathesisConfig:
    generation = GenerationConfig(max_examples=each, no_shrink=True, database="none")
    phases = PhasesConfig(coverage=Coverage(enabled=first))  # which is the same each time
    project = ProjectConfig(
        request_timeout=PATIENCE, generation=generation, phases=phases, continue_on_failure=True
    )
    return SchemathesisConfig(seed=seed, projects=ProjectsConfig(default=project))


def map_body(context, body):
    """Keep tasks short, and their deadlines in reach."""
    if isinstance(body, dict):
        for name in ("deadline",):
            if isinstance(body.get(name), str) and body[name][:1].isdigit():
                body = {**body, name: SOON}
        asked = body.get("parameters")
        if isinstance(asked, dict) and isinstance(asked.get("delayMs"), int):
            body = {**body, "parameters": {**asked, "delayMs": min(asked["delayMs"], 5)}}
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    """Have every fourth answer in MessagePack."""
    if crc32(repr((case.path_parameters, case.query, case.body)).encode()) % 4 == 0:
        case.headers = {**(case.headers or {}), "Accept": "application/msgpack"}


def filter_failure(context, failure, case, response):
    """Let pass what no schema can say: what depends on other fields, or on what there is."""
    if isinstance(failure, UseAfterFree):
        # Here DELETE cancels, or decides; the record of it stays.
        return case.operation.path.startswith("/v3/blobs/")
    if isinstance(failure, RejectedPositiveData):
        said = f"{response.status_code} {response.content!r}"
        return not any(re.search(reason, said) for reason in UNSAYABLE)
    return True


def _session_of(url: str):
    """Return what speaks for an administrator, each time with a session that may be ended."""

    class Session:
        def get(self, case, context):
            if context.operation.path != "/auth/logout":
                return token
            return _login(url)

        def set(self, case, data, context):
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}

    token = _login(url)
    return Session


def _login(url: str) -> str:
    asked = dict(zip(("email", "password"), ADMIN, strict=True))
    return requests.post(f"{url}/auth/login", json=asked, timeout=PATIENCE).json()["token"]


@contextmanager
def _gateway() -> Iterator[str]:
    with short_folder() as folder, serving(Prepared(folder).application()) as url:
        yield url


def main(argv: list[str]) -> None:
    """Try many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(argv)
    found = run(asked.cases, asked.seed)
    for (label, title), sample in found.failures.items():
        sys.stdout.write(f"\n=== {label}: {title}\n{sample}\n")
    told = {**found.cases, **{str(k): v for k, v in sorted(found.statuses.items())}}
    sys.stdout.write(f"\n{told}\n{sum(found.cases.values())} cases, {len(found.failures)} failures\n")
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main(sys.argv[1:])
