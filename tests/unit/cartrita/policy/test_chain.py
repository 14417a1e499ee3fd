"""How policies wrap the work."""

import pytest

from cartrita.policy.chain import Job, chain, concerning


class Note:
    """Writes down when it is passed."""

    def __init__(self, name, notes):
        self._name, self._notes = name, notes

    async def __call__(self, job, proceed):
        self._notes.append(f"{self._name} in")
        try:
            return await proceed(job)
        finally:
            self._notes.append(f"{self._name} out")


async def test_the_first_policy_is_the_outermost(job):
    notes = []

    async def work(job):
        notes.append("work")
        return "result"

    proceed = chain([Note("a", notes), Note("b", notes)], work)
    assert await proceed(job()) == "result"
    assert notes == ["a in", "b in", "work", "b out", "a out"]


async def test_an_error_passes_every_policy_on_its_way_out(job):
    notes = []

    async def work(job):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await chain([Note("a", notes), Note("b", notes)], work)(job())
    assert notes == ["a in", "b in", "b out", "a out"]


async def test_without_policies_there_is_the_work(job):
    async def work(job):
        return job.spec.name

    assert await chain([], work)(job()) == "work.once"


async def test_a_policy_may_refuse_change_the_job_or_proceed_twice(job):
    seen = []

    async def refuse(job, proceed):
        if job.spec.name == "work.once":
            return "refused"
        return await proceed(job)

    async def change(job, proceed):
        return await proceed(Job(job.spec, job.params, "another context"))

    async def twice(job, proceed):
        await proceed(job)
        return await proceed(job)

    async def work(job):
        seen.append(job.context)
        return len(seen)

    proceed = chain([refuse, change, twice], work)
    assert await proceed(job("work.once")) == "refused"
    assert seen == []
    assert await proceed(job("work.again")) == 2
    assert seen == ["another context"] * 2


async def test_one_chain_serves_many_jobs(job):
    async def work(job):
        return job.context.task_id

    proceed = chain([Note("a", [])], work)
    first, second = job(), job()
    second.context.task_id = "other"
    assert [await proceed(first), await proceed(second)] == ["t", "other"]


async def test_a_policy_that_makes_no_difference_for_a_task_type_is_left_out(job):
    class Picky(Note):
        def concerns(self, spec):
            return spec.idempotent

    always, picky = Note("always", []), Picky("picky", [])
    assert concerning(job("work.once").spec, [always, picky]) == [always]
    assert concerning(job("work.again").spec, [picky, always]) == [picky, always]
