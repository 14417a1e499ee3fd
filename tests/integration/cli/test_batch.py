"""Tests of `cartrita batch`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import pytest

from cartrita.clock import new_id
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


def accepted(inside):
    """Return how often each task was accepted: its stories, and what they tell of."""
    stories = inside.trees[-1].tables.stories
    return {task: Counter(event.kind for event in events) for task, events in stories.items()}


@pytest.fixture
def process(home, admin, api):
    """Start the command line in a process of its own."""

    @contextmanager
    def start(*arguments, **options):
        environment = {"PATH": os.environ["PATH"], "CARTRITA_HOME": str(home), "HOME": str(home)}
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        argv = [sys.executable, "-m", "cartrita", "--url", api, *map(str, arguments)]
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


class TestResume:
    def waiting(self, number):
        return [echo(place, delayMs=200) for place in range(number)]

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
    @pytest.mark.parametrize("order", ["input", "ended"])
    def test_a_run_that_was_ended_goes_on_and_no_task_runs_twice(
        self, process, here, inside, tmp_path, end, order
    ):
        path, out = tasks_file(tmp_path, *self.waiting(60)), tmp_path / "out.jsonl"
        words = ("batch", path, "--output", out, "--order", order, "--at-once", "8")
        before = set(accepted(inside))
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
        assert all(row["result"]["payload"] == row["line"] - 1 for row in told)
        news = {task: told for task, told in accepted(inside).items() if task not in before}
        assert len(news) == 60
        assert {kinds["started"] for kinds in news.values()} == {1}
        assert {row["taskId"] for row in told} == set(news)
        assert not (tmp_path / "tasks.jsonl.state").exists()

    def test_a_named_state_stays_and_a_batch_that_is_done_is_not_done_again(
        self, here, inside, tmp_path
    ):
        path, state = tasks_file(tmp_path, *map(echo, range(3))), tmp_path / "s"
        words = ("batch", path, "--resume", state, "--output", tmp_path / "out")
        first = here(*words)
        known = set(accepted(inside))
        second = here(*words)
        assert (first.exit_code, second.exit_code) == (0, 0)
        assert first.stdout == second.stdout
        assert set(accepted(inside)) == known
        third = here(*words, "--fresh")
        assert third.exit_code == 0
        assert len(set(accepted(inside)) - known) == 3

    def interrupted(self, process, path, *words):
        with process("batch", path, "--at-once", "4", *words) as batch:
            for _ in range(4):
                batch.stdout.readline()
            batch.send_signal(signal.SIGINT)
            assert batch.wait(20) == 130

    def test_another_file_or_another_place_is_not_gone_on_with(self, process, here, tmp_path):
        path = tasks_file(tmp_path, *self.waiting(40))
        self.interrupted(process, path)
        elsewhere = here("batch", path, "--output", tmp_path / "out")
        assert elsewhere.exit_code == 2
        assert "--output" in elsewhere.stderr
        good = path.read_text()
        path.write_text(good.replace('"payload": 0', '"payload": 7'))
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
        path = tasks_file(tmp_path, *self.waiting(40))
        with process("batch", path, "--at-once", "2") as batch:
            batch.stdout.readline()
            second = here("batch", path)
        assert second.exit_code == 2
        assert "Another run" in second.stderr


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
