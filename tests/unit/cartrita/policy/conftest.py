"""A job to send through policies."""

import pytest

from cartrita.catalog import Catalog
from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.policy.chain import Job


class Nothing(Params):
    """Takes nothing."""


class Worker(Agent, team="system"):
    """Works."""

    @task("work.once")
    async def once(self, params: Nothing, ctx: Context) -> Result:
        """Work."""
        return Result()

    @task("work.again", idempotent=True)
    async def again(self, params: Nothing, ctx: Context) -> Result:
        """Work, as often as you like."""
        return Result()


@pytest.fixture
def job():
    """Give a function that makes a job of a task type, with fields of its context."""
    catalog = Catalog.of([Worker])

    def make(name="work.once", **context):
        return Job(catalog.task(name), Nothing(), Context("t", name, **context))

    return make
