"""Tasks that are not taken in because of what they hold."""

import pytest

from cartrita.context import Context
from cartrita.errors import InvalidParameters, Reason
from cartrita.policy.chain import Job
from cartrita.policy.pii import Pii
from cartrita.privacy.masking import Rules
from tests.support.asking import CATALOG, Ask


async def admit(mode, **params):
    async def proceed(job):
        return "admitted"

    job = Job(CATALOG.task("ask.talk"), Ask(**params), Context("t"))
    return await Pii(Rules(mode))(job, proceed)


async def test_where_it_is_blocked_the_fields_are_named_and_not_their_values():
    with pytest.raises(InvalidParameters) as refused:
        await admit("block", text="I am ada@x.org", history=["ok", "call +1 415 555 2671"])
    error = refused.value
    assert error.reason == Reason.PII_BLOCKED
    assert error.fields == (
        ("parameters.text", "holds personal data: EMAIL"),
        ("parameters.history.1", "holds personal data: PHONE"),
    )
    assert "ada" not in str(error.to_wire())


@pytest.mark.parametrize("mode", ["mask", "redact", "off"])
async def test_elsewhere_it_is_taken_in(mode):
    assert await admit(mode, text="I am ada@x.org") == "admitted"


async def test_what_holds_none_is_taken_in():
    assert await admit("block", text="Hello") == "admitted"


async def test_a_task_that_no_model_does_is_taken_in(job):
    async def proceed(job):
        return "admitted"

    assert await Pii(Rules("block"))(job("work.once"), proceed) == "admitted"
