"""The tables of the settings file, one class each."""

from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from cartrita.config.kinds import (
    Aliases,
    HttpUrl,
    Location,
    Lower,
    Names,
    Port,
    Section,
    also,
    reference_of,
)

SHORTEST_SHARED_SECRET = 32
"""Bytes of an HS256 key, as RFC 7518 §3.2 demands."""


class Server(Section):
    """The public ports."""

    host: Annotated[str, also("MCP_HOST")] = Field(
        default="127.0.0.1", description="Address that the public ports listen on."
    )
    port: Annotated[Port, also("MCP_PORT")] = Field(default=8002, description="Port of the v3 API.")
    v2_port: Annotated[Port, also("PORT")] = Field(default=8001, description="Port of the v2 API.")
    serve_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Internal HTTP port of Ray Serve; 0 picks a free one.",
    )
    grpc_port: Port = Field(default=9000, description="Port of the gRPC API.")
    max_body_bytes: int = Field(
        default=1 << 20, ge=1024, le=1 << 30, description="Largest request body; more answers 413."
    )
    max_header_bytes: int = Field(
        default=16384, ge=1024, le=1 << 20, description="Largest request head; more answers 431."
    )
    request_timeout_s: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds a client may take to send its request."
    )
    max_connections: int = Field(
        default=2048, ge=1, le=1_000_000, description="Connections open at once, per node."
    )
    max_connections_each: int = Field(
        default=1024,
        ge=1,
        le=1_000_000,
        description="Of those, connections of one address; more are closed at once.",
    )
    metrics_from: Names = Field(
        default=("127.0.0.0/8", "::1"),
        description="Addresses and networks that may read `/metrics` at the public ports, "
        "separated by commas; `0.0.0.0/0,::/0` is everybody.",
    )
    drain_s: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="Seconds that requests under way have to end when their gateway is replaced "
        "or taken away.",
    )
    cors_origins: Annotated[Names, also("CORS_ORIGIN")] = Field(
        default=(), description="Origins whose pages may call the API, separated by commas."
    )
    tls_certificate: Location | None = Field(
        default=None, description="PEM file of the certificate chain; switches TLS 1.3 on."
    )
    tls_key: Location | None = Field(default=None, description="PEM file of the certificate's key.")
    tls_self_made: bool = Field(
        default=False,
        description="Make a certificate for this machine, and renew it; switches TLS 1.3 on.",
    )
    tls_names: Names = Field(
        default=(),
        description="Names and addresses that a self-made certificate has beside this machine's.",
    )
    tls_ca: Location | None = Field(
        default=None,
        description="PEM file of an authority that the command line trusts beside the system's; "
        "that of a self-made certificate is trusted in its own home.",
    )
    gateway_replicas: int = Field(default=1, ge=1, le=1024, description="Gateway processes.")
    docs: bool = Field(
        default=True, description="Whether `/docs`, `/redoc` and `/openapi.json` answer."
    )

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("set both tls_certificate and tls_key, or neither")
        if self.tls_certificate and self.tls_self_made:
            raise ValueError("set tls_certificate or tls_self_made, not both")
        for network in self.metrics_from:
            ip_network(network, strict=False)
        if len({self.port, self.v2_port, self.grpc_port}) < len(("v3", "v2", "grpc")):
            raise ValueError("port, v2_port and grpc_port must differ")
        return self

    @property
    def secure(self) -> bool:
        """Whether the public ports speak TLS."""
        return self.tls_certificate is not None or self.tls_self_made


class Ray(Section):
    """The Ray cluster."""

    address: Annotated[str | None, also("RAY_ADDRESS")] = Field(
        default=None, description="A running cluster to attach to; unset starts one."
    )
    dashboard_host: str = Field(default="127.0.0.1", description="Address of Ray's dashboard.")
    dashboard_port: Port = Field(default=8265, description="Port of Ray's dashboard.")
    dashboard_url: HttpUrl | None = Field(
        default=None,
        description="Address at which people reach Ray's dashboard; unset is what Ray says.",
    )
    num_cpus: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Logical CPUs to offer; unset counts the machine's.",
    )
    object_store_mb: int = Field(
        default=128, ge=75, le=1 << 20, description="Shared memory of the object store, in MB."
    )


class RaysOwn(Aliases):
    """Names that Ray reads, too: our children keep them in their environment."""

    __slots__ = ()


