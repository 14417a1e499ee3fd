"""Envelopes: what clients of the older system write."""

import pytest
from pydantic import ValidationError

from cartrita.protocol.envelope import Envelope, MessageType
from cartrita.protocol.task import Delivery

SHORT = {"messageType": "TASK_REQUEST", "payload": {"taskType": "system.echo", "parameters": {}}}


def test_the_short_form_of_the_readme_is_a_whole_message_with_the_defaults_of_a_task():
    message = Envelope.model_validate(SHORT)
    assert message.message_type is MessageType.TASK_REQUEST
    assert message.delivery.guarantee is Delivery.AT_LEAST_ONCE
    assert (message.delivery.retry_count, message.delivery.retry_delay_ms) == (3, 1000)
    assert message.context.timeout_ms == 30_000
    assert message.id.version == 7


def test_two_messages_have_two_ids():
    assert Envelope.model_validate(SHORT).id != Envelope.model_validate(SHORT).id


def test_snake_case_is_read_and_camel_case_is_written():
    message = Envelope.model_validate(
        {
            "message_type": "TASK_CANCEL",
            "payload": {"taskId": "x"},
            "correlation_id": "c",
            "context": {"timeout_ms": 5, "budget": {"max_usd": 1.5}},
            "delivery": {"retry_delay_ms": 7, "require_ack": False},
            "created_at": "2026-01-02T03:04:05Z",
        }
    )
    wire = message.to_wire()
    assert wire["messageType"] == "TASK_CANCEL"
    assert wire["context"]["budget"]["maxUsd"] == 1.5
    assert wire["delivery"]["requireAck"] is False
    assert wire["createdAt"] == "2026-01-02T03:04:05Z"
    assert Envelope.model_validate(wire) == message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messageType", "SOMETHING"),
        ("delivery", {"priority": 11}),
        ("delivery", {"retryCount": -1}),
        ("context", {"timeoutMs": 0}),
        ("context", {"limits": {"maxCpuPercent": 101}}),
        ("surprise", 1),
    ],
)
def test_what_is_out_of_range_or_unknown_is_refused(field, value):
    with pytest.raises(ValidationError):
        Envelope.model_validate({**SHORT, field: value})
