"""Tests of what settings mean together."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from cartrita.config.kinds import Places
from cartrita.config.settings import Settings


def settings(**sections):
    return Settings.model_validate(sections)


def test_the_defaults_are_those_of_a_laptop():
    chosen = settings()
    assert (chosen.server.host, chosen.server.port, chosen.server.v2_port) == (
        "127.0.0.1",
        8002,
        8001,
    )
    assert (chosen.postgres.port, chosen.redis.port) == (5435, 6380)
    assert (chosen.limits.max_concurrent_tasks, chosen.limits.message_queue_size) == (50, 1000)
    assert chosen.embedded


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        settings().server.port = 1


def test_relative_paths_and_the_tilde_follow_the_context():
    places = Places(Path("/work-folder"), Path("/users/ada"))
    chosen = Settings.model_validate(
        {"home": "~/.c", "models": {"embedding_path": "m"}}, context=places
    )
    assert chosen.home == Path("/users/ada/.c")
    assert chosen.models.embedding_path == Path("/work-folder/m")


def test_the_default_home_is_absolute():
    assert settings().home == Path.home() / ".cartrita"


@pytest.mark.parametrize(
    ("sections", "embedded"),
    [
        ({}, True),
        ({"ray": {"address": "ray://head:10001"}}, False),
        ({"postgres": {"host": "db"}}, True),
        ({"redis": {"host": "cache"}}, True),
        ({"lifetime": "attached"}, False),
        ({"lifetime": "embedded", "ray": {"address": "127.0.0.1:6379"}}, True),
    ],
)
def test_an_outside_cluster_means_attached_unless_said_otherwise(sections, embedded):
    assert settings(**sections).embedded is embedded


@pytest.mark.parametrize(
    ("sections", "is_open"),
    [
        ({}, True),
        ({"server": {"host": "0.0.0.0"}}, False),
        ({"ray": {"address": "ray://head:10001"}}, False),
        ({"auth": {"registration": "closed"}}, False),
        ({"auth": {"registration": "open"}, "server": {"host": "0.0.0.0"}}, True),
    ],
)
def test_registration_is_open_by_itself_only_on_an_embedded_laptop(sections, is_open):
    assert settings(**sections).registration_open is is_open


def test_children_of_an_embedded_owner_stay_embedded_and_open():
    told = settings().at("127.0.0.1:6379", "postgresql://u:p@/db", "redis://:p@127.0.0.1:1/0")
    assert told.embedded
    assert told.registration_open
    assert told.ray.address == "127.0.0.1:6379"
    assert told.redis.dsn == SecretStr("redis://:p@127.0.0.1:1/0")


def test_the_parts_of_an_address_are_escaped():
    parts = {"host": "db", "user": "a b", "password": "p@:/%", "db": "x?y"}
    dsn = settings(postgres=parts).postgres.dsn
    assert dsn.get_secret_value() == "postgresql://a%20b:p%40%3A%2F%25@db:5435/x%3Fy"


def test_an_ipv6_host_is_bracketed():
    dsn = settings(redis={"host": "::1", "password": "s"}).redis.dsn
    assert dsn.get_secret_value() == "redis://:s@[::1]:6380/0"


def test_the_embedded_servers_have_no_address_yet():
    assert settings().postgres.dsn is None
    assert settings().redis.dsn is None


@pytest.mark.parametrize(
    "sections",
    [
        {"server": {"tls_key": "/k.pem"}},
        {"server": {"tls_key": "/k.pem", "tls_certificate": "/c.pem", "tls_self_made": True}},
        {"server": {"metrics_from": "everybody"}},
        {"server": {"metrics_from": "10.0.0.0/33"}},
        {"channel": {"tcp": True}},
        {"channel": {"tcp": True, "ca": "/ca", "cert": "/cert"}},
        {"channel": {"tcp": True, "plain_tcp": True, "ca": "/ca"}},
        {"server": {"port": 9000}},
        {"server": {"port": 0}},
        {"server": {"request_timeout_s": float("nan")}},
        {"auth": {"accept_v2_tokens": True}},
        {"auth": {"accept_v2_tokens": True, "jwt_secret": "x" * 31}},
        {"instance": "Has Spaces"},
        {"instance": "x" * 33},
        {"postgres": {"url": "mysql://db"}},
        {"unheard_of": 1},
        {"server": {"unheard_of": 1}},
    ],
)
def test_what_cannot_work_is_refused(sections):
    with pytest.raises(ValidationError):
        settings(**sections)


@pytest.mark.parametrize(
    "channel",
    [
        {"tcp": True, "ca": "/ca", "cert": "/cert", "key": "/key"},
        {"tcp": True, "plain_tcp": True},
        {"plain_tcp": True},
        {"ca": "/ca"},
    ],
)
def test_frames_leave_the_node_encrypted_or_by_name(channel):
    assert settings(channel=channel).channel.tcp is channel.get("tcp", False)


def test_nothing_leaves_the_node_unless_said_so():
    assert not settings().channel.tcp


def test_secrets_do_not_show_in_a_repr():
    chosen = settings(models={"openai_api_key": "sk-canary"}, postgres={"password": "canary"})
    assert "canary" not in repr(chosen)
    assert "canary" not in chosen.model_dump_json()


@pytest.mark.parametrize(
    "blobs",
    [
        {"s3_bucket": "blobs", "s3_key": "k"},
        {"s3_bucket": "blobs", "s3_secret": "s"},
        {"s3_endpoint": "http://127.0.0.1:9000"},
        {"s3_key": "k", "s3_secret": "s"},
        {"s3_bucket": "blobs", "s3_endpoint": "127.0.0.1:9000"},
        {"s3_bucket": ""},
    ],
)
def test_half_a_bucket_is_refused(blobs):
    with pytest.raises(ValidationError):
        settings(blobs=blobs)
