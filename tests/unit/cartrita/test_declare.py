"""What a declaration must say, and what becomes of it."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from decimal import Decimal
from typing import Union

import pytest

from cartrita.context import Context
from cartrita.cost.price import Price, metered, per_call
from cartrita.declare import Agent, ModelResult, Needs, Params, Result, task
from cartrita.stream import Progress, Token, ToolUse


class Ask(Params):
    """A question."""

    text: str


class Answer(Result):
    """An answer."""

    text: str


class Scribe(
    Agent,
    team="intelligence",
    needs=Needs(cpus=0.5, memory_mb=64, isolation="own"),
    pool=(0, 2),
    concurrency=3,
    restart="transient",
    intensity=2,
    period=7.5,
):
    """Writes things down.

    And this is not its summary.
    """

    @task(
        "scribe.write",
        cost=per_call("0.5"),
        timeout=12.5,
        idempotent=True,
        max_attempts=2,
        aliases=("write",),
        example={"text": "hello"},
    )
    async def write(self, params: Ask, ctx: Context) -> Answer:
        """Write one thing.

        At length.
        """
        return Answer(text=params.text)

    @task("scribe.read")
    async def read(self, params: Ask, ctx: Context) -> Answer:
        """Read one thing."""
        return Answer(text=params.text)

    async def helper(self) -> None:
        """Is no task."""


def test_a_declaration_is_kept_whole():
    spec = Scribe.spec
    assert (spec.name, spec.team, spec.summary, spec.cls) == (
        "scribe",
        "intelligence",
        "Writes things down.",
        Scribe,
    )
    assert spec.needs == Needs(cpus=0.5, memory_mb=64, isolation="own")
    assert (spec.pool, spec.concurrency) == ((0, 2), 3)
    assert (spec.restart, spec.intensity, spec.period) == ("transient", 2, 7.5)
    write = spec.tasks[0]
    assert (write.name, write.agent, write.team, write.method) == (
        "scribe.write",
        "scribe",
        "intelligence",
        "write",
    )
    assert (write.params, write.result, write.summary) == (Ask, Answer, "Write one thing.")
    assert write.cost == Price(usd=Decimal("0.5"), max_usd=Decimal("0.5"))
    assert (write.timeout, write.idempotent, write.max_attempts) == (12.5, True, 2)
    assert (write.aliases, write.example) == (("write",), {"text": "hello"})


def test_what_is_not_said_has_its_default():
    class Plain(Agent, team="system"):
        """Is plain."""

        @task("plain")
        async def work(self, params: Ask, ctx: Context) -> Answer:
            """Work."""
            raise AssertionError

    spec, (work,) = Plain.spec, Plain.spec.tasks
    assert (spec.needs, spec.pool, spec.concurrency) == (Needs(), (1, 4), 16)
    assert (spec.restart, spec.intensity, spec.period) == ("permanent", 5, 10.0)
    assert (work.cost, work.timeout, work.idempotent, work.max_attempts) == (Price(), 30, False, 3)
    assert (work.aliases, work.example) == ((), None)
    assert (work.streams, work.takes_stream, work.idle_timeout) == (False, False, 30.0)
    assert (work.effects, spec.probes) == ((), {})


def test_methods_that_are_no_tasks_are_left_alone():
    assert [spec.name for spec in Scribe.spec.tasks] == ["scribe.write", "scribe.read"]


async def test_a_declared_method_is_still_a_method():
    assert await Scribe().write(Ask(text="a"), Context("t")) == Answer(text="a")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"team": "football"}, "team must be one of"),
        ({"team": None}, "team must be one of"),
        ({"pool": (-1, 4)}, "0 <= min <= max"),
        ({"pool": (3, 2)}, "0 <= min <= max"),
        ({"pool": (0, 0)}, "max and concurrency >= 1"),
        ({"concurrency": 0}, "max and concurrency >= 1"),
        ({"restart": "sometimes"}, "'sometimes'"),
        ({"intensity": -1}, "intensity >= 0"),
        ({"period": 0}, "period > 0"),
        ({"colour": "green"}, "colour"),
    ],
)
def test_an_option_that_means_nothing_is_refused(options, why):
    body = {"__doc__": "Is wrong.", "write": Scribe.write}
    with pytest.raises(TypeError, match=why):
        type("Wrong", (Agent,), body, **{"team": "system", **options})


def test_a_team_must_be_named():
    with pytest.raises(TypeError, match="team"):
        type("Lost", (Agent,), {"__doc__": "Is lost.", "write": Scribe.write})


def test_an_agent_needs_a_task():
    with pytest.raises(TypeError, match="Idle declares no task"):
        type("Idle", (Agent,), {"__doc__": "Is idle."}, team="system")


async def documented(self, params: Ask, ctx: Context) -> Answer:
    """Work."""
    raise AssertionError


async def undocumented(self, params: Ask, ctx: Context) -> Answer:
    raise AssertionError


def plain(self, params: Ask, ctx: Context) -> Answer:
    """Work."""
    raise AssertionError


async def without_params(self, ctx: Context) -> Answer:
    """Work."""
    raise AssertionError


async def foreign_params(self, params: dict, ctx: Context) -> Answer:
    """Work."""
    raise AssertionError


async def unhinted_params(self, params, ctx: Context) -> Answer:
    """Work."""
    raise AssertionError


async def foreign_context(self, params: Ask, ctx: dict) -> Answer:
    """Work."""
    raise AssertionError


async def without_result(self, params: Ask, ctx: Context):
    """Work."""
    raise AssertionError


async def optional_result(self, params: Ask, ctx: Context) -> Answer | None:
    """Work."""
    raise AssertionError


async def params_for_result(self, params: Ask, ctx: Context) -> Ask:
    """Work."""
    raise AssertionError


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (undocumented, "needs a docstring"),
        (plain, "Wrong.work must be a coroutine function or an async generator"),
        (without_params, "annotate 'params' with a subclass of Params"),
        (foreign_params, "annotate 'params' with a subclass of Params"),
        (unhinted_params, "annotate 'params' with a subclass of Params"),
        (foreign_context, "annotate 'ctx' with a subclass of Context"),
        (without_result, "annotate 'return' with a subclass of Result"),
        (optional_result, "annotate 'return' with a subclass of Result"),
        (params_for_result, "annotate 'return' with a subclass of Result"),
    ],
)
def test_a_method_that_does_not_say_what_it_takes_and_answers_is_refused(method, why):
    with pytest.raises(TypeError, match=why):
        type("Wrong", (Agent,), {"__doc__": "Is wrong.", "work": task("w")(method)}, team="system")


def test_an_agent_needs_a_docstring():
    with pytest.raises(TypeError, match="needs a docstring"):
        type("Mute", (Agent,), {"__doc__": "", "work": task("w")(documented)}, team="system")


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": -1}, {"max_attempts": 0}])
def test_a_task_needs_time_and_an_attempt(options):
    with pytest.raises(TypeError, match="'w' needs timeout > 0 and max_attempts >= 1"):
        task("w", **options)


@pytest.mark.parametrize("needs", [{"cpus": -0.1}, {"memory_mb": -1}, {"isolation": "half"}])
def test_needs_that_nobody_can_meet_are_refused(needs):
    with pytest.raises(TypeError):
        Needs(**needs)


@pytest.mark.parametrize(
    "price",
    [
        lambda: per_call("-1"),
        lambda: metered("-1", 5),
        lambda: metered("1", -5),
        lambda: Price(usd=Decimal(2), max_usd=Decimal(1)),
    ],
)
def test_a_price_below_nothing_is_refused(price):
    with pytest.raises(TypeError, match="A price needs"):
        price()


def test_what_tasks_take_and_answer_is_camel_case_closed_and_immutable():
    class Deep(Params):
        """Is deep."""

        max_depth: int

    assert Deep.model_validate({"maxDepth": 3}) == Deep(max_depth=3)
    assert Deep(max_depth=3).to_wire() == {"maxDepth": 3}
    with pytest.raises(ValueError, match="extra"):
        Deep.model_validate({"maxDepth": 3, "minDepth": 1})
    with pytest.raises(ValueError, match="frozen"):
        Deep(max_depth=3).max_depth = 4


def test_a_model_s_result_says_which_model_and_what_it_cannot():
    told = ModelResult(model="local/x", provider="embedded", generative=False).to_wire()
    assert told == {"model": "local/x", "provider": "embedded", "generative": False}


class TestStreams:
    @pytest.mark.parametrize(
        "hint",
        [
            AsyncIterator[Answer],
            AsyncIterable[Answer],
            AsyncIterator[Token | Answer],
            AsyncIterator[Answer | Progress | ToolUse | Token],
            AsyncIterator[Union[Token, Answer]],  # noqa: UP007 - as older code writes it
            AsyncGenerator[Token | Answer, None],
        ],
        ids=str,
    )
    def test_an_async_generator_says_which_of_what_it_yields_is_its_result(self, hint):
        async def work(self, params: Ask, ctx: Context) -> hint:
            """Work."""
            yield Answer(text=params.text)

        body = {"__doc__": "Streams.", "work": task("w")(work)}
        (spec,) = type("Streaming", (Agent,), body, team="system").spec.tasks
        assert (spec.result, spec.streams) == (Answer, True)

    @pytest.mark.parametrize(
        "hint",
        [
            Answer,
            AsyncIterator,
            AsyncIterator[Token],
            AsyncIterator[Token | Progress],
            AsyncIterator[Token | str | Answer],
            AsyncIterator[Token | Answer | None],
            AsyncIterator[Answer | ModelResult],
            AsyncIterator[Ask],
            list[Answer],
        ],
        ids=str,
    )
    def test_one_that_does_not_say_so_is_refused(self, hint):
        async def work(self, params: Ask, ctx: Context) -> hint:
            """Work."""
            yield Answer(text=params.text)

        body = {"__doc__": "Streams.", "work": task("w")(work)}
        with pytest.raises(TypeError, match=r"Wrong\.work: annotate 'return' with AsyncIterator"):
            type("Wrong", (Agent,), body, team="system")

    def test_a_coroutine_that_promises_a_stream_is_refused(self):
        async def work(self, params: Ask, ctx: Context) -> AsyncIterator[Answer]:
            """Work."""
            raise AssertionError

        body = {"__doc__": "Streams.", "work": task("w")(work)}
        with pytest.raises(TypeError, match="annotate 'return' with a subclass of Result"):
            type("Wrong", (Agent,), body, team="system")

    @pytest.mark.parametrize(
        ("options", "idle"), [({}, 30.0), ({"idle_timeout": 1.5}, 1.5)], ids=str
    )
    def test_a_task_may_take_a_stream(self, options, idle):
        work = task("w", takes_stream=True, **options)(documented)
        body = {"__doc__": "Listens.", "work": work}
        (spec,) = type("Listening", (Agent,), body, team="system").spec.tasks
        assert (spec.takes_stream, spec.idle_timeout, spec.streams) == (True, idle, False)

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"takes_stream": True, "idempotent": True}, "cannot be read twice"),
            ({"takes_stream": True, "idle_timeout": 0}, "idle_timeout > 0"),
            ({"takes_stream": True, "idle_timeout": -1.0}, "idle_timeout > 0"),
            ({"idle_timeout": 5.0}, "for a task that takes a stream"),
        ],
    )
    def test_a_stream_that_cannot_be_is_refused(self, options, why):
        with pytest.raises(TypeError, match=why):
            task("w", **options)