class Channel(Section):
    """What our actors send each other between nodes."""

    tcp: Annotated[bool, RaysOwn(("RAY_USE_TLS",))] = Field(
        default=False,
        description="Whether actors are reached from other nodes, too; needs ca, cert and key. "
        "Ray's `RAY_USE_TLS` is read where this is unset.",
    )
    host: str = Field(
        default="",
        description="Address by which other nodes reach this one; unset is the node's own.",
    )
    ca: Annotated[Location | None, RaysOwn(("RAY_TLS_CA_CERT",))] = Field(
        default=None,
        description="PEM file of the authorities that nodes trust, or Ray's `RAY_TLS_CA_CERT`.",
    )
    cert: Annotated[Location | None, RaysOwn(("RAY_TLS_SERVER_CERT",))] = Field(
        default=None,
        description="PEM file of the node's certificate, or Ray's `RAY_TLS_SERVER_CERT`.",
    )
    key: Annotated[Location | None, RaysOwn(("RAY_TLS_SERVER_KEY",))] = Field(
        default=None,
        description="PEM file of the certificate's key, or Ray's `RAY_TLS_SERVER_KEY`.",
    )
    plain_tcp: bool = Field(
        default=False,
        description="Send frames between nodes unencrypted; only on a network you trust.",
    )

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        files = {"ca": self.ca, "cert": self.cert, "key": self.key}
        missing = [f"channel.{name}" for name, path in files.items() if path is None]
        if self.tcp and self.plain_tcp and len(missing) < len(files):
            raise ValueError("set channel.plain_tcp or certificates, not both")
        if self.tcp and missing and not self.plain_tcp:
            raise ValueError(
                f"channel.tcp needs {', '.join(missing)}, which `cartrita certs` makes; "
                "channel.plain_tcp does without, on a network you trust"
            )
        return self


class Admin(Section):
    """The first administrator."""

    email: str = Field(default="admin@cartrita.local", description="Address to sign in with.")
    password: SecretStr | None = Field(
        default=None, description="Password; unset generates one and prints it once."
    )


class Auth(Section):
    """Who may come in, and for how long."""

    registration: Literal["auto", "open", "closed"] = Field(
        default="auto",
        description="Who may register; `auto` is open while the lifetime is embedded and the "
        "ports listen on loopback, closed elsewhere.",
    )
    access_ttl_s: int = Field(
        default=3600, ge=60, le=86_400, description="Life of an access token, in seconds."
    )
    v2_access_ttl_s: int = Field(
        default=86_400,
        ge=60,
        le=86_400,
        description="Life of an access token that v2's clients get, who cannot renew theirs, in "
        "seconds.",
    )
    refresh_ttl_s: int = Field(
        default=30 * 86_400,
        ge=3600,
        le=366 * 86_400,
        description="Life of a refresh token, in seconds.",
    )
    revocation_ttl_s: float = Field(
        default=5.0,
        ge=0,
        le=300,
        description="Seconds until a revoked token is refused everywhere.",
    )
    key_days: int = Field(
        default=366, ge=1, le=36_600, description="Longest life of an API key, in days."
    )
    private_key_path: Location | None = Field(
        default=None,
        description="PEM file of the signing key, or a folder with `current.pem` and "
        "`previous.pem`; unset makes `keys` in the home.",
    )
    accept_v2_tokens: bool = Field(
        default=False, description="Whether tokens that v2 issued are accepted; needs jwt_secret."
    )
    jwt_secret: Annotated[SecretStr | None, also("JWT_SECRET")] = Field(
        default=None,
        description="Key of v2's tokens; used for verifying those and for nothing else.",
    )

    @model_validator(mode="after")
    def _shared_secret(self) -> Self:
        secret = self.jwt_secret.get_secret_value() if self.jwt_secret else ""
        if reference_of(self.jwt_secret):  # its value is looked at when it was read
            return self
        if self.accept_v2_tokens and len(secret.encode()) < SHORTEST_SHARED_SECRET:
            raise ValueError(
                f"accept_v2_tokens needs a jwt_secret of at least {SHORTEST_SHARED_SECRET} bytes"
            )
        return self


Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]


class Supervision(Section):
    """How the tree keeps its processes running."""

    shards: int = Field(
        default=1,
        ge=1,
        le=32,
        description="Supervisors per team when the tree first starts; SCALE_UP changes it later.",
    )
    intelligence: Strategy = Field(
        default="one_for_one",
        description="What the death of one of the team's hosts means for the others.",
    )
    multimodal: Strategy = Field(default="one_for_one", description="The same for this team.")
    system: Strategy = Field(default="one_for_one", description="The same for this team.")
    heartbeat_s: float = Field(
        default=2.0, gt=0, le=3600, description="Seconds between two signs of life of a host."
    )
    wedged_after_s: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Seconds without an answer after which a host is replaced.",
    )
    shrink_after_s: float = Field(
        default=30.0,
        gt=0,
        le=86_400,
        description="Seconds for which fewer hosts of an agent must do before one is ended; its "
        "node is given back after the autoscaler's own time.",
    )


