"""Programs that try to take more than they may."""

import asyncio
import json
from dataclasses import replace
from textwrap import dedent

import pytest

from cartrita.providers.ports_sandbox import Ended
from tests.support.sandboxed import SMALL, TRY, found, ran


async def test_a_fork_bomb_ends_with_its_sandbox():
    result = await ran(
        "import os\nwhile True:\n try: os.fork()\n except OSError: pass", timeout=0.5
    )
    assert result.ended is Ended.TIME


async def test_processes_are_counted_for_each_sandbox_alone():
    code = """
    born = 0
    try:
        while born < 100:
            if os.fork() == 0:
                time.sleep(3); os._exit(0)
            born += 1
    except BlockingIOError:
        pass
    print(json.dumps(born))
    """
    both = await asyncio.gather(found(dedent(code)), found(dedent(code)))
    assert all(SMALL.processes // 2 < born < SMALL.processes for born in both)


async def test_threads_count_as_processes():
    code = """
    import threading
    born = 0
    try:
        while born < 100:
            threading.Thread(target=time.sleep, args=(2,), daemon=True).start(); born += 1
    except RuntimeError:
        pass
    print(json.dumps(born), flush=True); os._exit(0)
    """
    assert await found(dedent(code)) < SMALL.processes


async def test_one_process_gets_no_more_memory_than_allowed():
    code = """
    import mmap
    print(json.dumps([attempt(bytearray, 300 << 20), attempt(mmap.mmap, -1, 300 << 20)]))
    """
    assert await found(dedent(code)) == ["MemoryError", "OSError"]


@pytest.mark.parametrize("kind", ["private", "shared"])
async def test_many_processes_together_get_no_more_memory_than_allowed(kind):
    code = """
    import mmap
    for _ in range(8):
        if os.fork() == 0:
            page = bytearray(60 << 20) if sys.argv[2] == "private" else mmap.mmap(-1, 60 << 20)
            for place in range(0, 60 << 20, 4096):
                page[place] = 1
            time.sleep(60)
    time.sleep(60)
    """
    assert (await ran(TRY + dedent(code), kind)).ended is Ended.MEMORY


async def test_no_more_is_written_than_fits():
    code = """
    written = 0
    for folder in ("/box", "/tmp", "/dev/shm", "/dev", "/", "/var/tmp", "/run"):
        for number in range(8):
            try:
                with open(f"{folder}/{number}", "wb", buffering=0) as file:
                    while True:
                        written += file.write(bytes(1 << 16))
            except OSError:
                pass
    with open("/tmp/0", "wb") as file:
        sparse = attempt(file.truncate, 10 << 30)
    print(json.dumps([written, sparse]))
    """
    result = await ran(TRY + dedent(code))
    written, sparse = json.loads(result.stdout)
    assert 3 * SMALL.disk * 0.9 < written <= 3 * SMALL.disk
    assert sparse == "OSError"
    assert sum(map(len, result.files.values())) <= SMALL.returned


async def test_a_program_that_makes_files_without_end_is_ended():
    code = "n = 0\nwhile True:\n    open(f'/tmp/{n}', 'w').close(); n += 1"
    assert (await ran(code)).ended is Ended.FILES


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_program_that_says_too_much_is_ended_and_its_beginning_kept(stream):
    result = await ran(f"import sys\nwhile True: sys.{stream}.write('spam\\n' * 1000)")
    assert result.ended is Ended.OUTPUT
    assert len(getattr(result, stream)) == SMALL.output
    assert getattr(result, stream).startswith("spam\n")


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"])
async def test_time_is_bounded_whether_it_works_or_sleeps(code):
    result = await ran(code, timeout=0.5)
    assert (result.ended, result.exit_code) == (Ended.TIME, None)


async def test_signals_do_not_save_a_program_from_its_end():
    code = """
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    if os.fork() == 0:
        os.setsid()
    while True:
        time.sleep(60)
    """
    assert (await ran(TRY + dedent(code), timeout=0.5)).ended is Ended.TIME


async def test_cpu_time_of_all_processes_together_is_bounded():
    bounds = replace(SMALL, seconds=1)
    code = "import os\nfor _ in range(4): os.fork()\nwhile True: pass"
    result = await ran(code, bounds=bounds)
    assert result.ended is Ended.TIME


async def test_a_child_that_goes_its_own_way_ends_with_the_program():
    code = """
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
    print(json.dumps("parent is done"))
    """
    assert await found(dedent(code)) == "parent is done"


async def test_limits_cannot_be_raised():
    code = """
    kinds = [resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU]
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    print(json.dumps([attempt(resource.setrlimit, kind, infinite) for kind in kinds]))
    """
    assert set(await found(dedent(code))) == {"ValueError"}
