"""Tests of actors/agents/privacy.py."""

import pytest

from actors.agents.privacy import Privacy
from cartrita.errors import InvalidParameters
from cartrita.testing import run_task

TEXT = "Mail maria@example.org, bob@example.org or maria@example.org; card 4111 1111 1111 1111."


async def check(**params):
    return (await run_task(Privacy, "privacy.check", params)).to_wire()


async def test_what_tells_of_a_person_is_found_where_it_stands():
    result = await check(text=TEXT)
    assert result["counts"] == {"EMAIL": 3, "CARD": 1}
    first = result["findings"][0]
    assert TEXT[first["start"] : first["end"]] == "maria@example.org"
    assert result["personal"] is True
    assert "text" not in result
    assert "names of persons" in result["limitations"][0]


async def test_it_is_taken_out_for_good_or_so_that_equals_stay_alike():
    assert (await check(text=TEXT, anonymize="redact"))["text"] == (
        "Mail <EMAIL>, <EMAIL> or <EMAIL>; card <CARD>."
    )
    assert (await check(text=TEXT, anonymize="placeholders"))["text"] == (
        "Mail <EMAIL_1>, <EMAIL_2> or <EMAIL_1>; card <CARD_1>."
    )


async def test_a_number_is_a_telephone_s_where_people_write_it_so():
    text = "Call 030 123456 today."
    assert (await check(text=text, region="DE"))["counts"] == {"PHONE": 1}
    assert (await check(text=text))["personal"] is False


async def test_the_example_runs():
    (spec,) = Privacy.spec.tasks
    assert (await check(**spec.example))["counts"] == {"EMAIL": 1, "IBAN": 1}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"text": " "}, "text"),
        ({"text": "x", "anonymize": "maybe"}, "anonymize"),
        ({"text": "x", "region": "Germany"}, "region"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(params, field):
    with pytest.raises(InvalidParameters) as caught:
        await check(**params)
    assert field in caught.value.fields[0].field
