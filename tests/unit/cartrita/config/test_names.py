"""Tests of the names of settings."""

from collections import Counter

import pytest
from pydantic import SecretStr

from cartrita.config.names import every_setting, nearest, written


def test_no_two_settings_share_a_name_in_the_environment():
    names = Counter(
        name
        for setting in every_setting().values()
        for name in (
            setting.variable,
            *setting.aliases,
            *setting.shared,
            *setting.file_variables,
        )
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_every_name_of_the_seed_still_works():
    aliases = {alias for setting in every_setting().values() for alias in setting.aliases}
    assert aliases >= {
        *("MCP_HOST", "MCP_PORT", "PORT", "CORS_ORIGIN", "JWT_SECRET", "LOG_LEVEL"),
        *("DATABASE_URL", "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER"),
        *("POSTGRES_PASSWORD", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "RAY_ADDRESS"),
        *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORGANIZATION", "HUGGINGFACE_API_KEY"),
        *("HF_TOKEN", "DEEPGRAM_API_KEY", "TAVILY_API_KEY", "OTEL_SERVICE_NAME"),
        *("OTEL_EXPORTER_OTLP_ENDPOINT", "maxConcurrentTasks", "connectionPoolSize"),
        *("redisPoolSize", "messageQueueSize", "cacheTimeout"),
    }


def test_the_names_that_ray_reads_too_are_those_of_its_tls():
    shared = {name: setting.shared for name, setting in every_setting().items() if setting.shared}
    assert shared == {
        "channel.tcp": ("RAY_USE_TLS",),
        "channel.ca": ("RAY_TLS_CA_CERT",),
        "channel.cert": ("RAY_TLS_SERVER_CERT",),
        "channel.key": ("RAY_TLS_SERVER_KEY",),
    }


def test_exactly_the_secrets_are_secret():
    assert {name for name, setting in every_setting().items() if setting.secret} == {
        *("postgres.url", "postgres.password", "redis.url", "redis.password"),
        *("admin.password", "auth.jwt_secret", "blobs.s3_secret", "models.openai_api_key"),
        *("models.huggingface_api_key", "models.deepgram_api_key", "models.tavily_api_key"),
        *("models.anthropic_api_key", "models.deepseek_api_key", "models.fireworks_api_key"),
        *("models.google_genai_api_key", "models.groq_api_key", "models.mistralai_api_key"),
        *("models.together_api_key", "models.xai_api_key"),
        *("vault.token", "vault.secret_id", "keystore.master_key", "keystore.previous_keys"),
        *("web.serpapi_api_key", "web.brave_api_key", "web.github_token"),
    }


@pytest.mark.parametrize(
    ("name", "accepts"),
    [
        ("server.port", "a whole number from 1 to 65535"),
        ("server.request_timeout_s", "a number above 0 to 3600"),
        ("ray.num_cpus", "a whole number from 1 to 4096"),
        ("server.docs", "`true` or `false`"),
        ("telemetry.log_format", "one of `auto`, `json`, `console`"),
        ("home", "a path"),
        ("models.openai_api_key", "secret text"),
    ],
)
def test_what_a_setting_accepts_is_said_in_words(name, accepts):
    assert every_setting()[name].accepts == accepts


def test_the_nearest_name_is_offered_only_if_it_is_near():
    assert "'server.port'" in nearest("server.prt", every_setting())
    assert "cartrita config show" in nearest("zzzzzz", every_setting())


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, ""), (("a", "b"), "a,b"), (SecretStr("s"), "s"), (2.5, "2.5")],
)
def test_a_value_is_written_as_every_source_accepts_it(value, text):
    assert written(value) == text
