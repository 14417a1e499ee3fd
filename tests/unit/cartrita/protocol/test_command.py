"""What operators' commands take."""

import pytest
from pydantic import ValidationError

from cartrita.errors import InvalidParameters
from cartrita.protocol.command import ARGUMENTS, SUMMARY, CommandName, CommandRequest


def order(command, target="intelligence/0", **arguments):
    return CommandRequest(command=command, target=target, arguments=arguments)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("SHUTDOWN", {"grace": 10, "cancel": True}),
        ("SHUTDOWN", {}),
        ("RESTART", {"grace": 0.5}),
        ("SCALE_UP", {"by": 2}),
        ("SCALE_DOWN", {"to": 0}),
        ("HEALTH_CHECK", {}),
        ("CONFIG_UPDATE", {"messageQueueSize": 10, "logLevel": "debug"}),
        ("CONFIG_UPDATE", {"pool": {"least": 0, "most": 4}, "concurrency": 8}),
        ("EMERGENCY_STOP", {"cancel": False}),
    ],
)
def test_takes_the_arguments_of_the_command_and_keeps_them_as_they_are(command, arguments):
    assert order(command, **arguments).checked() == arguments


@pytest.mark.parametrize(
    ("command", "arguments", "field"),
    [
        ("SHUTDOWN", {"graze": 1}, "arguments.graze"),
        ("SHUTDOWN", {"grace": -1}, "arguments.grace"),
        ("SHUTDOWN", {"cancel": "yes"}, "arguments.cancel"),
        ("RESTART", {"cancel": True}, "arguments.cancel"),
        ("SCALE_UP", {"by": 0}, "arguments.by"),
        ("SCALE_UP", {"by": "2"}, "arguments.by"),
        ("SCALE_UP", {"by": 1, "to": 3}, "arguments.to"),
        ("HEALTH_CHECK", {"deep": True}, "arguments.deep"),
        ("CONFIG_UPDATE", {"logLevel": "loud"}, "arguments.logLevel"),
        ("CONFIG_UPDATE", {"pool": {"least": 3, "most": 2}}, "arguments.pool.most"),
        ("CONFIG_UPDATE", {"pool": {"least": 3}}, "arguments.pool.most"),
        ("CONFIG_UPDATE", {}, "arguments"),
        ("EMERGENCY_STOP", {"by": 1}, "arguments.by"),
    ],
)
def test_refuses_other_arguments_by_name(command, arguments, field):
    with pytest.raises(InvalidParameters, match=command) as told:
        order(command, **arguments).checked()
    assert [item.field for item in told.value.fields] == [field]


@pytest.mark.parametrize(
    "target", ["tree", "intelligence", "system/0", "agent:web-search", "system/0.shared.0"]
)
def test_a_target_is_named_as_the_tree_names_it(target):
    assert order("HEALTH_CHECK", target).target == target


@pytest.mark.parametrize("target", ["", "../etc", "a b", "x" * 256, "tree\n"])
def test_what_is_no_name_is_no_target(target):
    with pytest.raises(ValidationError):
        order("HEALTH_CHECK", target)


def test_every_command_says_what_it_takes_and_what_it_does():
    assert set(ARGUMENTS) == set(SUMMARY) == set(CommandName)
