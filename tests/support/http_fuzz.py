"""Has schemathesis hold the gateway to its own OpenAPI document."""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from zlib import crc32

import msgpack
import requests
import schemathesis
from schemathesis import engine
from schemathesis.config import (
    CoveragePhaseConfig as Coverage,
)
from schemathesis.config import (
    GenerationConfig,
    PhasesConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.core.failures import ServerError
from schemathesis.engine import events
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

from benchmarks.harness import save
from serve_apps.asgi.strict import LEAST, MOST
from tests.support.api_server import serving, short_folder
from tests.support.carried import CARRIERS
from tests.support.elsewhere import elsewhere
from tests.support.gateway import ADMIN, Stand

UNSAYABLE = (
    "/auth/register 422 .*in use already",  # somebody has an account with that address
    "/auth/register 422 .*printable characters",
    "/v3/quarantine/.* 422 .*(does not take these parameters|was (retried|discarded) before)",
    "/v3/admin/commands 422 .*is below 'least'",
    "/v3/keys 413 You have",
    "/v3/keys 422 'expiresInDays' takes",  # a setting says how many
    "400 There is no task type 'outside",  # its agent was removed since the document was read
    "/v3/agents/.* 422 .*is built in",
    "/v3/agents/register 422 ",  # no schema says what is a schema, or an address
    "/v3/blobs/.* 416 ",  # what bytes there are, the blob says
    "4(00|22) (The key belongs to task|Task .* asked for something else)",
    "4(00|22) A number is beyond",
    "4(00|22) .*should be a valid integer",  # to a schema, 1.0 is one; JSON is read strictly
)
"""Refusals of what fits the schema."""

SOON = "2099-01-01T00:00:00Z"
"""A deadline that can be met; one that cannot is answered with 503, as the contract says."""

PATIENCE = 20.0
"""Seconds after which an answer counts as a failure."""

NOT_SET_UP = 501
"""What needs a setting that this gateway has not got says which."""

COVERED = 5000
"""Cases from which the bounds of every field are tried, one by one: that takes so many."""

OPERATIONS = 40
"""About as many as the document has."""


@schemathesis.serializer("application/msgpack")
def packed(context, value):
    return msgpack.packb(_fitting(value))


def _fitting(value):
    """Return a value with its whole numbers cut to what MessagePack has room for."""
    if isinstance(value, dict):
        return {name: _fitting(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_fitting(item) for item in value]
    return min(max(value, LEAST), MOST) if type(value) is int else value


@schemathesis.deserializer("application/msgpack")
def unpacked(context, response):
    return msgpack.unpackb(response.content)


OUTSIDE = []
"""The agent elsewhere that all addresses are made to lead to."""


class Prepared(Stand):
    """A gateway of which there is something to see, and whose tasks end at once."""

    @asynccontextmanager
    async def opened(self):
        async with elsewhere() as outside, super().opened() as gate:
            OUTSIDE[:] = [outside]
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

    @property
    def report(self) -> str:
        """All failures, as people read them."""
        return "".join(
            f"\n=== {label}: {title}\n{sample}\n"
            for (label, title), sample in self.failures.items()
        )

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
            covers = not found.cases and cases >= COVERED
            _round(url, _config(seed, max(1, left // (4 * OPERATIONS)), covers), found)
            seed += 1
    return found


def _round(url: str, config: SchemathesisConfig, found: Found) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    schema.auth(refresh_interval=None)(_session_of(url))
    schema.hook(filter_failure)
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found.note(event)
        elif isinstance(event, events.NonFatalError):
            found.failures.setdefault((event.label, "error"), repr(event.value)[:2000])
        elif isinstance(event, events.FatalError):
            raise event.exception


def _config(seed: int, each: int, covers: bool) -> SchemathesisConfig:
    generation = GenerationConfig(max_examples=each, no_shrink=True, database="none")
    phases = PhasesConfig(coverage=Coverage(enabled=covers))  # which is the same each time
    project = ProjectConfig(
        request_timeout=PATIENCE, generation=generation, phases=phases, continue_on_failure=True
    )
    return SchemathesisConfig(seed=seed, projects=ProjectsConfig(default=project))


def _refusal(response):
    packed = "msgpack" in response.headers["content-type"][0]
    told = unpacked(None, response) if packed else json.loads(response.content)
    fields = " ".join(f"{item['field']} {item['message']}" for item in told.get("errors", ()))
    return f"{told['instance']} {response.status_code} {told['detail']} {fields}"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Have every fourth answer in MessagePack; keep tasks short and all in reach."""
    if crc32(repr((case.path_parameters, case.query, case.body)).encode()) % 4 == 0:
        case.headers = {**(case.headers or {}), "Accept": "application/msgpack"}
    if isinstance(case.body, dict):
        case.body = _quick(case.body)


def _quick(body):
    if _is_time(body.get("deadline")):
        body = {**body, "deadline": SOON}
    if _is_address(body.get("endpoint")):
        body = {**body, "endpoint": OUTSIDE[-1].url}
    asked = body.get("parameters")
    if isinstance(asked, dict) and isinstance(asked.get("delayMs"), int):
        body = {**body, "parameters": {**asked, "delayMs": min(asked["delayMs"], 5)}}
    return body


def _is_address(value):
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _is_time(value):
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def filter_failure(context, failure, case, response):
    """Let pass what no schema can say: what depends on other fields, or on what there is."""
    if isinstance(failure, UseAfterFree):
        # Here DELETE cancels, or decides; the record of it stays.
        return case.operation.path.startswith("/v3/blobs/")
    if isinstance(failure, ServerError):
        return response.status_code != NOT_SET_UP
    if isinstance(failure, RejectedPositiveData):
        return not any(re.search(reason, _refusal(response)) for reason in UNSAYABLE)
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
    with short_folder() as folder, serving(Prepared(folder, agents=CARRIERS).application()) as url:
        yield url


def main(argv: list[str]) -> None:
    """Try many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(argv)
    found = run(asked.cases, asked.seed)
    told = {
        "cases": sum(found.cases.values()),
        "failures": len(found.failures),
        "seed": asked.seed,
        "phases": found.cases,
        "statuses": dict(sorted(found.statuses.items())),
    }
    sys.stdout.write(f"{found.report}\n{told}\n")
    save("fuzz", told)
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main(sys.argv[1:])
