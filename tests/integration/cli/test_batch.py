"""Tests of `cartrita batch`."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn

from actors.agents.health import Health
from cartrita.clock import SystemClock, new_id
from tests.support.api_server import Unlucky, api_and_inside, short_folder
from tests.support.counted import Counted, Runs
from tests.support.gateway import Stand
from tests.support.processes import eventually, running


def echo(payload, **fields):
    return {"taskType": "system.echo", "parameters": {"payload": payload, **fields}}


def tasks_file(folder, *lines):
    path = folder / "tasks.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts))
    return path


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


def wait_for_lines(path, number):
    """Wait until a file has so many lines: nothing announces what a process writes."""

    def there():
        return path.exists() and path.read_text().count("\n") >= number

    assert asyncio.run(eventually(there, 20))


RUNS = Runs()


@pytest.fixture(scope="module")
def served():
    agents = (Health, Unlucky, Counted)
    with api_and_inside(agents=agents, ports={Runs: lambda _: RUNS}) as opened:
        yield opened


@pytest.fixture
def runs():
    """Give how often each task ran in this test."""
    RUNS.of.clear()
    return RUNS.of


def counted(number, delay=0):
    """Return tasks, each of which is counted under its place."""
    return [
        {"taskType": "test.counted", "parameters": {"name": str(place), "delayMs": delay}}
        for place in range(1, number + 1)
    ]


@pytest.fixture
def process(home, admin, api):
    """Start the command line in a process of its own."""

    @contextmanager
    def start(*arguments, url=api, **options):
        environment = {"PATH": os.environ["PATH"], "CARTRITA_HOME": str(home), "HOME": str(home)}
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        argv = [sys.executable, "-m", "cartrita", "--url", url, *map(str, arguments)]
        with running(*argv, env=environment, **{**pipes, **options}) as started:
            yield started
        for pipe in filter(None, (started.stdin, started.stdout, started.stderr)):
            pipe.close()

    return start


class TestResults:
    def test_every_line_has_its_result_in_the_order_of_the_lines(self, here, tmp_path):
        lines = [echo(number, delayMs=30 - number) for number in range(30)]
        done = here("batch", tasks_file(tmp_path, *lines))
        assert done.exit_code == 0
        told = rows(done.stdout)
        assert [row["line"] for row in told] == list(range(1, 31))
        assert [row["result"]["payload"] for row in told] == list(range(30))
        assert done.stderr == "30 completed, 0 failed, 0 refused.\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "tasks.jsonl"]

    def test_or_as_they_end_into_a_file(self, here, tmp_path):
        path = tasks_file(tmp_path, echo("slow", delayMs=1500), echo("quick"), "", echo("quick"))
        out = tmp_path / "out.jsonl"
        done = here("batch", path, "--order", "ended", "--output", out, "--json")
        assert done.exit_code == 0
        told = rows(out.read_text())
        assert {row["line"] for row in told[:2]} == {2, 4}
        assert told[2]["line"] == 1
        summary = json.loads(done.stdout)
        assert summary == {"completed": 3, "failed": 0, "refused": 0, "output": str(out)}

    def test_what_is_wrong_with_a_line_is_told_with_its_number_and_field(self, here, tmp_path):
        path = tasks_file(
            tmp_path,
            echo(1),
            "{",
            {"taskType": "system.echo", "parameters": {}, "priority": 11},
            echo(1, delayMs=-1),
            {"taskType": "test.unlucky", "parameters": {}},
            '{"taskType": "system.echo", "parameters": {"payload": 1, "payload": 2}}',
            {"taskType": "system.ehco", "parameters": {}},
            '{"taskType": "system.echo", "parameters": {"payload": 123456789012345678901234}}',
            "[]",
        )
        done = here("batch", path)
        assert done.exit_code == 1
        told = {row["line"]: row for row in rows(done.stdout)}
        codes = [told[number].get("errorCode") for number in range(1, 10)]
        assert codes == [
            None, "INVALID_MESSAGE_FORMAT", "INVALID_PARAMETERS", "INVALID_PARAMETERS",
            "AGENT_ERROR", "INVALID_MESSAGE_FORMAT", "INVALID_TASK_TYPE", "INVALID_PARAMETERS",
            "INVALID_PARAMETERS",
        ]  # fmt: skip
        assert told[3]["errors"][0]["field"] == "priority"
        assert told[4]["errors"][0]["field"] == "parameters.delayMs"
        assert told[8]["errors"][0]["field"] == "parameters.payload"
        assert "line 3: REFUSED INVALID_PARAMETERS: The line is no task: priority" in done.stderr
        assert "line 4: REFUSED" in done.stderr
        assert "parameters.delayMs" in done.stderr
        assert "line 5: FAILED AGENT_ERROR" in done.stderr
        assert "line 6: REFUSED INVALID_MESSAGE_FORMAT" in done.stderr
        assert "1 completed, 1 failed, 7 refused." in done.stderr

    def test_a_line_keeps_the_id_it_names(self, here, tmp_path):
        own = new_id()
        done = here("batch", tasks_file(tmp_path, {**echo(1), "task_id": own}))
        assert rows(done.stdout)[0]["taskId"] == own

    def test_a_file_without_tasks_is_done_at_once(self, here, tmp_path):
        done = here("batch", tasks_file(tmp_path, "", "  "))
        assert (done.exit_code, done.stdout) == (0, "")

    @pytest.mark.parametrize(
        "arguments",
        [
            ("missing.jsonl",),
            (".",),
            ("tasks.jsonl", "--output", "tasks.jsonl"),
            ("tasks.jsonl", "--output", "no/such/folder"),
            ("tasks.jsonl", "--resume", "no/such/folder"),
            ("tasks.jsonl", "--at-once", "0"),
        ],
    )
    def test_wrong_usage_exits_with_2(self, here, tmp_path, arguments):
        tasks_file(tmp_path, echo(1))
        done = here("batch", *arguments)
        assert done.exit_code == 2
        assert "Traceback" not in done.output

    def test_more_than_may_be_under_way_is_handed_in_as_there_is_room(self, here, tmp_path):
        path = tasks_file(tmp_path, *(echo(number) for number in range(120)))
        done = here("batch", path, "--at-once", "50")
        assert done.exit_code == 0, done.stderr
        assert [row["line"] for row in rows(done.stdout)] == list(range(1, 121))

    def test_lines_come_from_a_pipe_as_they_are_written(self, process):
        with process("batch", "-", stdin=subprocess.PIPE) as batch:
            for number in range(3):
                batch.stdin.write(json.dumps(echo(number)) + "\n")
                batch.stdin.flush()
                assert json.loads(batch.stdout.readline())["result"]["payload"] == number
            batch.stdin.close()
            assert batch.wait(20) == 0

    def test_a_terminal_shows_how_far_it_is_and_which_lines_went_wrong(self, process, tmp_path):
        path = tasks_file(tmp_path, *(echo(n, delayMs=60) for n in range(8)), "{")
        screen, terminal = os.openpty()
        with process("batch", path, "--at-once", "1", stderr=terminal) as batch:
            os.close(terminal)
            shown = b"".join(iter(lambda: read_terminal(screen), b"")).decode()
            assert batch.wait(20) == 1
        os.close(screen)
        assert "%" in shown
        assert "0 completed" in shown
        assert "8 completed" in shown  # the last frame, whichever were drawn between
        assert "line 9: REFUSED" in shown


def read_terminal(screen):
    """Read what a program printed; nothing once it has closed the terminal."""
    try:
        return os.read(screen, 1 << 16)
    except OSError:
        return b""


class TestResume:
    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
    @pytest.mark.parametrize("order", ["input", "ended"])
    def test_a_run_that_was_ended_goes_on_and_no_task_runs_twice(
        self, process, here, runs, tmp_path, end, order
    ):
        path, out = tasks_file(tmp_path, *counted(60, delay=100)), tmp_path / "out.jsonl"
        words = ("batch", path, "--output", out, "--order", order, "--at-once", "8")
        with process(*words) as batch:
            wait_for_lines(out, 10)
            batch.send_signal(end)
            code = batch.wait(20)
            said = batch.stderr.read()
        assert code == (130 if end is signal.SIGINT else -signal.SIGKILL)
        assert ("goes on from" in said) == (end is signal.SIGINT)
        assert (tmp_path / "tasks.jsonl.state").exists()
        early = rows(out.read_text().rpartition("\n")[0])
        assert len(early) < 60

        done = here(*words)

        assert done.exit_code == 0, done.stderr
        assert done.stdout == "60 completed, 0 failed, 0 refused.\n"
        told = rows(out.read_text())
        assert Counter(row["line"] for row in told) == Counter(range(1, 61))
        assert all(row["result"]["name"] == str(row["line"]) for row in told)
        assert runs == Counter(str(number) for number in range(1, 61))
        assert not (tmp_path / "tasks.jsonl.state").exists()

    def test_a_named_state_stays_and_a_batch_that_is_done_is_not_done_again(
        self, here, runs, tmp_path
    ):
        path, state = tasks_file(tmp_path, *counted(3)), tmp_path / "s"
        words = ("batch", path, "--resume", state, "--output", tmp_path / "out")
        first, second = here(*words), here(*words)
        assert (first.exit_code, second.exit_code) == (0, 0)
        assert first.stdout == second.stdout
        assert set(runs.values()) == {1}
        assert here(*words, "--fresh").exit_code == 0
        assert set(runs.values()) == {2}

    def interrupted(self, process, path, *words):
        with process("batch", path, "--at-once", "4", *words) as batch:
            for _ in range(4):
                batch.stdout.readline()
            batch.send_signal(signal.SIGINT)
            assert batch.wait(20) == 130

    def test_another_file_or_another_place_is_not_gone_on_with(self, process, here, tmp_path):
        path = tasks_file(tmp_path, *counted(40, delay=50))
        self.interrupted(process, path)
        elsewhere = here("batch", path, "--output", tmp_path / "out")
        assert elsewhere.exit_code == 2
        assert "--output" in elsewhere.stderr
        good = path.read_text()
        path.write_text(good.replace('"name": "1"', '"name": "7"'))
        done = here("batch", path)
        assert done.exit_code == 3
        assert "has changed" in done.stderr
        path.write_text("")
        assert "is gone" in here("batch", path).stderr
        path.write_text(good)
        assert here("batch", path).exit_code == 0

    def test_a_state_that_is_none_is_told(self, here, tmp_path):
        path = tasks_file(tmp_path, echo(1))
        (tmp_path / "tasks.jsonl.state").write_text("{}")
        done = here("batch", path)
        assert done.exit_code == 2
        assert "is no state of a batch" in done.stderr

    def test_two_runs_of_one_batch_are_not_let_in(self, process, here, tmp_path):
        path = tasks_file(tmp_path, *counted(40, delay=100))
        with process("batch", path, "--at-once", "2") as batch:
            batch.stdout.readline()
            second = here("batch", path)
        assert second.exit_code == 2
        assert "Another run" in second.stderr


@contextmanager
def life(stand, listener):
    """Serve what stands there, from a start to a stop."""
    config = uvicorn.Config(
        stand.application(), lifespan="on", log_config=None, ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener.dup()],), daemon=True)
    thread.start()
    yield
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


class TestRestart:
    def test_a_server_that_restarts_is_waited_for_and_no_task_is_made_twice(
        self, process, tmp_path
    ):
        path = tasks_file(tmp_path, *(echo(number, delayMs=100) for number in range(40)))
        out = tmp_path / "out.jsonl"
        with short_folder() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            stand = Stand(folder, clock=SystemClock())
            words = ("batch", path, "--output", out, "--at-once", "6")
            with ExitStack() as stack:
                with life(stand, listener):
                    batch = stack.enter_context(process(*words, url=url))
                    wait_for_lines(out, 8)
                assert batch.poll() is None
                with life(stand, listener):
                    assert batch.wait(60) == 0, batch.stderr.read()
            assert [row["line"] for row in rows(out.read_text())] == list(range(1, 41))
            assert len(stand.tables.stories) == 40


class TestBrokenPipes:
    def test_a_reader_that_goes_away_ends_a_batch_quietly_and_it_can_go_on(
        self, process, here, tmp_path
    ):
        path = tasks_file(tmp_path, *(echo(n, delayMs=100) for n in range(40)))
        with process("batch", path, "--at-once", "4") as batch:
            first = json.loads(batch.stdout.readline())
            batch.stdout.close()
            assert batch.wait(20) == 141
            assert batch.stderr.read() == ""
        assert first["line"] == 1
        done = here("batch", path)
        assert done.exit_code == 0
        assert rows(done.stdout)[-1]["line"] == 40

    def test_a_reader_that_goes_away_ends_a_list_quietly(self, process, here):
        here("run", "system.echo", "payload=1")
        reading, writing = os.pipe()
        os.close(reading)
        with process("tasks", "list", stdout=writing) as listing:
            os.close(writing)
            assert listing.wait(20) == 141
            assert listing.stderr.read() == ""
