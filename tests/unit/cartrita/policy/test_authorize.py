"""Who may run what."""

import pytest

from cartrita.errors import AuthorizationFailed
from cartrita.policy.authorize import Authorize
from cartrita.protocol.principal import SYSTEM, Principal, Role


async def proceed(job):
    return "done"


def who(*scopes, role=Role.USER):
    return Principal("u", "t", role, scopes)


@pytest.mark.parametrize(
    "principal",
    [
        who("tasks:*"),
        who("tasks:work.*"),
        who("tasks:work.once"),
        who("agents:read", "tasks:work.once"),
        who(role=Role.ADMIN),
        who(role=Role.SYSTEM),
        SYSTEM,
    ],
    ids=str,
)
async def test_a_scope_or_a_role_that_covers_the_task_lets_it_pass(job, principal):
    assert await Authorize()(job(principal=principal), proceed) == "done"


@pytest.mark.parametrize(
    "principal",
    [
        who(),
        who("tasks:"),
        who("tasks:work"),
        who("tasks:Work.*"),
        who("tasks:work.again"),
        who("agents:*"),
        who("work.once"),
        who("xtasks:work.once"),
    ],
    ids=str,
)
async def test_anything_else_is_refused_before_the_work(job, principal):
    async def never(job):
        raise AssertionError

    with pytest.raises(AuthorizationFailed, match=r"'tasks:work\.once'"):
        await Authorize()(job(principal=principal), never)