class Models(Section):
    """Providers of models and of the web; without any, the built-in models answer."""

    openai_api_key: Annotated[SecretStr | None, also("OPENAI_API_KEY")] = Field(
        default=None, description="Key of OpenAI or of a compatible server."
    )
    openai_base_url: Annotated[HttpUrl | None, also("OPENAI_BASE_URL")] = Field(
        default=None, description="Address of an OpenAI-compatible server."
    )
    openai_organization: Annotated[str | None, also("OPENAI_ORGANIZATION")] = Field(
        default=None, description="Organization that OpenAI bills."
    )
    chat_model: str = Field(default="gpt-4o", description="Model for chat.")
    anthropic_api_key: Annotated[SecretStr | None, also("ANTHROPIC_API_KEY")] = Field(
        default=None, description="Key of Anthropic, for models named `anthropic:…`."
    )
    deepseek_api_key: Annotated[SecretStr | None, also("DEEPSEEK_API_KEY")] = Field(
        default=None, description="Key of DeepSeek, for models named `deepseek:…`."
    )
    fireworks_api_key: Annotated[SecretStr | None, also("FIREWORKS_API_KEY")] = Field(
        default=None, description="Key of Fireworks, for models named `fireworks:…`."
    )
    google_genai_api_key: Annotated[SecretStr | None, also("GOOGLE_API_KEY")] = Field(
        default=None, description="Key of Google's Gemini API, for models named `google_genai:…`."
    )
    groq_api_key: Annotated[SecretStr | None, also("GROQ_API_KEY")] = Field(
        default=None, description="Key of Groq, for models named `groq:…`."
    )
    mistralai_api_key: Annotated[SecretStr | None, also("MISTRAL_API_KEY")] = Field(
        default=None, description="Key of Mistral, for models named `mistralai:…`."
    )
    together_api_key: Annotated[SecretStr | None, also("TOGETHER_API_KEY")] = Field(
        default=None, description="Key of Together, for models named `together:…`."
    )
    xai_api_key: Annotated[SecretStr | None, also("XAI_API_KEY")] = Field(
        default=None, description="Key of xAI, for models named `xai:…`."
    )
    huggingface_api_key: Annotated[SecretStr | None, also("HUGGINGFACE_API_KEY", "HF_TOKEN")] = (
        Field(default=None, description="Token of the Hugging Face hub.")
    )
    deepgram_api_key: Annotated[SecretStr | None, also("DEEPGRAM_API_KEY")] = Field(
        default=None, description="Key of Deepgram, for speech."
    )
    tavily_api_key: Annotated[SecretStr | None, also("TAVILY_API_KEY")] = Field(
        default=None, description="Key of Tavily, for web search."
    )
    embedding_path: Location | None = Field(
        default=None, description="Folder of a local embedding model; unset uses the built-in one."
    )


class Telemetry(Section):
    """Logs, metrics and traces."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Lower,
        also("LOG_LEVEL"),
    ] = Field(default="info", description="Least severe log line that is written.")
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` is console on a terminal and JSON elsewhere."
    )
    metrics: bool = Field(
        default=True,
        description="Whether what happens to tasks, messages and requests is counted; if not, "
        "`/metrics` tells of processes and the node alone.",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port at which each node's metrics are served to Prometheus; 0 picks a free "
        "one, which `/metrics/targets` tells.",
    )
    otlp_endpoint: Annotated[HttpUrl | None, also("OTEL_EXPORTER_OTLP_ENDPOINT")] = Field(
        default=None, description="Collector that traces go to; unset sends none."
    )
    trace_ratio: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Part of all traces that the collector is told; what failed or was slow is "
        "told in any case. All of them cost a tenth of a millisecond of CPU a task.",
    )
    trace_slow_s: float = Field(
        default=5.0, gt=0, le=86_400, description="Seconds from which on a task is slow."
    )
    service_name: Annotated[str, also("OTEL_SERVICE_NAME")] = Field(
        default="cartrita-mcp", min_length=1, description="Name in traces and logs."
    )


class Chaos(Section):
    """Breaking the instance on purpose, to see that nothing is lost."""

    sink: bool = Field(
        default=False,
        description="Whether the task `chaos.effect` exists, whose effects `cartrita chaos run` "
        "counts; for instances that are there to be broken.",
    )
