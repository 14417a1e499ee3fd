"""A registration as the declarations of an agent."""

from cartrita.cost.price import free
from cartrita.declare import Agent, AgentSpec, Needs, TaskSpec, Team
from cartrita.external.documents import Document, params_of, result_of
from cartrita.external.registration import ExternalTask, Registration
from cartrita.protocol.carrier import Carrier


def carrier_task(team: Team) -> str:
    """Return the hidden task that calls the external agents of a team."""
    return f"external.{team}.call"


def agent_spec(registration: Registration) -> AgentSpec:
    """Return what a class that declared the same would have as its `spec`."""
    return AgentSpec(
        name=registration.name,
        team=registration.team,
        summary=registration.summary,
        needs=Needs(),
        pool=(0, 1),
        concurrency=registration.max_concurrency,
        restart="permanent",
        intensity=registration.intensity,
        period=registration.period_ms / 1000,
        tasks=tuple(_task_spec(item, registration) for item in registration.task_types),
        cls=Agent,
        probes={},
    )


def _task_spec(item: ExternalTask, agent: Registration) -> TaskSpec:
    title = "".join(part.title() for part in item.task_type.replace("_", ".").split("."))
    return TaskSpec(
        name=item.task_type,
        agent=agent.name,
        team=agent.team,
        method="",
        params=params_of(f"{title}Params", Document(item.parameters)),
        result=result_of(f"{title}Result", item.answer),
        summary=item.summary,
        cost=free(),
        timeout=(item.timeout_ms or agent.timeout_ms) / 1000,
        idempotent=item.idempotent,
        max_attempts=item.max_attempts,
        aliases=(),
        example=item.example,
        streams=item.streams,
        carrier=Carrier(
            carrier_task(agent.team), agent.name, agent.max_concurrency, item.idempotent
        ),
    )
