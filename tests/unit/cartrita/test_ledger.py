"""Whose an effect is."""

from cartrita.effects import effect_id
from cartrita.ledger import Intent
from cartrita.protocol.principal import Principal
from tests.support.records import record


def test_an_intent_says_who_is_about_to_do_what():
    task = record(principal=Principal("ada", "workspace"))
    assert Intent.of(task, 2, "email", "eve") == Intent(
        effect_id(task.task_id, "email", "eve"),
        task.task_id,
        task.task_id,
        "test.echo",
        "ada",
        "workspace",
        "email",
        "eve",
        2,
    )


def test_tasks_that_try_the_same_work_share_its_effects():
    first = record()
    again = record(root=first.task_id)
    one, other = (Intent.of(task, 1, "email", "eve") for task in (first, again))
    assert (one.id, one.root) == (other.id, other.root)
    assert other.task_id == again.task_id
