"""LangGraph's checkpoints, kept where the program keeps everything else."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)

from cartrita.context import Context
from cartrita.conversation import Thread
from cartrita.declare import Params
from cartrita.protocol.wire import digest_of
from cartrita.storage.threads import Checkpoints, Kept, Write

MOST_LISTED = 1_000


def thread_of(checkpoints: Checkpoints, ctx: Context, params: Params) -> Thread:
    """Return where a task's work is kept: every attempt at it finds it there.

    One that was retried with other parameters is other work.
    """
    return Thread(Saver(checkpoints), f"{ctx.root or ctx.task_id}/{digest_of(params)}")


class Saver(BaseCheckpointSaver[int]):
    """A checkpointer over our port; asynchronous only. Whole checkpoints, as they are small."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        super().__init__()
        self._checkpoints = checkpoints

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint with what was done on top of it."""
        thread, space = _place(config)
        kept = await self._checkpoints.latest(thread, space, get_checkpoint_id(config))
        return await self._tuple(kept) if kept else None

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield a thread's checkpoints, the last one first."""
        if config is None:
            raise NotImplementedError("Checkpoints are listed by thread.")
        thread = str(config["configurable"]["thread_id"])
        space, wanted = config["configurable"].get("checkpoint_ns"), get_checkpoint_id(config)
        end = get_checkpoint_id(before) if before else None
        left = MOST_LISTED if limit is None else limit
        for kept in await self._checkpoints.list(thread, space, MOST_LISTED):
            if (wanted and kept.id != wanted) or (end and kept.id >= end):
                continue
            made = await self._tuple(kept)
            if any(made.metadata.get(name) != value for name, value in (filter or {}).items()):
                continue
            if left <= 0:
                return
            left -= 1
            yield made

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint."""
        thread, space = _place(config)
        data = self.serde.dumps_typed(checkpoint)
        notes = self.serde.dumps_typed(get_checkpoint_metadata(config, metadata))
        parent = config["configurable"].get("checkpoint_id")
        await self._checkpoints.put(Kept(thread, space, checkpoint["id"], parent, *data, *notes))
        return _config(thread, space, checkpoint["id"])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what a step did on top of a checkpoint."""
        thread, space = _place(config)
        rows = [
            Write(
                task_id,
                WRITES_IDX_MAP.get(channel, place),
                channel,
                *self.serde.dumps_typed(value),
                task_path,
            )
            for place, (channel, value) in enumerate(writes)
        ]
        checkpoint = str(config["configurable"]["checkpoint_id"])
        await self._checkpoints.write(thread, space, checkpoint, rows)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread."""
        await self._checkpoints.forget(thread_id)

    async def _tuple(self, kept: Kept) -> CheckpointTuple:
        writes = await self._checkpoints.writes(kept.thread, kept.space, kept.id)
        loads = self.serde.loads_typed
        return CheckpointTuple(
            config=_config(kept.thread, kept.space, kept.id),
            checkpoint=loads((kept.kind, kept.data)),
            metadata=loads((kept.notes_kind, kept.notes)),
            parent_config=_config(kept.thread, kept.space, kept.parent) if kept.parent else None,
            pending_writes=[
                (item.task, item.channel, loads((item.kind, item.data))) for item in writes
            ],
        )


def _place(config: RunnableConfig) -> tuple[str, str]:
    chosen = config["configurable"]
    return str(chosen["thread_id"]), str(chosen.get("checkpoint_ns", ""))


def _config(thread: str, space: str, checkpoint: str) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": thread,
            "checkpoint_ns": space,
            "checkpoint_id": checkpoint,
        }
    }
