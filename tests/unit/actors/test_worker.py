"""One host: it builds its agents, runs attempts, and turns every failure into a value."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from actors.hosting import HostSpec
from actors.worker import WorkerHost
from cartrita.channel.address import Address
from cartrita.channel.client import connect
from cartrita.errors import (
    AuthenticationFailed,
    ConfigurationInvalid,
    InternalFailure,
    leaves,
)
from cartrita.services import Services
from tests.support.records import record
from tests.support.stage import CATALOG, Stage, services

SPEC = HostSpec("system/0.shared.0.1", ("echo",), epoch=5, token="the token")


@asynccontextmanager
async def running(provided, folder, spec=SPEC):
    host = WorkerHost(spec, CATALOG, provided)
    try:
        yield host, await host.start(Address.unix(folder / "s"))
    finally:
        await host.stop()


@pytest.fixture
async def host(stage, tmp_path):
    async with running(services(stage), tmp_path) as (one, _):
        yield one


def run(host, name="test.echo", text="hello", timeout=10.0, attempt=1, **fields):
    fields = {"params": {"text": text}} | fields
    return host.run(record(task_type=name, **fields), attempt, timeout)


class TestOutcome:
    async def test_a_result_is_told_with_what_it_took(self, host):
        outcome = await run(host, attempt=2)
        assert outcome["status"] == "COMPLETED"
        assert outcome["result"] == {"text": "hello", "attempt": 2}
        assert outcome["metrics"].pop("processingTimeMs") >= 0
        assert outcome["metrics"] == {"costUsd": 0.25, "tokensUsed": 0, "customMetrics": {}}
        assert outcome["warnings"] == []

    async def test_the_price_and_every_use_of_a_model_are_added_up(self, host):
        metrics = (await run(host, "test.spend"))["metrics"]
        assert metrics["costUsd"] == float(Decimal("0.25") + Decimal("0.125") + Decimal("0.5"))
        assert metrics["tokensUsed"] == 16
        assert metrics["modelUsed"] == "model/b"
        assert metrics["customMetrics"] == {"pages": 3}

    async def test_warnings_are_told(self, host):
        assert (await run(host, "test.spend"))["warnings"] == ["nearly empty"]

    @pytest.mark.parametrize("kind", leaves().values(), ids=leaves())
    async def test_every_error_is_a_value_and_only_what_was_used_is_charged(self, host, kind):
        outcome = await run(host, "test.fail", kind.__name__)
        assert outcome["errorCode"] == kind.code
        assert outcome["errorMessage"] == "as told"
        assert outcome["retryable"] == kind.retryable
        assert outcome["metrics"]["costUsd"] == 0.125
        assert outcome["metrics"]["tokensUsed"] == 15
        assert outcome["metrics"]["modelUsed"] == "model/a"

    async def test_a_defect_is_a_value(self, host):
        outcome = await run(host, "test.fail", "no error of ours")
        assert (outcome["status"], outcome["errorCode"]) == ("FAILED", "AGENT_ERROR")
        assert "ZeroDivisionError" in outcome["errorMessage"]

    async def test_something_cancelled_within_is_a_value(self, host):
        outcome = await run(host, "test.lose")
        assert (outcome["status"], outcome["errorCode"]) == ("FAILED", "AGENT_ERROR")

    @pytest.mark.parametrize("params", [{"text": 5}, {"colour": "red"}])
    async def test_parameters_of_another_version_are_refused_by_field(self, host, params):
        outcome = await run(host, params=params)
        assert (outcome["status"], outcome["errorCode"]) == ("FAILED", "INVALID_PARAMETERS")

    async def test_a_task_of_another_host_is_a_value(self, host):
        outcome = await run(host, "frail.hold")
        assert (outcome["status"], outcome["errorCode"]) == ("FAILED", "INTERNAL_ERROR")
        assert outcome["metrics"]["costUsd"] == 0.0

    async def test_time_that_runs_out_is_a_value_and_ends_the_work(self, host, stage):
        outcome = await run(host, "test.hold", timeout=0.05)
        assert (outcome["status"], outcome["errorCode"]) == ("TIMEOUT", "TASK_TIMEOUT")
        for text in stage.played:  # unless a busy machine let the time pass before
            assert await stage.cancelled() == text

    async def test_no_time_at_all_is_a_value_and_nothing_begins(self, host, stage):
        outcome = await run(host, "test.hold", timeout=-1.0)
        assert outcome["status"] == "TIMEOUT"
        assert stage.played == []

    async def test_whoever_cancels_it_gets_no_value(self, host, stage):
        attempt = asyncio.create_task(run(host, "test.hold"))
        await stage.begun()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert await stage.cancelled() == "hello"

    async def test_the_work_sees_who_asked_and_how(self, host):
        outcome = await run(
            host,
            "test.seen",
            session_id="s",
            preferences={"quality_level": "fast"},
            metadata={"k": "v"},
            max_usd=0.5,
        )
        told = ["ada", "ada", "s", "fast", {"k": "v"}, 0.5, True]
        assert outcome["result"]["text"] == str(told)


class TestHost:
    async def test_an_agent_without_its_port_does_not_start(self, tmp_path):
        with pytest.raises(ConfigurationInvalid, match=r"Echo cannot start.*'Stage'"):
            async with running(Services({}), tmp_path):
                raise AssertionError

    async def test_only_its_own_agents_are_built(self, stage, tmp_path):
        async with running(services(stage), tmp_path) as (host, _):
            assert list(host._agents) == ["echo"]

    async def test_its_providers_are_closed_with_it(self, tmp_path):
        class Closing(Stage):
            closed = 0

            def close(self):
                self.closed += 1

        stage = Closing()
        async with running(services(stage), tmp_path):
            assert stage.closed == 0
        assert stage.closed == 1


class TestChannel:
    @pytest.fixture
    async def address(self, stage, tmp_path):
        async with running(services(stage), tmp_path) as (_, where):
            yield where

    async def test_its_supervisor_runs_tasks_on_it(self, address):
        channel = await connect(address, token=SPEC.token, peer="system/0", epoch=SPEC.epoch)
        assert channel.server == SPEC.host_id
        payload = [record(params={"text": "hi"}).pack(), 3, 10.0]
        outcome = await channel.request("run", payload, 10)
        assert outcome["result"] == {"text": "hi", "attempt": 3}
        assert await channel.request("ping", None, 5) == "pong"
        with pytest.raises(InternalFailure, match="'dance'"):
            await channel.request("dance", None, 5)
        channel.close()

    async def test_a_supervisor_whose_epoch_is_over_is_refused(self, address):
        with pytest.raises(AuthenticationFailed):
            await connect(address, token=SPEC.token, peer="system/0", epoch=SPEC.epoch - 1)

    async def test_a_cancelled_request_cancels_the_work(self, address, stage):
        channel = await connect(address, token=SPEC.token, peer="system/0", epoch=SPEC.epoch)
        payload = [record(task_type="test.hold").pack(), 1, 10.0]
        asked = asyncio.create_task(channel.request("run", payload, 10))
        await stage.begun()
        asked.cancel()
        assert await stage.cancelled() == "hello"
        channel.close()
