"""The tables of the settings file about bounds: how much, and for how long."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from cartrita.config.kinds import HttpUrl, Location, Names, Section, also


class Limits(Section):
    """Bounds of what is taken in."""

    max_concurrent_tasks: Annotated[int, also("maxConcurrentTasks")] = Field(
        default=50, ge=1, le=100_000, description="Tasks running at once, per supervisor."
    )
    message_queue_size: Annotated[int, also("messageQueueSize")] = Field(
        default=1000, ge=1, le=1_000_000, description="Tasks waiting, per supervisor."
    )
    max_parameters_bytes: int = Field(
        default=1 << 20,
        ge=1024,
        le=1 << 30,
        description="Largest `parameters` of one task, as JSON.",
    )
    inline_parameters_bytes: int = Field(
        default=256 << 10,
        ge=1024,
        le=8 << 20,
        description="Parameters that are longer go into a blob, and a reference to the journal.",
    )
    inline_result_bytes: int = Field(
        default=256 << 10,
        ge=1024,
        le=8 << 20,
        description="A result that is longer becomes a blob, and the response refers to it.",
    )
    referenced_parameters_bytes: int = Field(
        default=16 << 20,
        ge=1024,
        le=1 << 30,
        description="Largest blob that a task may be given as its parameters.",
    )
    cache_timeout_s: Annotated[int, also("cacheTimeout")] = Field(
        default=3600,
        ge=0,
        le=366 * 86_400,
        description="Life of a cached answer, in seconds; 0 is off.",
    )
    rate_max: int = Field(
        default=1000,
        ge=0,
        le=10**9,
        description="Requests of one principal in one window, tasks of a batch included; 0 is "
        "no limit.",
    )
    rate_shared_max: int = Field(
        default=100_000,
        ge=0,
        le=10**9,
        description="Requests of all principals together in one window; 0 is no limit.",
    )
    rate_window_ms: int = Field(
        default=60_000, ge=100, le=86_400_000, description="Length of the window, in milliseconds."
    )
    auth_max: int = Field(
        default=100,
        ge=0,
        le=10**9,
        description="Requests of one address to register, sign in or refresh in one window; 0 is "
        "no limit.",
    )
    login_failures: int = Field(
        default=10,
        ge=0,
        le=10**6,
        description="Failed sign-ins to one account, after which none is taken until "
        "login_window_s have passed; 0 is no limit.",
    )
    login_window_s: float = Field(
        default=300.0, ge=1, le=86_400, description="Seconds in which those are counted."
    )
    socket_connections: int = Field(
        default=1000, ge=1, le=1_000_000, description="Sockets open at once, per gateway."
    )
    socket_connections_per_user: int = Field(
        default=50, ge=1, le=1_000_000, description="Of those, sockets of one user."
    )
    socket_messages_per_s: float = Field(
        default=100.0,
        gt=0,
        le=1_000_000,
        description="Messages a second that one socket may send for long; more closes it.",
    )
    socket_burst: int = Field(
        default=500, ge=1, le=1_000_000, description="Messages that it may send at once."
    )
    socket_subscriptions: int = Field(
        default=100, ge=1, le=100_000, description="Tasks that one socket may follow at once."
    )
    socket_idle_s: float = Field(
        default=600.0,
        gt=0,
        le=86_400,
        description="Seconds of silence after which a socket that follows nothing is closed.",
    )


class Retention(Section):
    """How long tasks are kept after their end."""

    streams_days: float = Field(
        default=7,
        ge=0.1,
        le=36_600,
        description="Days for which what an agent said in the course of its work is kept.",
    )
    events_days: float = Field(
        default=30,
        ge=1,
        le=36_600,
        description="Days for which parameters, result and events are kept. "
        "Afterwards a task's status and cost remain.",
    )
    tasks_days: float = Field(
        default=365,
        ge=1,
        le=36_600,
        description="Days for which status and cost are kept, and the id is not free again.",
    )
    every_s: float = Field(
        default=60.0,
        ge=1,
        le=86_400,
        description="Seconds between two looks for what is due.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.streams_days <= self.events_days <= self.tasks_days:
            raise ValueError("streams_days, events_days and tasks_days must not decrease")
        return self


class Sandbox(Section):
    """Running code that nobody trusts; it needs bubblewrap, and without it no code is run."""

    longest_s: float = Field(
        default=10.0,
        ge=0.5,
        le=3600,
        description="Seconds that a run may take, by the clock and of CPU time.",
    )
    memory_mb: int = Field(
        default=512, ge=128, le=1 << 20, description="Memory of all its processes, in MB."
    )
    disk_mb: int = Field(
        default=32,
        ge=1,
        le=1 << 20,
        description="Size of each of the three folders it can write to, in MB; they are in memory.",
    )
    processes: int = Field(
        default=64, ge=24, le=1024, description="Processes and threads at once; Node needs 16."
    )
    parallel: int = Field(default=2, ge=1, le=256, description="Runs at a time, per host.")
    python: Location | None = Field(
        default=None,
        description="Interpreter of Python programs; unset is the system's, or else ours.",
    )


class Blobs(Section):
    """Large things that are passed by reference."""

    directory: Location | None = Field(
        default=None,
        description="Folder that they are kept in; unset is `blobs` in the home. Where an "
        "instance spans several nodes, a folder that all of them share.",
    )
    max_bytes: int = Field(
        default=64 << 20, ge=1024, le=1 << 40, description="Largest blob; more answers 413."
    )
    quota_bytes: int = Field(
        default=1 << 30,
        ge=1024,
        le=1 << 50,
        description="Bytes that the blobs of one user may take together.",
    )
    ttl_s: int = Field(
        default=7 * 86_400,
        ge=60,
        le=3660 * 86_400,
        description="Seconds after which what a user put in is dropped.",
    )
    types: Names = Field(
        default=(
            "application/json",
            "application/msgpack",
            "application/octet-stream",
            "application/pdf",
            "audio/*",
            "image/*",
            "text/*",
            "video/*",
        ),
        description="Media types that are kept, separated by commas; `*` stands for anything.",
    )
    s3_bucket: str | None = Field(
        default=None,
        min_length=3,
        max_length=63,
        description="Bucket that blobs are kept in, in place of the folder; needs `cartrita[s3]`.",
    )
    s3_endpoint: HttpUrl | None = Field(
        default=None, description="Address of an S3-compatible server; unset is Amazon's."
    )
    s3_region: str = Field(default="us-east-1", description="Region of the bucket.")
    s3_key: str | None = Field(
        default=None,
        description="Access key; unset finds credentials as Amazon's tools do, such as the "
        "machine's role.",
    )
    s3_secret: SecretStr | None = Field(default=None, description="Secret of that key.")
    s3_prefix: str = Field(
        default="cartrita", max_length=512, description="What the names of all objects begin with."
    )
    s3_timeout_s: float = Field(
        default=15.0, gt=0, le=300, description="Seconds that one request to the server may take."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.s3_key is None) != (self.s3_secret is None):
            raise ValueError("set both s3_key and s3_secret, or neither")
        if self.s3_bucket is None and (self.s3_endpoint or self.s3_key):
            raise ValueError("s3_endpoint and s3_key need s3_bucket")
        return self
