"""Tests of cartrita/writing/questions.py."""

import pytest

from cartrita.context import Context
from cartrita.cost.price import metered
from cartrita.errors import AgentFailed, InvalidParameters, Reason
from cartrita.writing.questions import Asker
from tests.support.scripted_model import ScriptedModels, said

CEILING = metered("1", 50_000)
TABLES = {"sales": [{"city": "Rome", "amount": 5}, {"city": "Oslo", "amount": 7}]}


async def ask(*script, question="Which city sells most?"):
    models, ctx = ScriptedModels(*map(said, script)), Context("t")
    asker = Asker(models)
    asked = await asker.sql(asker.chat_if_any(None), question, TABLES, ctx, CEILING)
    return asker, asked, models.model.asked, ctx


@pytest.mark.parametrize(
    "answer", ["SELECT 1", "```sql\nSELECT 1\n```", "Here:\n```\nSELECT 1\n```"]
)
async def test_the_sql_is_read_out_of_the_answer(answer):
    _, asked, sent, _ = await ask(answer)
    assert asked.sql == "SELECT 1"
    described = sent[0][0][1].text
    assert '"sales"' in described
    assert '"such as": ["Rome", "Oslo"]' in described
    assert "Which city sells most?" in described


async def test_sql_that_cannot_be_run_is_repaired_with_what_was_wrong():
    asker, asked, sent, ctx = await ask("SELECT nothing", "SELECT 2")
    again = await asker.repaired(asked, "no column nothing", ctx, CEILING)
    assert again.sql == "SELECT 2"
    assert [message.text for message in sent[1][0][2:]] == [
        "SELECT nothing",
        "That cannot be run: no column nothing Answer with corrected SQL alone.",
    ]
    error = again.failed(InvalidParameters("still wrong"))
    assert (error.reason, "still wrong" in error.message) == (Reason.QUALITY_REJECTED, True)


async def test_a_question_that_the_data_cannot_answer_is_said_to_be_one():
    with pytest.raises(AgentFailed, match="there is no year") as caught:
        await ask("-- there is no year")
    assert caught.value.reason == Reason.QUALITY_REJECTED
