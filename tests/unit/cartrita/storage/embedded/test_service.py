"""Tests of specs and of the restart window."""

import json
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.storage.embedded.service import RestartWindow, ServiceSpec

texts = st.text(min_size=1)
specs = st.builds(
    ServiceSpec,
    name=texts,
    argv=st.lists(texts, min_size=1).map(tuple),
    log_path=texts,
    cwd=texts,
    env=st.none() | st.dictionaries(texts, texts),
    stop_signal=st.sampled_from(["SIGTERM", "SIGINT"]),
    death_signal=st.sampled_from(["SIGKILL", "SIGINT"]),
    grace=st.floats(0, 100),
    restart=st.booleans(),
    intensity=st.integers(0, 100),
    period=st.floats(0.1, 100),
    user_namespace=st.booleans(),
)


@given(specs)
def test_a_spec_survives_the_pipe_on_one_line(spec):
    line = spec.to_json()
    assert "\n" not in line
    assert ServiceSpec.from_json(line) == spec


def test_a_spec_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        ServiceSpec("a", ("/bin/a",), "/log").name = "b"


def test_an_unknown_field_is_refused():
    fields = json.loads(ServiceSpec("a", ("/bin/a",), "/log").to_json())
    with pytest.raises(TypeError, match="colour"):
        ServiceSpec.from_fields({**fields, "colour": "red"})


@pytest.mark.parametrize("field", ["stop_signal", "death_signal"])
def test_a_signal_that_does_not_exist_is_refused(field):
    with pytest.raises(ValueError, match="'SIGNONE' is no signal"):
        ServiceSpec("a", ("/bin/a",), "/log", **{field: "SIGNONE"})


@pytest.mark.parametrize(("name", "argv"), [("", ("/bin/a",)), ("a", ())])
def test_a_spec_without_name_or_program_is_refused(name, argv):
    with pytest.raises(ValueError, match="needs a name and a program"):
        ServiceSpec(name, argv, "/log")


def test_the_wait_between_attempts_doubles_up_to_two_seconds():
    window = RestartWindow(intensity=7, period=100)
    assert [window.crashed(float(at)) for at in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_gives_up_after_too_many_crashes_in_the_window():
    window = RestartWindow(intensity=2, period=10)
    assert window.crashed(0.0) is not None
    assert window.crashed(5.0) is not None
    assert window.crashed(10.0) is None


def test_crashes_that_left_the_window_are_forgiven():
    window = RestartWindow(intensity=2, period=10)
    assert [window.crashed(at) for at in (0.0, 5.0, 10.1, 15.2)] == [0.1, 0.2, 0.2, 0.2]


def test_intensity_zero_allows_no_restart():
    assert RestartWindow(intensity=0, period=10).crashed(0.0) is None


@given(st.integers(0, 5), st.floats(0.5, 20), st.lists(st.floats(0.001, 10), max_size=40))
def test_gives_up_exactly_when_a_window_holds_more_crashes_than_allowed(intensity, period, gaps):
    window, times, now = RestartWindow(intensity, period), [], 0.0
    for gap in gaps:
        now += gap
        times.append(now)
        recent = sum(now - at <= period for at in times)
        assert (window.crashed(now) is None) == (recent > intensity)
