"""Tests of exit codes."""

import pytest

from cartrita import errors
from cartrita.cli.exits import exit_of, line_of

EXPECTED = {
    errors.ConfigurationInvalid: 2,
    errors.ModelRequired: 2,
    errors.MissingExtra: 2,
    errors.SandboxUnavailable: 2,
    errors.AuthenticationFailed: 4,
    errors.AuthorizationFailed: 4,
}
OURS = [kind for kind in errors.leaves().values() if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", OURS)
def test_every_error_has_its_exit_code(kind):
    assert exit_of(kind()) == EXPECTED.get(kind, 3)


def test_the_line_names_the_fields_and_the_trace():
    error = errors.InvalidParameters("See these.", fields=[("a", "is missing"), ("b", "is odd")])
    error.add_note("trace 12ab")
    assert line_of(error) == "See these. (a: is missing; b: is odd) (trace 12ab)"


def test_the_line_says_nothing_twice():
    error = errors.InvalidParameters("'a' is missing.", fields=[("a", "is missing")])
    assert line_of(error) == "'a' is missing."


def test_who_is_not_signed_in_is_told_how():
    assert "cartrita login" in line_of(errors.AuthenticationFailed("No."))
