"""The Ray seam: the one place where actors meet Ray."""

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import ray
from ray._private.services import get_webui_url_from_internal_kv
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.hosting import ENDED
from cartrita.errors import CartritaError, InternalFailure, ServiceUnavailable, TaskTimeout

CALL_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What Ray reserves for an actor and gives its process."""

    cpus: float = 0.0
    memory_mb: int = 0
    environment: tuple[tuple[str, str], ...] = ()


class Spawned:
    """A Ray actor, with a watch on its life."""

    def __init__(self, handle: ActorHandle[Any]) -> None:
        self._handle = handle
        self.died: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._watch = asyncio.create_task(self._wait_for_death())

    async def _wait_for_death(self) -> None:
        """Hold a call that never returns: it fails within milliseconds of the actor's death."""
        try:
            await self._handle.watch.remote()
            why = ENDED
        except RayError as error:
            why = str(error).splitlines()[0]
        if not self.died.done():
            self.died.set_result(why)

    async def call(self, method: str, *args: Any, timeout: float = CALL_TIMEOUT) -> Any:
        """Call a method of the actor."""
        return await call(self._handle, method, *args, timeout=timeout)

    async def kill(self) -> None:
        """End the actor for good."""
        ray.kill(self._handle, no_restart=True)
        await asyncio.wait([self.died], timeout=5.0)
        self._watch.cancel()

    def forget(self) -> None:
        """Stop watching."""
        self._watch.cancel()


async def call(handle: ActorHandle[Any], method: str, *args: Any, timeout: float) -> Any:
    """Call a method of an actor and turn Ray's errors into ours.

    Raises:
        ServiceUnavailable: The actor is dead or restarting.
        TaskTimeout: It did not answer in time.
    """
    try:
        async with asyncio.timeout(timeout):
            return await getattr(handle, method).remote(*args)
    except (TimeoutError, GetTimeoutError):
        raise TaskTimeout(f"The actor did not answer {method!r} within {timeout} s.") from None
    except RayActorError as error:
        raise ServiceUnavailable(f"The actor is away: {error}", retry_after=1) from error
    except RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, CartritaError):
            raise cause from None
        raise InternalFailure(f"{method!r} failed: {str(error).splitlines()[-1]}") from error


def connect(address: str, namespace: str) -> bool:
    """Join a running Ray as a driver, unless this process belongs to one already.

    Returns:
        Whether it joined now.

    Raises:
        ServiceUnavailable: It does not answer, or refuses us.
    """
    if ray.is_initialized():
        return False
    try:
        ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=40)
    except (ConnectionError, RuntimeError, RayError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ServiceUnavailable(f"No Ray answers at {address!r}: {why}", retry_after=5) from error
    return True


def joined() -> str:
    """Return the address of the Ray that this process has joined."""
    found: str = ray.get_runtime_context().gcs_address
    return found


def disconnect() -> None:
    """Leave Ray; detached actors stay."""
    ray.shutdown()


async def own(cls: type, *args: Any, name: str, namespace: str, needs: Needs) -> Spawned:
    """Start an actor that dies with whoever calls this, and is never restarted by Ray.

    Args:
        cls: Its class.
        args: What it is made with.
        name: As Ray shows it; nobody else may have it.
        namespace: Of the name.
        needs: What its process is given.

    One that reserves nothing runs on our own node. Ray would put it on any, where it is reached
    by TCP and keeps a node that nobody else may need. (Ray heeds a soft wish only for what
    reserves something; and if our node is gone, so are we.)
    """
    place: dict[str, Any] = {"name": name, "namespace": namespace}
    if not (needs.cpus or needs.memory_mb):
        place["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node(), soft=False)
    actor = _remote(cls, needs, max_restarts=0, **place)
    # In a thread: Ray's control plane is asked whether the name is free, and may be away.
    return Spawned(await asyncio.to_thread(actor.remote, *args))


def root(cls: type, name: str, *args: Any, namespace: str, needs: Needs) -> Spawned:
    """Return the detached actor of a name, starting it when there is none."""
    options = {"name": name, "namespace": namespace, "lifetime": "detached"}
    actor = _remote(cls, needs, max_restarts=-1, get_if_exists=True, **options)
    return Spawned(actor.remote(*args))


def _remote(cls: type, needs: Needs, **options: Any) -> Any:
    return ray.remote(cls).options(
        num_cpus=needs.cpus,
        memory=needs.memory_mb * 1024 * 1024 or None,
        max_task_retries=0,
        max_concurrency=1000,
        runtime_env={"env_vars": dict(needs.environment)},
        **options,
    )


def find(name: str, namespace: str) -> ActorHandle[Any]:
    """Return the handle of a named actor.

    Raises:
        ServiceUnavailable: There is none.
    """
    try:
        return ray.get_actor(name, namespace=namespace)
    except (ValueError, RayError) as error:
        raise ServiceUnavailable(f"There is no actor {name!r}.", retry_after=1) from error


def node() -> str:
    """Return the id of the node this process runs on."""
    return ray.get_runtime_context().get_node_id()


def actor() -> str:
    """Return the id that Ray gave the actor of this process."""
    return ray.get_runtime_context().get_actor_id() or ""


def dashboard() -> str | None:
    """Return the address of Ray's dashboard, as Ray knows it; None where there is none."""
    try:
        found = get_webui_url_from_internal_kv()  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - a link is no reason not to start
        return None
    return f"http://{found}" if found else None


def address() -> str:
    """Return the address at which other nodes reach this one."""
    found: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return found


def die() -> None:
    """End this process at once; its supervisor, or Ray, starts another."""
    os._exit(70)
