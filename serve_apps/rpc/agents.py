"""Agents over gRPC: what they can do, how they are, and orders to them."""

from typing import Any

from google.protobuf import timestamp_pb2
from pydantic_core import from_json

from cartrita.declare import AgentSpec
from cartrita.errors import ConfigurationInvalid, InvalidParameters, NotFound
from cartrita.protocol.command import CommandRequest
from serve_apps.asgi.strict import parse
from serve_apps.gateway.sockets.commands import plain
from serve_apps.rpc.caller import Caller
from serve_apps.rpc.schema import message, name_of
from serve_apps.rpc.values import pack, unpack


async def get_capabilities(request: Any, caller: Caller) -> Any:
    """MCPSupervisorService.GetCapabilities: of one agent, or of all."""
    await caller.granted("agents:read")
    catalog = await caller.gate.external.catalog()
    agents = [await _agent(caller, request.agent_id)] if request.agent_id else catalog.offered
    told = message("CapabilitiesResponse")(
        task_types=sorted(task.name for agent in agents for task in agent.tasks if not task.hidden),
        agent_capabilities=[_capability(agent) for agent in agents],
    )
    return message("GetCapabilitiesResponse")(capabilities=told)


async def _agent(caller: Caller, name: str) -> AgentSpec:
    spec = (await caller.gate.external.catalog()).agents.get(name)
    if spec is None:
        raise NotFound(f"There is no agent {name[:100]!r}.")
    return spec


def _capability(agent: AgentSpec) -> Any:
    most = agent.concurrency * max(1, agent.pool[1])
    return message("AgentCapability")(
        agent_id=agent.name,
        agent_name=agent.name,
        task_types=[task.name for task in agent.tasks if not task.hidden],
        limits=message("ResourceLimits")(max_concurrent_requests=most),
        metadata={"team": str(agent.team), "summary": agent.summary},
    )


async def _seen(caller: Caller, name: str) -> tuple[list[dict[str, Any]], int]:
    """Return the hosts that an agent lives on, and how many tasks wait in its team."""
    team = (await _agent(caller, name)).team
    shards = await caller.gate.tasks.supervisors()
    ours = [shard for shard in shards if str(shard["id"]).split("/")[0] == team]
    hosts = [host for shard in ours for host in shard.get("hosts", ()) if name in host["agents"]]
    return hosts, sum(shard.get("queueDepth", 0) for shard in ours)


def _now(caller: Caller) -> Any:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromMilliseconds(round(caller.gate.clock.now() * 1000))
    return stamp


async def _described(caller: Caller, name: str, hosts: list[dict[str, Any]]) -> tuple[bool, str]:
    outside = (await caller.gate.external.agents()).get(name)
    if outside:
        return outside.standing == "up", f"{outside.standing}, {outside.detail or 'not seen yet'}"
    up = sum(host["state"] == "up" for host in hosts)
    return bool(up), f"{up} of {len(hosts)} hosts up"


async def get_agent_health(request: Any, caller: Caller) -> Any:
    """MCPOrchestratorService.GetAgentHealth."""
    await caller.granted("agents:read")
    hosts, _ = await _seen(caller, request.agent_id)
    healthy, said = await _described(caller, request.agent_id, hosts)
    status = message("HealthStatus")(
        healthy=healthy,
        status_message=said,
        active_tasks=sum(host.get("inFlight", 0) for host in hosts),
        last_heartbeat=_now(caller),
    )
    return message("GetAgentHealthResponse")(status=status)


async def get_status(request: Any, caller: Caller) -> Any:
    """MCPAgentService.GetStatus."""
    await caller.granted("agents:read")
    hosts, waiting = await _seen(caller, request.agent_id)
    healthy, said = await _described(caller, request.agent_id, hosts)
    status = message("AgentStatus")(
        agent_id=request.agent_id,
        healthy=healthy,
        status_message=said,
        queue_depth=waiting,
        last_activity=_now(caller),
    )
    return message("GetStatusResponse")(status=status)


async def execute_command(request: Any, caller: Caller) -> Any:
    """MCPOrchestratorService.ExecuteCommand; its payload may have `target` and `arguments`."""
    await caller.admin()
    command = request.command
    name = name_of("CommandType", command.type)
    if name is None:
        raise InvalidParameters("Say which command.", fields=[("command.type", "is missing")])
    given = unpack(command.payload, "command.payload")
    if not isinstance(given, dict):
        raise InvalidParameters(
            "'command.payload' is an object.", fields=[("command.payload", "is no object")]
        )
    done = await _order(caller, {"target": "tree", **given, "command": name})
    result = message("SystemCommandResponse")(
        success=_went_well(done), message=_summary(done), result=pack(done)
    )
    return message("ExecuteCommandResponse")(result=result)


async def update_config(request: Any, caller: Caller) -> Any:
    """MCPAgentService.UpdateConfig: values are JSON, or text where they are none."""
    await caller.admin()
    update = request.update
    target = f"agent:{update.agent_id}" if update.agent_id else "tree"
    arguments = {name: _value(text) for name, text in update.config_changes.items()}
    given = {"command": "CONFIG_UPDATE", "target": target, "arguments": arguments}
    done = await _order(caller, given)
    result = message("ConfigUpdateResponse")(success=_went_well(done), message=_summary(done))
    return message("UpdateConfigResponse")(result=result)


def _value(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text


async def _order(caller: Caller, given: dict[str, Any]) -> dict[str, Any]:
    asked = parse(CommandRequest, plain(given))
    order = (asked.command.value, asked.target, asked.checked())
    return await caller.gate.command(*order, caller.who)


def _went_well(done: dict[str, Any]) -> bool:
    return all(part.get("ok") for part in done.get("results", ()))


def _summary(done: dict[str, Any]) -> str:
    results = done.get("results", ())
    return f"{sum(bool(part.get('ok')) for part in results)} of {len(results)} parts done"


async def register_agent(request: Any, caller: Caller) -> Any:
    """MCPOrchestratorService.RegisterAgent.

    Raises:
        ConfigurationInvalid: Always: an agent is called over HTTP, so its address is registered
            there.
    """
    await caller.admin()
    raise ConfigurationInvalid(
        f"Agents such as {request.registration.agent_id[:100]!r} are called over HTTP: register "
        "one with its address at POST /v3/agents/register."
    )
