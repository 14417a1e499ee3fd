"""Tests of cartrita/providers/sandbox/watch.py."""

from cartrita.providers.sandbox.watch import use_of


def process(proc, pid, *, children=(), anon=0, shmem=0, threads=1, ticks=(0, 0, 0, 0)):  # noqa: PLR0913
    folder = proc / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True)
    (folder / "task" / str(pid) / "children").write_text(" ".join(map(str, children)))
    (folder / "status").write_text(
        f"Name:\tx (y)\nRssAnon:\t{anon} kB\nRssFile:\t999 kB\nRssShmem:\t{shmem} kB\n"
        f"Threads:\t{threads}\nSeccomp:\t2\n"
    )
    fields = [str(number) for number in (*[0] * 10, *ticks, 0, 0)]
    (folder / "stat").write_text(f"{pid} (a) b) S {' '.join(fields)}\n")


def test_all_descendants_count_together(tmp_path):
    process(tmp_path, 1, children=(2, 3), anon=10)
    process(tmp_path, 2, children=(4,), anon=20, shmem=5, threads=3)
    process(tmp_path, 3, anon=1)
    process(tmp_path, 4, anon=2)
    process(tmp_path, 5, anon=100_000)
    use = use_of(1, ("/box",), tmp_path)
    assert (use.memory, use.processes) == (38 * 1024, 6)


def test_children_of_ended_threads_and_processes_that_vanish_do_no_harm(tmp_path):
    process(tmp_path, 1, children=(7, 8), anon=10)
    process(tmp_path, 8, anon=1)
    assert use_of(1, ("/box",), tmp_path).memory == 11 * 1024
    assert use_of(99, ("/box",), tmp_path).memory == 0


def test_cpu_time_counts_that_of_children_that_were_waited_for(tmp_path):
    process(tmp_path, 1, ticks=(100, 50, 200, 50))
    assert use_of(1, (), tmp_path).cpu == 4.0


def test_files_are_unknown_while_the_root_is_the_machines(tmp_path):
    process(tmp_path, 1)
    assert use_of(1, ("/box",), tmp_path).files is None
    (tmp_path / "1" / "root").symlink_to("/")
    assert use_of(1, ("/tmp",), tmp_path).files is None
    (tmp_path / "1" / "root").unlink()
    (tmp_path / "1" / "root").symlink_to("/proc")
    assert use_of(1, ("/self",), tmp_path).files is not None
