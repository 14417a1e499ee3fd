"""Errors survive every boundary they cross."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita import errors
from cartrita.channel.frames import pack, unpack
from cartrita.errors import CartritaError, ErrorCode, FieldError, InternalFailure, from_wire, leaves

CODES = {
    "INVALID_MESSAGE_FORMAT",
    "INVALID_TASK_TYPE",
    "INVALID_PARAMETERS",
    "INSUFFICIENT_BUDGET",
    "RESOURCE_LIMIT_EXCEEDED",
    "AGENT_UNAVAILABLE",
    "QUEUE_FULL",
    "TASK_TIMEOUT",
    "TASK_CANCELLED",
    "AGENT_ERROR",
    "NETWORK_ERROR",
    "AUTHENTICATION_FAILED",
    "AUTHORIZATION_FAILED",
    "RATE_LIMIT_EXCEEDED",
    "INTERNAL_ERROR",
    "SERVICE_UNAVAILABLE",
    "CONFIGURATION_ERROR",
}
RETRYABLE = {
    "AGENT_UNAVAILABLE",
    "QUEUE_FULL",
    "TASK_TIMEOUT",
    "NETWORK_ERROR",
    "RATE_LIMIT_EXCEEDED",
    "SERVICE_UNAVAILABLE",
    "INTERNAL_ERROR",
}
each = pytest.mark.parametrize("kind", leaves().values(), ids=leaves())


def told(error):
    return type(error), error.message, error.reason, error.fields, error.retry_after


def test_there_are_seventeen_codes_and_every_one_is_raised_by_something():
    assert set(ErrorCode) == CODES
    assert {kind.code for kind in leaves().values()} == CODES


@each
def test_a_code_says_whether_another_try_makes_sense(kind):
    assert kind.retryable == (kind.code in RETRYABLE)


def test_the_drawn_tree_is_the_tree():
    for name, kind in leaves().items():
        (line,) = [row for row in errors.__doc__.splitlines() if f"── {name} " in row]
        if kind.__base__ is CartritaError:
            assert f" {kind.code} " in line


@each
def test_an_error_survives_pickling(kind):
    error = kind("what", "WHY", [("field", "is wrong")], 1.5)
    assert told(pickle.loads(pickle.dumps(error))) == told(error)
    assert told(pickle.loads(pickle.dumps(kind()))) == told(kind())


@each
def test_an_error_survives_a_channel(kind):
    error = kind("what", "WHY", [("field", "is wrong")], 1.5)
    assert told(from_wire(unpack(pack(error.to_wire())))) == told(error)
    assert told(from_wire(unpack(pack(kind().to_wire())))) == told(kind())


@each
def test_without_a_message_an_error_says_what_its_class_says(kind):
    assert kind().message == kind.__doc__.splitlines()[0]
    assert str(kind()) == kind().message


def test_a_reason_given_wins_over_the_class_s_own():
    assert errors.StaleEpoch().reason == "STALE_EPOCH"
    assert errors.StaleEpoch(reason="OTHER").reason == "OTHER"
    assert errors.QueueFull().reason is None


def test_fields_have_names():
    (field,) = errors.InvalidParameters(fields=[("limit", "too large")]).fields
    assert field == FieldError("limit", "too large")


def test_a_class_nobody_knows_here_is_a_failure_of_ours():
    error = from_wire({"type": "FromTheFuture", "message": "what"})
    assert type(error) is InternalFailure
    assert error.message == "what"


@given(st.dictionaries(st.sampled_from(["type", "message", "reason", "retry_after"]), st.text()))
def test_whatever_a_peer_calls_its_error_it_is_one_of_ours(body):
    assert isinstance(from_wire(body), CartritaError)


@pytest.mark.parametrize("name", ["CartritaError", "Exception", "__class__", ""])
def test_a_peer_cannot_name_a_class_of_another_kind(name):
    assert type(from_wire({"type": name})) is InternalFailure
