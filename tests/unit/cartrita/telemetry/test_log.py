"""Log lines, for machines and for people."""

import asyncio
import json
import logging

import pytest
import structlog

from cartrita.telemetry.log import about, configure, get_logger, heed, level, set_level

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def _restored():
    before = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before


def test_a_line_for_machines_is_one_json_object(capsys):
    configure("info", "json")
    get_logger("here").warning("it_happened", task="t", text='quote " and\nline')
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "component": "here",
        "event": "it_happened",
        "level": "warning",
        "task": "t",
        "text": 'quote " and\nline',
    }


def test_an_exception_is_told_with_its_trace(capsys):
    configure("info", "json")
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        get_logger("here").exception("it_failed")
    assert "ZeroDivisionError: division" in json.loads(capsys.readouterr().err)["exception"]


@pytest.mark.parametrize(
    ("level", "seen"),
    [("debug", ["a", "b", "c"]), ("info", ["b", "c"]), ("error", ["c"])],
)
def test_what_is_below_the_level_is_not_written(capsys, level, seen):
    configure(level, "json")
    log = get_logger("here")
    log.debug("a")
    log.info("b")
    log.error("c")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == seen


def test_a_line_for_people_is_plain(capsys):
    configure("info", "console")
    get_logger("here").info("it_happened", task="t")
    written = capsys.readouterr().err
    assert "it_happened" in written
    with pytest.raises(json.JSONDecodeError):
        json.loads(written)


def test_where_nobody_looks_lines_are_for_machines(capsys):
    configure("info", "auto")  # captured output is no terminal
    get_logger("here").info("it_happened")
    assert json.loads(capsys.readouterr().err)["event"] == "it_happened"


def test_a_level_that_does_not_exist_is_refused():
    with pytest.raises(KeyError):
        configure("loud", "json")


def test_what_tells_of_a_person_does_not_stand_in_a_log(capsys):
    configure("info", "json")
    log = get_logger("here")
    try:
        int("ada@x.org has 4111 1111 1111 1111")
    except ValueError as error:
        log.exception("it_failed", who="ada@x.org", error=error, more={"ids": ["+1 415 555 2671"]})
    written = capsys.readouterr().err
    assert "ada@x.org" not in written
    assert "4111" not in written
    assert "415" not in written
    assert json.loads(written)["who"] == "<EMAIL>"


def test_where_logs_may_have_it_they_do(capsys):
    configure("info", "json", scrubbed=False)
    get_logger("here").info("it_happened", who="ada@x.org")
    assert "ada@x.org" in capsys.readouterr().err


@pytest.mark.parametrize("scrubbed", [True, False])
def test_secrets_stand_in_no_log_whatever_is_set(capsys, scrubbed):
    configure("info", "json", scrubbed=scrubbed)
    log = get_logger("here")
    told = {"headers": {"Authorization": "Basic YWRh"}, "urls": ["amqp://ada:hunter22@x/"]}
    log.info("it_happened", api_key=b"raw", text="with sk-abcdefghijklmnop1234", more=told)
    written = capsys.readouterr().err
    for secret in ("YWRh", "hunter22", "abcdefghijklmnop", "raw"):
        assert secret not in written
    assert json.loads(written)["more"]["headers"]["Authorization"] == "<SECRET>"


async def test_a_line_says_which_trace_and_task_it_belongs_to(capsys):
    configure("info", "json")
    log = get_logger("here")

    async def work(trace, task):
        about(trace, task)
        log.info("it_happened")
        log.info("of_another", task="other")

    await asyncio.gather(work(VALID, "one"), work(None, "two"))
    log.info("of_nobody")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line.get("trace_id"), line.get("task")) for line in lines] == [
        (VALID[3:35], "one"),
        (VALID[3:35], "other"),
        (None, "two"),
        (None, "other"),
        (None, None),
    ]


def test_the_level_changes_while_it_runs(capsys):
    configure("error", "json")
    log = get_logger("here")
    log.info("before")
    set_level("info")
    log.info("after")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["after"]


def test_what_libraries_log_is_written_as_our_own_lines_are(capsys):
    configure("debug", "json")
    library = logging.getLogger("some.library")
    library.info("not of interest")
    about(VALID, "one")
    try:
        int("amqp://ada:hunter22@queue/")
    except ValueError:
        library.exception("%s cannot connect", "ada@x.org")
    about(None)
    written = capsys.readouterr().err
    (line,) = written.splitlines()
    told = json.loads(line)
    assert told["event"] == "<EMAIL> cannot connect"
    assert (told["component"], told["level"]) == ("some.library", "error")
    assert (told["trace_id"], told["task"]) == (VALID[3:35], "one")
    assert "ValueError" in told["exception"]
    assert "hunter22" not in written


def test_libraries_lines_are_written_once_however_often_it_is_configured(capsys):
    for _ in range(3):
        configure("info", "json")
    logging.getLogger("some.library").warning("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_order_that_says_nothing_changes_nothing():
    configure("error", "json")
    heed("")
    assert level() == "error"
    heed("debug")
    assert level() == "debug"
